//! Typed access to a file's metadata: every error names the file and the key.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

pub(super) const REMEDY: &str = "The file is damaged: download it again";

/// The keys and values of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// For error messages: the path or the URL of the file.
    file: String,
    values: BTreeMap<String, Value>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number of an unsigned type.
    Unsigned(u64),
    /// A whole number of a signed type.
    Signed(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// Text.
    Text(String),
    /// Values of one type.
    List(List),
}

/// A list of values of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum List {
    /// Numbers, as they stand in the file.
    Numbers(Numbers),
    /// Flags.
    Flags(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
    /// Lists.
    Lists(Vec<List>),
}

/// Numbers of one type in the bytes of the file, because a vocabulary has hundreds of thousands of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    number: Number,
    bytes: Vec<u8>,
}

/// The type of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the format")]
pub enum Number {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Number {
    pub(super) fn size(self) -> u64 {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The number in the first bytes; those that are not there count as zeros.
    pub(super) fn value(self, bytes: &[u8]) -> Value {
        let mut word = [0; 8];
        let len = bytes.len().min(self.size() as usize);
        word[..len].copy_from_slice(&bytes[..len]);
        let bits = u64::from_le_bytes(word);
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => Value::Unsigned(bits),
            Self::I8 => Value::Signed(i64::from(bits as i8)),
            Self::I16 => Value::Signed(i64::from(bits as i16)),
            Self::I32 => Value::Signed(i64::from(bits as i32)),
            Self::I64 => Value::Signed(bits.cast_signed()),
            Self::F32 => Value::Float(f64::from(f32::from_bits(bits as u32))),
            Self::F64 => Value::Float(f64::from_bits(bits)),
        }
    }
}

impl Numbers {
    pub(super) fn new(number: Number, bytes: &[u8]) -> Self {
        Self { number, bytes: bytes.to_owned() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.number.size() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = Value> + '_ {
        self.bytes.chunks_exact(self.number.size() as usize).map(|bytes| self.number.value(bytes))
    }
}

impl List {
    /// How many values it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Flags(flags) => flags.len(),
            Self::Texts(texts) => texts.len(),
            Self::Lists(lists) => lists.len(),
        }
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Value {
    /// A whole number that fits an i64.
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Unsigned(value) => i64::try_from(*value).ok(),
            Self::Signed(value) => Some(*value),
            _ => None,
        }
    }

    /// Any number.
    fn float(&self) -> Option<f64> {
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

impl Metadata {
    /// No keys; `file` is for error messages.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), values: BTreeMap::new() }
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is there already.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Result<()> {
        let key = key.into();
        if self.values.contains_key(&key) {
            return Err(self.invalid(&key, "the file has this key twice"));
        }
        self.values.insert(key, value);
        Ok(())
    }

    /// The file's path or URL.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// An error about the value of `key`.
    pub fn invalid(&self, key: &str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(&self.file, key, problem, REMEDY)
    }

    /// All keys with their values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key, whatever it is.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        what: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.get(key)
            .map(|value| read(value).ok_or_else(|| self.invalid(key, format!("it must be {what}"))))
            .transpose()
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// True or false.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A whole number from 0 to `max`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn size(&self, key: &str, max: usize) -> Result<Option<usize>> {
        self.typed(key, &format!("a whole number from 0 to {max}"), |value| {
            value.integer().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= max)
        })
    }

    /// A finite number.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a finite number", |value| value.float().filter(|number| number.is_finite()))
    }

    /// A list of texts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "a list of strings", |value| match value {
            Value::List(List::Texts(texts)) => Some(texts.as_slice()),
            Value::List(list) if list.is_empty() => Some(&[]),
            _ => None,
        })
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.numbers(key, "a list of whole numbers", Value::integer)
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is something else.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.numbers(key, "a list of numbers", |value| value.float().map(|number| number as f32))
    }

    fn numbers<T>(
        &self,
        key: &str,
        what: &str,
        each: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        self.typed(key, what, |value| match value {
            Value::List(List::Numbers(numbers)) => numbers.iter().map(|value| each(&value)).collect(),
            Value::List(list) if list.is_empty() => Some(Vec::new()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let mut metadata = Metadata::new("folder/a.gguf");
        let numbers = |number, bytes: &[u8]| Value::List(List::Numbers(Numbers::new(number, bytes)));
        for (key, value) in [
            ("text", Value::Text("Llama".to_owned())),
            ("flag", Value::Flag(true)),
            ("size", Value::Unsigned(7)),
            ("negative", Value::Signed(-1)),
            ("huge", Value::Unsigned(u64::MAX)),
            ("number", Value::Float(0.5)),
            ("endless", Value::Float(f64::INFINITY)),
            ("strings", Value::List(List::Texts(vec!["a".to_owned(), String::new()]))),
            ("empty", numbers(Number::I32, &[])),
            ("bytes", numbers(Number::I8, &[1, 255])),
            ("floats", numbers(Number::F32, &(-1.5f32).to_le_bytes())),
            ("wide", numbers(Number::U64, &u64::MAX.to_le_bytes())),
        ] {
            metadata.insert(key, value).unwrap();
        }
        metadata
    }

    #[test]
    fn values_are_read_by_their_types() {
        let metadata = metadata();
        assert_eq!(metadata.text("text").unwrap(), Some("Llama"));
        assert_eq!(metadata.flag("flag").unwrap(), Some(true));
        assert_eq!(metadata.size("size", 7).unwrap(), Some(7));
        assert_eq!(metadata.number("number").unwrap(), Some(0.5));
        assert_eq!(metadata.number("negative").unwrap(), Some(-1.0));
        assert_eq!(metadata.strings("strings").unwrap(), Some(&["a".to_owned(), String::new()][..]));
        assert_eq!(metadata.strings("empty").unwrap(), Some(&[][..]));
        assert_eq!(metadata.integers("empty").unwrap(), Some(Vec::new()));
        assert_eq!(metadata.integers("bytes").unwrap(), Some(vec![1, -1]));
        assert_eq!(metadata.floats("floats").unwrap(), Some(vec![-1.5]));
        assert_eq!(metadata.floats("bytes").unwrap(), Some(vec![1.0, -1.0]));
        assert_eq!(metadata.text("absent").unwrap(), None);
    }

    #[test]
    fn another_type_is_an_error_that_names_file_and_key() {
        let metadata = metadata();
        let errors = [
            ("size", metadata.text("size").err()),
            ("text", metadata.flag("text").err()),
            ("size", metadata.size("size", 6).err()),
            ("negative", metadata.size("negative", 6).err()),
            ("huge", metadata.size("huge", usize::MAX).err()),
            ("number", metadata.size("number", 6).err()),
            ("endless", metadata.number("endless").err()),
            ("bytes", metadata.strings("bytes").err()),
            ("floats", metadata.integers("floats").err()),
            ("wide", metadata.integers("wide").err()),
            ("strings", metadata.floats("strings").err()),
        ];
        for (key, error) in errors {
            let error = error.unwrap().to_string();
            assert!(error.starts_with(&format!("folder/a.gguf: {key}: it must be ")), "{error}");
        }
    }

    #[test]
    fn a_key_stands_there_once() {
        let error = metadata().insert("text", Value::Flag(false)).unwrap_err().to_string();
        assert!(error.contains("text") && error.contains("twice"), "{error}");
    }

    #[test]
    fn numbers_of_every_type_are_read_exactly() {
        for (number, bytes, expected) in [
            (Number::U8, vec![255], Value::Unsigned(255)),
            (Number::I8, vec![254], Value::Signed(-2)),
            (Number::U16, vec![1, 128], Value::Unsigned(0x8001)),
            (Number::I16, vec![0, 128], Value::Signed(-32768)),
            (Number::U32, u32::MAX.to_le_bytes().to_vec(), Value::Unsigned(u64::from(u32::MAX))),
            (Number::I32, (-3i32).to_le_bytes().to_vec(), Value::Signed(-3)),
            (Number::U64, u64::MAX.to_le_bytes().to_vec(), Value::Unsigned(u64::MAX)),
            (Number::I64, i64::MIN.to_le_bytes().to_vec(), Value::Signed(i64::MIN)),
            (Number::F32, 1e-5f32.to_le_bytes().to_vec(), Value::Float(f64::from(1e-5f32))),
            (Number::F64, 1e-5f64.to_le_bytes().to_vec(), Value::Float(1e-5)),
        ] {
            assert_eq!(bytes.len() as u64, number.size());
            assert_eq!(number.value(&bytes), expected, "{number:?}");
        }
    }
}
