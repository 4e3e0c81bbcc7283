//! Quantises a checkpoint into a folder in the MLX layout, as a stream: what `mobilellm quantize` does.
//!
//! The folder has the original names, loads in `mlx_lm`, and its integers, scales and biases are those of `mx.quantize`.

mod gguf;
mod shard_writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use self::shard_writer::{ShardWriter, cannot_write, place_together};
use crate::checkpoint::container::floats::decode;
use crate::checkpoint::container::safetensors::{Dtype, Header, TensorInfo};
use crate::checkpoint::container::shard_index::INDEX_FILE;
use crate::checkpoint::load::Spec;
use crate::checkpoint::load::names::{Field, Module, Name};
use crate::checkpoint::load::{BAND, Checkpoint, Progress, WEIGHTS_FILE};
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::{CONFIG_LIMIT, TOKENIZER_LIMIT, read_optional, read_required};
use crate::checkpoint::source::reader::Reader;
use crate::error::{Error, Result};
use crate::model::affine::{pack, scale_and_bias};
use crate::model::config::{self, BitsAndGroup};

/// Files that belong to a checkpoint beside its weights and its configuration.
const COMPANIONS: [&str; 16] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
    "NOTICE.txt",
];

/// How to quantise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// What holds where no override does.
    pub default: BitsAndGroup,
    /// Exceptions; of several that fit a module the longest path wins.
    pub overrides: Vec<Override>,
    /// Bytes of a weights file at most; only a single tensor that is larger makes a larger file.
    pub max_shard_size: u64,
}

/// What holds for a module and all below it, such as `model.embed_tokens` or `model.layers.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The module's path.
    pub path: String,
    /// Bits, and the group where it is not the default one; `None` says: not quantised.
    pub format: Option<(u32, Option<u32>)>,
}

impl FromStr for Override {
    type Err = Error;

    /// `PATH=BITS`, `PATH=BITS:GROUP` or `PATH=none`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::request(
                "override",
                format!(
                    "{text} is not PATH=BITS, PATH=BITS:GROUP or PATH=none, such as model.embed_tokens=8"
                ),
            )
        };
        let (path, format) = text.split_once('=').ok_or_else(invalid)?;
        let format = if format == "none" {
            None
        } else {
            let (bits, group) = match format.split_once(':') {
                Some((bits, group)) => (bits, Some(group.parse().map_err(|_| invalid())?)),
                None => (format, None),
            };
            Some((bits.parse().map_err(|_| invalid())?, group))
        };
        if path.is_empty() { Err(invalid()) } else { Ok(Self { path: path.to_owned(), format }) }
    }
}

impl Override {
    fn fits(&self, module: &str) -> bool {
        module.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl QuantizeOptions {
    fn check(&self) -> Result<()> {
        check_format(self.default)?;
        self.overrides.iter().filter_map(|o| self.format_of(o)).try_for_each(check_format)
    }

    fn format_of(&self, exception: &Override) -> Option<BitsAndGroup> {
        let (bits, group_size) = exception.format?;
        Some(BitsAndGroup { bits, group_size: group_size.unwrap_or(self.default.group_size) })
    }

    /// What was asked for a module: the index of the override where one fits, and the format.
    fn of(&self, module: &str) -> (Option<usize>, Option<BitsAndGroup>) {
        let fitting = self.overrides.iter().enumerate().filter(|(_, o)| o.fits(module));
        match fitting.max_by_key(|(_, o)| o.path.len()) {
            Some((index, exception)) => (Some(index), self.format_of(exception)),
            None => (None, Some(self.default)),
        }
    }
}

fn check_format(format: BitsAndGroup) -> Result<()> {
    if !matches!(format.bits, 4 | 8) {
        return Err(Error::request("bits", format!("{} is not 4 or 8", format.bits)));
    }
    if !matches!(format.group_size, 32 | 64 | 128) {
        return Err(Error::request("group size", format!("{} is not 32, 64 or 128", format.group_size)));
    }
    Ok(())
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuantizeReport {
    /// Bytes of all tensors read.
    pub bytes_read: u64,
    /// Bytes of all tensors written.
    pub bytes_written: u64,
    /// Modules whose weights were quantised.
    pub quantized: usize,
    /// Modules that were meant to be quantised, but whose rows the group does not divide.
    pub indivisible: Vec<String>,
    /// Types of a GGUF file whose integers and scales were written as they are.
    pub repacked: Vec<String>,
    /// Types of a GGUF file that MLX has no groups for, and that were quantised anew.
    pub requantized: Vec<String>,
    /// The copy of a GGUF file has no tokenizer.
    pub without_tokenizer: bool,
    /// Files of weights.
    pub files: Vec<String>,
    /// Weights that are not finite.
    pub warnings: Vec<String>,
}

/// Quantises the checkpoint `source` into the folder `destination`, which appears only when it is complete.
///
/// # Errors
/// [`Error::Request`] where `destination` is not empty, an override fits nothing, or the source is quantised already;
/// [`Error::Write`]; whatever is wrong with the source; [`Error::Cancelled`].
pub async fn quantize_folder(
    source: &dyn Source,
    destination: &Path,
    options: &QuantizeOptions,
    progress: &mut dyn FnMut(Progress),
    cancel: &Cancel,
) -> Result<QuantizeReport> {
    options.check()?;
    let folder = PartialFolder::create(destination)?;
    let checkpoint = Checkpoint::open(source, cancel).await?;
    if let Some(files) = checkpoint.gguf() {
        let report = gguf::write(source, &checkpoint, files, &folder.path, options, progress, cancel).await?;
        folder.complete()?;
        return Ok(report);
    }
    if checkpoint.config.quantization.is_some() {
        return Err(Error::request(
            "source",
            "the checkpoint is quantised already; quantise the original one",
        ));
    }
    let plan = Plan::new(&checkpoint, checkpoint.headers().await?, options)?;
    let report = plan.write(source, &folder.path, progress, cancel).await?;
    let json = read_required(source, config::FILE, CONFIG_LIMIT, cancel).await?;
    let config = quantized_config(&json, &plan, checkpoint.config.decoder.tied_embeddings)?;
    write_file(&folder.path, config::FILE, &config)?;
    for file in COMPANIONS {
        if let Some(bytes) = read_optional(source, file, TOKENIZER_LIMIT, cancel).await? {
            write_file(&folder.path, file, &bytes)?;
        }
    }
    folder.complete()?;
    Ok(report)
}

/// What becomes of each tensor, decided from the headers alone.
struct Plan {
    default: BitsAndGroup,
    inputs: Vec<(String, Header, Vec<Option<Step>>)>,
    outputs: Vec<Vec<TensorInfo>>,
    /// Modules whose format differs from the default one; `None`: asked not to be quantised.
    exceptions: BTreeMap<Module, (String, Option<BitsAndGroup>)>,
    indivisible: Vec<String>,
}

/// What becomes of one tensor.
struct Step {
    /// Quantised like this; copied where it is `None`.
    format: Option<BitsAndGroup>,
    /// Which output file it goes to.
    shard: usize,
}

impl Plan {
    fn new(
        checkpoint: &Checkpoint<'_>,
        headers: Vec<(String, Header)>,
        options: &QuantizeOptions,
    ) -> Result<Self> {
        let mut plan = Self {
            default: options.default,
            inputs: Vec::new(),
            outputs: vec![Vec::new()],
            exceptions: BTreeMap::new(),
            indivisible: Vec::new(),
        };
        let mut used = vec![false; options.overrides.len()];
        for (file, header) in headers {
            let specs = checkpoint.specs(&file, &header)?;
            let steps = header.tensors.iter().zip(specs).map(|(tensor, spec)| {
                let (name, spec) = spec?;
                Some(plan.step(tensor, name, spec, options, &mut used))
            });
            let steps = steps.collect();
            plan.inputs.push((file, header, steps));
        }
        match options.overrides.iter().zip(used).find(|(_, used)| !used) {
            Some((exception, _)) => Err(Error::request(
                "override",
                format!("{} fits no module of the checkpoint", exception.path),
            )),
            None => Ok(plan),
        }
    }

    fn step(
        &mut self,
        tensor: &TensorInfo,
        name: Name,
        spec: Spec,
        options: &QuantizeOptions,
        used: &mut [bool],
    ) -> Step {
        let format = self.format(tensor, name, spec, options, used);
        let outputs = match format {
            Some(format) => quantized_tensors(tensor, format),
            None => vec![tensor.clone()],
        };
        Step { format, shard: place_together(&mut self.outputs, outputs, options.max_shard_size) }
    }

    fn format(
        &mut self,
        tensor: &TensorInfo,
        Name { module, field }: Name,
        spec: Spec,
        options: &QuantizeOptions,
        used: &mut [bool],
    ) -> Option<BitsAndGroup> {
        if (spec, field) != (Spec::Floats, Field::Weight) {
            return None;
        }
        let (index, format) = options.of(module_path(tensor));
        if let Some(index) = index {
            used[index] = true;
        }
        if format != Some(self.default) {
            self.exceptions.insert(module, (module_path(tensor).to_owned(), format));
        }
        let cols = tensor.shape.last().copied().unwrap_or(0);
        let divides = |format: &BitsAndGroup| cols.is_multiple_of(u64::from(format.group_size));
        if format.is_some_and(|format| !divides(&format)) {
            let path = module_path(tensor).to_owned();
            self.indivisible.push(path.clone());
            self.exceptions.insert(module, (path, None));
        }
        format.filter(divides)
    }

    fn file_name(&self, shard: usize) -> String {
        file_name(shard, self.outputs.len())
    }

    /// Writes all files of weights and their index.
    async fn write(
        &self,
        source: &dyn Source,
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
        cancel: &Cancel,
    ) -> Result<QuantizeReport> {
        let all = || self.inputs.iter().flat_map(|(_, header, _)| &header.tensors);
        let mut done = Progress {
            bytes: 0,
            total_bytes: Some(all().map(|tensor| tensor.len).sum()),
            tensors: 0,
            total_tensors: all().count(),
        };
        let mut report = QuantizeReport { indivisible: self.indivisible.clone(), ..Default::default() };
        let create =
            |shard: usize| ShardWriter::create(folder.join(self.file_name(shard)), &self.outputs[shard]);
        let mut open = (0, create(0)?);
        for (file, header, steps) in &self.inputs {
            let mut reader = reopen(source, file, header, cancel).await?;
            for (tensor, step) in header.tensors.iter().zip(steps) {
                match step {
                    None => reader.skip(tensor.len, &tensor.name).await?,
                    Some(step) => {
                        if step.shard != open.0 {
                            std::mem::replace(&mut open, (step.shard, create(step.shard)?)).1.finish()?;
                        }
                        let finite = convert(&mut reader, tensor, step, &mut open.1).await?;
                        if !finite {
                            report.warnings.push(format!(
                                "{}: some weights are infinite or not a number",
                                module_path(tensor)
                            ));
                        }
                        report.quantized += usize::from(step.format.is_some());
                    }
                }
                done.bytes += tensor.len;
                done.tensors += 1;
                progress(done);
            }
        }
        open.1.finish()?;
        report.bytes_read = done.bytes;
        report.bytes_written = self.outputs.iter().flatten().map(|tensor| tensor.len).sum();
        report.files = (0..self.outputs.len()).map(|shard| self.file_name(shard)).collect();
        write_file(folder, INDEX_FILE, &self.index(report.bytes_written))?;
        Ok(report)
    }

    fn index(&self, total_size: u64) -> Vec<u8> {
        let mut weight_map = BTreeMap::new();
        for (shard, tensors) in self.outputs.iter().enumerate() {
            weight_map.extend(tensors.iter().map(|tensor| (tensor.name.as_str(), self.file_name(shard))));
        }
        let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
        format!("{index:#}\n").into_bytes()
    }
}

/// The name of one of so many files of weights.
fn file_name(shard: usize, count: usize) -> String {
    match count {
        1 => WEIGHTS_FILE.to_owned(),
        n => format!("model-{:05}-of-{n:05}.safetensors", shard + 1),
    }
}

/// The module that a tensor belongs to, as the checkpoint calls it.
fn module_path(tensor: &TensorInfo) -> &str {
    tensor.name.rsplit_once('.').map_or(tensor.name.as_str(), |(path, _)| path)
}

/// The tensors `.weight`, `.scales` and `.biases` that a weight becomes, in the order in which they are written.
fn quantized_tensors(tensor: &TensorInfo, format: BitsAndGroup) -> Vec<TensorInfo> {
    let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
    let words = cols * u64::from(format.bits) / 32;
    let groups = cols / u64::from(format.group_size);
    let info = |suffix: &str, dtype: Dtype, cols: u64| TensorInfo {
        name: format!("{}.{suffix}", module_path(tensor)),
        dtype,
        shape: vec![rows, cols],
        len: rows * cols * dtype.bitsize() as u64 / 8,
    };
    vec![
        info("weight", Dtype::U32, words),
        info("scales", tensor.dtype, groups),
        info("biases", tensor.dtype, groups),
    ]
}

/// Opens a file of weights again and passes over its header, which must not have changed.
async fn reopen(source: &dyn Source, file: &str, header: &Header, cancel: &Cancel) -> Result<Reader> {
    let reopened = match Reader::open(source, file, cancel).await? {
        Some(mut reader) => Some((Header::read(&mut reader).await?, reader)),
        None => None,
    };
    match reopened {
        Some((now, reader)) if now == *header => Ok(reader),
        _ => Err(Error::fetch(
            file,
            "the file changed while it was read",
            "Try again when nobody writes to it",
        )),
    }
}

/// Streams a tensor from `reader` to `writer`, quantised or as it is, and says whether all of it is finite.
async fn convert(
    reader: &mut Reader,
    tensor: &TensorInfo,
    step: &Step,
    writer: &mut ShardWriter,
) -> Result<bool> {
    let row_len = tensor.shape.last().copied().unwrap_or(1).max(1) * tensor.dtype.bitsize() as u64 / 8;
    let band_len = (BAND / row_len).max(1) * row_len;
    let (mut band, mut values, mut finite) = (Vec::new(), Vec::new(), true);
    let (mut scales, mut biases) = (Vec::new(), Vec::new());
    let mut left = tensor.len;
    while left > 0 {
        let len = left.min(band_len);
        band.clear();
        reader.read(len, &mut band, &tensor.name).await?;
        left -= len;
        values.clear();
        decode(tensor.dtype, &band, &mut values);
        finite &= values.iter().all(|value| value.is_finite());
        let Some(format) = step.format else {
            writer.write(&band)?;
            continue;
        };
        let mut words = Vec::with_capacity(values.len() * format.bits as usize / 32);
        for group in values.chunks_exact(format.group_size as usize) {
            let pair = scale_and_bias(group, format.bits);
            // Against the pair before it is rounded: this is what mlx does.
            pack(group, format.bits, pair, &mut words);
            encode(tensor.dtype, pair.0, &mut scales);
            encode(tensor.dtype, pair.1, &mut biases);
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        writer.write(&bytes)?;
    }
    writer.write(&scales)?;
    writer.write(&biases)?;
    Ok(finite)
}

fn encode(dtype: Dtype, value: f32, bytes: &mut Vec<u8>) {
    match dtype {
        Dtype::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
        Dtype::BF16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
        _ => bytes.extend(value.to_le_bytes()),
    }
}

/// config.json with what was done to the weights.
fn quantized_config(json: &[u8], plan: &Plan, tied: bool) -> Result<Vec<u8>> {
    let mut config: Map<String, Value> = serde_json::from_slice(json)
        .map_err(|error| Error::invalid(config::FILE, "JSON", error, "Download config.json again"))?;
    let entry = |format: BitsAndGroup| json!({ "group_size": format.group_size, "bits": format.bits });
    let mut quantization = Map::new();
    quantization.insert("group_size".to_owned(), plan.default.group_size.into());
    quantization.insert("bits".to_owned(), plan.default.bits.into());
    quantization.insert("mode".to_owned(), "affine".into());
    for (path, format) in plan.exceptions.values() {
        quantization.insert(path.clone(), format.map_or(Value::Bool(false), entry));
    }
    if tied {
        // Said plainly, because other software does not know MobileLLM's `share_embedding`.
        config.insert("tie_word_embeddings".to_owned(), true.into());
    }
    config.insert("quantization".to_owned(), Value::Object(quantization.clone()));
    // mlx_lm writes and reads it under both names.
    config.insert("quantization_config".to_owned(), Value::Object(quantization));
    Ok(format!("{:#}\n", Value::Object(config)).into_bytes())
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| cannot_write(&path, &error))
}

/// A folder under a temporary name beside the destination; deleted unless it is completed.
struct PartialFolder {
    path: PathBuf,
    destination: PathBuf,
}

impl PartialFolder {
    fn create(destination: &Path) -> Result<Self> {
        refuse_occupied(destination)?;
        let Some(name) = destination.file_name() else {
            let problem = format!("{} is not the name of a folder", destination.display());
            return Err(Error::request("destination", problem));
        };
        let mut partial = name.to_os_string();
        partial.push(format!(".partial-{}", std::process::id()));
        let path = destination.with_file_name(partial);
        std::fs::create_dir_all(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(Self { path, destination: destination.to_owned() })
    }

    fn complete(self) -> Result<()> {
        refuse_occupied(&self.destination)?;
        // An empty folder may stand in the way, on systems where renaming does not replace it.
        let _ = std::fs::remove_dir(&self.destination);
        std::fs::rename(&self.path, &self.destination)
            .map_err(|error| cannot_write(&self.destination, &error))
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        // After `complete` there is nothing left under this name.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Nothing that exists is overwritten, but an empty folder is taken.
fn refuse_occupied(destination: &Path) -> Result<()> {
    let occupied = match std::fs::read_dir(destination) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => destination.exists(),
    };
    if occupied {
        let problem = format!("{} exists and is not an empty folder; choose another", destination.display());
        return Err(Error::request("destination", problem));
    }
    Ok(())
}
