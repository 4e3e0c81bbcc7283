//! The tests of Jinja: `value is test`.

use std::rc::Rc;

use super::ast::Op;
use super::call::Call;
use super::fault::{Result, fault};
use super::number::floor_mod;
use super::ops::compare;
use super::text::Text;
use super::value::{Object, Value};
use super::{filters, text};

const NAMES: [&str; 39] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Applies a test.
pub(super) fn apply(name: &str, value: &Value, call: &Call) -> Result<bool> {
    if let Some(op) = comparison(name) {
        let args = call.bind(name, ["other"], 1)?;
        return compare(op, value, args.get(0).unwrap_or(&Value::None));
    }
    match name {
        "divisibleby" => {
            let args = call.bind(name, ["num"], 1)?;
            return match (value.int(), args.get(0).and_then(Value::int)) {
                (Some(a), Some(b)) => Ok(floor_mod(a, b)? == 0),
                _ => remainder_is(value, args.get(0).unwrap_or(&Value::None), 0.0),
            };
        }
        "sameas" => {
            let args = call.bind(name, ["other"], 1)?;
            return Ok(is_same(value, args.get(0).unwrap_or(&Value::None)));
        }
        _ => {
            call.bind(name, [], 0)?;
        }
    }
    Ok(match name {
        "odd" => remainder_is(value, &Value::Int(2), 1.0)?,
        "even" => remainder_is(value, &Value::Int(2), 0.0)?,
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "filter" => matches!(value, Value::Str(name) if filters::is_known(&name.to_string())),
        "test" => matches!(value, Value::Str(name) if is_known(&name.to_string())),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_)),
        "string" => matches!(value, Value::Str(_)),
        "lower" => has_case(&value.str()?, char::is_uppercase, char::is_lowercase),
        "upper" => has_case(&value.str()?, char::is_lowercase, char::is_uppercase),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => match value {
            Value::Object(object) => matches!(**object, Object::Range(..) | Object::Group(..)),
            other => other.len().is_some(),
        },
        "iterable" => value.is_iterable(),
        "callable" => match value {
            Value::Undefined(_) => true,
            Value::Object(object) => matches!(
                **object,
                Object::Macro(..)
                    | Object::Function(_)
                    | Object::Method(..)
                    | Object::Joiner(..)
                    | Object::Loop(_)
            ),
            _ => false,
        },
        "escaped" => matches!(value, Value::Str(text) if text.safe),
        other => return fault(format!("No test named '{other}'")),
    })
}

fn comparison(name: &str) -> Option<Op> {
    Some(match name {
        "==" | "eq" | "equalto" => Op::Eq,
        "!=" | "ne" => Op::Ne,
        "<" | "lt" | "lessthan" => Op::Lt,
        "<=" | "le" => Op::Le,
        ">" | "gt" | "greaterthan" => Op::Gt,
        ">=" | "ge" => Op::Ge,
        "in" => Op::In,
        _ => return None,
    })
}

fn remainder_is(value: &Value, by: &Value, wanted: f64) -> Result<bool> {
    let rest = super::ops::binary(Op::Mod, value, by)?;
    Ok(rest.equals(&Value::Float(wanted)))
}

fn has_case(text: &Text, other: fn(char) -> bool, wanted: fn(char) -> bool) -> bool {
    let chars = || text.chars().iter().map(|char: &text::Char| char.char());
    chars().all(|char| !other(char)) && chars().any(wanted)
}

/// `a is b` of Python: small numbers, strings of the same making, and what is only there once.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a.chars() == b.chars(),
        (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
        (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b) || (a.is_empty() && b.is_empty()),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }
}
