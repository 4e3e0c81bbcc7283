//! A checkpoint on a web server.

use std::cell::OnceCell;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::prelude::*;
use web_sys::Response;

use super::errors::message;
use super::event_loop::within;
use super::stream::ReaderStream;
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::files::{no_content, status_remedy};
use mobilellm::checkpoint::source::gguf::{self, Wanted};
use mobilellm::checkpoint::source::{ByteStream, Source};
use mobilellm::{Error, Result};

#[wasm_bindgen]
extern "C" {
    /// The class `ReadAhead` in `npm/js/read-ahead.js`.
    pub type ReadAhead;
    #[wasm_bindgen(method)]
    fn fetch(this: &ReadAhead, url: &str) -> Promise;
    #[wasm_bindgen(method)]
    fn expect(this: &ReadAhead, urls: Vec<String>);
}

/// A folder behind an http(s) URL.
pub(super) struct FetchSource {
    /// The URL of the folder; ends with a slash.
    base: String,
    /// Appended to the URL of every file, such as `?download=true`; begins with `?` or is empty.
    query: String,
    /// Maximum time that the server may send nothing.
    patience: Duration,
    /// Reads the files.
    ahead: ReadAhead,
    /// The GGUF file that was asked for.
    wanted: Option<Wanted>,
    /// Its name, once it is known.
    gguf: OnceCell<String>,
}

impl FetchSource {
    /// The folder at `url`, with or without a slash at its end. A query in `url` is appended to the URL of every file.
    /// `wanted` is the GGUF file in the folder.
    pub(super) fn new(url: &str, patience: Duration, ahead: ReadAhead, wanted: Option<Wanted>) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let (path, query) = url.find('?').map_or((url, ""), |at| url.split_at(at));
        let base = format!("{}/", path.trim_end_matches('/'));
        Self { base, query: query.to_owned(), patience, ahead, wanted, gguf: OnceCell::new() }
    }

    fn url(&self, file: &str) -> String {
        format!("{}{file}{}", self.base, self.query)
    }

    async fn fetch(&self, file: &str) -> Result<Option<Box<dyn ByteStream>>> {
        self.fetch_url(self.url(file)).await
    }

    async fn fetch_url(&self, url: String) -> Result<Option<Box<dyn ByteStream>>> {
        let response = within(self.ahead.fetch(&url), self.patience).await.ok_or_else(|| {
            let problem = format!("the server did not answer for {} seconds", self.patience.as_secs_f32());
            Error::fetch(&url, problem, "Check the connection and load again")
        })?;
        let response = response.map_err(|thrown| unreachable_server(&url, &thrown))?;
        let response: Response = response.unchecked_into();
        if matches!(response.status(), 404 | 410) {
            return Ok(None);
        }
        if !response.ok() {
            return Err(refused(&url, &response));
        }
        if response.status() == 204 {
            return Err(no_content(&url));
        }
        let body =
            response.body().ok_or_else(|| Error::fetch(&url, "the answer is empty", "Check the address"))?;
        let stream = ReaderStream::new(&body, url, length(&response), self.patience)?;
        Ok(Some(Box::new(stream)))
    }
}

impl Source for FetchSource {
    fn location(&self) -> String {
        self.base.clone()
    }

    fn gguf<'a>(&'a self, _: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            let open = async |listing: &str| self.fetch_url(listing.to_owned()).await;
            gguf::find(self.wanted.as_ref(), &self.gguf, open).await
        }
        .boxed_local()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn expect(&self, files: &[&str]) {
        self.ahead.expect(files.iter().map(|file| self.url(file)).collect());
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        _: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        self.fetch(file).boxed_local()
    }
}

/// The error for a failed fetch. Browsers say only "Failed to fetch", for several different reasons.
fn unreachable_server(url: &str, thrown: &JsValue) -> Error {
    Error::fetch(
        url,
        message(thrown),
        "The network is down, the address is wrong, or the server does not let other sites read it (CORS)",
    )
}

fn refused(url: &str, response: &Response) -> Error {
    let status = response.status();
    let remedy = status_remedy(status, "");
    let words = response.status_text();
    let separator = if words.is_empty() { "" } else { " " };
    Error::fetch(url, format!("the server answered {status}{separator}{words}"), remedy)
}

/// The length of the file; `None` if the answer is compressed, because then the header has the compressed length.
fn length(response: &Response) -> Option<u64> {
    match header(response, "content-encoding") {
        Some(encoding) if encoding != "identity" => None,
        _ => header(response, "content-length")?.parse().ok(),
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}
