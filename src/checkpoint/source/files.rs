//! Reads the small files of a checkpoint whole, up to a maximum size.

use super::Source;
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::reader::{Reader, path_of};
use crate::error::{Error, Result};

/// Maximum size of `config.json`, `generation_config.json` and chat templates: 4 MiB.
pub const CONFIG_LIMIT: u64 = 4 << 20;

/// Maximum size of `tokenizer.json`, `tokenizer.model` and `tokenizer_config.json`: 64 MiB.
pub const TOKENIZER_LIMIT: u64 = 64 << 20;

/// Reads a file of at most `limit` bytes; `None` if it does not exist.
///
/// A server says in many ways that a file is not there: with a web page in its place, or with nothing at all.
///
/// # Errors
/// [`Error::Invalid`] if it is larger, and all errors of the source.
pub async fn read_optional(
    source: &dyn Source,
    file: &str,
    limit: u64,
    cancel: &Cancel,
) -> Result<Option<Vec<u8>>> {
    match read(source, file, limit, cancel).await {
        Err(error) if source.is_remote() && is_absence(&error) => Ok(None),
        Ok(Some(bytes)) if source.is_remote() && bytes.is_empty() => Ok(None),
        answer => answer,
    }
}

/// Whether an optional file exists, judged by its beginning.
///
/// # Errors
/// All errors of the source.
pub(crate) async fn is_there(source: &dyn Source, file: &str, cancel: &Cancel) -> Result<bool> {
    let begins = async {
        let Some(mut reader) = Reader::open(source, file, cancel).await? else { return Ok(false) };
        let mut beginning = Vec::new();
        reader.read_up_to(512, &mut beginning).await?;
        refuse_substitutes(reader.file(), &beginning)?;
        Ok(!(source.is_remote() && beginning.is_empty()))
    };
    match begins.await {
        Err(error) if source.is_remote() && is_absence(&error) => Ok(false),
        answer => answer,
    }
}

/// Reads a file of at most `limit` bytes that must exist.
///
/// # Errors
/// [`Error::Missing`] if it does not exist, [`Error::Fetch`] if a server sent something else instead of it, otherwise as
/// [`read_optional`].
pub async fn read_required(source: &dyn Source, file: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
    read(source, file, limit, cancel).await?.ok_or_else(|| {
        Error::missing(
            path_of(source, file),
            "A checkpoint folder has the files of a model on the Hugging Face hub: config.json, a tokenizer, *.safetensors. From \
             a repository of GGUF files choose one, such as owner/repository:Q4_K_M",
        )
    })
}

async fn read(source: &dyn Source, file: &str, limit: u64, cancel: &Cancel) -> Result<Option<Vec<u8>>> {
    let Some(mut reader) = Reader::open(source, file, cancel).await? else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.read_up_to(limit, &mut bytes).await?;
    if !reader.at_end().await? {
        return Err(Error::invalid(
            reader.file(),
            "size",
            format!("it is larger than {limit} bytes"),
            "A file of this kind is never that large. Check its content, or download it again",
        ));
    }
    refuse_substitutes(reader.file(), &bytes)?;
    Ok(Some(bytes))
}

const WEB_PAGE: &str = "the server sent a web page (HTML) instead of the file";

/// The error if a server sent a web page instead of the file at `address`.
fn web_page(address: &str) -> Error {
    let remedy = "Open the address in a browser: you may have to sign in, or the file may not exist";
    Error::fetch(address, WEB_PAGE, remedy)
}

/// The problem if a server answers without content: status 204 is a success, and no file.
const NO_CONTENT: &str = "the server answered 204 (no content)";

/// Storage services answer this for a file that does not exist, because they do not let everyone list the files.
const FORBIDDEN: &str = "the server answered 403";

/// The error for an answer of status 204.
pub fn no_content(address: &str) -> Error {
    let remedy = "The file may not exist: check the address and the settings of the server";
    Error::fetch(address, NO_CONTENT, remedy)
}

/// Whether an error means that an optional file is absent: a web page, or nothing, came instead of it.
pub(crate) fn is_absence(error: &Error) -> bool {
    let Error::Fetch { problem, .. } = error else { return false };
    problem == WEB_PAGE || problem == NO_CONTENT || problem.starts_with(FORBIDDEN)
}

/// Refuses web pages and Git LFS pointers, which servers and git put in the place of a file.
pub(crate) fn refuse_substitutes(file: &str, beginning: &[u8]) -> Result<()> {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    // JSON and safetensors never begin so. A template may, with a token such as <|im_start|> or a tag of its own.
    let is_page = if is_template(file) { begins_as_page(text) } else { text.starts_with(b"<") };
    if is_page {
        return Err(web_page(file));
    }
    // For a file of weights, `beginning` has only the first eight bytes.
    if beginning == b"version " || text.starts_with(b"version https://git-lfs") {
        return Err(Error::invalid(
            file,
            "content",
            "it is a Git LFS pointer, not the file itself",
            "Run `git lfs pull` in the folder",
        ));
    }
    Ok(())
}

fn is_template(file: &str) -> bool {
    file.split('?').next().and_then(|path| path.rsplit_once('.')).is_some_and(|(_, kind)| kind == "jinja")
}

/// Whether a text begins as only web pages do.
fn begins_as_page(text: &[u8]) -> bool {
    let begins =
        |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    let ends_tag =
        |length: usize| text.get(length).is_none_or(|next| next.is_ascii_whitespace() || *next == b'>');
    begins("<!doctype html")
        || ["<html", "<head", "<body"].iter().any(|tag| begins(tag) && ends_tag(tag.len()))
}

/// What a user can do if a server answers with this HTTP status. `token` says how to give a token.
pub fn status_remedy(status: u16, token: &str) -> String {
    match status {
        401 | 403 => format!(
            "The repository does not exist, is private, or asks you to accept its licence first{token}"
        ),
        429 => "The server got too many requests; wait a minute and try again".to_owned(),
        500.. => "The server has a problem; try again later".to_owned(),
        _ => "Check the address".to_owned(),
    }
}
