//! Writes safetensors files whose tensors and sizes are known before their bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::checkpoint::container::safetensors::TensorInfo;
use crate::error::{Error, Result};

/// One file: its header first, then its tensors' bytes in order.
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

    /// Appends bytes of the tensor that is next.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| cannot_write(&self.path, &error))
    }

    /// Ends the file, all of it on the disk.
    pub(crate) fn finish(mut self) -> Result<()> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        flushed.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// The header's JSON, padded with spaces so that the data begin on an 8-byte border.
fn header(tensors: &[TensorInfo]) -> Vec<u8> {
    let mut entries = Map::new();
    // What mlx_lm looks for to know that nothing has to be renamed or transposed.
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

/// What the header adds to a file for one tensor, at most.
pub(crate) fn header_len(tensor: &TensorInfo) -> u64 {
    const KEYS_AND_NUMBERS: u64 = 160;
    KEYS_AND_NUMBERS + tensor.name.len() as u64
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::write(path.display(), error, "Look at the folder's permissions and at the space left on the disk")
}
