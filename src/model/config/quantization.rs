//! How a checkpoint's tensors are quantised, as `config.json` says it for MLX.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::fields::{FILE, Fields};

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

    /// Reads the object `quantization`. MLX writes the same once more as `quantization_config`, and some tools only that.
    pub(super) fn read(fields: &Fields) -> Result<Option<Self>> {
        const NAMES: [&str; 2] = ["quantization", "quantization_config"];
        let mut read = Vec::new();
        for name in NAMES {
            if let Some(map) = fields.object(name)?.filter(|map| !map.is_empty()) {
                read.push(Self::of_object(name, map)?);
            }
        }
        if let [one, other] = read.as_slice()
            && one != other
        {
            let problem = format!("it says otherwise than {}", NAMES[1]);
            let remedy = "They must agree: remove the one that is wrong from the file";
            return Err(Error::invalid(FILE, NAMES[0], problem, remedy));
        }
        Ok(read.into_iter().next())
    }

    fn of_object(name: &str, map: &Map<String, Value>) -> Result<Self> {
        refuse_other_modes(name, map)?;
        let mut overrides = BTreeMap::new();
        for (module, entry) in map {
            match entry {
                Value::Object(entry) => {
                    refuse_other_modes(module, entry)?;
                    overrides.insert(module.clone(), Some(BitsAndGroup::read(module, entry)?));
                }
                Value::Bool(false) => {
                    overrides.insert(module.clone(), None);
                }
                _ => {}
            }
        }
        Ok(Self { default: BitsAndGroup::read(name, map)?, overrides })
    }
}

/// MLX has other ways of packing under the same names: to read them as affine would give noise.
fn refuse_other_modes(name: &str, map: &Map<String, Value>) -> Result<()> {
    match map.get("mode") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(mode)) if mode == "affine" => Ok(()),
        Some(mode) => {
            let mode = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
            let remedy = "Use a checkpoint that MLX quantised with the mode affine, or the original floats";
            Err(Error::unsupported(FILE, format!("{name}: the quantisation mode {mode}"), remedy))
        }
    }
}

impl BitsAndGroup {
    fn read(name: &str, map: &Map<String, Value>) -> Result<Self> {
        let get = |field: &str, allowed: &[u64]| match map.get(field).and_then(Value::as_u64) {
            Some(value) if allowed.contains(&value) => Ok(value as u32),
            other => Err(Error::unsupported(
                FILE,
                format!("{name}: {field} {}", other.map_or("(missing)".to_owned(), |v| v.to_string())),
                format!("Supported are {allowed:?}"),
            )),
        };
        Ok(Self { bits: get("bits", &[4, 8])?, group_size: get("group_size", &[32, 64, 128])? })
    }
}
