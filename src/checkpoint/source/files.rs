//! The small files of a checkpoint, read whole, with a limit on their size.

use super::Source;
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::reader::{Reader, path_of};
use crate::error::{Error, Result};

/// No `config.json`, `generation_config.json` or chat template is larger: 4 MiB.
pub const CONFIG_LIMIT: u64 = 4 << 20;

/// No `tokenizer.json`, `tokenizer.model` or `tokenizer_config.json` is larger: 64 MiB.
pub const TOKENIZER_LIMIT: u64 = 64 << 20;

/// Reads a file of at most `limit` bytes; `None` where there is none.
///
/// # Errors
/// [`Error::Invalid`] where it is larger, [`Error::Fetch`] where a server sent a web page instead of it, and
/// whatever the source says.
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
            "No such file is that large: look at what it holds",
        ));
    }
    refuse_substitutes(reader.file(), &bytes)?;
    Ok(Some(bytes))
}

/// Reads a file of at most `limit` bytes that must be there.
///
/// # Errors
/// [`Error::Missing`] where it is not, else as [`read_optional`].
pub async fn read_required(source: &dyn Source, file: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
    read_optional(source, file, limit, cancel).await?.ok_or_else(|| {
        Error::missing(
            path_of(source, file),
            "A checkpoint is a folder as it lies on the Hugging Face hub: config.json, a tokenizer, *.safetensors. Of a \
             repository of GGUF files name one, such as owner/repository:Q4_K_M",
        )
    })
}

const WEB_PAGE: &str = "the server sent a web page (HTML) instead of the file";

/// The error for a server that sent a web page in the place of the file at `address`.
pub(crate) fn web_page(address: &str) -> Error {
    let remedy = "Open the address in a browser: it may ask you to sign in, or the file may not be there";
    Error::fetch(address, WEB_PAGE, remedy)
}

/// Whether an error is [`web_page`]'s.
pub(crate) fn is_web_page(error: &Error) -> bool {
    matches!(error, Error::Fetch { problem, .. } if problem == WEB_PAGE)
}

/// What an answer of type `text/html` to the request for a file means: hosts of single-page apps answer every path
/// with their page, which is an error where the file is needed, and no file where it may be absent.
pub fn check_web_page(address: &str, file: &str) -> Result<()> {
    if file == crate::model::config::FILE || [".safetensors", ".gguf"].iter().any(|end| file.ends_with(end)) {
        Err(web_page(address))
    } else {
        Ok(())
    }
}

/// Says no to what servers and git put in the place of a file.
pub(crate) fn refuse_substitutes(file: &str, beginning: &[u8]) -> Result<()> {
    let text = beginning.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.starts_with(b"<") {
        return Err(web_page(file));
    }
    // The first eight bytes are all that there is to see of a file of weights.
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

/// What a user can do about a server's answer of that status; `token` says how a token is given.
pub fn status_remedy(status: u16, token: &str) -> String {
    match status {
        401 | 403 => format!(
            "The repository does not exist, is private, or asks you to accept its licence first{token}"
        ),
        429 => "The server had too many requests; wait a minute".to_owned(),
        500.. => "The server has a problem; try again later".to_owned(),
        _ => "Check the address".to_owned(),
    }
}
