//! The trait for places that checkpoints come from: a folder, a server, files picked in a browser, memory.

mod cancel;
#[cfg(not(target_arch = "wasm32"))]
pub mod directory;
pub mod files;
pub mod gguf;
#[cfg(all(feature = "http", not(target_arch = "wasm32")))]
pub mod http;
pub mod memory;
#[cfg(all(feature = "http", not(target_arch = "wasm32")))]
pub mod pieces;
pub(super) mod reader;

pub use cancel::Cancel;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use crate::error::Result;

/// The folder of a checkpoint, on a disk, on a server or in memory.
pub trait Source {
    /// The path or URL of the folder, for people.
    fn location(&self) -> String;

    /// The GGUF file that holds the model, as a name for [`Source::open`]; `None` if it is a folder of other files.
    fn gguf<'a>(&'a self, _cancel: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        ready(Ok(None)).boxed_local()
    }

    /// Whether a server sends the files. A server may say in several ways that a file does not exist.
    fn is_remote(&self) -> bool {
        false
    }

    /// Names files that will be opened, in this order. A source may begin to read them now.
    fn expect(&self, _files: &[&str]) {}

    /// Opens a file of the folder to read it from its beginning; `None` if the file does not exist.
    ///
    /// A source that may have to wait checks `cancel` while it waits, here and in the stream.
    fn open<'a>(
        &'a self,
        file: &'a str,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>>;
}

/// The bytes of a file in order, in pieces of any size.
pub trait ByteStream {
    /// The length of the file in bytes, if known. A server may send a wrong length, so it is used only for progress and
    /// plausibility checks.
    fn len_hint(&self) -> Option<u64>;

    /// The next piece, never empty; `None` at the end of the file.
    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>>;
}
