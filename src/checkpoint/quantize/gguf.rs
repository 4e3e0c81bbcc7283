//! Writes a GGUF file as a folder in the MLX layout: blocks whose groups MLX has are repacked, with the same integers and
//! scales; the others are quantised anew.
//!
//! Names, the order of rows and `config.json` are those of Hugging Face's checkpoints. Memory is one tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use half::f16;
use serde_json::{Map, Value, json};

use super::shard_writer::{ShardWriter, place_together};
use super::{QuantizeOptions, QuantizeReport, encode, write_file};
use crate::checkpoint::container::floats::{all_finite, decode};
use crate::checkpoint::container::gguf::{TensorInfo as Stored, TensorType, blocks};
use crate::checkpoint::container::safetensors::{Dtype, TensorInfo};
use crate::checkpoint::container::shard_index::INDEX_FILE;
use crate::checkpoint::load::names::{Linear, Module, Name};
use crate::checkpoint::load::{Checkpoint, GgufFiles, Place, Progress, Spec, float, place, reopen};
use crate::checkpoint::source::reader::Reader;
use crate::checkpoint::source::{Cancel, Source};
use crate::error::{Error, Result};
use crate::model::affine::{pack, scale_and_bias};
use crate::model::config::{self, BitsAndGroup, Config};
use crate::model::decoder::RotaryPairs;
use crate::model::matrix::{Affine, Format};

/// The key of the chat template, and the file that it becomes.
const CHAT_TEMPLATE: (&str, &str) = ("tokenizer.chat_template", "chat_template.jinja");

/// What becomes of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recipe {
    /// Its floats, as they are.
    Copied(Dtype),
    /// Its integers and scales, as they are.
    Repacked(BitsAndGroup, Dtype),
    /// Its values, quantised.
    Quantized(BitsAndGroup, Dtype),
}

/// A tensor of the file and the tensors that it becomes.
struct Step {
    name: Name,
    path: String,
    recipe: Recipe,
    shard: usize,
}

/// What becomes of each tensor, decided from the headers alone.
struct Plan<'a> {
    /// What the copy's `config.json` says, with the names of Hugging Face.
    config: &'a Config,
    /// What the file's metadata say.
    stored: &'a Config,
    steps: Vec<Vec<Option<Step>>>,
    outputs: Vec<Vec<TensorInfo>>,
}

/// Writes everything but what completes the folder.
pub(super) async fn write(
    source: &dyn Source,
    checkpoint: &Checkpoint<'_>,
    files: &GgufFiles,
    folder: &Path,
    options: &QuantizeOptions,
    progress: &mut dyn FnMut(Progress),
    cancel: &Cancel,
) -> Result<QuantizeReport> {
    if !options.overrides.is_empty() {
        return Err(Error::request("override", "the matrices of a GGUF file keep their bits"));
    }
    // Read back, because it has to say the same of the network.
    let fields = Value::Object(described(files.fields()?, checkpoint.config.decoder.tied_embeddings));
    let config = Config::parse(fields.to_string().as_bytes())?;
    let plan = Plan::new(files, &checkpoint.config, &config, options)?;
    let mut report = plan.report(files);
    let mut done = Progress {
        bytes: 0,
        total_bytes: Some(files.tensors().map(|tensor| tensor.len).sum()),
        tensors: 0,
        total_tensors: files.tensors().count(),
    };
    let create = |shard: usize| ShardWriter::create(folder.join(plan.file_name(shard)), &plan.outputs[shard]);
    let mut open = (0, create(0)?);
    for ((name, header), steps) in files.parts().zip(&plan.steps) {
        let mut reader = reopen(source, name, header, cancel).await?;
        for (tensor, step) in header.tensors.iter().zip(steps) {
            cancel.check()?;
            reader.skip(tensor.padding, &tensor.name).await?;
            match step {
                None => reader.skip(tensor.len, &tensor.name).await?,
                Some(step) => {
                    if step.shard != open.0 {
                        std::mem::replace(&mut open, (step.shard, create(step.shard)?)).1.finish()?;
                    }
                    if !plan.convert(&mut reader, tensor, step, &mut open.1).await? {
                        report
                            .warnings
                            .push(format!("{}: some weights are infinite or not a number", step.path));
                    }
                }
            }
            done.bytes += tensor.len;
            done.tensors += 1;
            progress(done);
        }
    }
    open.1.finish()?;
    report.bytes_read = done.bytes;
    let mut weight_map = BTreeMap::new();
    for (shard, tensors) in plan.outputs.iter().enumerate() {
        weight_map.extend(tensors.iter().map(|tensor| (tensor.name.as_str(), plan.file_name(shard))));
    }
    let index = json!({ "metadata": { "total_size": report.bytes_written }, "weight_map": weight_map });
    write_file(folder, INDEX_FILE, format!("{index:#}\n").as_bytes())?;
    write_file(folder, config::FILE, &plan.config_json(fields, options))?;
    if let Some(template) = files.metadata().text(CHAT_TEMPLATE.0)? {
        write_file(folder, CHAT_TEMPLATE.1, template.as_bytes())?;
    }
    Ok(report)
}

impl<'a> Plan<'a> {
    fn new(
        files: &GgufFiles,
        stored: &'a Config,
        config: &'a Config,
        options: &QuantizeOptions,
    ) -> Result<Self> {
        let mut plan = Self { config, stored, steps: Vec::new(), outputs: vec![Vec::new()] };
        for (_, header) in files.parts() {
            let file = header.metadata.file();
            let mut steps = Vec::new();
            for tensor in &header.tensors {
                steps.push(match place(tensor, file, stored)? {
                    Place::Passed => None,
                    Place::Divisors => {
                        let remedy = "config.json cannot say them: quantise the original checkpoint";
                        return Err(Error::unsupported(file, "a copy of rope_freqs.weight", remedy));
                    }
                    Place::Weights(Name { module: Module::Convolution(_), .. }, _) => {
                        let what = "a copy of a model with convolutions";
                        return Err(Error::unsupported(file, what, "Quantise the original checkpoint"));
                    }
                    Place::Weights(name, spec) => Some(plan.step(tensor, name, spec, options)),
                });
            }
            plan.steps.push(steps);
        }
        Ok(plan)
    }

    fn step(&mut self, tensor: &Stored, name: Name, spec: Spec, options: &QuantizeOptions) -> Step {
        let recipe = match self.norm_shift(name.module) {
            0.0 => recipe(tensor, spec, options.default),
            _ => Recipe::Copied(Dtype::F32),
        };
        let path = name.path(self.config);
        let module = name.module.path(self.config);
        let info = |name: String, dtype: Dtype, shape: Vec<u64>| {
            let len = shape.iter().product::<u64>() * dtype.bitsize() as u64 / 8;
            TensorInfo { name, dtype, shape, len }
        };
        let outputs = match recipe {
            Recipe::Copied(dtype) => vec![info(path.clone(), dtype, tensor.shape.clone())],
            Recipe::Repacked(format, dtype) | Recipe::Quantized(format, dtype) => {
                let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
                let groups = vec![rows, cols / u64::from(format.group_size)];
                vec![
                    info(path.clone(), Dtype::U32, vec![rows, cols * u64::from(format.bits) / 32]),
                    info(format!("{module}.scales"), dtype, groups.clone()),
                    info(format!("{module}.biases"), dtype, groups),
                ]
            }
        };
        Step { name, path, recipe, shard: place_together(&mut self.outputs, outputs, options.max_shard_size) }
    }

    /// What is to be subtracted from a norm's weights: Hugging Face's checkpoints of some families leave one out.
    fn norm_shift(&self, module: Module) -> f32 {
        match module {
            Module::FinalNorm | Module::Norm(..) => {
                self.config.decoder.norm_offset - self.stored.decoder.norm_offset
            }
            _ => 0.0,
        }
    }

    fn file_name(&self, shard: usize) -> String {
        super::file_name(shard, self.outputs.len())
    }

    fn report(&self, files: &GgufFiles) -> QuantizeReport {
        let steps = || {
            self.steps.iter().flatten().zip(files.tensors()).filter_map(|(s, t)| Some((s.as_ref()?, t.kind)))
        };
        let kinds = |wanted: &dyn Fn(&Recipe) -> bool| -> Vec<String> {
            let kinds = steps().filter(|(step, kind)| wanted(&step.recipe) && float(*kind).is_none());
            kinds.map(|(_, kind)| kind).collect::<BTreeSet<_>>().iter().map(ToString::to_string).collect()
        };
        QuantizeReport {
            bytes_written: self.outputs.iter().flatten().map(|tensor| tensor.len).sum(),
            quantized: steps().filter(|(step, _)| !matches!(step.recipe, Recipe::Copied(_))).count(),
            files: (0..self.outputs.len()).map(|shard| self.file_name(shard)).collect(),
            repacked: kinds(&|recipe| matches!(recipe, Recipe::Repacked(..))),
            without_tokenizer: true,
            requantized: kinds(&|recipe| matches!(recipe, Recipe::Quantized(..))),
            ..QuantizeReport::default()
        }
    }

    /// Streams a tensor into what becomes of it, and says whether all of it is finite.
    async fn convert(
        &self,
        reader: &mut Reader,
        tensor: &Stored,
        step: &Step,
        writer: &mut ShardWriter,
    ) -> Result<bool> {
        let mut bytes = Vec::new();
        reader.read(tensor.len, &mut bytes, &tensor.name).await?;
        let rows = tensor.shape.first().copied().unwrap_or(1) as usize;
        let order = row_order(step.name.module, rows, self.stored);
        let shift = self.norm_shift(step.name.module);
        if shift != 0.0 {
            let mut weights = Vec::new();
            decode(float(tensor.kind).unwrap_or(Dtype::F32), &bytes, &mut weights);
            bytes = weights.iter().flat_map(|weight| (weight - shift).to_le_bytes()).collect();
        }
        match step.recipe {
            Recipe::Copied(dtype) => {
                let row_len = bytes.len() / rows.max(1);
                for row in order {
                    writer.write(&bytes[row * row_len..][..row_len])?;
                }
                Ok(all_finite(dtype, &bytes))
            }
            Recipe::Repacked(_, dtype) => {
                let cols = tensor.shape[1] as usize;
                let Some(matrix) = blocks::rows(tensor.kind, cols, &bytes) else { return Ok(true) };
                let Format::Affine(Affine { scales, .. }) = matrix.format else { return Ok(true) };
                let (mut first, mut second, mut finite) = (Vec::new(), Vec::new(), true);
                for row in order {
                    let words: Vec<u8> =
                        matrix.row_words(row).iter().flat_map(|word| word.to_le_bytes()).collect();
                    writer.write(&words)?;
                    let stored = matrix.row_scales(row);
                    for group in 0..stored.len() / scales.words() {
                        let (scale, bias) = scales.get(stored, group);
                        let exact =
                            |value: f32| dtype != Dtype::F16 || f16::from_f32(value).to_f32() == value;
                        finite &= scale.is_finite() && bias.is_finite();
                        if finite && !(exact(scale) && exact(bias)) {
                            let problem = "its scales are beyond the range of the halves that MLX has for it";
                            return Err(Error::invalid(
                                reader.file(),
                                &tensor.name,
                                problem,
                                "Use the file as it is",
                            ));
                        }
                        encode(dtype, scale, &mut first);
                        encode(dtype, bias, &mut second);
                    }
                }
                writer.write(&first)?;
                writer.write(&second)?;
                Ok(finite)
            }
            Recipe::Quantized(format, dtype) => {
                let cols = tensor.shape[1] as usize;
                let (mut first, mut second, mut finite) = (Vec::new(), Vec::new(), true);
                let row_len = bytes.len() / rows.max(1);
                for row in order {
                    let values = values(tensor.kind, cols, &bytes[row * row_len..][..row_len]);
                    finite &= values.iter().all(|value| value.is_finite());
                    let mut words = Vec::new();
                    for group in values.chunks_exact(format.group_size as usize) {
                        let pair = scale_and_bias(group, format.bits);
                        pack(group, format.bits, pair, &mut words);
                        encode(dtype, pair.0, &mut first);
                        encode(dtype, pair.1, &mut second);
                    }
                    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    writer.write(&words)?;
                }
                writer.write(&first)?;
                writer.write(&second)?;
                Ok(finite)
            }
        }
    }

    /// What the metadata say, as `config.json` says it, with what was done to the weights.
    fn config_json(&self, mut fields: Value, options: &QuantizeOptions) -> Vec<u8> {
        let default = options.default;
        let entry = |format: BitsAndGroup| json!({ "group_size": format.group_size, "bits": format.bits });
        let mut quantization = Map::new();
        quantization.insert("group_size".to_owned(), default.group_size.into());
        quantization.insert("bits".to_owned(), default.bits.into());
        quantization.insert("mode".to_owned(), "affine".into());
        for step in self.steps.iter().flatten().flatten() {
            let format = match step.recipe {
                Recipe::Copied(_) if step.name.module.matrix().is_some() => None,
                Recipe::Copied(_) => continue,
                Recipe::Repacked(format, _) | Recipe::Quantized(format, _) => Some(format),
            };
            if format != Some(default) && step.path.ends_with(".weight") {
                let path = step.name.module.path(self.config);
                quantization.insert(path, format.map_or(Value::Bool(false), entry));
            }
        }
        fields["quantization"] = Value::Object(quantization.clone());
        fields["quantization_config"] = Value::Object(quantization);
        format!("{fields:#}\n").into_bytes()
    }
}

/// The fields of `config.json`, without keys that are none.
fn described(mut fields: Map<String, Value>, tied: bool) -> Map<String, Value> {
    fields.retain(|field, value| !field.contains('.') && !value.is_null());
    fields.insert("tie_word_embeddings".to_owned(), tied.into());
    fields
}

/// MLX has groups of 32 and more, and integers of 4 and 8 bits here.
fn recipe(tensor: &Stored, spec: Spec, default: BitsAndGroup) -> Recipe {
    let dtype = float(tensor.kind).unwrap_or(Dtype::F16);
    let cols = tensor.shape.last().copied().unwrap_or(0);
    match blocks::affine(tensor.kind) {
        Some(Affine { bits, group_size: 32, .. }) => {
            // The types of 32 columns have scales in half precision.
            let scales = if tensor.kind.block_cols() == 32 { Dtype::F16 } else { Dtype::F32 };
            Recipe::Repacked(BitsAndGroup { bits, group_size: 32 }, scales)
        }
        Some(Affine { bits, .. }) => Recipe::Quantized(BitsAndGroup { bits, group_size: 32 }, Dtype::F16),
        None if spec == Spec::Floats && cols.is_multiple_of(u64::from(default.group_size)) => {
            Recipe::Quantized(default, dtype)
        }
        None => Recipe::Copied(dtype),
    }
}

/// The row of the file that each row of a Hugging Face checkpoint is: there the pairs of a head are its halves.
fn row_order(module: Module, rows: usize, config: &Config) -> Vec<usize> {
    let neighbours = config.decoder.rotary_pairs == RotaryPairs::Neighbours;
    if !(neighbours && matches!(module, Module::Linear(_, Linear::Query | Linear::Key))) {
        return (0..rows).collect();
    }
    let half = config.head_dim / 2;
    (0..rows)
        .map(|row| {
            let (head, i) = (row / config.head_dim, row % config.head_dim);
            head * config.head_dim + if i < half { 2 * i } else { 2 * (i - half) + 1 }
        })
        .collect()
}

/// The values of a row.
fn values(kind: TensorType, cols: usize, bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::new();
    if let Some(dtype) = float(kind) {
        decode(dtype, bytes, &mut values);
    } else if let Some(matrix) = blocks::rows(kind, cols, bytes) {
        values.resize(cols, 0.0);
        matrix.dequantize_row(0, &mut values);
    }
    values
}
