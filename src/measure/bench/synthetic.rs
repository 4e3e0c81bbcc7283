//! A checkpoint of any shape with random weights, which are made while the checkpoint is read.
//!
//! The cost of a run does not depend on the values of the weights, only on their number and format. The files have the
//! format of the hub, so that everything behind [`Source`] is measured, too.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value, json};

use super::shape::Shape;
use crate::checkpoint::load::names::{Field, Module, Name};
use crate::checkpoint::load::{WEIGHTS_FILE, WeightFormat};
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::{ByteStream, Source};
use crate::error::Result;
use crate::model::config::{self, Config};

/// Bytes in a piece of a stream; a multiple of 4.
const PIECE: u64 = 1 << 20;

/// A tokenizer that knows one letter, because the measurement needs tokens but no text.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
    "post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#;

/// Random weights of a shape, the same in every run.
#[derive(Debug, Clone)]
pub struct Synthetic {
    name: String,
    config: Vec<u8>,
    header: Vec<u8>,
    tensors: Vec<Tensor>,
}

impl Synthetic {
    /// A checkpoint of `shape`, stored in `format`; [`WeightFormat::Auto`] means 8 bits.
    ///
    /// # Errors
    /// The error of [`crate::model::config::Config::parse`] for an impossible shape.
    pub fn new(shape: &Shape, format: WeightFormat) -> Result<Self> {
        let config = shape.config()?;
        let mut json = shape.config_json();
        let group_size = if config.hidden_size.is_multiple_of(64) { 64 } else { 32 };
        let quantization = match format {
            WeightFormat::Stored | WeightFormat::F32 | WeightFormat::F16 => None,
            WeightFormat::Auto | WeightFormat::Q8 => Some(8),
            WeightFormat::Q4 => Some(4),
        };
        if let Some(bits) = quantization {
            json.insert("quantization".to_owned(), json!({ "group_size": group_size, "bits": bits }));
        }
        let mut tensors = Vec::new();
        for module in Module::all(&config) {
            let (rows, cols) = module.shape(&config);
            match quantization {
                _ if module.vector().is_some() => tensors.push(Tensor::ones(module, rows, cols)),
                Some(bits) if cols.is_multiple_of(group_size) => {
                    tensors.extend(Tensor::quantized(module, rows, cols, bits, group_size));
                }
                _ => tensors.push(Tensor::floats(module, rows, cols, format == WeightFormat::F32)),
            }
            if module.has_bias(&config) {
                tensors.push(Tensor::zeros(module, rows));
            }
        }
        Ok(Self {
            name: shape.name.clone(),
            config: serde_json::to_vec(&json).unwrap_or_default(),
            header: header(&tensors, &config),
            tensors,
        })
    }
}

impl Source for Synthetic {
    fn location(&self) -> String {
        format!("random weights of {}", self.name)
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        _: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        let stream: Option<Box<dyn ByteStream>> = match file {
            config::FILE => Some(Box::new(SmallFile(Some(self.config.clone())))),
            "tokenizer.json" => Some(Box::new(SmallFile(Some(TOKENIZER.into())))),
            WEIGHTS_FILE => Some(Box::new(RandomBytes::new(self))),
            _ => None,
        };
        async move { Ok(stream) }.boxed_local()
    }
}

/// A tensor whose 32-bit words are `random & mask | bits`.
#[derive(Debug, Clone)]
struct Tensor {
    name: Name,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: u64,
    mask: u32,
    bits: u32,
}

impl Tensor {
    fn new(name: Name, dtype: &'static str, shape: Vec<usize>, (mask, bits): (u32, u32)) -> Self {
        let value_bytes = if dtype == "F16" { 2 } else { 4 };
        let bytes = shape.iter().map(|size| *size as u64).product::<u64>() * value_bytes;
        Self { name, dtype, shape, bytes, mask, bits }
    }

    /// The weight of a norm, or the taps of a convolution.
    fn ones(module: Module, rows: usize, cols: usize) -> Self {
        let shape = if matches!(module, Module::Convolution(_)) { vec![rows, 1, cols] } else { vec![cols] };
        Self::new(Name { module, field: Field::Weight }, "F16", shape, (0, twice(half(1.0))))
    }

    /// A bias.
    fn zeros(module: Module, rows: usize) -> Self {
        Self::new(Name { module, field: Field::Bias }, "F16", vec![rows], (0, 0))
    }

    /// Floats of random sign whose magnitudes differ by less than a factor of two. The squares of a row sum to about
    /// one.
    fn floats(module: Module, rows: usize, cols: usize, single: bool) -> Self {
        let name = Name { module, field: Field::Weight };
        let magnitude = 2.0_f32.powf(-(1.5 * (cols as f32).sqrt()).log2().round());
        if single {
            Self::new(name, "F32", vec![rows, cols], (0x807f_ffff, magnitude.to_bits()))
        } else {
            Self::new(name, "F16", vec![rows, cols], (0x83ff_83ff, twice(half(magnitude))))
        }
    }

    /// Random integers around zero. The squares of a row's dequantised values sum to about one.
    fn quantized(module: Module, rows: usize, cols: usize, bits: u32, group_size: usize) -> [Self; 3] {
        let levels = (1u32 << bits) as f32;
        // The variance of n equally likely neighbouring integers is (n^2 - 1) / 12.
        let scale = 1.0 / ((levels * levels - 1.0) / 12.0 * cols as f32).sqrt();
        let bias = -scale * (levels - 1.0) / 2.0;
        let name = |field| Name { module, field };
        let groups = vec![rows, cols / group_size];
        [
            Self::new(name(Field::Weight), "U32", vec![rows, cols * bits as usize / 32], (u32::MAX, 0)),
            Self::new(name(Field::Scales), "F16", groups.clone(), (0, twice(half(scale)))),
            Self::new(name(Field::Biases), "F16", groups, (0, twice(half(bias)))),
        ]
    }
}

fn half(value: f32) -> u16 {
    half::f16::from_f32(value).to_bits()
}

fn twice(half: u16) -> u32 {
    u32::from(half) << 16 | u32::from(half)
}

/// The beginning of a safetensors file.
fn header(tensors: &[Tensor], config: &Config) -> Vec<u8> {
    let mut entries = Map::new();
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.bytes;
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end] });
        entries.insert(tensor.name.path(config), entry);
    }
    let json = Value::Object(entries).to_string();
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.into_bytes());
    bytes
}

/// A small file, read as one piece.
struct SmallFile(Option<Vec<u8>>);

impl ByteStream for SmallFile {
    fn len_hint(&self) -> Option<u64> {
        self.0.as_ref().map(|bytes| bytes.len() as u64)
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        let bytes = self.0.take();
        async move { Ok(bytes) }.boxed_local()
    }
}

/// The stream of `model.safetensors`.
struct RandomBytes {
    header: Option<Vec<u8>>,
    len: u64,
    tensors: std::vec::IntoIter<Tensor>,
    /// The current tensor, and how many of its bytes are left.
    current: Option<(Tensor, u64)>,
    random: u32,
}

impl RandomBytes {
    fn new(source: &Synthetic) -> Self {
        let data: u64 = source.tensors.iter().map(|tensor| tensor.bytes).sum();
        Self {
            header: Some(source.header.clone()),
            len: data + source.header.len() as u64,
            tensors: source.tensors.clone().into_iter(),
            current: None,
            random: 1,
        }
    }

    fn piece(&mut self) -> Option<Vec<u8>> {
        if let Some(header) = self.header.take() {
            return Some(header);
        }
        let (tensor, left) = match self.current.take() {
            Some(current) => current,
            None => self
                .tensors
                .next()
                .map(|tensor| (tensor.bytes, tensor))
                .map(|(bytes, tensor)| (tensor, bytes))?,
        };
        let len = left.min(PIECE);
        let mut words = vec![0u32; len.div_ceil(4) as usize];
        for word in &mut words {
            *word = self.next_random() & tensor.mask | tensor.bits;
        }
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&words).to_vec();
        bytes.truncate(len as usize);
        if left > len {
            self.current = Some((tensor, left - len));
        }
        Some(bytes)
    }

    /// Marsaglia's xorshift: a few operations per word, and random enough for weights.
    fn next_random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

impl ByteStream for RandomBytes {
    fn len_hint(&self) -> Option<u64> {
        Some(self.len)
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        let piece = self.piece();
        async move { Ok(piece) }.boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, Synthetic};
    use crate::backend::Wanted;
    use crate::checkpoint::load::WeightFormat;
    use crate::engine::{BackendChoice, Engine, LoadOptions};

    fn engine(shape: &Shape, weights: WeightFormat) -> Engine {
        let source = Synthetic::new(shape, weights).unwrap();
        let options = LoadOptions { backend: BackendChoice::Cpu, weights, ..LoadOptions::default() };
        pollster::block_on(Engine::load(&source, options)).unwrap()
    }

    fn logits(engine: &Engine) -> Vec<f32> {
        let mut state = engine.state().unwrap();
        pollster::block_on(state.forward(&[3, 1, 4, 1, 5], Wanted::All)).unwrap()
    }

    #[test]
    fn every_format_keeps_its_bits_and_computes_normal_numbers() {
        // No group size divides 100 columns.
        for shape in [Shape::of(2, 64), Shape::of(2, 96), Shape::of(1, 100)] {
            for (format, bits) in [(WeightFormat::Q4, 4), (WeightFormat::Q8, 8), (WeightFormat::F16, 16)] {
                let engine = engine(&shape, format);
                if shape.hidden_size == 64 {
                    // Scales and biases of 64 values are 4 bytes.
                    let scales = if bits < 16 { engine.info().parameters / 16 } else { 0 };
                    let expected = engine.info().parameters * bits / 8 + scales;
                    let off = engine.info().weight_bytes as f64 / expected as f64 - 1.0;
                    assert!(off.abs() < 0.02, "{} in {format}: {off}", shape.name);
                }
                let logits = logits(&engine);
                let size = (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt();
                assert!((0.2..5.0).contains(&size), "{} in {format}: logits of {size}", shape.name);
            }
        }
    }

    #[test]
    fn every_family_computes_ordinary_numbers() {
        for shape in Shape::others() {
            let mut small = Shape { num_hidden_layers: 3, vocab_size: 512, ..shape };
            if let Some(attention) = small.fields.get_mut("full_attn_idxs") {
                *attention = serde_json::json!([2]);
            }
            for format in [WeightFormat::Q4, WeightFormat::F16] {
                let logits = logits(&engine(&small, format));
                let size = (logits.iter().map(|x| x * x).sum::<f32>() / logits.len() as f32).sqrt();
                assert!((0.1..100.0).contains(&size), "{} in {format}: logits of {size}", small.name);
            }
        }
    }

    #[test]
    fn the_same_shape_has_the_same_weights() {
        let shape = Shape::of(1, 64);
        let [first, second] = [0, 1].map(|_| logits(&engine(&shape, WeightFormat::F32)));
        assert_eq!(first, second);
        let other = Shape { vocab_size: 31_999, ..shape };
        assert_ne!(first[..100], logits(&engine(&other, WeightFormat::F32))[..100]);
    }
}
