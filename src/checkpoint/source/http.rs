//! A checkpoint on a web server, natively.

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
use super::{ByteStream, Source};
use crate::checkpoint::source::Cancel;
use crate::error::{Error, Result};

/// Bytes handed out at once, at most: little enough that a cancelled load stops soon.
const PIECE: usize = 256 << 10;

/// Pieces that may wait to be taken.
const PIECES: usize = 4;

/// How often whoever waits for the server looks at the cancel flag.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a server may stay silent unless something else is asked.
pub const PATIENCE: Duration = Duration::from_secs(30);

const HUB: &str = "https://huggingface.co";

/// A folder behind an http(s) address.
pub struct HttpSource {
    /// Without a slash at its end.
    base: String,
    /// Goes behind every file's address, such as `?download=true`; starts with `?` or is empty.
    query: String,
    agent: Agent,
    /// Goes to the hub only.
    token: Option<String>,
}

impl HttpSource {
    /// The folder at an http(s) address, or the repository `organisation/name` of the Hugging Face hub, of the revision
    /// `organisation/name@revision` where one is named.
    ///
    /// An address of a repository's page stands for its files, and that of a file for its folder. For the hub, the environment variable `HF_TOKEN`
    /// opens repositories that ask for it.
    ///
    /// # Errors
    /// [`Error::Request`] where it is neither.
    pub fn new(model: &str, patience: Duration) -> Result<Self> {
        let (base, query) = address(model)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_resolve(Some(patience))
            .timeout_recv_response(Some(patience))
            // Each read by itself: a large file may take hours as long as it moves.
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience))
            // Weights do not shrink, and a compressed length says nothing of the file's.
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
        Request { url, call }
    }
}

impl Source for HttpSource {
    fn location(&self) -> String {
        self.base.clone()
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
    /// The answer's body and its length; `None` where there is no such file.
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

/// What the thread that reads a file reports: first its length or that there is none, then its pieces.
enum Report {
    Opened { len: Option<u64> },
    Absent,
    Piece(Vec<u8>),
    End,
}

/// A file on its way. A thread of its own waits for the server, so that whoever waits for it can look at the cancel
/// flag meanwhile, and the next pieces arrive while the last one is converted.
struct HttpStream {
    reports: Receiver<Result<Report>>,
    url: String,
    len: Option<u64>,
    /// The end was reported; nothing follows.
    ended: bool,
    cancel: Cancel,
}

impl HttpStream {
    fn open(request: Request, cancel: &Cancel) -> Result<Option<Box<dyn ByteStream>>> {
        let url = request.url.clone();
        let (sender, reports) = sync_channel(PIECES);
        let read = move || read_aloud(request, &sender);
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

    /// The next report, however long it takes, unless the load is cancelled.
    fn wait(&mut self) -> Result<Report> {
        loop {
            self.cancel.check()?;
            match self.reports.recv_timeout(GLANCE) {
                Ok(report) => return report,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::fetch(&self.url, "its reader has ended", "Try again"));
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

/// Reads a file to its end, to an error, or until nobody listens any more.
fn read_aloud(request: Request, listener: &SyncSender<Result<Report>>) {
    let url = request.url.clone();
    let mut reader = match request.send() {
        Ok(Some((reader, len))) => {
            if listener.send(Ok(Report::Opened { len })).is_err() {
                return;
            }
            reader
        }
        Ok(None) => return drop(listener.send(Ok(Report::Absent))),
        Err(error) => return drop(listener.send(Err(error))),
    };
    loop {
        let report = read_piece(&mut reader, &url);
        let is_last = !matches!(report, Ok(Report::Piece(_)));
        if listener.send(report).is_err() || is_last {
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

/// Where a model's files are, and the query that goes behind each.
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
    // People paste what the browser shows: the page of a repository, not the folder of its files.
    let on_hub = path.strip_prefix(HUB).or_else(|| path.strip_prefix("https://www.huggingface.co"));
    let page = on_hub.and_then(|rest| rest.strip_prefix('/'));
    let files = page.map(|page| page.replacen("/tree/", "@", 1)).and_then(|page| files_on_hub(&page));
    Ok((files.unwrap_or_else(|| folder_of(path).to_owned()), query.to_owned()))
}

/// The address of a repository's files, by its name.
fn files_on_hub(name: &str) -> Option<String> {
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let is_revision = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_known = is_repository(name) && !revision.is_empty() && revision.chars().all(is_revision);
    is_known.then(|| format!("{HUB}/{name}/resolve/{}", revision.replace('/', "%2F")))
}

/// A link to one of the files means its folder.
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

    /// The cases that `npm/js/source.js` is tested with.
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
