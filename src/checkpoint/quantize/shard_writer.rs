//! Writes safetensors files. The names and sizes of their tensors must be known before their bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::checkpoint::container::safetensors::TensorInfo;
use crate::error::{Error, Result};

/// One file: first the header, then the bytes of the tensors in order.
pub(crate) struct ShardWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl ShardWriter {
    /// Creates the file and writes the header.
    pub(crate) fn create(path: PathBuf, tensors: &[TensorInfo]) -> Result<Self> {
        let file = File::create(&path).map_err(|error| cannot_write(&path, &error))?;
        let mut writer = Self { file: BufWriter::with_capacity(1 << 20, file), path };
        let header = header(tensors);
        writer.write(&(header.len() as u64).to_le_bytes())?;
        writer.write(&header)?;
        Ok(writer)
    }

    /// Appends bytes of the next tensor.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| cannot_write(&self.path, &error))
    }

    /// Finishes the file and waits until it is on the disk.
    pub(crate) fn finish(mut self) -> Result<()> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// The JSON of the header, padded with spaces so that the data begin at a multiple of 8 bytes.
fn header(tensors: &[TensorInfo]) -> Vec<u8> {
    let mut entries = Map::new();
    // This entry tells mlx_lm that no tensor must be renamed or transposed.
    entries.insert("__metadata__".to_owned(), json!({ "format": "mlx" }));
    let mut end = 0;
    for tensor in tensors {
        let offsets = [end, end + tensor.len];
        end += tensor.len;
        entries.insert(
            tensor.name.clone(),
            json!({ "dtype": tensor.dtype.to_string(), "shape": tensor.shape, "data_offsets": offsets }),
        );
    }
    let mut json = Value::Object(entries).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    json
}

/// Puts tensors that stay together into the last of `shards`, or into a new one where that would become larger than `max_size`
/// bytes. Returns the index of their shard.
pub(super) fn place_together(
    shards: &mut Vec<Vec<TensorInfo>>,
    tensors: Vec<TensorInfo>,
    max_size: u64,
) -> usize {
    let len = |tensors: &[TensorInfo]| tensors.iter().map(|t| t.len + header_len(t)).sum::<u64>();
    let last = shards.last().map_or(0, |shard| len(shard));
    if last > 0 && last + len(&tensors) > max_size {
        shards.push(Vec::new());
    }
    if let Some(shard) = shards.last_mut() {
        shard.extend(tensors);
    }
    shards.len() - 1
}

/// Maximum bytes that one tensor adds to the header.
fn header_len(tensor: &TensorInfo) -> u64 {
    const KEYS_AND_NUMBERS: u64 = 160;
    KEYS_AND_NUMBERS + tensor.name.len() as u64
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::write(path.display(), error, "Check the permissions of the folder and the free space on the disk")
}
