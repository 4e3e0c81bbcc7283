//! The beginning of a file: its metadata and the list of its tensors, read from a stream and checked completely.
//!
//! A file is `GGUF`, the version, the number of tensors and of keys, the keys with their values, the tensors' names, shapes,
//! types and places, and then, from the next multiple of the alignment on, the tensors' bytes, each at such a multiple.

use std::collections::HashSet;

use super::metadata::Metadata;
use super::types::TensorType;
use super::values::Values;
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::refuse_substitutes;
use crate::checkpoint::source::reader::Reader;
use crate::error::{Error, Result};

/// More tensors than any file of a supported family has.
const MAX_TENSORS: u64 = 1 << 18;

/// More keys than any file has: most have fewer than fifty.
const MAX_KEYS: u64 = 1 << 16;

/// The format's own limit.
const MAX_DIMENSIONS: u32 = 4;

const ALIGNMENT: &str = "general.alignment";
const DEFAULT_ALIGNMENT: usize = 32;
const MAX_ALIGNMENT: usize = 1 << 20;

/// What the file says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// The type of its blocks.
    pub kind: TensorType,
    /// Its dimensions, the slowest first, as in other formats; the file has them the other way round.
    pub shape: Vec<u64>,
    /// Its bytes.
    pub len: u64,
    /// Bytes between the tensor before it, or the header, and its first byte.
    pub padding: u64,
}

/// A file's metadata and its tensors, in the order in which their bytes lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Keys and values.
    pub metadata: Metadata,
    /// The tensors.
    pub tensors: Vec<TensorInfo>,
    /// Length of the whole file up to the last tensor's last byte.
    pub file_len: u64,
    /// To what multiple of bytes tensors are aligned. So many bytes, less one, may follow the last tensor.
    pub alignment: u64,
}

impl Header {
    /// Reads the header of a checkpoint's file; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything that the format forbids, [`Error::Unsupported`] for a version or a type that is not
    /// read, and whatever the source says.
    pub async fn of_file(source: &dyn Source, file: &str, cancel: &Cancel) -> Result<Option<Self>> {
        match Reader::open(source, file, cancel).await? {
            Some(mut reader) => Self::read(&mut reader).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the beginning of a file up to the last byte of the list of tensors. The next byte is the first tensor's padding.
    pub(crate) async fn read(reader: &mut Reader) -> Result<Self> {
        let file_len = reader.len_hint();
        let mut start = Vec::with_capacity(8);
        reader.read_up_to(8, &mut start).await?;
        check_start(reader.file(), &start)?;
        let mut values = Values::new(reader);
        let num_tensors = values.u64("number of tensors").await?;
        let num_keys = values.u64("number of keys").await?;
        for (what, number, max) in
            [("number of tensors", num_tensors, MAX_TENSORS), ("number of keys", num_keys, MAX_KEYS)]
        {
            if number > max {
                return Err(values.invalid(what, format!("{number} are more than the {max} that are read")));
            }
        }
        let mut metadata = Metadata::new(values.file());
        for _ in 0..num_keys {
            let key = values.text("key").await?;
            let value = values.value(&key).await?;
            metadata.insert(key, value)?;
        }
        let mut placed = Vec::new();
        for _ in 0..num_tensors {
            placed.push(Placed::read(&mut values).await?);
        }
        let header_len = start.len() as u64 + values.taken();
        let header = Self::new(metadata, placed, header_len)?;
        match file_len {
            Some(len) if len < header.file_len => Err(Error::invalid(
                header.metadata.file(),
                "size",
                format!("the file has {len} bytes, its tensors end at byte {}", header.file_len),
                "It is truncated: download it again",
            )),
            _ => Ok(header),
        }
    }

    fn new(metadata: Metadata, mut placed: Vec<Placed>, header_len: u64) -> Result<Self> {
        let alignment = alignment(&metadata)?;
        placed.sort_by_key(|tensor| tensor.offset);
        let mut names = HashSet::new();
        // Where the last tensor ends, from the first byte of the data on.
        let mut end = 0u64;
        let mut padding = header_len.next_multiple_of(alignment) - header_len;
        let mut tensors = Vec::with_capacity(placed.len());
        for Placed { name, kind, shape, len, offset } in placed {
            let invalid = |problem: String| Err(metadata.invalid(&name, problem));
            let place = end.next_multiple_of(alignment);
            if !offset.is_multiple_of(alignment) {
                return invalid(format!(
                    "its place, byte {offset} of the data, is no multiple of {alignment}"
                ));
            }
            if offset != place {
                let problem = if offset < place { "overlaps" } else { "leaves a hole after" };
                return invalid(format!(
                    "its place at byte {offset} of the data {problem} the tensor before it, which ends at {end}"
                ));
            }
            let Some(next) = offset.checked_add(len).filter(|next| *next <= i64::MAX.cast_unsigned()) else {
                return invalid(format!("its {len} bytes from byte {offset} of the data on are absurd"));
            };
            padding += place - end;
            end = next;
            if !names.insert(name.clone()) {
                return invalid("the file has this tensor twice".to_owned());
            }
            tensors.push(TensorInfo { name, kind, shape, len, padding });
            padding = 0;
        }
        // Without tensors, the file may end at once.
        let data = if tensors.is_empty() { header_len } else { header_len.next_multiple_of(alignment) };
        Ok(Self { metadata, tensors, file_len: data + end, alignment })
    }
}

/// A tensor and its place.
struct Placed {
    name: String,
    kind: TensorType,
    shape: Vec<u64>,
    len: u64,
    offset: u64,
}

impl Placed {
    async fn read(values: &mut Values<'_>) -> Result<Self> {
        let name = values.text("name of a tensor").await?;
        let num_dimensions = values.u32(&name).await?;
        if !(1..=MAX_DIMENSIONS).contains(&num_dimensions) {
            let problem = format!("{num_dimensions} dimensions are not between 1 and {MAX_DIMENSIONS}");
            return Err(values.invalid(&name, problem));
        }
        let mut shape = Vec::new();
        for _ in 0..num_dimensions {
            shape.push(values.u64(&name).await?);
        }
        let kind = TensorType::of(values.u32(&name).await?, &name, values.file())?;
        let offset = values.u64(&name).await?;
        let cols = shape.first().copied().unwrap_or_default();
        let count = shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n)).filter(|n| *n > 0);
        shape.reverse();
        if !cols.is_multiple_of(kind.block_cols()) {
            return Err(values.invalid(
                &name,
                format!("its {cols} columns do not split into blocks of {} ({kind})", kind.block_cols()),
            ));
        }
        match count.and_then(|n| (n / kind.block_cols()).checked_mul(kind.block_bytes())) {
            Some(len) => Ok(Self { name, kind, shape, len, offset }),
            None => Err(values.invalid(&name, format!("its shape {shape:?} is absurd"))),
        }
    }
}

fn alignment(metadata: &Metadata) -> Result<u64> {
    let alignment = metadata.size(ALIGNMENT, MAX_ALIGNMENT)?.unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() {
        Ok(alignment as u64)
    } else {
        Err(metadata.invalid(ALIGNMENT, format!("{alignment} is not a power of two")))
    }
}

/// Says no to what is no GGUF file, or one of another version.
fn check_start(file: &str, start: &[u8]) -> Result<()> {
    let Some(version) = start.strip_prefix(b"GGUF") else {
        refuse_substitutes(file, start)?;
        let problem = "it does not begin with \"GGUF\"";
        return Err(Error::invalid(file, "header", problem, "It is not a GGUF file: download it again"));
    };
    let Ok(version) = <[u8; 4]>::try_from(version) else {
        return Err(Error::invalid(
            file,
            "header",
            format!("the file has only {} bytes", start.len()),
            "It is truncated: download it again",
        ));
    };
    let what = match u32::from_le_bytes(version) {
        2 | 3 => return Ok(()),
        _ if matches!(u32::from_be_bytes(version), 2 | 3) => {
            "a GGUF file whose numbers are big-endian".to_owned()
        }
        other => format!("version {other} of GGUF"),
    };
    Err(Error::unsupported(file, what, "Versions 2 and 3 are, in little-endian: convert the model again"))
}
