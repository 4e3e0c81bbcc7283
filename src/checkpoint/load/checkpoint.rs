//! Streams a checkpoint's weights to a backend.

use super::assemble::{Assembly, Incoming};
use super::gguf::GgufFiles;
use super::names::{Module, Name, Role};
use super::spec::{Contents, Spec};
use super::weight_format::WeightFormat;
use crate::backend::WeightSink;
use crate::checkpoint::container::gguf::Metadata;
use crate::checkpoint::container::safetensors::{Header, TensorInfo};
use crate::checkpoint::container::shard_index::{INDEX_FILE, INDEX_LIMIT, Index};
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::{CONFIG_LIMIT, is_absence, read_optional, read_required};
use crate::checkpoint::source::reader::{Reader, path_of};
use crate::error::{Error, Result};
use crate::model::config::{self, Config};

/// The name of the weights where they lie in one file.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// Bytes after which progress is reported at the latest: on a slow line a tensor, or a band of one, takes a while.
const STRIDE: u64 = 128 << 10;

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of tensors read.
    pub bytes: u64,
    /// Bytes of all tensors, where the checkpoint says.
    pub total_bytes: Option<u64>,
    /// Tensors read.
    pub tensors: usize,
    /// All tensors.
    pub total_tensors: usize,
}

/// What a load did.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadReport {
    /// Bytes of tensors read.
    pub bytes: u64,
    /// Tensors read.
    pub tensors: usize,
    /// Bytes that the matrices take on the backend.
    pub weight_bytes: u64,
    /// Tensors that were passed over because the network does not need them.
    pub surplus: Vec<String>,
    /// The file's output matrix was a copy of the embedding, as the configuration says, and has been dropped.
    pub head_is_embedding: bool,
    /// Weights that are not finite, or had to be stored otherwise than asked.
    pub warnings: Vec<String>,
    /// What the rotary frequencies are divided by, where the file has it as a tensor.
    pub frequency_divisors: Option<Vec<f32>>,
}

/// A checkpoint whose configuration and tensor names have been checked; no weight has been read yet.
pub struct Checkpoint<'a> {
    source: &'a dyn Source,
    cancel: Cancel,
    /// Its configuration. What only the file can say of the decoder is as it is there: the output matrix, the biases.
    pub config: Config,
    contents: Contents,
    weights: WeightFiles,
    /// The configuration says that the output matrix is the embedding, and the file has one: it may be a copy.
    compare_head: bool,
}

enum WeightFiles {
    /// One file, read up to its first tensor.
    Single(Box<(Reader, Header)>),
    Sharded(Index),
    Gguf(GgufFiles),
}

impl WeightFiles {
    async fn open(source: &dyn Source, cancel: &Cancel) -> Result<Self> {
        // One file first, as transformers looks for them; most checkpoints of this size have just that.
        let absent = match Self::single(source, cancel).await {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => Error::missing(
                path_of(source, WEIGHTS_FILE),
                format!(
                    "There is no {INDEX_FILE} either. WeightFiles are read from safetensors files; convert others first, \
                     with `save_pretrained` of transformers for example"
                ),
            ),
            // A server that answers every address with its page does so for a file that is not there, too.
            Err(error) if is_absence(&error) => error,
            Err(error) => return Err(error),
        };
        match read_optional(source, INDEX_FILE, INDEX_LIMIT, cancel).await? {
            Some(json) => {
                let index = Index::parse(&path_of(source, INDEX_FILE), &json)?;
                source.expect(&index.files.keys().map(String::as_str).collect::<Vec<_>>());
                Ok(Self::Sharded(index))
            }
            None => Err(absent),
        }
    }

    async fn single(source: &dyn Source, cancel: &Cancel) -> Result<Option<Self>> {
        let Some(mut reader) = Reader::open(source, WEIGHTS_FILE, cancel).await? else { return Ok(None) };
        let header = Header::read(&mut reader).await?;
        Ok(Some(Self::Single(Box::new((reader, header)))))
    }

    /// The file that lists the tensors.
    fn listing(&self) -> &str {
        match self {
            Self::Gguf(files) => files.first(),
            Self::Single(_) => WEIGHTS_FILE,
            Self::Sharded(_) => INDEX_FILE,
        }
    }

    fn tensors(&self) -> Vec<&str> {
        match self {
            Self::Single(file) => file.1.tensors.iter().map(|tensor| tensor.name.as_str()).collect(),
            Self::Sharded(index) => index.tensors().collect(),
            Self::Gguf(files) => files.tensors().map(|tensor| tensor.name.as_str()).collect(),
        }
    }

    fn total_bytes(&self) -> Option<u64> {
        match self {
            Self::Single(file) => Some(file.1.tensors.iter().map(|tensor| tensor.len).sum()),
            Self::Sharded(index) => index.total_size,
            Self::Gguf(files) => Some(files.tensors().map(|tensor| tensor.len).sum()),
        }
    }

    /// Whether matrices are stored quantised, some or all.
    fn are_quantized(&self, config: &Config) -> bool {
        match self {
            Self::Gguf(files) => files.are_quantized(),
            Self::Single(_) | Self::Sharded(_) => config.quantization.is_some(),
        }
    }
}

impl<'a> Checkpoint<'a> {
    /// Reads `config.json` and the list of tensors, and checks that the one can be computed from the other.
    ///
    /// `cancel` also stops [`Checkpoint::load`].
    ///
    /// # Errors
    /// Whatever is wrong with these files, by name; [`Error::Cancelled`].
    pub async fn open(source: &'a dyn Source, cancel: &Cancel) -> Result<Self> {
        Self::open_ignoring(source, &[], cancel).await
    }

    /// The same, passing over fields of `config.json` that the engine does not know: see [`Config::parse_ignoring`].
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub async fn open_ignoring(
        source: &'a dyn Source,
        ignored_fields: &[String],
        cancel: &Cancel,
    ) -> Result<Self> {
        if let Some(file) = source.gguf(cancel).await? {
            return Self::open_gguf(source, &file, ignored_fields, cancel).await;
        }
        let json = read_required(source, config::FILE, CONFIG_LIMIT, cancel).await?;
        let mut config = Config::parse_ignoring(&json, ignored_fields)?;
        let weights = WeightFiles::open(source, cancel).await?;
        let says_tied = config.decoder.tied_embeddings;
        let listing = path_of(source, weights.listing());
        let contents = Contents::check(&listing, weights.tensors().into_iter(), &mut config)?;
        let compare_head = says_tied && !config.decoder.tied_embeddings;
        Ok(Self { source, cancel: cancel.clone(), config, contents, weights, compare_head })
    }

    async fn open_gguf(
        source: &'a dyn Source,
        file: &str,
        ignored_fields: &[String],
        cancel: &Cancel,
    ) -> Result<Self> {
        let files = GgufFiles::open(source, file, cancel).await?;
        let mut config = files.config(ignored_fields)?;
        let contents = files.check(source, &mut config)?;
        let weights = WeightFiles::Gguf(files);
        Ok(Self { source, cancel: cancel.clone(), config, contents, weights, compare_head: false })
    }

    /// The metadata of a GGUF file; `None` where the checkpoint is of another format.
    pub fn metadata(&self) -> Option<&Metadata> {
        match &self.weights {
            WeightFiles::Gguf(files) => Some(files.metadata()),
            WeightFiles::Single(_) | WeightFiles::Sharded(_) => None,
        }
    }

    /// Its GGUF files.
    pub(crate) fn gguf(&self) -> Option<&GgufFiles> {
        match &self.weights {
            WeightFiles::Gguf(files) => Some(files),
            WeightFiles::Single(_) | WeightFiles::Sharded(_) => None,
        }
    }

    /// Tensors that the network does not need, and that [`Checkpoint::load`] passes over.
    pub fn surplus(&self) -> &[String] {
        &self.contents.surplus
    }

    /// The headers of all safetensors files, with the files' names. No weight is read.
    pub(crate) async fn headers(&self) -> Result<Vec<(String, Header)>> {
        match &self.weights {
            WeightFiles::Single(file) => Ok(vec![(WEIGHTS_FILE.to_owned(), file.1.clone())]),
            WeightFiles::Sharded(index) => {
                let mut headers = Vec::with_capacity(index.files.len());
                for (shard, tensors) in &index.files {
                    let (_, header) = open_shard(self.source, shard, tensors, &self.cancel).await?;
                    headers.push((shard.clone(), header));
                }
                Ok(headers)
            }
            WeightFiles::Gguf(_) => Ok(Vec::new()),
        }
    }

    /// What to do with each tensor of a header; `None` for those that are passed over.
    pub(crate) fn specs(&self, file: &str, header: &Header) -> Result<Vec<Option<(Name, Spec)>>> {
        specs(file, header, &self.contents, &self.config)
    }

    /// Streams all weights to `sink`, tensor by tensor, in the order of the files.
    ///
    /// Memory beyond what `sink` keeps is one band of a tensor and the parts of matrices that are not complete.
    ///
    /// # Errors
    /// Whatever is wrong with the files, by tensor; what `sink` says; [`Error::Cancelled`].
    pub async fn load(
        self,
        format: WeightFormat,
        sink: &mut dyn WeightSink,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LoadReport> {
        let total = Progress {
            bytes: 0,
            total_bytes: self.weights.total_bytes(),
            tensors: 0,
            total_tensors: self.contents.num_tensors,
        };
        let quantized = self.weights.are_quantized(&self.config);
        let mut assembly = Assembly::new(&self.config, parameters(&self.config), format, quantized, sink);
        if self.compare_head {
            assembly.compare_head();
        }
        let mut load = Load {
            config: &self.config,
            contents: &self.contents,
            cancel: &self.cancel,
            assembly,
            progress: total,
            report: progress,
            frequency_divisors: None,
            band: Vec::new(),
        };
        (load.report)(total);
        match self.weights {
            WeightFiles::Single(file) => {
                let (mut reader, header) = *file;
                load.file(&mut reader, &header).await?;
            }
            WeightFiles::Sharded(index) => {
                for (shard, tensors) in &index.files {
                    let (mut reader, header) = open_shard(self.source, shard, tensors, &self.cancel).await?;
                    load.file(&mut reader, &header).await?;
                }
            }
            WeightFiles::Gguf(files) => files.load(self.source, &mut load).await?,
        }
        let Load { progress, mut assembly, frequency_divisors, .. } = load;
        let head_is_embedding = assembly.drop_copied_head();
        let Assembly { weight_bytes, warnings, .. } = assembly;
        Ok(LoadReport {
            bytes: progress.bytes,
            tensors: progress.tensors,
            weight_bytes,
            warnings: [self.contents.warnings, warnings].concat(),
            frequency_divisors,
            surplus: self.contents.surplus,
            head_is_embedding,
        })
    }
}

/// Checks all tensors of a header; `None` for those that are passed over.
fn specs(
    file: &str,
    header: &Header,
    contents: &Contents,
    config: &Config,
) -> Result<Vec<Option<(Name, Spec)>>> {
    let spec_of = |tensor: &TensorInfo| match Role::of(&tensor.name, file, config, &contents.prefix)? {
        Role::Surplus => Ok(None),
        Role::Used(name) => Ok(Some((name, Spec::of(tensor, name, contents, file, config)?))),
    };
    header.tensors.iter().map(spec_of).collect()
}

/// Opens a file that the index names and checks that it holds just the tensors that the index says.
pub(crate) async fn open_shard(
    source: &dyn Source,
    shard: &str,
    tensors: &[String],
    cancel: &Cancel,
) -> Result<(Reader, Header)> {
    let Some(mut reader) = Reader::open(source, shard, cancel).await? else {
        return Err(Error::missing(
            path_of(source, shard),
            format!("{INDEX_FILE} names it: download all files of the checkpoint"),
        ));
    };
    let header = Header::read(&mut reader).await?;
    let mut found: Vec<&str> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    found.sort_unstable();
    let differs = |problem: &str, tensor: &str| {
        let remedy = "The index and the file belong to different checkpoints: download both again";
        Err(Error::invalid(reader.file(), tensor, problem, remedy))
    };
    if let Some(tensor) = tensors.iter().find(|tensor| found.binary_search(&tensor.as_str()).is_err()) {
        return differs(&format!("{INDEX_FILE} says that the tensor is in this file, it is not"), tensor);
    }
    if let Some(tensor) =
        found.iter().find(|tensor| tensors.binary_search_by(|t| t.as_str().cmp(tensor)).is_err())
    {
        return differs(&format!("the tensor is in this file, {INDEX_FILE} does not say so"), tensor);
    }
    Ok((reader, header))
}

/// A load on its way.
pub(super) struct Load<'a> {
    pub(super) config: &'a Config,
    contents: &'a Contents,
    pub(super) cancel: &'a Cancel,
    pub(super) assembly: Assembly<'a>,
    progress: Progress,
    report: &'a mut dyn FnMut(Progress),
    pub(super) frequency_divisors: Option<Vec<f32>>,
    /// Bytes of the band at hand, kept from tensor to tensor.
    band: Vec<u8>,
}

impl Load<'_> {
    /// Reads a file from its first tensor to its end.
    async fn file(&mut self, reader: &mut Reader, header: &Header) -> Result<()> {
        let file = reader.file().to_owned();
        let specs = specs(&file, header, self.contents, self.config)?;
        for (tensor, spec) in header.tensors.iter().zip(specs) {
            self.cancel.check()?;
            match spec {
                None => self.skip(reader, &tensor.name, tensor.len).await?,
                Some((name, spec)) => {
                    let incoming = Incoming::new(name, tensor.dtype, spec, &self.assembly)?;
                    self.tensor(reader, &tensor.name, tensor.len, incoming).await?;
                }
            }
            self.count_tensor();
        }
        if reader.at_end().await? {
            return Ok(());
        }
        Err(Error::invalid(
            file,
            "end of file",
            format!("bytes follow the last tensor, which ends at byte {}", header.file_len),
            "The file is damaged: download it again",
        ))
    }

    pub(super) fn count_tensor(&mut self) {
        self.progress.tensors += 1;
        (self.report)(self.progress);
    }

    /// Passes over a tensor of `len` bytes.
    pub(super) async fn skip(&mut self, reader: &mut Reader, name: &str, len: u64) -> Result<()> {
        let mut left = len;
        while left > 0 {
            let len = left.min(STRIDE);
            reader.skip(len, name).await?;
            left -= len;
            self.advance(len);
        }
        Ok(())
    }

    /// Reads a tensor of `len` bytes.
    pub(super) async fn tensor(
        &mut self,
        reader: &mut Reader,
        name: &str,
        len: u64,
        mut incoming: Incoming,
    ) -> Result<()> {
        let mut left = len;
        while left > 0 {
            self.cancel.check()?;
            let len = left.min(incoming.band_len());
            self.band.clear();
            let mut unread = len;
            while unread > 0 {
                let stride = unread.min(STRIDE);
                reader.read(stride, &mut self.band, name).await?;
                unread -= stride;
                self.advance(stride);
            }
            incoming.push(&self.band)?;
            left -= len;
        }
        self.assembly.put(incoming)
    }

    /// Counts bytes that were read, and says so.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.progress.bytes += bytes;
        // An index may understate the total.
        self.progress.total_bytes = self.progress.total_bytes.map(|total| total.max(self.progress.bytes));
        (self.report)(self.progress);
    }
}

/// Weights of all matrices of the network.
pub(crate) fn parameters(config: &Config) -> u64 {
    Module::all(config).map(|module| module.shape(config)).map(|(rows, cols)| rows as u64 * cols as u64).sum()
}
