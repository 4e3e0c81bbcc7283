//! A checkpoint in a local folder, or in a GGUF file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{ByteStream, Source, gguf};
use crate::checkpoint::source::Cancel;
use crate::error::{Error, Result};

/// Bytes per read: enough for the speed of a disk, and small compared to a tensor.
const PIECE: usize = 1 << 20;

/// A local folder with a checkpoint, or one GGUF file in it.
#[derive(Debug, Clone)]
pub struct DirectorySource {
    folder: PathBuf,
    /// The file that was named.
    gguf: Option<String>,
}

impl DirectorySource {
    /// The folder at `path`, or the GGUF file.
    ///
    /// # Errors
    /// [`Error::Missing`] if it does not exist, [`Error::Request`] if it is another kind of file.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Ok(Self { folder: path.to_owned(), gguf: None });
        }
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| path.is_file() && gguf::is_file(name)) {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| Path::new(".")).to_owned();
            return Ok(Self { folder, gguf: Some(name.to_owned()) });
        }
        if path.exists() {
            return Err(Error::request(
                "model",
                format!(
                    "{} is a file; give a GGUF file, or the folder that holds config.json",
                    path.display()
                ),
            ));
        }
        Err(Error::missing(
            path.display(),
            "Give a folder that holds config.json and *.safetensors, or a GGUF file",
        ))
    }

    fn open_file(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>> {
        let path = self.folder.join(file);
        let failed = |error: &std::io::Error| cannot_read(&path, error);
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        // If the file were a pipe or a device, opening it could block, or reading it might never end.
        if !metadata.is_file() {
            return Err(Error::fetch(
                path.display(),
                "it is not a regular file",
                "Replace it with a regular file",
            ));
        }
        let handle = File::open(&path).map_err(|error| failed(&error))?;
        Ok(Some(Box::new(FileStream { handle, path, len: metadata.len() })))
    }
}

impl Source for DirectorySource {
    fn location(&self) -> String {
        self.folder.display().to_string()
    }

    fn gguf<'a>(&'a self, _: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            if self.gguf.is_some() {
                return Ok(self.gguf.clone());
            }
            let entries =
                std::fs::read_dir(&self.folder).map_err(|error| cannot_read(&self.folder, &error))?;
            let names: Vec<String> =
                entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
            gguf::choose(&self.location(), names.iter().map(String::as_str))
        }
        .boxed_local()
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        _: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        async move { self.open_file(file) }.boxed_local()
    }
}

struct FileStream {
    handle: File,
    path: PathBuf,
    len: u64,
}

impl FileStream {
    fn read_piece(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.handle.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(n) => {
                    piece.truncate(n);
                    return Ok(Some(piece));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot_read(&self.path, &error)),
            }
        }
    }
}

impl ByteStream for FileStream {
    fn len_hint(&self) -> Option<u64> {
        Some(self.len)
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        async move { self.read_piece() }.boxed_local()
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    Error::fetch(path.display(), error, "Check the permissions of the file and the disk")
}
