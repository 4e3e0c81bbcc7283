//! Where a checkpoint's bytes come from, as a trait: a folder, a server, files picked in a browser, memory.

mod cancel;
#[cfg(not(target_arch = "wasm32"))]
pub mod directory;
pub mod files;
#[cfg(all(feature = "http", not(target_arch = "wasm32")))]
pub mod http;
pub mod memory;
pub(super) mod reader;

pub use cancel::Cancel;

use futures_util::future::LocalBoxFuture;

use crate::error::Result;

/// A checkpoint's folder, wherever it is.
pub trait Source {
    /// The folder as a person would name it: a path or a URL.
    fn location(&self) -> String;

    /// Whether a server sends the files: it may say in its own ways that one is not there.
    fn is_remote(&self) -> bool {
        false
    }

    /// Names files that will be opened, in that order: a source may begin to read them.
    fn expect(&self, _files: &[&str]) {}

    /// Opens a file of the folder for reading from its beginning; `None` where there is no such file.
    ///
    /// A source that may have to wait looks at `cancel` while it does, here and in the stream.
    fn open<'a>(
        &'a self,
        file: &'a str,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>>;
}

/// A file's bytes, in order, in pieces of whatever size they come.
pub trait ByteStream {
    /// The file's length where it is known; a server may lie, so it is only for progress and plausibility.
    fn len_hint(&self) -> Option<u64>;

    /// The next piece, never empty; `None` at the end of the file.
    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>>;
}
