//! The header of a safetensors file, read from a stream and checked completely.
//!
//! A file is the header's length (u64, little-endian), the header (JSON: name -> dtype, shape, offsets), and the
//! tensors' bytes without holes. Format: <https://github.com/huggingface/safetensors>.

use std::borrow::Cow;
use std::fmt;

pub use safetensors::Dtype;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};

use crate::checkpoint::source::files::refuse_substitutes;
use crate::checkpoint::source::reader::Reader;
use crate::error::{Error, Result};

/// The format's own limit on the header.
const MAX_HEADER: u64 = 100_000_000;

/// More tensors than any checkpoint of a supported family has.
const MAX_TENSORS: usize = 1 << 18;

const REMEDY: &str = "The file is damaged: download it again";

/// What the header says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, such as `model.norm.weight`.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
    /// Its dimensions, the slowest first.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub len: u64,
}

/// The tensors of a file, in the order in which their bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The tensors.
    pub tensors: Vec<TensorInfo>,
    /// Length of the whole file: header and tensors.
    pub file_len: u64,
}

impl Header {
    /// Reads the beginning of a file up to the first tensor's first byte.
    pub(crate) async fn read(reader: &mut Reader) -> Result<Self> {
        let mut start = Vec::with_capacity(8);
        reader.read_up_to(8, &mut start).await?;
        let len = <[u8; 8]>::try_from(start.as_slice()).map(u64::from_le_bytes);
        let Some(len) = len.ok().filter(|len| *len <= MAX_HEADER) else {
            return Err(no_header(reader.file(), &start));
        };
        let mut json = Vec::new();
        reader.read(len, &mut json, "header").await?;
        Self::parse(reader.file(), &json)
    }

    /// Parses and checks the JSON part; `file` is for error messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything that the format forbids.
    pub fn parse(file: &str, json: &[u8]) -> Result<Self> {
        let raw: RawHeader = serde_json::from_slice(json)
            .map_err(|error| Error::invalid(file, "header", format!("it is not valid: {error}"), REMEDY))?;
        let mut placed = raw
            .0
            .into_iter()
            .map(|(name, raw)| raw.checked(file, name))
            .collect::<Result<Vec<(u64, TensorInfo)>>>()?;
        // Tensors without bytes share an offset with their neighbour and come before it.
        placed.sort_by(|(a, x), (b, y)| (a, x.len, &x.name).cmp(&(b, y.len, &y.name)));
        let mut end = 0;
        for (begin, tensor) in &placed {
            if *begin != end {
                let problem =
                    if *begin < end { "overlaps the one before it" } else { "leaves a hole before it" };
                return Err(Error::invalid(
                    file,
                    &tensor.name,
                    format!("its place at byte {begin} of the data {problem}, which ends at {end}"),
                    REMEDY,
                ));
            }
            end += tensor.len;
        }
        let tensors: Vec<TensorInfo> = placed.into_iter().map(|(_, tensor)| tensor).collect();
        refuse_duplicates(file, &tensors)?;
        Ok(Self { tensors, file_len: end.saturating_add(8 + json.len() as u64) })
    }
}

/// Why a file that begins so is no safetensors file. Asked only then, because the length of a sound header may begin with
/// the byte of a `<`.
fn no_header(file: &str, start: &[u8]) -> Error {
    if let Err(error) = refuse_substitutes(file, start) {
        return error;
    }
    match <[u8; 8]>::try_from(start).map(u64::from_le_bytes) {
        Err(_) => Error::invalid(file, "header", format!("the file has only {} bytes", start.len()), REMEDY),
        Ok(len) => Error::invalid(
            file,
            "header length",
            format!("{len} bytes are more than the {MAX_HEADER} that the format allows"),
            "It is not a safetensors file, or it is damaged: download it again",
        ),
    }
}

fn refuse_duplicates(file: &str, tensors: &[TensorInfo]) -> Result<()> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid(file, pair[0], "the header names it twice", REMEDY)),
        None => Ok(()),
    }
}

/// The header as it stands, with duplicates.
struct RawHeader(Vec<(String, RawTensor)>);

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl RawTensor {
    /// The tensor and where its bytes begin.
    fn checked(self, file: &str, name: String) -> Result<(u64, TensorInfo)> {
        let invalid = |problem: String| Error::invalid(file, &name, problem, REMEDY);
        let dtype: StrDeserializer<'_, serde::de::value::Error> = self.dtype.as_str().into_deserializer();
        let dtype = Dtype::deserialize(dtype).map_err(|_| {
            Error::unsupported(
                file,
                format!("the dtype {} of tensor {name}", self.dtype),
                "Use a checkpoint in F32, F16, BF16 or quantised by MLX",
            )
        })?;
        let [begin, end] = self.data_offsets;
        let len = end
            .checked_sub(begin)
            .ok_or_else(|| invalid(format!("its bytes end ({end}) before they begin ({begin})")))?;
        let bits = self
            .shape
            .iter()
            .try_fold(dtype.bitsize() as u64, |product, n| product.checked_mul(*n))
            .ok_or_else(|| invalid(format!("its shape {:?} is absurd", self.shape)))?;
        if len.checked_mul(8) != Some(bits) {
            return Err(invalid(format!(
                "its shape {:?} in {dtype} needs {} bytes, its offsets leave {len}",
                self.shape,
                bits.div_ceil(8)
            )));
        }
        Ok((begin, TensorInfo { name, dtype, shape: self.shape, len }))
    }
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry a tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if tensors.len() == MAX_TENSORS {
                return Err(serde::de::Error::custom(format!("more than {MAX_TENSORS} tensors")));
            }
            tensors.push((name.into_owned(), map.next_value()?));
        }
        Ok(RawHeader(tensors))
    }
}
