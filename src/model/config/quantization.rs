//! How a checkpoint's tensors are quantised, as `config.json` says it for MLX.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::model::fields::Fields;

/// The `quantization` object of an MLX-layout checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    /// What holds for every quantised tensor without an entry of its own.
    pub default: BitsAndGroup,
    /// Exceptions by module path such as `model.embed_tokens`; `None` says: not quantised.
    pub overrides: BTreeMap<String, Option<BitsAndGroup>>,
}

/// Bits a weight and columns a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsAndGroup {
    /// 4 or 8.
    pub bits: u32,
    /// 32, 64 or 128.
    pub group_size: u32,
}

impl Quantization {
    /// What holds for a module such as `model.layers.0.mlp.up_proj`.
    pub fn of(&self, module: &str) -> Option<BitsAndGroup> {
        self.overrides.get(module).copied().unwrap_or(Some(self.default))
    }

    /// Reads the object `quantization`.
    pub(super) fn read(fields: &Fields) -> Result<Option<Self>> {
        let Some(map) = fields.object("quantization")? else { return Ok(None) };
        if let Some(mode) = map.get("mode").filter(|mode| mode.as_str() != Some("affine") && !mode.is_null())
        {
            return Err(fields.unsupported(format!("quantization.mode {mode}"), "Only affine is"));
        }
        let mut overrides = BTreeMap::new();
        for (module, entry) in map {
            match entry {
                Value::Object(entry) => {
                    overrides.insert(module.clone(), Some(BitsAndGroup::read(fields, module, entry)?));
                }
                Value::Bool(false) => {
                    overrides.insert(module.clone(), None);
                }
                _ => {}
            }
        }
        Ok(Some(Self { default: BitsAndGroup::read(fields, "quantization", map)?, overrides }))
    }
}

impl BitsAndGroup {
    fn read(fields: &Fields, name: &str, map: &Map<String, Value>) -> Result<Self> {
        let get = |field: &str, allowed: &[u64]| match map.get(field).and_then(Value::as_u64) {
            Some(value) if allowed.contains(&value) => Ok(value as u32),
            other => Err(fields.unsupported(
                format!("{name}: {field} {}", other.map_or("(missing)".to_owned(), |v| v.to_string())),
                format!("Supported are {allowed:?}"),
            )),
        };
        Ok(Self { bits: get("bits", &[4, 8])?, group_size: get("group_size", &[32, 64, 128])? })
    }
}
