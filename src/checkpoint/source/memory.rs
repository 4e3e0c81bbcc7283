//! A checkpoint whose files are in memory.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use super::{ByteStream, Source, gguf};
use crate::checkpoint::source::Cancel;
use crate::error::Result;

/// A checkpoint in memory: files by name.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    files: BTreeMap<String, Vec<u8>>,
    piece_len: Option<usize>,
}

impl MemorySource {
    /// A source without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    #[must_use]
    pub fn with(mut self, file: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(file.into(), bytes.into());
        self
    }

    /// Gives files in pieces of `len` bytes instead of 1 MiB.
    #[must_use]
    pub fn in_pieces_of(mut self, len: usize) -> Self {
        self.piece_len = Some(len.max(1));
        self
    }

    /// The bytes of a file, to read or change them.
    pub fn file_mut(&mut self, file: &str) -> Option<&mut Vec<u8>> {
        self.files.get_mut(file)
    }

    /// Removes a file and returns its bytes.
    pub fn remove(&mut self, file: &str) -> Option<Vec<u8>> {
        self.files.remove(file)
    }
}

impl Source for MemorySource {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn gguf<'a>(&'a self, _: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        ready(gguf::choose("memory", self.files.keys().map(String::as_str))).boxed_local()
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        _: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        let piece_len = self.piece_len.unwrap_or(1 << 20);
        let stream = self.files.get(file).map(|bytes| {
            let stream = Pieces { len: bytes.len() as u64, bytes: bytes.clone(), at: 0, piece_len };
            Box::new(stream) as Box<dyn ByteStream>
        });
        async move { Ok(stream) }.boxed_local()
    }
}

struct Pieces {
    len: u64,
    bytes: Vec<u8>,
    at: usize,
    piece_len: usize,
}

impl ByteStream for Pieces {
    fn len_hint(&self) -> Option<u64> {
        Some(self.len)
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        let end = self.bytes.len().min(self.at.saturating_add(self.piece_len));
        let piece = self.bytes[self.at..end].to_vec();
        self.at = end;
        async move { Ok((!piece.is_empty()).then_some(piece)) }.boxed_local()
    }
}
