//! Operators, attributes and items, with Python's rules.

use std::cmp::Ordering;

use super::ast::Op;
use super::eval::LARGEST;
use super::fault::{Fault, Result, fault};
use super::format;
use super::methods;
use super::number::{float_mod, floor_div, floor_mod, too_large};
use super::text::Text;
use super::value::{Object, Value, key};

/// `-value`.
pub(super) fn negate(value: &Value) -> Result<Value> {
    match (value, value.int()) {
        (_, Some(int)) => int.checked_neg().map_or_else(too_large, |int| Ok(Value::Int(int))),
        (Value::Float(float), _) => Ok(Value::Float(-float)),
        (Value::Undefined(words), _) => fault(words.to_string()),
        _ => fault(format!("bad operand type for unary -: '{}'", value.type_name())),
    }
}

/// `+value`.
pub(super) fn positive(value: &Value) -> Result<Value> {
    match (value, value.int()) {
        (_, Some(int)) => Ok(Value::Int(int)),
        (Value::Float(float), _) => Ok(Value::Float(*float)),
        (Value::Undefined(words), _) => fault(words.to_string()),
        _ => fault(format!("bad operand type for unary +: '{}'", value.type_name())),
    }
}

/// A comparison.
pub(super) fn compare(op: Op, left: &Value, right: &Value) -> Result<bool> {
    let is_nan = |value: &Value| matches!(value, Value::Float(float) if float.is_nan());
    match op {
        Op::Eq => return Ok(left.equals(right)),
        Op::Ne => return Ok(!left.equals(right)),
        Op::In => return right.contains(left),
        Op::NotIn => return right.contains(left).map(|is_in| !is_in),
        _ => {}
    }
    let order = left.order(right)?;
    if is_nan(left) || is_nan(right) {
        return Ok(false);
    }
    Ok(match op {
        Op::Lt => order == Ordering::Less,
        Op::Le => order != Ordering::Greater,
        Op::Gt => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

/// An operator between two values.
pub(super) fn binary(op: Op, left: &Value, right: &Value) -> Result<Value> {
    if let (Op::Mod, Value::Str(format)) = (op, left) {
        return format::percent(format, right);
    }
    if let (Value::Undefined(words), _) | (_, Value::Undefined(words)) = (left, right) {
        return fault(words.to_string());
    }
    if let (Some(a), Some(b)) = (left.int(), right.int())
        && let Some(value) = whole(op, a, b)?
    {
        return Ok(value);
    }
    if let (Some(a), Some(b)) = (left.float(), right.float()) {
        return floats(op, a, b);
    }
    match (op, left, right) {
        (Op::Add, Value::Str(a), Value::Str(b)) => {
            let safe = a.safe || b.safe;
            let (a, b) = if safe { (a.escaped(), b.escaped()) } else { (a.clone(), b.clone()) };
            Ok(Value::Str(Text::from([a.chars(), b.chars()].concat()).marked(safe)))
        }
        (Op::Add, Value::List(a), Value::List(b)) => Ok(Value::list([&a[..], &b[..]].concat())),
        (Op::Add, Value::Tuple(a), Value::Tuple(b)) => Ok(Value::tuple([&a[..], &b[..]].concat())),
        (Op::Add, Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([&a[..], &b[..]].concat().into())),
        (Op::Mul, sequence, times) if times.int().is_some() => repeat(sequence, times),
        (Op::Mul, times, sequence) if times.int().is_some() => repeat(sequence, times),
        _ => fault(format!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            sign(op),
            left.type_name(),
            right.type_name()
        )),
    }
}

fn repeat(sequence: &Value, times: &Value) -> Result<Value> {
    let times = usize::try_from(times.int().unwrap_or(0).max(0)).unwrap_or(usize::MAX);
    if sequence.len().is_some_and(|len| len.saturating_mul(times) > LARGEST) {
        return Err(Fault::Exhausted);
    }
    match sequence {
        Value::Str(text) => Ok(Value::Str(Text::from(text.chars().repeat(times)).marked(text.safe))),
        Value::List(items) => Ok(Value::list(vec![items.to_vec(); times].concat())),
        Value::Tuple(items) => Ok(Value::tuple(vec![items.to_vec(); times].concat())),
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.repeat(times).into())),
        other => fault(format!("unsupported operand type(s) for *: '{}' and 'int'", other.type_name())),
    }
}

/// `None` where the result is a float.
fn whole(op: Op, a: i128, b: i128) -> Result<Option<Value>> {
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::FloorDiv => Some(floor_div(a, b)?),
        Op::Mod => Some(floor_mod(a, b)?),
        Op::Pow => match u32::try_from(b) {
            Ok(power) => a.checked_pow(power),
            Err(_) if b < 0 => return Ok(None),
            Err(_) => None,
        },
        _ => return Ok(None),
    };
    result.map_or_else(too_large, |int| Ok(Some(Value::Int(int))))
}

fn floats(op: Op, a: f64, b: f64) -> Result<Value> {
    let by_zero = b == 0.0 && matches!(op, Op::Div | Op::FloorDiv | Op::Mod);
    if by_zero || (op == Op::Pow && a == 0.0 && b < 0.0) {
        return fault("float division by zero");
    }
    Ok(Value::Float(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::FloorDiv => ((a - float_mod(a, b)) / b).round(),
        Op::Mod => float_mod(a, b),
        Op::Pow if a < 0.0 && b.fract() != 0.0 => {
            return Err(Fault::Unsupported("a complex number".to_owned()));
        }
        _ => {
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return fault("(34, 'Numerical result out of range')");
            }
            power
        }
    }))
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::FloorDiv => "//",
        Op::Mod => "%",
        _ => "** or pow()",
    }
}

/// `value.name`: an attribute, else an item of that name.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value> {
    if let Some(attribute) = methods::attribute(value, name)? {
        return Ok(attribute);
    }
    if let Value::Undefined(words) = value {
        return fault(words.to_string());
    }
    let found = match value {
        Value::Dict(dict) => {
            dict.get(&super::value::Key::Str(name.to_owned())).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    Ok(found.unwrap_or_else(|| missing(value, name)))
}

fn missing(value: &Value, name: &str) -> Value {
    Value::undefined(match value {
        Value::None => format!("'None' has no attribute '{name}'"),
        other => format!("'{} object' has no attribute '{name}'", other.type_name()),
    })
}

/// `value[index]`: an item, else an attribute of that name.
pub(super) fn item(value: &Value, index: &Value) -> Result<Value> {
    if let Value::Undefined(words) = value {
        return fault(words.to_string());
    }
    if let Some(found) = item_alone(value, index) {
        return Ok(found);
    }
    match index {
        Value::Str(name) => {
            let name = name.to_string();
            Ok(methods::attribute(value, &name)?.unwrap_or_else(|| missing(value, &name)))
        }
        other => Ok(Value::undefined(format!(
            "{} object has no element {}",
            value.type_name(),
            Text::from(other.repr().unwrap_or_default())
        ))),
    }
}

fn item_alone(value: &Value, index: &Value) -> Option<Value> {
    if let Value::Dict(dict) = value {
        return dict.get(&key(index).ok()?).map(|(_, value)| value.clone());
    }
    let len = value.len()? as i128;
    let index = index.int()?;
    let index = usize::try_from(if index < 0 { index + len } else { index }).ok()?;
    match value {
        Value::Str(text) => {
            let char = text.chars().get(index)?;
            Some(Value::Str(Text::from(std::slice::from_ref(char)).marked(text.safe)))
        }
        Value::Bytes(bytes) => bytes.get(index).map(|byte| Value::Int(i128::from(*byte))),
        Value::List(items) | Value::Tuple(items) => items.get(index).cloned(),
        Value::Object(object) => match &**object {
            Object::Range(..) | Object::Group(..) => value.items().ok()?.get(index).cloned(),
            _ => None,
        },
        _ => None,
    }
}

/// `value[start:stop:step]`; what cannot be cut is undefined.
pub(super) fn slice(value: &Value, bounds: &[Value; 3]) -> Result<Value> {
    if let Value::Undefined(words) = value {
        return fault(words.to_string());
    }
    let cannot = || Value::undefined(format!("{} object has no such slice", value.type_name()));
    let mut whole = [None; 3];
    for (slot, bound) in whole.iter_mut().zip(bounds) {
        match (bound, bound.int()) {
            (Value::None, _) => {}
            (_, Some(int)) => *slot = Some(int),
            _ => return Ok(cannot()),
        }
    }
    let is_sequence = match value {
        Value::Str(_) | Value::Bytes(_) | Value::List(_) | Value::Tuple(_) => true,
        Value::Object(object) => matches!(**object, Object::Range(..) | Object::Group(..)),
        _ => false,
    };
    let (true, Some(len)) = (is_sequence, value.len()) else { return Ok(cannot()) };
    let indices = indices(len, whole)?;
    Ok(match value {
        Value::Str(text) => {
            let chars: Text = indices.map(|at| text.chars()[at]).collect();
            Value::Str(chars.marked(text.safe))
        }
        Value::Bytes(bytes) => Value::Bytes(indices.map(|at| bytes[at]).collect()),
        Value::List(items) => Value::list(indices.map(|at| items[at].clone()).collect()),
        Value::Tuple(items) => Value::tuple(indices.map(|at| items[at].clone()).collect()),
        Value::Object(object) => {
            if let Object::Range(start, _, step) = &**object {
                return Ok(range_slice(*start, *step, len, whole));
            }
            let items = value.items()?;
            Value::tuple(indices.map(|at| items[at].clone()).collect())
        }
        _ => cannot(),
    })
}

/// Start, stop and step within a sequence, by Python's `slice.indices`.
fn within(len: usize, [start, stop, step]: [Option<i128>; 3]) -> (i128, i128, i128) {
    let (len, step) = (len as i128, step.unwrap_or(1));
    let (low, high) = if step < 0 { (-1, len - 1) } else { (0, len) };
    let clamp = |bound: i128| (if bound < 0 { bound.saturating_add(len) } else { bound }).clamp(low, high);
    let start = start.map_or(if step < 0 { high } else { low }, clamp);
    let stop = stop.map_or(if step < 0 { low } else { high }, clamp);
    (start, stop, step)
}

fn indices(len: usize, bounds: [Option<i128>; 3]) -> Result<impl Iterator<Item = usize>> {
    if bounds[2] == Some(0) {
        return fault("slice step cannot be zero");
    }
    let (start, stop, step) = within(len, bounds);
    let mut at = start;
    Ok(std::iter::from_fn(move || {
        let is_inside = if step < 0 { at > stop } else { at < stop };
        let index = usize::try_from(at).ok().filter(|_| is_inside)?;
        at = at.saturating_add(step);
        Some(index)
    }))
}

fn range_slice(first: i128, by: i128, len: usize, bounds: [Option<i128>; 3]) -> Value {
    let (start, stop, step) = within(len, bounds);
    Value::object(Object::Range(first + start * by, first + stop * by, by * step))
}
