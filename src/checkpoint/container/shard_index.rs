//! The index of a checkpoint whose weights lie in several files.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The name of the index.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// An index is larger than a configuration: one line a tensor. 64 MiB.
pub const INDEX_LIMIT: u64 = 64 << 20;

/// Which file holds which tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Tensor names by file, both sorted.
    pub files: BTreeMap<String, Vec<String>>,
    /// Bytes of all tensors, as the index says.
    pub total_size: Option<u64>,
}

impl Index {
    /// Parses and checks an index; `file` is for error messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not an index, or names a file outside the checkpoint's folder.
    pub fn parse(file: &str, json: &[u8]) -> Result<Self> {
        let invalid = |field: &str, problem: &dyn std::fmt::Display| {
            Error::invalid(file, field, problem, "Download the index again")
        };
        let root: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| invalid("JSON", &error))?;
        let Some(Value::Object(weight_map)) = root.get("weight_map") else {
            return Err(invalid("weight_map", &"it is not an object from tensor to file"));
        };
        let mut files = BTreeMap::<String, Vec<String>>::new();
        for (tensor, shard) in weight_map {
            let Value::String(shard) = shard else {
                return Err(invalid(tensor, &"its file is not a string"));
            };
            if !is_plain_file_name(shard) {
                let problem = format!("{shard:?} is not the name of a .safetensors file in the same folder");
                return Err(invalid(tensor, &problem));
            }
            files.entry(shard.clone()).or_default().push(tensor.clone());
        }
        if files.is_empty() {
            return Err(invalid("weight_map", &"it names no tensor"));
        }
        for tensors in files.values_mut() {
            tensors.sort_unstable();
        }
        let total_size = root.get("metadata").and_then(|m| m.get("total_size")).and_then(Value::as_u64);
        Ok(Self { files, total_size })
    }

    /// All tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.files.values().flatten().map(String::as_str)
    }
}

/// Whether a name can neither leave its folder nor mean something to a URL or to any system's paths.
fn is_plain_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.ends_with(".safetensors") && !name.starts_with('.') && name.len() <= 255 && name.chars().all(plain)
}
