//! A checkpoint on a web server, for native programs.

use std::cell::OnceCell;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use ureq::http::StatusCode;
use ureq::typestate::WithoutBody;
use ureq::{Agent, BodyReader, RequestBuilder};

use super::files::{no_content, status_remedy};
use super::gguf::{self, Wanted, is_file};
use super::{ByteStream, Source};
use crate::checkpoint::source::Cancel;
use crate::error::{Error, Result};

/// Maximum bytes per piece: so few that a cancelled load stops soon.
const PIECE: usize = 256 << 10;

/// Maximum number of pieces that wait for the loader.
const PIECES: usize = 4;

/// How often the loader checks the cancel flag while it waits for the server.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Default time that a server may send nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

const HUB: &str = "https://huggingface.co";

/// A folder behind an http(s) address, or a GGUF file in one.
pub struct HttpSource {
    /// The address of the folder, without a slash at its end.
    base: String,
    /// Appended to the address of every file, such as `?download=true`; begins with `?` or is empty.
    query: String,
    agent: Agent,
    /// Access token; sent only to the hub.
    token: Option<String>,
    /// The GGUF file that was asked for.
    wanted: Option<Wanted>,
    /// Its name, once it is known.
    gguf: OnceCell<String>,
}

impl HttpSource {
    /// The folder at an http(s) address, or a repository of the Hugging Face hub: `organisation/name`, or
    /// `organisation/name@revision`. `patience` is the time that the server may send nothing.
    ///
    /// The address of a repository page means the files of the repository, and the address of a file means its folder. The
    /// address of a GGUF file means that file; on the hub it is `organisation/name/file.gguf`, or `organisation/name:Q4_K_M`
    /// for the file of that quantisation.
    ///
    /// The environment variable `HF_TOKEN` gives access to hub repositories that need a token. `HF_ENDPOINT` is the address of
    /// a mirror of the hub.
    ///
    /// # Errors
    /// [`Error::Request`] if `model` has none of these forms.
    pub fn new(model: &str, patience: Duration) -> Result<Self> {
        let mirror = std::env::var("HF_ENDPOINT").ok().filter(|mirror| !mirror.is_empty());
        Self::with_hub(model, patience, mirror.as_deref().unwrap_or(HUB))
    }

    /// The same with the hub at another address.
    ///
    /// # Errors
    /// As [`HttpSource::new`].
    pub fn with_hub(model: &str, patience: Duration, hub: &str) -> Result<Self> {
        let hub = hub.trim_end_matches('/');
        let Address { base, query, wanted } = Address::of(model, hub)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_resolve(Some(patience))
            .timeout_recv_response(Some(patience))
            // The limit applies to each read: a large file may take hours as long as data arrive.
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            // Compression does not make weights smaller, and then the length of the file would be unknown.
            .accept_encoding("identity")
            .user_agent(concat!("mobilellm/", env!("CARGO_PKG_VERSION")));
        let on_hub = base.strip_prefix(hub).is_some_and(|path| path.starts_with('/'));
        let token = std::env::var("HF_TOKEN").ok().filter(|token| on_hub && !token.is_empty());
        Ok(Self { base, query, agent: config.build().into(), token, wanted, gguf: OnceCell::new() })
    }

    fn request(&self, file: &str) -> Request {
        self.request_of(format!("{}/{file}{}", self.base, self.query))
    }

    fn request_of(&self, url: String) -> Request {
        let mut call = self.agent.get(&url);
        if let Some(token) = &self.token {
            call = call.header("authorization", format!("Bearer {token}"));
        }
        Request { url, call }
    }
}

impl Source for HttpSource {
    fn location(&self) -> String {
        self.base.clone()
    }

    fn gguf<'a>(&'a self, cancel: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            let open = async |listing: &str| HttpStream::open(self.request_of(listing.to_owned()), cancel);
            gguf::find(self.wanted.as_ref(), &self.gguf, open).await
        }
        .boxed_local()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        async move { HttpStream::open(self.request(file), cancel) }.boxed_local()
    }
}

/// A request that has not been sent.
struct Request {
    url: String,
    call: RequestBuilder<WithoutBody>,
}

impl Request {
    /// The body of the answer and its length; `None` if the file does not exist.
    fn send(self) -> Result<Option<(BodyReader<'static>, Option<u64>)>> {
        let Self { url, call } = self;
        let response = call.call().map_err(|error| failed(&url, &error))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(refused(&url, response.status()));
        }
        if response.status() == StatusCode::NO_CONTENT {
            return Err(no_content(&url));
        }
        let body = response.into_body();
        let len = body.content_length();
        Ok(Some((body.into_reader(), len)))
    }
}

/// Messages of the thread that reads a file: first `Opened` or `Absent`, then the pieces and `End`.
enum Report {
    Opened { len: Option<u64> },
    Absent,
    Piece(Vec<u8>),
    End,
}

/// A file that is being downloaded. A separate thread waits for the server, so that the loader can check the cancel
/// flag, and so that the next pieces arrive while the previous one is converted.
struct HttpStream {
    reports: Receiver<Result<Report>>,
    url: String,
    len: Option<u64>,
    /// Whether `End` was received.
    ended: bool,
    cancel: Cancel,
}

impl HttpStream {
    fn open(request: Request, cancel: &Cancel) -> Result<Option<Box<dyn ByteStream>>> {
        let url = request.url.clone();
        let (sender, reports) = sync_channel(PIECES);
        let read = move || read_in_thread(request, &sender);
        Builder::new()
            .name("http".to_owned())
            .spawn(read)
            .map_err(|error| Error::fetch(&url, error, "Close other programs and try again"))?;
        let mut stream = Self { reports, url, len: None, ended: false, cancel: cancel.clone() };
        match stream.wait()? {
            Report::Opened { len } => {
                stream.len = len;
                Ok(Some(Box::new(stream)))
            }
            _ => Ok(None),
        }
    }

    /// Waits for the next report, without a time limit, unless the load is cancelled.
    fn wait(&mut self) -> Result<Report> {
        loop {
            self.cancel.check()?;
            match self.reports.recv_timeout(CANCEL_CHECK_INTERVAL) {
                Ok(report) => return report,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::fetch(&self.url, "the thread that reads it has ended", "Try again"));
                }
            }
        }
    }
}

impl ByteStream for HttpStream {
    fn len_hint(&self) -> Option<u64> {
        self.len
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        async move {
            if !self.ended
                && let Report::Piece(piece) = self.wait()?
            {
                return Ok(Some(piece));
            }
            self.ended = true;
            Ok(None)
        }
        .boxed_local()
    }
}

/// Reads a file until its end, until an error, or until the receiver of the reports is dropped.
fn read_in_thread(request: Request, reports: &SyncSender<Result<Report>>) {
    let url = request.url.clone();
    let mut reader = match request.send() {
        Ok(Some((reader, len))) => {
            if reports.send(Ok(Report::Opened { len })).is_err() {
                return;
            }
            reader
        }
        Ok(None) => return drop(reports.send(Ok(Report::Absent))),
        Err(error) => return drop(reports.send(Err(error))),
    };
    loop {
        let report = read_piece(&mut reader, &url);
        let is_last = !matches!(report, Ok(Report::Piece(_)));
        if reports.send(report).is_err() || is_last {
            return;
        }
    }
}

fn read_piece(reader: &mut BodyReader<'static>, url: &str) -> Result<Report> {
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(Report::End),
            Ok(n) => {
                piece.truncate(n);
                return Ok(Report::Piece(piece));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(url, &ureq::Error::from(error))),
        }
    }
}

/// Where a model's files are.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// The folder, without a slash at its end.
    base: String,
    /// Goes behind every file.
    query: String,
    /// The GGUF file in it.
    wanted: Option<Wanted>,
}

impl Address {
    fn of(model: &str, hub: &str) -> Result<Self> {
        let model = model.split('#').next().unwrap_or_default();
        if let Some(address) = Self::on_hub(model, hub) {
            return Ok(address);
        }
        if !(model.starts_with("http://") || model.starts_with("https://")) {
            return Err(Error::request(
                "model",
                format!(
                    "{model} is neither an http(s) address nor a name such as HuggingFaceTB/SmolLM2-135M-Instruct, \
                     owner/repository/file.gguf or owner/repository:Q4_K_M"
                ),
            ));
        }
        let (path, query) = model.find('?').map_or((model, ""), |at| model.split_at(at));
        let path = path.trim_end_matches('/');
        // People paste what the browser shows: the page of a repository or of a file, not the files.
        let page = [HUB, "https://www.huggingface.co"]
            .iter()
            .find_map(|hub| path.strip_prefix(hub)?.strip_prefix('/'));
        if let Some(page) = page {
            if page.contains("/blob/") && is_file(page) {
                return Ok(Self::of_path(&path.replacen("/blob/", "/resolve/", 1), query));
            }
            if let Some(address) = Self::on_hub(&page.replacen("/tree/", "@", 1), hub) {
                return Ok(Self { query: query.to_owned(), ..address });
            }
        }
        Ok(Self::of_path(path, query))
    }

    /// A link to one of the files means its folder, and one to a GGUF file that file in it.
    fn of_path(path: &str, query: &str) -> Self {
        let is_of_folder =
            |name: &str| [".json", ".safetensors", ".model"].iter().any(|end| name.ends_with(end));
        let (base, wanted) = match path.rsplit_once('/') {
            Some((folder, name)) if is_file(name) => (folder, Some(Wanted::File(name.to_owned()))),
            Some((folder, name)) if is_of_folder(name) => (folder, None),
            _ => (path, None),
        };
        Self { base: base.to_owned(), query: query.to_owned(), wanted }
    }

    /// A repository by its name, or a file in it: `owner/name`, `owner/name/file.gguf`, `owner/name:Q4_K_M`, each with `@revision`
    /// behind it or without.
    fn on_hub(name: &str, hub: &str) -> Option<Self> {
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        let is_revision = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if revision.is_empty() || !revision.chars().all(is_revision) {
            return None;
        }
        let escaped = revision.replace('/', "%2F");
        let (name, quantization) = name.split_once(':').map_or((name, None), |(name, q)| (name, Some(q)));
        let mut parts = name.splitn(3, '/');
        let repository = format!("{}/{}", parts.next()?, parts.next()?);
        let file = parts.next();
        let is_known = is_repository(&repository)
            && file.is_none_or(is_gguf)
            && quantization.is_none_or(is_plain)
            && !(file.is_some() && quantization.is_some());
        if !is_known {
            return None;
        }
        let files = format!("{hub}/{repository}/resolve/{escaped}");
        let wanted = quantization.map(|quantization| Wanted::Quantization {
            listing: format!("{hub}/api/models/{repository}/revision/{escaped}"),
            quantization: quantization.to_owned(),
        });
        match file {
            Some(file) => Some(Self::of_path(&format!("{files}/{file}"), "")),
            None => Some(Self { base: files, query: String::new(), wanted }),
        }
    }
}

/// Whether a text is the name of a model on the hub: `organisation/name`, with a revision, a file or a quantisation or without.
pub fn is_hub_name(text: &str) -> bool {
    Address::on_hub(text, HUB).is_some()
}

fn is_repository(text: &str) -> bool {
    text.split_once('/').is_some_and(|(organisation, name)| is_plain(organisation) && is_plain(name))
}

/// Whether this is the path of a GGUF file in a repository, and not of a page about one.
fn is_gguf(path: &str) -> bool {
    let is_page = ["blob/", "resolve/", "tree/"].iter().any(|page| path.starts_with(page));
    is_file(path) && !is_page && path.split('/').all(is_plain)
}

/// Whether a part of a name means nothing to an address.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn refused(url: &str, status: StatusCode) -> Error {
    let remedy = status_remedy(status.as_u16(), "; then set HF_TOKEN");
    Error::fetch(url, format!("the server answered {status}"), remedy)
}

fn failed(url: &str, error: &ureq::Error) -> Error {
    let (problem, remedy) = match error {
        ureq::Error::Timeout(_) => ("the server stopped answering".to_owned(), "Try again later"),
        ureq::Error::TooManyRedirects => {
            ("the server redirects without an end".to_owned(), "Check the address")
        }
        ureq::Error::HostNotFound => {
            ("there is no such server".to_owned(), "Check the address and the network connection")
        }
        ureq::Error::Io(error) => (error.to_string(), "Check the network connection and try again"),
        other => (other.to_string(), "Check the network connection and try again"),
    };
    Error::fetch(url, problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `npm/js/source.js` is tested with the same cases.
    #[test]
    fn addresses_stand_for_the_same_files_as_in_javascript() {
        let cases = include_str!("../../../tests/addresses.json");
        for case in serde_json::from_str::<Vec<serde_json::Value>>(cases).unwrap() {
            let given = case["given"].as_str().unwrap();
            let address = Address::of(given, HUB);
            let Some(files) = case["files"].as_str() else {
                assert!(matches!(address, Err(Error::Request { .. })), "{given}");
                continue;
            };
            let text = |field: &str| case[field].as_str().map(str::to_owned);
            let wanted = match (text("gguf"), text("quantization")) {
                (Some(file), _) => Some(Wanted::File(file)),
                (None, Some(quantization)) => {
                    Some(Wanted::Quantization { listing: text("listing").unwrap(), quantization })
                }
                (None, None) => None,
            };
            let expected =
                Address { base: files.to_owned(), query: text("query").unwrap_or_default(), wanted };
            assert_eq!(address.unwrap(), expected, "{given}");
        }
    }
}
