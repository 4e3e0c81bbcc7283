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
/// # Errors
/// [`Error::Invalid`] if it is larger, [`Error::Fetch`] if a server sent a web page instead of it, and all errors of
/// the source.
pub async fn read_optional(
    source: &dyn Source,
    file: &str,
    limit: u64,
    cancel: &Cancel,
) -> Result<Option<Vec<u8>>> {
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

/// Reads a file of at most `limit` bytes that must exist.
///
/// # Errors
/// [`Error::Missing`] if it does not exist, otherwise as [`read_optional`].
pub async fn read_required(source: &dyn Source, file: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
    read_optional(source, file, limit, cancel).await?.ok_or_else(|| {
        Error::missing(
            path_of(source, file),
            "A checkpoint folder has the files of a model on the Hugging Face hub: config.json, a tokenizer, *.safetensors. From \
             a repository of GGUF files choose one, such as owner/repository:Q4_K_M",
        )
    })
}

const WEB_PAGE: &str = "the server sent a web page (HTML) instead of the file";

/// The error if a server sent a web page instead of the file at `address`.
pub(crate) fn web_page(address: &str) -> Error {
    let remedy = "Open the address in a browser: you may have to sign in, or the file may not exist";
    Error::fetch(address, WEB_PAGE, remedy)
}

/// Whether an error was made by [`web_page`].
pub(crate) fn is_web_page(error: &Error) -> bool {
    matches!(error, Error::Fetch { problem, .. } if problem == WEB_PAGE)
}

/// Judges an answer of type `text/html` to the request for a file. Hosts of single-page apps answer every path with
/// their page. This is an error for a required file; an optional file then counts as absent.
pub fn check_web_page(address: &str, file: &str) -> Result<()> {
    if file == crate::model::config::FILE || [".safetensors", ".gguf"].iter().any(|end| file.ends_with(end)) {
        Err(web_page(address))
    } else {
        Ok(())
    }
}

/// Refuses web pages and Git LFS pointers, which servers and git put in the place of a file.
pub(crate) fn refuse_substitutes(file: &str, beginning: &[u8]) -> Result<()> {
    let text = beginning.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.starts_with(b"<") {
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
