//! The values of the header as they stand in the file, read from a stream.
//!
//! Memory grows with the bytes that have arrived, never with what the file claims: a string or a list is read in pieces,
//! and the whole header has a limit.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::metadata::{List, Number, Numbers, REMEDY, Value};
use crate::checkpoint::source::reader::Reader;
use crate::error::{Error, Result};

/// No header is larger: the largest vocabularies with their merges take about 20 MB.
const MAX_HEADER: u64 = 64 << 20;

/// Lists of lists exist in the format, though no file is known to have them.
const MAX_DEPTH: usize = 4;

/// Takes values off the beginning of a file.
pub(super) struct Values<'a> {
    reader: &'a mut Reader,
    /// Bytes that the header may still have.
    left: u64,
    taken: u64,
    bytes: Vec<u8>,
}

/// What follows a value's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number(Number),
    Flag,
    Text,
    List,
}

impl Kind {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Number(Number::U8),
            1 => Self::Number(Number::I8),
            2 => Self::Number(Number::U16),
            3 => Self::Number(Number::I16),
            4 => Self::Number(Number::U32),
            5 => Self::Number(Number::I32),
            6 => Self::Number(Number::F32),
            7 => Self::Flag,
            8 => Self::Text,
            9 => Self::List,
            10 => Self::Number(Number::U64),
            11 => Self::Number(Number::I64),
            12 => Self::Number(Number::F64),
            _ => return None,
        })
    }
}

impl<'a> Values<'a> {
    pub(super) fn new(reader: &'a mut Reader) -> Self {
        Self { reader, left: MAX_HEADER, taken: 0, bytes: Vec::new() }
    }

    pub(super) fn file(&self) -> &str {
        self.reader.file()
    }

    /// Bytes taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn invalid(&self, field: &str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(self.file(), field, problem, REMEDY)
    }

    /// The next `n` bytes, which belong to `what`.
    async fn take(&mut self, n: u64, what: &str) -> Result<&[u8]> {
        self.bytes.clear();
        let Some(left) = self.left.checked_sub(n) else {
            return Err(self.invalid(
                what,
                format!("{n} bytes make the metadata larger than {MAX_HEADER} bytes, and none is that large"),
            ));
        };
        self.left = left;
        self.reader.read(n, &mut self.bytes, what).await?;
        self.taken += n;
        Ok(&self.bytes)
    }

    async fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what).await?);
        Ok(array)
    }

    pub(super) async fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what).await?))
    }

    pub(super) async fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what).await?))
    }

    pub(super) async fn text(&mut self, what: &str) -> Result<String> {
        let len = self.u64(what).await?;
        match std::str::from_utf8(self.take(len, what).await?) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(self.invalid(what, format!("it is not text in UTF-8: {error}"))),
        }
    }

    /// The type and the value of `key`.
    pub(super) async fn value(&mut self, key: &str) -> Result<Value> {
        match self.kind(key).await? {
            Kind::Number(number) => {
                let bytes = self.take(number.size(), key).await?;
                Ok(number.value(bytes))
            }
            Kind::Flag => self.flag(key).await.map(Value::Flag),
            Kind::Text => self.text(key).await.map(Value::Text),
            Kind::List => self.list(key, 1).await.map(Value::List),
        }
    }

    async fn kind(&mut self, key: &str) -> Result<Kind> {
        let number = self.u32(key).await?;
        Kind::of(number).ok_or_else(|| self.invalid(key, format!("there is no value type {number}")))
    }

    async fn flag(&mut self, key: &str) -> Result<bool> {
        match self.array(key).await? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.invalid(key, format!("a flag is 0 or 1, not {other}"))),
        }
    }

    fn list<'s>(&'s mut self, key: &'s str, depth: usize) -> LocalBoxFuture<'s, Result<List>> {
        async move {
            if depth > MAX_DEPTH {
                return Err(self.invalid(key, format!("lists lie more than {MAX_DEPTH} deep in each other")));
            }
            let kind = self.kind(key).await?;
            let len = self.u64(key).await?;
            match kind {
                Kind::Number(number) => {
                    let bytes = self.take(len.saturating_mul(number.size()), key).await?;
                    Ok(List::Numbers(Numbers::new(number, bytes)))
                }
                Kind::Flag => {
                    let mut flags = Vec::new();
                    for _ in 0..len {
                        flags.push(self.flag(key).await?);
                    }
                    Ok(List::Flags(flags))
                }
                Kind::Text => {
                    let mut texts = Vec::new();
                    for _ in 0..len {
                        texts.push(self.text(key).await?);
                    }
                    Ok(List::Texts(texts))
                }
                Kind::List => {
                    let mut lists = Vec::new();
                    for _ in 0..len {
                        lists.push(self.list(key, depth + 1).await?);
                    }
                    Ok(List::Lists(lists))
                }
            }
        }
        .boxed_local()
    }
}
