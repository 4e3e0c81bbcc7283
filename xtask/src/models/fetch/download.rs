//! One address, one file: resumable.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::progress::Progress;

/// A server that does not take a call in this time is not there: another mirror may be.
const CALL: Duration = Duration::from_secs(10);

/// A server that says nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a broken connection is made again without one more byte.
const TRIES: u32 = 3;

/// Small answers may not be larger.
const TEXT_LIMIT: u64 = 16 << 20;

/// Asks servers.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
}

/// An address, and headers that go to its host only.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What is known of a file before it is here.
#[derive(Clone, Copy, Default)]
pub(super) struct Expected<'a> {
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<&'a str>,
}

impl Client {
    pub(super) fn new() -> Self {
        // Certificates that the machine trusts, as a proxy of a company may need.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .timeout_resolve(Some(CALL))
            .timeout_connect(Some(CALL))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .accept_encoding("identity")
            .user_agent(concat!("mobilellm-xtask/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into() }
    }

    /// A small answer as text; `Ok(None)` where there is nothing.
    pub(super) fn text(&self, address: &Address) -> Result<Option<String>> {
        let response = self.get(address, &[])?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        check_status(&response, &address.url)?;
        let mut text = String::new();
        let mut reader = response.into_body().into_reader().take(TEXT_LIMIT);
        reader.read_to_string(&mut text).with_context(|| format!("cannot read {}", address.url))?;
        Ok(Some(text))
    }

    /// The headers that a server has for an address, without following it to another; `None` where it does not say, and
    /// an error where there is no server.
    pub(super) fn headers(&self, address: &Address) -> Result<Option<HeaderMap>> {
        let mut call = self.agent.head(&address.url);
        for (name, value) in &address.headers {
            call = call.header(*name, value);
        }
        let call = call.config().max_redirects(0).max_redirects_will_error(false).build();
        let response = call.call().with_context(|| address.url.clone())?;
        let is_answer = response.status().is_success() || response.status().is_redirection();
        Ok(is_answer.then(|| response.headers().clone()))
    }

    /// Fetches a file. A run that was ended earlier is continued; a file of that name is replaced only by a whole one, of
    /// the expected size and digest.
    pub(super) fn file(&self, address: &Address, to: &Path, expected: Expected<'_>) -> Result<()> {
        let partial = Partial::beside(to);
        let mut tries = 0;
        loop {
            let before = partial.len();
            match self.go_on(address, &partial, to, expected) {
                Ok(()) => break,
                // What broke off while bytes came may come to an end in the next try.
                Err(Failure::Broken(error)) => {
                    tries = if partial.len() > before { 1 } else { tries + 1 };
                    if tries >= TRIES {
                        return Err(
                            error.context("the connection broke off; what has come is kept, so run it again")
                        );
                    }
                    std::thread::sleep(Duration::from_secs(tries.into()));
                }
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        if let Some(sha256) = expected.sha256
            && let Err(error) = super::digest::check(&partial.file, sha256)
        {
            partial.remove();
            return Err(error.context(address.url.clone()));
        }
        partial.become_whole(to)
    }

    /// One try: asks for what is missing and appends it.
    fn go_on(
        &self,
        address: &Address,
        partial: &Partial,
        to: &Path,
        expected: Expected<'_>,
    ) -> Result<(), Failure> {
        let url = &address.url;
        let mut begin = partial.len();
        let validator = partial.validator();
        // Without a digest only the server can tell that the rest belongs to what is here.
        if validator.is_none() && expected.sha256.is_none() {
            begin = 0;
        }
        if begin > 0 && expected.size == Some(begin) {
            return Ok(());
        }
        let mut asked = Vec::new();
        if begin > 0 {
            asked.push(("range", format!("bytes={begin}-")));
            asked.extend(validator.map(|validator| ("if-range", validator)));
        }
        let response = self.get(address, &asked);
        // A server that is not there at all will not be there in the next try.
        let response = response.map_err(if begin > 0 { Failure::Broken } else { Failure::Final })?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && begin > 0 {
            // What is here is no beginning of what is there.
            if total_length(response.headers()) == Some(begin) {
                return Ok(());
            }
            partial.remove();
            return Err(Failure::Broken(anyhow!("{url}: the server has another file than before")));
        }
        check_status(&response, url)?;
        check_type(&response, to, url)?;
        let is_rest = response.status() == StatusCode::PARTIAL_CONTENT;
        if is_rest && first_byte(response.headers()) != Some(begin) {
            partial.remove();
            return Err(Failure::Broken(anyhow!("{url}: the server sent another part than was asked for")));
        }
        if !is_rest {
            begin = 0;
        }
        let total = match total_length(response.headers()) {
            Some(total) if is_rest => Some(total),
            _ => response.body().content_length().map(|length| begin + length),
        };
        if let (Some(total), Some(size)) = (total, expected.size)
            && total != size
        {
            return Err(Failure::Final(anyhow!(
                "{url}: it has other bytes ({total} bytes instead of {size})"
            )));
        }
        partial.note_validator(response.headers(), is_rest)?;
        let label = to.file_name().unwrap_or_default().to_string_lossy();
        let progress = Progress::new(&label, begin, total.or(expected.size));
        let here = append(response, partial, begin, progress).map_err(|error| error.context(url))?;
        match total.or(expected.size) {
            Some(total) if here < total => {
                Err(Failure::Broken(anyhow!("{url}: {here} of {total} bytes came")))
            }
            Some(total) if here > total => {
                partial.remove();
                Err(Failure::Final(anyhow!("{url}: more bytes came than the {total} of the file")))
            }
            _ => Ok(()),
        }
    }

    fn get(&self, address: &Address, more: &[(&'static str, String)]) -> Result<Response<Body>> {
        let mut call = self.agent.get(&address.url);
        for (name, value) in address.headers.iter().chain(more) {
            call = call.header(*name, value);
        }
        call.call().with_context(|| address.url.clone())
    }
}

/// Why a try did not bring the file.
enum Failure {
    /// Another try may.
    Broken(anyhow::Error),
    /// No try will.
    Final(anyhow::Error),
}

impl Failure {
    fn context(self, words: &str) -> Self {
        match self {
            Self::Broken(error) => Self::Broken(error.context(words.to_owned())),
            Self::Final(error) => Self::Final(error.context(words.to_owned())),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

/// Writes the body behind what is here, and returns how many bytes are here then.
fn append(
    response: Response<Body>,
    partial: &Partial,
    begin: u64,
    mut progress: Progress,
) -> Result<u64, Failure> {
    let path = &partial.file;
    let open = || -> Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        file.set_len(begin)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        Ok(file)
    };
    let mut file = open()?;
    let mut reader = response.into_body().into_reader();
    let mut piece = vec![0; 256 << 10];
    let mut here = begin;
    loop {
        let read = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Broken(error.into())),
        };
        file.write_all(&piece[..read]).with_context(|| format!("cannot write {}", path.display()))?;
        here += read as u64;
        progress.show(here);
    }
    file.sync_all().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(here)
}

/// What has come of a file, and what the server said of the whole.
struct Partial {
    file: PathBuf,
    validator: PathBuf,
}

impl Partial {
    fn beside(to: &Path) -> Self {
        let with = |end: &str| {
            let mut path = to.as_os_str().to_owned();
            path.push(end);
            PathBuf::from(path)
        };
        Self { file: with(".part"), validator: with(".part.version") }
    }

    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// The `ETag` or the date of the version that has come.
    fn validator(&self) -> Option<String> {
        fs::read_to_string(&self.validator).ok().filter(|text| !text.is_empty())
    }

    fn note_validator(&self, headers: &HeaderMap, is_rest: bool) -> Result<()> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // A weak one does not promise the same bytes.
        let etag = text("etag").filter(|etag| !etag.starts_with("W/"));
        let Some(validator) = etag.or_else(|| text("last-modified")) else {
            if !is_rest {
                let _ = fs::remove_file(&self.validator);
            }
            return Ok(());
        };
        fs::write(&self.validator, validator)
            .with_context(|| format!("cannot write {}", self.validator.display()))
    }

    fn remove(&self) {
        for path in [&self.file, &self.validator] {
            // It may not be there, and a later run replaces it otherwise.
            let _ = fs::remove_file(path);
        }
    }

    fn become_whole(&self, to: &Path) -> Result<()> {
        fs::rename(&self.file, to).with_context(|| format!("cannot write {}", to.display()))?;
        let _ = fs::remove_file(&self.validator);
        Ok(())
    }
}

fn check_status(response: &Response<Body>, url: &str) -> Result<()> {
    let status = response.status();
    let said = response.headers().get("x-error-message").and_then(|words| words.to_str().ok());
    let said = said.map(|words| format!(": {words}")).unwrap_or_default();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => bail!(
            "{url}: the server answered {status}{said}. Where a model asks for it, accept its licence on its page and set HF_TOKEN"
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => bail!("{url}: there is no such file"),
        _ => ensure!(status.is_success(), "{url}: the server answered {status}{said}"),
    }
    Ok(())
}

/// A hotel's log-in page is no model.
fn check_type(response: &Response<Body>, to: &Path, url: &str) -> Result<()> {
    let is_page = response.body().mime_type() == Some("text/html");
    ensure!(
        !is_page || to.extension().is_some_and(|end| end == "html"),
        "{url}: a web page came instead of the file"
    );
    Ok(())
}

/// `b` of `Content-Range: bytes a-e/b`.
fn total_length(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.rsplit_once('/')?.1.parse().ok()
}

/// `a` of `Content-Range: bytes a-e/b`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.split_once('-')?.0.parse().ok()
}

fn content_range(headers: &HeaderMap) -> Option<&str> {
    headers.get("content-range")?.to_str().ok()?.strip_prefix("bytes ").map(str::trim)
}
