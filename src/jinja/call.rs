//! The arguments of a call, and how they meet the parameters of what is called.

use std::rc::Rc;

use super::fault::{Result, fault};
use super::text::Text;
use super::value::Value;

/// The values of a call's arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Rc<str>, Value)>,
}

impl Call {
    /// The values of the parameters of that names, by place or by name, the first `required` of which must be there.
    pub(super) fn bind<const N: usize>(
        &self,
        what: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<Bound<N>> {
        let mut values: [Option<Value>; N] = std::array::from_fn(|_| None);
        if self.positional.len() > N {
            let given = self.positional.len();
            return fault(format!("{what}() takes at most {N} arguments ({given} given)"));
        }
        for (slot, value) in values.iter_mut().zip(&self.positional) {
            *slot = Some(value.clone());
        }
        for (name, value) in &self.named {
            match names.iter().position(|other| *other == &**name) {
                Some(index) if values[index].is_none() => values[index] = Some(value.clone()),
                Some(_) => return fault(format!("{what}() got multiple values for argument '{name}'")),
                None => return fault(format!("{what}() got an unexpected keyword argument '{name}'")),
            }
        }
        if let Some(missing) = values.iter().take(required).position(Option::is_none) {
            return fault(format!("{what}() missing required argument: '{}'", names[missing]));
        }
        Ok(Bound { values })
    }
}

/// The values of parameters.
pub(super) struct Bound<const N: usize> {
    values: [Option<Value>; N],
}

impl<const N: usize> Bound<N> {
    pub(super) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// The value, `None` too where it is Python's `None`.
    pub(super) fn some(&self, index: usize) -> Option<&Value> {
        self.get(index).filter(|value| !matches!(value, Value::None))
    }

    pub(super) fn truth(&self, index: usize, default: bool) -> bool {
        self.get(index).map_or(default, Value::truth)
    }

    pub(super) fn int(&self, index: usize) -> Result<Option<i128>> {
        self.some(index).map(int).transpose()
    }

    /// A count, which is all of it where it is negative or missing.
    pub(super) fn count(&self, index: usize) -> Result<Option<usize>> {
        Ok(self.int(index)?.and_then(|count| usize::try_from(count).ok()))
    }

    pub(super) fn size(&self, index: usize, default: usize) -> Result<usize> {
        Ok(self.int(index)?.map_or(default, |size| usize::try_from(size).unwrap_or(0)))
    }

    pub(super) fn text(&self, index: usize) -> Result<Option<Text>> {
        self.some(index).map(text).transpose()
    }
}

/// A whole number, or Python's error.
pub(super) fn int(value: &Value) -> Result<i128> {
    match (value, value.int()) {
        (_, Some(int)) => Ok(int),
        (Value::Undefined(words), _) => fault(words.to_string()),
        _ => fault(format!("'{}' object cannot be interpreted as an integer", value.type_name())),
    }
}

/// A string, or Python's error.
pub(super) fn text(value: &Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Undefined(words) => fault(words.to_string()),
        other => fault(format!("expected str, not {}", other.type_name())),
    }
}
