//! Typed access to `config.json`, or to what a GGUF file says in its place: every error names the file and the field.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The name that errors give to the file where it is this one.
pub const FILE: &str = "config.json";

const REMEDY: &str = "Download config.json again from where the checkpoint comes from";

/// The JSON object, with typed access whose errors name the field.
pub(crate) struct Fields {
    /// For errors: the name or the path of the file.
    file: String,
    remedy: &'static str,
    map: Map<String, Value>,
    /// What the file calls a field, where it has another name there.
    names: Vec<(String, String)>,
}

impl Fields {
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(map)) => {
                Ok(Self { file: FILE.to_owned(), remedy: REMEDY, map, names: Vec::new() })
            }
            Ok(_) => Err(Error::invalid(FILE, "top level", "it is not a JSON object", REMEDY)),
            Err(error) => Err(Error::invalid(FILE, "JSON", error, REMEDY)),
        }
    }

    /// The same fields out of another file, which calls them as `names` says: pairs of our name and its name.
    pub(super) fn of(file: &str, map: Map<String, Value>, names: Vec<(String, String)>) -> Self {
        Self { file: file.to_owned(), remedy: "The file is damaged: download it again", map, names }
    }

    /// The JSON object.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// What the file calls a field.
    pub(super) fn name<'a>(&'a self, field: &'a str) -> &'a str {
        self.names.iter().find(|(ours, _)| ours == field).map_or(field, |(_, name)| name)
    }

    pub(super) fn invalid(&self, field: &str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(&self.file, self.name(field), problem, self.remedy)
    }

    /// That the file asks for `what`, which the engine does not do.
    pub(super) fn unsupported(&self, what: impl std::fmt::Display, remedy: impl std::fmt::Display) -> Error {
        Error::unsupported(&self.file, what, remedy)
    }

    /// All fields, with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.map.iter().map(|(field, value)| (field.as_str(), value))
    }

    /// A present, non-null field.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether a field is there and says null: not the same as being absent, where a family has a default.
    pub(super) fn is_null(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(Value::is_null)
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&str>> {
        self.get(field)
            .map(|value| value.as_str().ok_or_else(|| self.invalid(field, "it must be a string")))
            .transpose()
    }

    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        self.get(field).map_or(Ok(default), |value| {
            value.as_bool().ok_or_else(|| self.invalid(field, "it must be true or false"))
        })
    }

    pub(super) fn optional_size(&self, field: &str, max: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(size) if size >= 1 && size <= max as u64 => Ok(Some(size as usize)),
            _ => Err(self.invalid(field, format!("{value} is not a whole number from 1 to {max}"))),
        }
    }

    pub(super) fn size(&self, field: &str, max: usize) -> Result<usize> {
        self.optional_size(field, max)?.ok_or_else(|| self.invalid(field, "it is missing"))
    }

    pub(super) fn size_or(&self, field: &str, max: usize, default: usize) -> Result<usize> {
        Ok(self.optional_size(field, max)?.unwrap_or(default))
    }

    pub(super) fn number_or(&self, field: &str, default: f64) -> Result<f64> {
        Ok(self.number(field)?.unwrap_or(default))
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>> {
        self.number_in(&self.map, field, field)
    }

    /// A number above zero.
    pub(super) fn positive_or(&self, field: &str, default: f64) -> Result<f64> {
        let number = self.number_or(field, default)?;
        if number.is_finite() && number > 0.0 {
            Ok(number)
        } else {
            Err(self.invalid(field, format!("{number} is not a number above 0")))
        }
    }

    /// A list with an entry for each of `len` layers; `None` where there is no such field, or an empty list.
    pub(super) fn each_layer(&self, field: &str, len: usize) -> Result<Option<&[Value]>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_array() {
            Some(list) if list.is_empty() => Ok(None),
            Some(list) if list.len() == len => Ok(Some(list)),
            Some(list) => {
                Err(self.invalid(field, format!("it has {} entries, there are {len} layers", list.len())))
            }
            None => Err(self.invalid(field, "it must be a list with an entry for each layer")),
        }
    }

    /// A number of an object inside the file, whose full name is `name`.
    pub(super) fn number_in(
        &self,
        object: &Map<String, Value>,
        field: &str,
        name: &str,
    ) -> Result<Option<f64>> {
        match object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.invalid(name, "it must be a number")),
        }
    }

    /// An object, such as `rope_parameters`.
    pub(super) fn object(&self, field: &str) -> Result<Option<&Map<String, Value>>> {
        self.get(field)
            .map(|value| value.as_object().ok_or_else(|| self.invalid(field, "it must be an object")))
            .transpose()
    }

    /// One token id or a list of them.
    pub(super) fn tokens(&self, field: &str) -> Result<Vec<u32>> {
        self.get(field).map_or(Ok(Vec::new()), |value| {
            token_ids(value)
                .ok_or_else(|| self.invalid(field, format!("{value} is not a token id or a list of them")))
        })
    }
}

/// A token id or a list of them; `None` where the value is neither. Null and -1 are how people write "no token".
pub(crate) fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let is_none = |value: &Value| value.is_null() || value.as_i64() == Some(-1);
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter().filter(|value| !is_none(value)).map(id).collect()
}
