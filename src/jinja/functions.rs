//! The functions of the environment: Jinja's own, and those of transformers.

use std::cell::RefCell;
use std::rc::Rc;

use super::call::{Call, int, text};
use super::eval::Run;
use super::fault::{Fault, Result, fault};
use super::value::{Dict, Object, Value, put};

const NAMES: [&str; 8] =
    ["range", "dict", "lipsum", "cycler", "joiner", "namespace", "raise_exception", "strftime_now"];

/// What the sandbox lets a range have.
const LONGEST_RANGE: i128 = 100_000;

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The name as it lives for ever; empty for one that is not known.
pub(super) fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|other| *other == name).unwrap_or_default()
}

pub(super) fn call(run: &mut Run<'_>, name: &str, call: &Call) -> Result<Value> {
    match name {
        "range" => range(run, call),
        "dict" => Ok(Value::Dict(Rc::new(dict(call)?))),
        "dict.fromkeys" => {
            let args = call.bind("fromkeys", ["iterable", "value"], 1)?;
            let value = args.get(1).cloned().unwrap_or(Value::None);
            let mut dict = Dict::new();
            for key in args.get(0).cloned().unwrap_or(Value::None).items()? {
                put(&mut dict, key, value.clone())?;
            }
            Ok(Value::Dict(Rc::new(dict)))
        }
        "namespace" => {
            let fields = dict(call)?;
            for (name, _) in fields.values() {
                check_field(&text(name)?.to_string())?;
            }
            Ok(Value::object(Object::Namespace(RefCell::new(fields))))
        }
        "cycler" if call.positional.is_empty() => fault("at least one item has to be provided"),
        "cycler" => Ok(Value::object(Object::Cycler(call.positional.clone(), RefCell::new(0)))),
        "joiner" => {
            let args = call.bind("joiner", ["sep"], 0)?;
            let separator = args.get(0).cloned().unwrap_or_else(|| Value::from(", "));
            Ok(Value::object(Object::Joiner(separator, RefCell::new(false))))
        }
        "raise_exception" => {
            let args = call.bind(name, ["message"], 1)?;
            let message = args.get(0).map(Value::str).transpose()?;
            Err(Fault::Refused(message.map_or_else(String::new, |message| message.to_string())))
        }
        "strftime_now" => {
            let args = call.bind(name, ["format"], 1)?;
            let format = args.get(0).map(text).transpose()?;
            let format = format.map_or_else(String::new, |format| format.to_string());
            Ok(Value::from((run.now)(&format).as_str()))
        }
        other => Err(Fault::Unsupported(format!("the function {other}"))),
    }
}

/// Names that reach into Python are refused.
pub(super) fn check_field(name: &str) -> Result<()> {
    if name.starts_with("__") && name.ends_with("__") {
        return fault(format!("namespace attribute '{name}' is not allowed"));
    }
    Ok(())
}

fn range(run: &mut Run<'_>, call: &Call) -> Result<Value> {
    let bounds = call.positional.iter().map(int).collect::<Result<Vec<_>>>()?;
    if !call.named.is_empty() {
        return fault("range() takes no keyword arguments");
    }
    let (start, stop, step) = match bounds[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return fault(format!("range expected 1 to 3 arguments, got {}", bounds.len())),
    };
    if step == 0 {
        return fault("range() arg 3 must not be zero");
    }
    let largest = 1 << 100;
    if [start, stop, step].iter().any(|bound| bound.abs() > largest) {
        return Err(Fault::Unsupported("a range of such numbers".to_owned()));
    }
    let value = Value::object(Object::Range(start, stop, step));
    let len = value.len().unwrap_or(0);
    if len as i128 > LONGEST_RANGE {
        return fault(format!(
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({LONGEST_RANGE})."
        ));
    }
    run.spend(len / 16)?;
    Ok(value)
}

/// `dict(mapping or pairs, name=value)`.
fn dict(call: &Call) -> Result<Dict> {
    let mut dict = Dict::new();
    match call.positional.as_slice() {
        [] => {}
        [Value::Dict(other)] => dict.extend(other.iter().map(|(key, pair)| (key.clone(), pair.clone()))),
        [pairs] => {
            for (index, pair) in pairs.items()?.into_iter().enumerate() {
                let mut pair = pair.items()?.into_iter();
                match (pair.next(), pair.next(), pair.next()) {
                    (Some(key), Some(value), None) => put(&mut dict, key, value)?,
                    _ => return fault(format!("dictionary update sequence element #{index} is no pair")),
                }
            }
        }
        more => return fault(format!("dict expected at most 1 argument, got {}", more.len())),
    }
    for (name, value) in &call.named {
        put(&mut dict, Value::from(&**name), value.clone())?;
    }
    Ok(dict)
}
