//! A checkpoint in files that the user picked or dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use web_sys::File;

use super::stream::ReaderStream;
use mobilellm::Result;
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::{ByteStream, Source, gguf};

/// A disk that is asleep needs a while, but not this long.
const PATIENCE: Duration = Duration::from_mins(1);

/// The files of one folder, by their name in it.
pub(super) struct FilesSource {
    folder: String,
    files: BTreeMap<String, File>,
}

impl FilesSource {
    /// `folder` is its name in errors.
    pub(super) fn new(folder: String, files: BTreeMap<String, File>) -> Self {
        Self { folder, files }
    }

    fn stream(&self, name: &str) -> Result<Option<Box<dyn ByteStream>>> {
        let Some(file) = self.files.get(name) else { return Ok(None) };
        let location = format!("{}/{name}", self.folder);
        let stream = ReaderStream::new(&file.stream(), location, Some(file.size() as u64), PATIENCE)?;
        Ok(Some(Box::new(stream)))
    }
}

impl Source for FilesSource {
    fn location(&self) -> String {
        self.folder.clone()
    }

    fn gguf<'a>(&'a self, _: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        ready(gguf::choose(&self.folder, self.files.keys().map(String::as_str))).boxed_local()
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        _: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        ready(self.stream(file)).boxed_local()
    }
}
