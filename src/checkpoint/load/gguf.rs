//! Checkpoints in GGUF files: their configuration out of the metadata, and their weights as a stream.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};

use super::assemble::Incoming;
use super::checkpoint::Load;
use super::names::{Field, Module, Name, Prefix, Role};
use super::rows::common_format;
use super::spec::{Contents, Spec};
use crate::checkpoint::container::floats::decode;
use crate::checkpoint::container::gguf::{Header, List, Metadata, TensorInfo, TensorType, Value, blocks};
use crate::checkpoint::container::safetensors::Dtype;
use crate::checkpoint::source::gguf::Part;
use crate::checkpoint::source::reader::{Reader, path_of};
use crate::checkpoint::source::{Cancel, Source};
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::families::gguf::GgufModel;
use crate::model::matrix::{Affine, Format, ScaleFormat};
use crate::model::network::MatrixId;

/// Divisors of the rotary frequencies: Llama 3's scaling, as llama.cpp's converter computed it.
const FREQUENCY_DIVISORS: &str = "rope_freqs.weight";

/// Lists that describe a network have one value a layer at most.
const MAX_LIST: usize = 4096;

/// One file, or the parts of a split one; all headers have been read and checked.
pub(crate) struct GgufFiles {
    files: Vec<File>,
}

struct File {
    name: String,
    header: Header,
    /// Behind the header, where the file was kept open.
    reader: Option<Reader>,
}

impl GgufFiles {
    /// Reads the header of `file`, and of the other parts where it is one.
    pub(crate) async fn open(source: &dyn Source, file: &str, cancel: &Cancel) -> Result<Self> {
        let names: Vec<String> = match Part::of(file) {
            Some(part) => part.all().collect(),
            None => vec![file.to_owned()],
        };
        source.expect(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let is_split = names.len() > 1;
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let (reader, header) = open_file(source, &name, cancel).await?;
            // More than one would keep more than one server waiting.
            files.push(File { name, header, reader: (!is_split).then_some(reader) });
        }
        let files = Self { files };
        files.check_parts()?;
        Ok(files)
    }

    /// The name of the first file.
    pub(crate) fn first(&self) -> &str {
        self.files.first().map_or("", |file| &file.name)
    }

    /// The metadata; that of the first file where there are several.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.files[0].header.metadata
    }

    /// All tensors, in the order in which they lie.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.files.iter().flat_map(|file| &file.header.tensors)
    }

    /// Name and header of each file.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, &Header)> {
        self.files.iter().map(|file| (file.name.as_str(), &file.header))
    }

    /// Name and length of each file.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|file| (file.name.as_str(), file.header.file_len))
    }

    /// Bytes of all matrices in memory, held as they are stored: parts of one matrix in a format that holds each.
    pub(crate) fn memory_bytes(&self, config: &Config) -> u64 {
        let mut matrices = HashMap::<MatrixId, (usize, usize, Vec<Format>)>::new();
        for tensor in self.tensors() {
            let role = Role::of(&tensor.name, self.first(), config, &Prefix::default());
            let Ok(Role::Used(name)) = role else { continue };
            let (Some((id, _)), Field::Weight) = (name.module.matrix(), name.field) else { continue };
            let (rows, cols) = name.module.shape(config);
            let (all_rows, _, formats) = matrices.entry(id).or_insert((0, cols, Vec::new()));
            *all_rows += rows;
            formats.push(held_format(tensor.kind));
        }
        let bytes = |(rows, cols, formats): (usize, usize, Vec<Format>)| {
            let format = common_format(formats).unwrap_or(Format::F32);
            4 * rows as u64 * (format.row_words(cols) + format.row_scale_words(cols)) as u64
        };
        matrices.into_values().map(bytes).sum()
    }

    /// Whether some matrix is in blocks.
    pub(crate) fn are_quantized(&self) -> bool {
        self.tensors().any(|tensor| float(tensor.kind).is_none())
    }

    fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors().find(|tensor| tensor.name == name)
    }

    /// What the metadata and the tensors say of the network.
    pub(crate) fn config(&self, ignored: &[String]) -> Result<Config> {
        self.with_model(|model| Config::of_gguf(model, ignored))
    }

    /// The fields that `config.json` would have.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn fields(&self) -> Result<Map<String, Json>> {
        self.with_model(|model| Ok(model.fields()?.1.into_map()))
    }

    fn with_model<T>(&self, read: impl FnOnce(&GgufModel<'_>) -> Result<T>) -> Result<T> {
        let metadata = self.metadata();
        if let Some(kind) = metadata.text("general.type")?.filter(|kind| *kind != "model") {
            return Err(Error::unsupported(metadata.file(), format!("general.type {kind}"), "Take a model"));
        }
        let keys = described(metadata)?;
        let embedding = self.tensor("token_embd.weight");
        let model = GgufModel {
            file: metadata.file(),
            keys: &keys,
            vocab_size: embedding.and_then(|tensor| tensor.shape.first().copied()),
            has_tensor: &|name| self.tensor(name).is_some(),
        };
        read(&model)
    }

    /// Checks that the tensors are those of the network, by name, type and shape. What only they say of it is written into
    /// `config`, as [`Contents::check`] does.
    pub(crate) fn check(&self, source: &dyn Source, config: &mut Config) -> Result<Contents> {
        let names: Vec<_> = self.tensors().map(|tensor| tensor.name.as_str()).collect();
        let weights = names.into_iter().filter(|name| *name != FREQUENCY_DIVISORS);
        let mut contents = Contents::check(&path_of(source, self.first()), weights, config)?;
        contents.num_tensors = self.tensors().count();
        for file in &self.files {
            for tensor in &file.header.tensors {
                place(tensor, file.header.metadata.file(), config)?;
            }
        }
        Ok(contents)
    }

    /// Parts that belong together, each tensor in one of them.
    fn check_parts(&self) -> Result<()> {
        if self.files.len() > 1 {
            for (index, File { header: Header { metadata, .. }, .. }) in self.files.iter().enumerate() {
                for (key, expected) in [("split.no", index), ("split.count", self.files.len())] {
                    if metadata.size(key, usize::MAX)? != Some(expected) {
                        return Err(
                            metadata.invalid(key, format!("by the file's name it should be {expected}"))
                        );
                    }
                }
            }
            let metadata = self.metadata();
            let (key, count) = ("split.tensors.count", self.tensors().count());
            if let Some(expected) = metadata.size(key, usize::MAX)?.filter(|expected| *expected != count) {
                return Err(
                    metadata.invalid(key, format!("it is {expected}, but the files have {count} tensors"))
                );
            }
        } else if let Some(count) =
            self.metadata().size("split.count", usize::MAX)?.filter(|count| *count > 1)
        {
            let problem = format!("the model has {count} parts, and the file's name is not that of one");
            return Err(self
                .metadata()
                .invalid("split.count", format!("{problem}: give the files their names back")));
        }
        let mut names: Vec<(&str, &Metadata)> = self
            .files
            .iter()
            .flat_map(|file| {
                file.header.tensors.iter().map(|tensor| (tensor.name.as_str(), &file.header.metadata))
            })
            .collect();
        names.sort_by_key(|(name, _)| *name);
        match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[1].1.invalid(pair[0].0, "another part of the model has this tensor, too")),
            None => Ok(()),
        }
    }

    /// Streams all tensors, in the order of the files.
    pub(super) async fn load(self, source: &dyn Source, load: &mut Load<'_>) -> Result<()> {
        for File { name, header, reader } in self.files {
            let mut reader = match reader {
                Some(reader) => reader,
                None => reopen(source, &name, &header, load.cancel).await?,
            };
            load_file(&mut reader, &header, load).await?;
        }
        Ok(())
    }
}

async fn open_file(source: &dyn Source, name: &str, cancel: &Cancel) -> Result<(Reader, Header)> {
    let Some(mut reader) = Reader::open(source, name, cancel).await? else {
        let remedy =
            if Part::of(name).is_some() { "Download all parts of the model" } else { "Check its name" };
        return Err(Error::missing(path_of(source, name), remedy));
    };
    let header = Header::read(&mut reader).await?;
    Ok((reader, header))
}

/// Opens a file again, behind its header, which must not have changed.
pub(crate) async fn reopen(
    source: &dyn Source,
    name: &str,
    header: &Header,
    cancel: &Cancel,
) -> Result<Reader> {
    let (reader, found) = open_file(source, name, cancel).await?;
    if found.tensors == header.tensors {
        Ok(reader)
    } else {
        Err(found.metadata.invalid("header", "the file changed while it was read"))
    }
}

async fn load_file(reader: &mut Reader, header: &Header, load: &mut Load<'_>) -> Result<()> {
    let file = reader.file().to_owned();
    for tensor in &header.tensors {
        load.cancel.check()?;
        reader.skip(tensor.padding, &tensor.name).await?;
        match place(tensor, &file, load.config)? {
            Place::Passed => load.skip(reader, &tensor.name, tensor.len).await?,
            Place::Divisors => load.frequency_divisors = Some(divisors(reader, tensor, load).await?),
            Place::Weights(name, spec) => {
                let dtype = float(tensor.kind).unwrap_or(Dtype::U32);
                let incoming = Incoming::new(name, dtype, spec, &load.assembly)?;
                load.tensor(reader, &tensor.name, tensor.len, incoming).await?;
            }
        }
        load.count_tensor();
    }
    // Some writers pad the last tensor, too.
    let mut padding = Vec::new();
    reader.read_up_to(header.alignment, &mut padding).await?;
    if (padding.len() as u64) < header.alignment && reader.at_end().await? {
        return Ok(());
    }
    let problem = format!("bytes follow the last tensor, which ends at byte {}", header.file_len);
    Err(Error::invalid(file, "end of file", problem, "The file is damaged: download it again"))
}

async fn divisors(reader: &mut Reader, tensor: &TensorInfo, load: &mut Load<'_>) -> Result<Vec<f32>> {
    let mut bytes = Vec::new();
    reader.read(tensor.len, &mut bytes, &tensor.name).await?;
    load.advance(tensor.len);
    let mut divisors = Vec::new();
    decode(Dtype::F32, &bytes, &mut divisors);
    if divisors.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0) {
        Ok(divisors)
    } else {
        let problem = "divisors of frequencies must be positive numbers";
        Err(Error::invalid(reader.file(), &tensor.name, problem, "The file is damaged: download it again"))
    }
}

/// What becomes of a tensor.
pub(crate) enum Place {
    /// It is a part of the network.
    Weights(Name, Spec),
    /// Divisors of the rotary frequencies.
    Divisors,
    /// It is not needed.
    Passed,
}

/// Checks a tensor's name, type and shape.
pub(crate) fn place(tensor: &TensorInfo, file: &str, config: &Config) -> Result<Place> {
    let wrong = |shape: &[usize]| {
        let problem = format!("its shape is {:?}, by the metadata it should be {shape:?}", tensor.shape);
        Error::invalid(file, &tensor.name, problem, "The file is damaged: download it again")
    };
    let has_shape = |shape: &[usize]| tensor.shape.iter().copied().eq(shape.iter().map(|n| *n as u64));
    let as_floats = |shape: &[usize], kinds: &[TensorType]| {
        if !kinds.contains(&tensor.kind) {
            let what = format!("the type {} of tensor {}", tensor.kind, tensor.name);
            return Err(Error::unsupported(file, what, "Vectors are read in F32, F16 and BF16"));
        }
        if has_shape(shape) { Ok(()) } else { Err(wrong(shape)) }
    };
    if tensor.name == FREQUENCY_DIVISORS {
        as_floats(&[config.head_dim / 2], &[TensorType::F32])?;
        return Ok(Place::Divisors);
    }
    let Role::Used(name) = Role::of(&tensor.name, file, config, &Prefix::default())? else {
        return Ok(Place::Passed);
    };
    let (rows, cols) = name.module.shape(config);
    let vector = match name.field {
        Field::Bias => Some(vec![rows]),
        _ if matches!(name.module, Module::Convolution(_)) => Some(vec![rows, cols]),
        _ if name.module.matrix().is_none() => Some(vec![cols]),
        _ => None,
    };
    let spec = match (vector, float(tensor.kind)) {
        (Some(shape), _) => {
            as_floats(&shape, &[TensorType::F32, TensorType::F16, TensorType::BF16])?;
            return Ok(Place::Weights(name, Spec::Vector));
        }
        (None, Some(_)) => Spec::Floats,
        (None, None) => Spec::Blocks(tensor.kind),
    };
    if has_shape(&[rows, cols]) { Ok(Place::Weights(name, spec)) } else { Err(wrong(&[rows, cols])) }
}

/// The format in memory of a matrix that is held as it is stored; of the types whose scales are halves those are.
fn held_format(kind: TensorType) -> Format {
    match (kind, blocks::affine(kind)) {
        (TensorType::F16, _) => Format::F16,
        (TensorType::BF16, _) => Format::Bf16,
        (_, None) => Format::F32,
        (_, Some(affine)) if kind.block_cols() == 32 => {
            Format::Affine(Affine { scales: ScaleFormat::F16, ..affine })
        }
        (_, Some(affine)) => Format::Affine(affine),
    }
}

/// The type of floats; `None` for blocks.
pub(crate) fn float(kind: TensorType) -> Option<Dtype> {
    match kind {
        TensorType::F32 => Some(Dtype::F32),
        TensorType::F16 => Some(Dtype::F16),
        TensorType::BF16 => Some(Dtype::BF16),
        _ => None,
    }
}

/// The keys that describe a network, as JSON: those of the architecture, and single values about tokens.
fn described(metadata: &Metadata) -> Result<Map<String, Json>> {
    let architecture = metadata.text("general.architecture")?.unwrap_or_default();
    let prefix = format!("{architecture}.");
    let mut keys = Map::new();
    for (key, value) in metadata.iter() {
        let describes = key == "general.architecture"
            || key.starts_with(&prefix)
            || (key.starts_with("tokenizer.ggml.") && !matches!(value, Value::List(_)));
        if describes {
            let problem = || metadata.invalid(key, "it is neither a finite value nor a short list of them");
            keys.insert(key.to_owned(), json(value).ok_or_else(problem)?);
        }
    }
    Ok(keys)
}

fn json(value: &Value) -> Option<Json> {
    match value {
        Value::Unsigned(value) => Some(Json::from(*value)),
        Value::Signed(value) => Some(Json::from(*value)),
        Value::Float(value) => Number::from_f64(*value).map(Json::Number),
        Value::Flag(value) => Some(Json::from(*value)),
        Value::Text(value) => Some(Json::from(value.as_str())),
        Value::List(list) if list.len() > MAX_LIST => None,
        Value::List(List::Numbers(numbers)) => numbers.iter().map(|number| json(&number)).collect(),
        Value::List(List::Flags(flags)) => Some(flags.iter().copied().collect()),
        Value::List(List::Texts(texts)) => Some(texts.iter().map(String::as_str).collect()),
        Value::List(List::Lists(_)) => None,
    }
}
