//! A JavaScript `ReadableStream` of bytes as a [`ByteStream`].

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{ReadableStream, ReadableStreamDefaultReader};

use super::errors::message;
use super::event_loop::{Yielder, within};
use mobilellm::checkpoint::source::ByteStream;
use mobilellm::{Error, Result};

/// Reads the pieces of a stream.
pub(super) struct ReaderStream {
    reader: ReadableStreamDefaultReader,
    yielder: Yielder,
    location: String,
    len_hint: Option<u64>,
    received: u64,
    /// Maximum time that the source may send nothing.
    patience: Duration,
}

impl ReaderStream {
    /// Locks and reads `stream`, which must have no other reader. `location` is the name of the file in errors.
    pub(super) fn new(
        stream: &ReadableStream,
        location: String,
        len_hint: Option<u64>,
        patience: Duration,
    ) -> Result<Self> {
        let wrap = |thrown: JsValue| Error::fetch(&location, message(&thrown), "Load again");
        let reader = stream.get_reader().dyn_into::<ReadableStreamDefaultReader>();
        let reader = reader.map_err(|object| wrap(object.into()))?;
        let yielder = Yielder::new().map_err(wrap)?;
        Ok(Self { reader, yielder, location, len_hint, received: 0, patience })
    }

    async fn read(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            // If bytes have arrived already, reading them gives the event loop no turn.
            self.yielder.yield_if_due().await.map_err(|thrown| self.broken(&message(&thrown)))?;
            let Some(result) = within(self.reader.read(), self.patience).await else {
                return Err(self.broken(&format!("no byte came for {} seconds", self.patience.as_secs_f32())));
            };
            let result = result.map_err(|thrown| self.broken(&message(&thrown)))?;
            let field = |name: &str| Reflect::get(&result, &name.into()).unwrap_or(JsValue::UNDEFINED);
            if field("done").is_truthy() {
                return self.end().map(|()| None);
            }
            let piece = field("value").dyn_into::<Uint8Array>();
            let piece =
                piece.map_err(|_| self.broken("the stream contains values that are not bytes"))?.to_vec();
            self.received += piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// Checks the length at the end, because a connection that closes early can look like the end of the file.
    fn end(&self) -> Result<()> {
        match self.len_hint {
            Some(length) if self.received < length => Err(self.broken("the connection was closed")),
            _ => Ok(()),
        }
    }

    fn broken(&self, problem: &str) -> Error {
        let of = self.len_hint.map(|length| format!(" of {length}")).unwrap_or_default();
        Error::fetch(
            &self.location,
            format!("{problem}, after {}{of} bytes", self.received),
            "Check the connection and load again",
        )
    }
}

impl ByteStream for ReaderStream {
    fn len_hint(&self) -> Option<u64> {
        self.len_hint
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        self.read().boxed_local()
    }
}

impl Drop for ReaderStream {
    /// Stops a download that is not needed any more.
    fn drop(&mut self) {
        let cancelled = self.reader.cancel();
        // Cancelling a failed stream rejects with the error that was reported already.
        spawn_local(async move { drop(JsFuture::from(cancelled).await) });
    }
}
