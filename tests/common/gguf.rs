//! Writes GGUF files, sound ones and wrong ones.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use mobilellm::checkpoint::source::memory::MemorySource;

/// A file that is put together piece by piece. Nothing is checked: tests break it on purpose.
#[derive(Clone)]
pub struct File {
    pub magic: [u8; 4],
    pub version: u32,
    pub alignment: u64,
    pub keys: Vec<(String, Vec<u8>)>,
    pub tensors: Vec<Tensor>,
}

/// A tensor; dimensions in the order of the file, the fastest first.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub kind: u32,
    pub bytes: Vec<u8>,
    /// Where the file says that it lies, where that is not its place.
    pub offset: Option<u64>,
}

impl Default for File {
    fn default() -> Self {
        Self { magic: *b"GGUF", version: 3, alignment: 32, keys: Vec::new(), tensors: Vec::new() }
    }
}

pub fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

/// A value behind the number of its type.
pub fn typed(kind: u32, value: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), value].concat()
}

/// A list of `len` values of a type, which `values` are.
pub fn list(kind: u32, len: u64, values: &[u8]) -> Vec<u8> {
    typed(9, &[&kind.to_le_bytes()[..], &len.to_le_bytes(), values].concat())
}

impl File {
    pub fn key(mut self, key: &str, value: Vec<u8>) -> Self {
        self.keys.push((key.to_owned(), value));
        self
    }

    pub fn u32(self, key: &str, value: u32) -> Self {
        self.key(key, typed(4, &value.to_le_bytes()))
    }

    pub fn f32(self, key: &str, value: f32) -> Self {
        self.key(key, typed(6, &value.to_le_bytes()))
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.key(key, typed(8, &text(value)))
    }

    pub fn texts(self, key: &str, values: &[&str]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| text(value)).collect();
        self.key(key, list(8, values.len() as u64, &bytes))
    }

    /// A tensor of `bytes`, where it belongs.
    pub fn tensor(mut self, name: &str, dims: &[u64], kind: u32, bytes: Vec<u8>) -> Self {
        self.tensors.push(Tensor { name: name.to_owned(), dims: dims.to_vec(), kind, bytes, offset: None });
        self
    }

    /// An F32 tensor.
    pub fn floats(self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        self.tensor(name, dims, 0, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub fn header(&self) -> Vec<u8> {
        let mut bytes = [&self.magic[..], &self.version.to_le_bytes()].concat();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        let mut place = 0;
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            bytes.extend(tensor.dims.iter().flat_map(|n| n.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(place).to_le_bytes());
            place = (place + tensor.bytes.len() as u64).next_multiple_of(self.alignment);
        }
        bytes
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(self.alignment as usize), 0);
            bytes.extend(&tensor.bytes);
        }
        bytes
    }

    /// The file as the only one of a folder.
    pub fn source(&self) -> MemorySource {
        MemorySource::new().with("tiny.gguf", self.bytes())
    }
}
