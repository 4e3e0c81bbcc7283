//! From tensors to the backend's matrices: parts wait, in their final format, until their matrix is complete.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};

use super::BAND;
use super::fuse::{fuse_matrices, fuse_vectors, num_parts, pair_values};
use super::names::{Field, Linear, Module, Name, Norm};
use super::rows::{RowWriter, convert, reserved, with_half_scales};
use super::spec::Spec;
use super::weight_format::WeightFormat;
use crate::backend::WeightSink;
use crate::checkpoint::container::floats::{all_finite, decode, extend_words};
use crate::checkpoint::container::gguf::{TensorType, blocks};
use crate::checkpoint::container::safetensors::Dtype;
use crate::error::Result;
use crate::model::config::{BitsAndGroup, Config};
use crate::model::matrix::{Affine, Format, Matrix, ScaleFormat};
use crate::model::network::{MatrixId, Projection, VectorId};

/// A tensor while its bytes arrive, band by band.
pub(crate) struct Incoming {
    name: Name,
    /// Of floats; blocks have none.
    dtype: Dtype,
    /// Bytes of a row as stored.
    row_len: u64,
    values: Values,
    non_finite: bool,
    /// Of its bytes, where it will be compared.
    digest: Option<DefaultHasher>,
    /// Kept between bands.
    floats: Vec<f32>,
}

enum Values {
    Vector(Vec<f32>),
    Rows(RowWriter),
    /// Of so many columns.
    Blocks(TensorType, usize, RowWriter),
    Packed(Vec<u32>, BitsAndGroup),
    /// Scales or biases, as stored.
    Groups(Vec<u8>),
}

impl Incoming {
    /// Makes room for a tensor whose header has been checked.
    pub(crate) fn new(name: Name, dtype: Dtype, spec: Spec, weights: &Assembly<'_>) -> Result<Self> {
        let config = weights.config;
        let (rows, cols) = name.module.shape(config);
        let (row_len, values) = match spec {
            Spec::Vector => (4, Values::Vector(Vec::new())),
            Spec::Floats => {
                let format = weights.format.for_floats(dtype, cols, weights.parameters, weights.is_quantized);
                (cols * dtype.bitsize() / 8, Values::Rows(RowWriter::new(rows, cols, format)?))
            }
            Spec::Blocks(kind) => {
                let format =
                    blocks::affine(kind).map_or(Format::F32, |affine| weights.format.for_blocks(affine));
                let blocks = cols / kind.block_cols() as usize;
                let rows = RowWriter::new(rows, cols, format)?;
                (blocks * kind.block_bytes() as usize, Values::Blocks(kind, cols, rows))
            }
            Spec::Packed(format) => {
                // Whole groups fill their words, and those need no padding.
                let words = reserved(rows, stored_affine(format, ScaleFormat::F32).row_words(cols))?;
                (cols * format.bits as usize / 8, Values::Packed(words, format))
            }
            Spec::Groups(_) => (4, Values::Groups(Vec::new())),
        };
        let is_compared = weights.compares_head && matches!(name.module, Module::Embedding | Module::Head);
        Ok(Self {
            name,
            dtype,
            row_len: row_len as u64,
            values,
            non_finite: false,
            digest: is_compared.then(DefaultHasher::new),
            floats: Vec::new(),
        })
    }

    /// Bytes to push at once: whole rows, about a mebibyte.
    pub(crate) fn band_len(&self) -> u64 {
        (BAND / self.row_len).max(1) * self.row_len
    }

    /// Takes the next band.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Values::Blocks(kind, cols, rows) = &mut self.values {
            let Some(band) = blocks::rows(*kind, *cols, bytes) else { return Ok(()) };
            self.non_finite |= !band.scales.iter().all(|scale| f32::from_bits(*scale).is_finite());
            return rows.append_converted(&band);
        }
        self.non_finite |= !all_finite(self.dtype, bytes);
        if let Some(digest) = &mut self.digest {
            digest.write(bytes);
        }
        match &mut self.values {
            Values::Blocks(..) => {}
            Values::Packed(words, _) => extend_words(words, bytes),
            Values::Groups(stored) => stored.extend_from_slice(bytes),
            Values::Vector(values) => decode(self.dtype, bytes, values),
            Values::Rows(rows) => {
                self.floats.clear();
                decode(self.dtype, bytes, &mut self.floats);
                return rows.push(&self.floats);
            }
        }
        Ok(())
    }
}

/// The three tensors of a quantised weight, as far as they have arrived.
#[derive(Default)]
struct QuantizedParts {
    packed: Option<(Vec<u32>, BitsAndGroup)>,
    scales: Option<Stored>,
    biases: Option<Stored>,
}

/// Floats as they lie in a file.
struct Stored {
    bytes: Vec<u8>,
    dtype: Dtype,
}

impl Stored {
    fn decoded(&self) -> Vec<f32> {
        let mut values = Vec::new();
        decode(self.dtype, &self.bytes, &mut values);
        values
    }
}

/// What is on its way to a backend.
pub(crate) struct Assembly<'a> {
    config: &'a Config,
    /// Weights of all matrices together.
    parameters: u64,
    format: WeightFormat,
    /// Whether some matrices are stored quantised; the others then stay as they are.
    is_quantized: bool,
    sink: &'a mut dyn WeightSink,
    quantized: HashMap<Module, QuantizedParts>,
    matrices: HashMap<MatrixId, Vec<Option<Matrix>>>,
    biases: HashMap<(usize, Projection), Vec<Option<Vec<f32>>>>,
    /// The output matrix may be a copy of the embedding.
    compares_head: bool,
    /// What was compared so far: types and digests of the tensors of the embedding, and of the output matrix.
    digests: [BTreeMap<Field, (String, u64)>; 2],
    /// Bytes of the output matrix.
    head_bytes: u64,
    /// Bytes of all matrices put.
    pub(crate) weight_bytes: u64,
    /// What a person should know about the weights.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(
        config: &'a Config,
        parameters: u64,
        format: WeightFormat,
        is_quantized: bool,
        sink: &'a mut dyn WeightSink,
    ) -> Self {
        Self {
            config,
            parameters,
            format,
            is_quantized,
            sink,
            quantized: HashMap::new(),
            matrices: HashMap::new(),
            biases: HashMap::new(),
            compares_head: false,
            digests: Default::default(),
            head_bytes: 0,
            weight_bytes: 0,
            warnings: Vec::new(),
        }
    }

    /// Finds out, while the weights arrive, whether the output matrix is a copy of the embedding.
    pub(crate) fn compare_head(&mut self) {
        self.compares_head = true;
    }

    /// Drops the output matrix where it turned out to be a copy of the embedding; whether it did.
    pub(crate) fn drop_copied_head(&mut self) -> bool {
        let [embedding, head] = &self.digests;
        let is_copy = self.compares_head && embedding == head;
        if is_copy {
            self.sink.remove_matrix(MatrixId::Head);
            self.weight_bytes -= self.head_bytes;
        }
        is_copy
    }

    /// Takes a tensor that has arrived in full, and passes on what it completes.
    pub(crate) fn put(&mut self, tensor: Incoming) -> Result<()> {
        let Incoming { name: Name { module, field }, dtype, values, non_finite, digest, .. } = tensor;
        if let Some(digest) = digest {
            let [embedding, head] = &mut self.digests;
            let of = if module == Module::Head { head } else { embedding };
            of.insert(field, (dtype.to_string(), digest.finish()));
        }
        if non_finite {
            self.warn(module, "some weights are infinite or not a number");
        }
        match values {
            Values::Vector(values) => self.put_vector(module, field, values),
            Values::Rows(rows) => {
                let (matrix, widened) = rows.finish();
                if widened {
                    self.warn(module, "some weights are beyond the range of f16, f32 is used");
                }
                self.put_part(module, matrix)
            }
            Values::Blocks(_, _, rows) => self.put_part(module, with_half_scales(rows.finish().0)),
            Values::Packed(words, format) => {
                self.quantized.entry(module).or_default().packed = Some((words, format));
                self.put_quantized(module)
            }
            Values::Groups(bytes) => {
                let parts = self.quantized.entry(module).or_default();
                let slot = if field == Field::Scales { &mut parts.scales } else { &mut parts.biases };
                *slot = Some(Stored { bytes, dtype });
                self.put_quantized(module)
            }
        }
    }

    fn warn(&mut self, module: Module, what: &str) {
        let warning = format!("{}: {what}", module.path(self.config));
        tracing::warn!("{warning}");
        self.warnings.push(warning);
    }

    fn put_vector(&mut self, module: Module, field: Field, values: Vec<f32>) -> Result<()> {
        match (module, field) {
            (Module::Linear(block, linear), Field::Bias) => {
                let (projection, index) = linear.part_of();
                let id = MatrixId::Block(block, projection);
                let waiting = self
                    .biases
                    .entry((block, projection))
                    .or_insert_with(|| zeros(block, projection, self.config));
                let Some(parts) = complete(waiting, num_parts(id, self.config), index, values) else {
                    return Ok(());
                };
                self.biases.remove(&(block, projection));
                self.sink.put_vector(VectorId::Bias(block, projection), fuse_vectors(id, &parts, self.config))
            }
            _ => match module.vector() {
                Some(id) => self.sink.put_vector(id, self.finished(module, values)),
                None => Ok(()),
            },
        }
    }

    /// A vector as kernels read it.
    fn finished(&self, module: Module, mut values: Vec<f32>) -> Vec<f32> {
        let offset = self.config.decoder.norm_offset;
        if offset != 0.0 && !matches!(module, Module::Convolution(_)) {
            for value in &mut values {
                *value += offset;
            }
        }
        match module {
            Module::Norm(_, Norm::Query | Norm::Key) => pair_values(&values, self.config),
            _ => values,
        }
    }

    fn put_quantized(&mut self, module: Module) -> Result<()> {
        let Some(QuantizedParts { packed: Some(_), scales: Some(_), biases: Some(_) }) =
            self.quantized.get(&module)
        else {
            return Ok(());
        };
        let Some(QuantizedParts { packed: Some(packed), scales: Some(scales), biases: Some(biases) }) =
            self.quantized.remove(&module)
        else {
            return Ok(());
        };
        let (rows, cols) = module.shape(self.config);
        let stored = quantized_matrix(rows, cols, packed, &scales, &biases);
        let format = match stored.format {
            Format::Affine(affine) => self.format.for_quantized(affine),
            other => other,
        };
        let matrix = convert(stored, format)?;
        self.put_part(module, matrix)
    }

    fn put_part(&mut self, module: Module, part: Matrix) -> Result<()> {
        let Some((id, index)) = module.matrix() else { return Ok(()) };
        let waiting = self.matrices.entry(id).or_default();
        let Some(parts) = complete(waiting, num_parts(id, self.config), index, part) else { return Ok(()) };
        self.matrices.remove(&id);
        match fuse_matrices(id, parts, self.config)? {
            Some(matrix) => {
                self.weight_bytes += matrix.bytes() as u64;
                if id == MatrixId::Head {
                    self.head_bytes = matrix.bytes() as u64;
                }
                self.sink.put_matrix(id, matrix)
            }
            None => Ok(()),
        }
    }
}

/// The biases of the parts of a projection that have none.
fn zeros(block: usize, projection: Projection, config: &Config) -> Vec<Option<Vec<f32>>> {
    (0..num_parts(MatrixId::Block(block, projection), config))
        .map(|part| match Linear::of_part(projection, part, config) {
            Some(linear) if !Module::Linear(block, linear).has_bias(config) => {
                Some(vec![0.0; Module::Linear(block, linear).shape(config).0])
            }
            _ => None,
        })
        .collect()
}

/// Puts a part in its place; all of them once the last is there.
fn complete<T>(waiting: &mut Vec<Option<T>>, num_parts: usize, index: usize, part: T) -> Option<Vec<T>> {
    waiting.resize_with(num_parts, || None);
    waiting[index] = Some(part);
    if waiting.iter().all(Option::is_some) { waiting.drain(..).collect() } else { None }
}

fn quantized_matrix(
    rows: usize,
    cols: usize,
    (words, format): (Vec<u32>, BitsAndGroup),
    scales: &Stored,
    biases: &Stored,
) -> Matrix {
    let (scale_format, scales) = pairs(scales, biases);
    Matrix { rows, cols, format: stored_affine(format, scale_format), words, scales }
}

/// Each group's scale and bias side by side: halves as they are where both are of one kind, else in single precision.
fn pairs(scales: &Stored, biases: &Stored) -> (ScaleFormat, Vec<u32>) {
    let halves = || {
        let each = scales.bytes.as_chunks().0.iter().zip(biases.bytes.as_chunks().0);
        each.map(|([s0, s1], [b0, b1])| u32::from_le_bytes([*s0, *s1, *b0, *b1])).collect()
    };
    match (scales.dtype, biases.dtype) {
        (Dtype::F16, Dtype::F16) => (ScaleFormat::F16, halves()),
        (Dtype::BF16, Dtype::BF16) => (ScaleFormat::Bf16, halves()),
        _ => {
            let mut pairs = Vec::new();
            for pair in scales.decoded().into_iter().zip(biases.decoded()) {
                ScaleFormat::F32.push(pair, &mut pairs);
            }
            (ScaleFormat::F32, pairs)
        }
    }
}

fn stored_affine(format: BitsAndGroup, scales: ScaleFormat) -> Format {
    Format::Affine(Affine { bits: format.bits, group_size: format.group_size, scales })
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn stored(dtype: Dtype, values: [f32; 2]) -> Stored {
        let bytes = values.map(|value| match dtype {
            Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        });
        Stored { bytes: bytes.concat(), dtype }
    }

    #[test]
    fn scales_and_biases_of_any_types_are_kept_exactly() {
        let (scales, biases) = ([0.5, 0.25], [-4.0, -1.5]);
        let types = [Dtype::F32, Dtype::F16, Dtype::BF16];
        for (first, second) in
            types.iter().flat_map(|first| types.iter().map(move |second| (*first, *second)))
        {
            let (format, words) = pairs(&stored(first, scales), &stored(second, biases));
            assert_eq!(
                format == ScaleFormat::F32,
                first != second || first == Dtype::F32,
                "{first:?} {second:?}"
            );
            for group in 0..2 {
                let pair = (scales[group], biases[group]);
                assert_eq!(format.get(&words, group), pair, "{first:?} {second:?}");
            }
        }
    }
}
