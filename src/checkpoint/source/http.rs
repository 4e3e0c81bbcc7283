//! A checkpoint on a web server, for native programs.

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use ureq::http::StatusCode;
use ureq::typestate::WithoutBody;
use ureq::{Agent, BodyReader, RequestBuilder};

use super::files::{check_web_page, status_remedy};
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

/// A folder behind an http(s) address.
pub struct HttpSource {
    /// The address of the folder, without a slash at its end.
    base: String,
    /// Appended to the address of every file, such as `?download=true`; begins with `?` or is empty.
    query: String,
    agent: Agent,
    /// Access token; sent only to the hub.
    token: Option<String>,
}

impl HttpSource {
    /// The folder at an http(s) address, or a repository of the Hugging Face hub: `organisation/name`, or
    /// `organisation/name@revision`. `patience` is the time that the server may send nothing.
    ///
    /// The address of a repository page means the files of the repository, and the address of a file means its folder.
    /// The environment variable `HF_TOKEN` gives access to hub repositories that need a token.
    ///
    /// # Errors
    /// [`Error::Request`] if `model` has neither form.
    pub fn new(model: &str, patience: Duration) -> Result<Self> {
        let (base, query) = address(model)?;
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
        let on_hub = base.strip_prefix(HUB).is_some_and(|path| path.starts_with('/'));
        let token = std::env::var("HF_TOKEN").ok().filter(|token| on_hub && !token.is_empty());
        Ok(Self { base, query, agent: config.build().into(), token })
    }

    fn request(&self, file: &str) -> Request {
        let url = format!("{}/{file}{}", self.base, self.query);
        let mut call = self.agent.get(&url);
        if let Some(token) = &self.token {
            call = call.header("authorization", format!("Bearer {token}"));
        }
        Request { url, file: file.to_owned(), call }
    }
}

impl Source for HttpSource {
    fn location(&self) -> String {
        self.base.clone()
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
    file: String,
    call: RequestBuilder<WithoutBody>,
}

impl Request {
    /// The body of the answer and its length; `None` if the file does not exist.
    fn send(self) -> Result<Option<(BodyReader<'static>, Option<u64>)>> {
        let Self { url, file, call } = self;
        let response = call.call().map_err(|error| failed(&url, &error))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(refused(&url, response.status()));
        }
        let body = response.into_body();
        if body.mime_type() == Some("text/html") {
            return check_web_page(&url, &file).map(|()| None);
        }
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

/// The address of the files of a model, and the query for each file.
fn address(model: &str) -> Result<(String, String)> {
    let model = model.split('#').next().unwrap_or_default();
    if let Some(files) = files_on_hub(model) {
        return Ok((files, String::new()));
    }
    if !(model.starts_with("http://") || model.starts_with("https://")) {
        return Err(Error::request(
            "model",
            format!(
                "{model} is neither an http(s) address nor a name such as HuggingFaceTB/SmolLM2-135M-Instruct"
            ),
        ));
    }
    let (path, query) = model.find('?').map_or((model, ""), |at| model.split_at(at));
    let path = path.trim_end_matches('/');
    // Users paste the address in their browser: the page of a repository, not the folder of its files.
    let on_hub = path.strip_prefix(HUB).or_else(|| path.strip_prefix("https://www.huggingface.co"));
    let page = on_hub.and_then(|rest| rest.strip_prefix('/'));
    let files = page.map(|page| page.replacen("/tree/", "@", 1)).and_then(|page| files_on_hub(&page));
    Ok((files.unwrap_or_else(|| folder_of(path).to_owned()), query.to_owned()))
}

/// The address of the files of a repository, from its name.
fn files_on_hub(name: &str) -> Option<String> {
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let is_revision = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_known = is_repository(name) && !revision.is_empty() && revision.chars().all(is_revision);
    is_known.then(|| format!("{HUB}/{name}/resolve/{}", revision.replace('/', "%2F")))
}

/// The folder, also for a link to one of the files.
fn folder_of(path: &str) -> &str {
    let is_file = |name: &str| [".json", ".safetensors", ".model"].iter().any(|end| name.ends_with(end));
    match path.rsplit_once('/') {
        Some((folder, name)) if is_file(name) => folder,
        _ => path,
    }
}

/// Whether a text has the form `organisation/name` or `organisation/name@revision`.
pub fn is_hub_name(text: &str) -> bool {
    files_on_hub(text).is_some()
}

fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split_once('/').is_some_and(|(organisation, name)| part(organisation) && part(name))
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
            match case["files"].as_str() {
                Some(files) => {
                    let query = case["query"].as_str().unwrap_or_default();
                    assert_eq!(address(given).unwrap(), (files.to_owned(), query.to_owned()), "{given}");
                }
                None => assert!(matches!(address(given), Err(Error::Request { .. })), "{given}"),
            }
        }
    }
}
