//! Reads exact numbers of bytes from a stream that comes in pieces of any size.

use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::{ByteStream, Source};
use crate::error::{Error, Result};

/// A file that is read once, from its beginning to its end.
pub(crate) struct Reader {
    stream: Box<dyn ByteStream>,
    piece: Vec<u8>,
    /// Bytes of `piece` that were used.
    taken: usize,
    /// Bytes of the file that were used.
    position: u64,
    file: String,
    cancel: Cancel,
}

impl Reader {
    /// Opens a file of a checkpoint; `None` if it does not exist.
    pub(crate) async fn open(source: &dyn Source, file: &str, cancel: &Cancel) -> Result<Option<Self>> {
        cancel.check()?;
        let stream = source.open(file, cancel).await?;
        Ok(stream.map(|stream| Self {
            stream,
            piece: Vec::new(),
            taken: 0,
            position: 0,
            file: path_of(source, file),
            cancel: cancel.clone(),
        }))
    }

    /// The file's path or URL, for error messages.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The file's length as its source says; a server may lie.
    pub(crate) fn len_hint(&self) -> Option<u64> {
        self.stream.len_hint()
    }

    /// Bytes that have arrived and were not used yet; empty only at the end of the file.
    async fn unread(&mut self) -> Result<&[u8]> {
        while self.taken == self.piece.len() {
            self.cancel.check()?;
            self.taken = 0;
            let Some(piece) = self.stream.next().await? else {
                self.piece = Vec::new();
                break;
            };
            self.piece = piece;
        }
        Ok(&self.piece[self.taken..])
    }

    fn advance(&mut self, n: usize) {
        self.taken += n;
        self.position += n as u64;
    }

    /// Appends at most `n` bytes to `out` and returns their number; fewer than `n` only at the end of the file.
    ///
    /// Memory grows with the bytes that arrive, not with `n`.
    pub(crate) async fn read_up_to(&mut self, n: u64, out: &mut Vec<u8>) -> Result<u64> {
        let mut left = n;
        while left > 0 {
            let unread = self.unread().await?;
            let part = &unread[..unread.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if part.is_empty() {
                break;
            }
            out.extend_from_slice(part);
            let read = part.len();
            left -= read as u64;
            self.advance(read);
        }
        Ok(n - left)
    }

    /// Appends exactly `n` bytes to `out`. `what` names their field in errors.
    pub(crate) async fn read(&mut self, n: u64, out: &mut Vec<u8>, what: &str) -> Result<()> {
        let read = self.read_up_to(n, out).await?;
        if read == n { Ok(()) } else { Err(self.truncated(what, n - read)) }
    }

    /// Skips `n` bytes. `what` names their field in errors.
    pub(crate) async fn skip(&mut self, n: u64, what: &str) -> Result<()> {
        let mut left = n;
        while left > 0 {
            let available = self.unread().await?.len();
            if available == 0 {
                return Err(self.truncated(what, left));
            }
            let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.advance(step);
            left -= step as u64;
        }
        Ok(())
    }

    /// Whether the file ends here.
    pub(crate) async fn at_end(&mut self) -> Result<bool> {
        Ok(self.unread().await?.is_empty())
    }

    fn truncated(&self, what: &str, missing: u64) -> Error {
        Error::invalid(
            &self.file,
            what,
            format!("the file ends after {} bytes, {missing} bytes too early", self.position),
            "The file is truncated: download it again",
        )
    }
}

/// The path or URL of a file of a checkpoint, for people.
pub(crate) fn path_of(source: &dyn Source, file: &str) -> String {
    format!("{}/{file}", source.location().trim_end_matches('/'))
}
