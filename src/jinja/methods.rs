//! Attributes and methods of values.

use super::call::{Bound, Call, int, text};
use super::eval::{LARGEST, Run};
use super::fault::{Fault, Result, fault};
use super::format;
use super::text::{
    Char, Text, capitalize, find, is_cased, is_space, lines, lower, own, pad, replace, rfind, rsplit,
    rsplit_space, split, split_space, title, trim, upper,
};
use super::value::{Key, LoopState, Object, Value, View, is_printable, key};

const OF_STR: [&str; 45] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const OF_DICT: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const OF_LIST: [&str; 3] = ["copy", "count", "index"];
const OF_LOOP: [&str; 2] = ["changed", "cycle"];
const OF_CYCLER: [&str; 2] = ["next", "reset"];

/// What the sandbox forbids, because it would change a value.
const CHANGES_LIST: [&str; 8] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const CHANGES_DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];

/// What all of Python's values have, or the most of them: ways into Python itself.
const UNSAFE: [&str; 36] = [
    "__add__",
    "__bool__",
    "__call__",
    "__class__",
    "__class_getitem__",
    "__contains__",
    "__delattr__",
    "__dict__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getitem__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__iter__",
    "__le__",
    "__len__",
    "__lt__",
    "__mod__",
    "__module__",
    "__mul__",
    "__ne__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__str__",
    "__subclasshook__",
];

/// What Python's values have beside, and these have not.
const OF_STR_TOO: [&str; 2] = ["maketrans", "translate"];
const OF_NUMBERS: [&str; 10] = [
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "fromhex",
    "hex",
    "imag",
    "numerator",
    "real",
];
const OF_BYTES: [&str; 6] = ["decode", "fromhex", "hex", "join", "split", "startswith"];

/// An attribute; `None` where Python has none of that name.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Option<Value>> {
    let unsafe_attribute = || {
        let kind = value.type_name();
        Ok(Some(Value::undefined(format!("access to attribute '{name}' of '{kind}' object is unsafe."))))
    };
    if name.starts_with('_') {
        return if UNSAFE.contains(&name) { unsafe_attribute() } else { Ok(None) };
    }
    let method = |names: &[&'static str]| {
        let name = names.iter().find(|other| **other == name)?;
        Some(Value::object(Object::Method(value.clone(), name)))
    };
    let unknown = |names: &[&str]| {
        if names.contains(&name) {
            Err(Fault::Unsupported(format!("{}.{name}", value.type_name())))
        } else {
            Ok(None)
        }
    };
    match value {
        Value::Str(_) => match method(&OF_STR) {
            Some(method) => Ok(Some(method)),
            None => unknown(&OF_STR_TOO),
        },
        Value::Dict(_) if CHANGES_DICT.contains(&name) => unsafe_attribute(),
        Value::Dict(_) => Ok(method(&OF_DICT)),
        Value::List(_) if CHANGES_LIST.contains(&name) => unsafe_attribute(),
        Value::List(_) => Ok(method(&OF_LIST)),
        Value::Tuple(_) => Ok(method(&OF_LIST[1..])),
        Value::Bool(_) | Value::Int(_) => match (name, value.int()) {
            ("is_integer", _) => Ok(method(&["is_integer"])),
            ("real" | "numerator", Some(int)) => Ok(Some(Value::Int(int))),
            ("imag", _) => Ok(Some(Value::Int(0))),
            ("denominator", _) => Ok(Some(Value::Int(1))),
            _ => unknown(&OF_NUMBERS),
        },
        Value::Float(_) if name == "is_integer" => Ok(method(&["is_integer"])),
        Value::Float(float) if name == "real" => Ok(Some(Value::Float(*float))),
        Value::Float(_) => unknown(&OF_NUMBERS),
        Value::Bytes(_) => unknown(&OF_BYTES),
        Value::Undefined(_) | Value::None => Ok(None),
        Value::Object(object) => match &**object {
            Object::Namespace(fields) => {
                Ok(fields.borrow().get(&Key::Str(name.to_owned())).map(|(_, value)| value.clone()))
            }
            Object::Loop(state) => Ok(of_loop(&state.borrow(), name).or_else(|| method(&OF_LOOP))),
            Object::Cycler(items, at) if name == "current" => Ok(items.get(*at.borrow()).cloned()),
            Object::Cycler(..) => Ok(method(&OF_CYCLER)),
            Object::Macro(body, _) => Ok(match name {
                "name" => Some(Value::from(&*body.name)),
                "arguments" => {
                    Some(Value::tuple(body.params.iter().map(|param| Value::from(&**param)).collect()))
                }
                "caller" => Some(Value::Bool(body.caller)),
                "catch_kwargs" => Some(Value::Bool(body.kwargs)),
                "catch_varargs" => Some(Value::Bool(body.varargs)),
                _ => None,
            }),
            Object::Group(group, items) => match name {
                "grouper" => Ok(Some(group.clone())),
                "list" => Ok(Some(items.clone())),
                _ => Ok(method(&OF_LIST[1..])),
            },
            Object::Range(start, stop, step) => Ok(match name {
                "start" => Some(Value::Int(*start)),
                "stop" => Some(Value::Int(*stop)),
                "step" => Some(Value::Int(*step)),
                _ => method(&OF_LIST[1..]),
            }),
            Object::Function("dict") if name == "fromkeys" => {
                Ok(Some(Value::object(Object::Function("dict.fromkeys"))))
            }
            _ => Ok(None),
        },
    }
}

fn of_loop(state: &LoopState, name: &str) -> Option<Value> {
    let LoopState { items, index0, depth0, .. } = state;
    let neighbour = |at: Option<usize>, which: &str| {
        at.and_then(|at| items.get(at).cloned())
            .unwrap_or_else(|| Value::undefined(format!("there is no {which} item")))
    };
    Some(match name {
        "index" => Value::from(index0 + 1),
        "index0" => Value::from(*index0),
        "revindex" => Value::from(items.len() - index0),
        "revindex0" => Value::from(items.len() - index0 - 1),
        "first" => Value::Bool(*index0 == 0),
        "last" => Value::Bool(index0 + 1 == items.len()),
        "length" => Value::from(items.len()),
        "depth" => Value::from(depth0 + 1),
        "depth0" => Value::from(*depth0),
        "previtem" => neighbour(index0.checked_sub(1), "previous"),
        "nextitem" => neighbour(Some(index0 + 1), "next"),
        _ => return None,
    })
}

/// Calls a method.
pub(super) fn call(run: &mut Run<'_>, receiver: &Value, name: &str, call: &Call) -> Result<Value> {
    match receiver {
        Value::Str(string) => {
            run.spend(string.len() / 16)?;
            of_str(run, string, name, call)
        }
        Value::Dict(dict) if name == "get" => {
            let args = call.bind(name, ["key", "default"], 1)?;
            let found = dict.get(&key(args.get(0).unwrap_or(&Value::None))?).map(|(_, value)| value.clone());
            Ok(found.or_else(|| args.get(1).cloned()).unwrap_or(Value::None))
        }
        Value::Dict(dict) => {
            call.bind(name, [], 0)?;
            let view = match name {
                "items" => View::Items,
                "keys" => View::Keys,
                "values" => View::Values,
                _ => return Ok(receiver.clone()),
            };
            Ok(Value::object(Object::View(view, dict.clone())))
        }
        Value::Float(float) => Ok(Value::Bool(float.fract() == 0.0 && float.is_finite())),
        Value::Bool(_) | Value::Int(_) => Ok(Value::Bool(true)),
        Value::Object(object) => match &**object {
            Object::Loop(state) if name == "cycle" => match call.positional.len() {
                0 => fault("no items for cycling given"),
                len => Ok(call.positional[state.borrow().index0 % len].clone()),
            },
            Object::Loop(state) => {
                let mut state = state.borrow_mut();
                let same = state.last.as_ref().is_some_and(|last| {
                    last.len() == call.positional.len()
                        && last.iter().zip(&call.positional).all(|(a, b)| a.equals(b))
                });
                state.last = Some(call.positional.clone());
                Ok(Value::Bool(!same))
            }
            Object::Cycler(items, at) => {
                let mut at = at.borrow_mut();
                if name == "reset" {
                    *at = 0;
                    return Ok(Value::None);
                }
                let item = items.get(*at).cloned().unwrap_or(Value::None);
                *at = (*at + 1) % items.len().max(1);
                Ok(item)
            }
            _ => of_list(receiver, name, call),
        },
        _ => of_list(receiver, name, call),
    }
}

fn of_list(receiver: &Value, name: &str, call: &Call) -> Result<Value> {
    let items = receiver.items()?;
    match name {
        "copy" => {
            call.bind(name, [], 0)?;
            Ok(Value::list(items))
        }
        "count" => {
            let args = call.bind(name, ["value"], 1)?;
            let value = args.get(0).unwrap_or(&Value::None);
            Ok(Value::from(items.iter().filter(|item| item.equals(value)).count()))
        }
        _ => {
            let args = call.bind(name, ["value", "start", "stop"], 1)?;
            let value = args.get(0).unwrap_or(&Value::None);
            let (start, stop) = span(&args, 1, items.len())?;
            let found = (start..stop).find(|at| items[*at].equals(value));
            match found {
                Some(at) => Ok(Value::from(at)),
                None => fault(format!("{} is not in list", Text::from(value.repr()?))),
            }
        }
    }
}

/// Start and stop among the arguments, within a sequence; a start beyond its end leaves nothing.
fn span<const N: usize>(args: &Bound<N>, at: usize, len: usize) -> Result<(usize, usize)> {
    let clamp = |bound: i128| {
        let bound = if bound < 0 { bound.saturating_add(len as i128) } else { bound };
        usize::try_from(bound.max(0)).unwrap_or(usize::MAX)
    };
    let start = args.int(at)?.map_or(0, clamp);
    let stop = args.int(at + 1)?.map_or(len, clamp).min(len);
    Ok((start, stop))
}

fn of_str(run: &mut Run<'_>, string: &Text, name: &str, call: &Call) -> Result<Value> {
    match name {
        "upper" | "lower" | "casefold" | "capitalize" | "title" | "swapcase" => {
            call.bind(name, [], 0)?;
            Ok(Value::Str(Text::from(cased(string.chars(), name)).marked(string.safe)))
        }
        "strip" | "lstrip" | "rstrip" | "split" | "rsplit" | "splitlines" | "partition" | "rpartition"
        | "removeprefix" | "removesuffix" => cut(string, name, call),
        "replace" | "join" => joined(run, string, name, call),
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => {
            searched(run, string, name, call)
        }
        "ljust" | "rjust" | "center" | "zfill" | "expandtabs" => padded(run, string, name, call),
        "encode" => {
            let args = call.bind(name, ["encoding", "errors"], 0)?;
            let encoding =
                args.text(0)?.map_or_else(|| "utf-8".to_owned(), |text| text.to_string().to_lowercase());
            match encoding.as_str() {
                "utf-8" | "utf8" | "u8" | "utf_8" => Ok(Value::Bytes(string.to_string().into_bytes().into())),
                other => Err(Fault::Unsupported(format!("the encoding {other}"))),
            }
        }
        "format" => format::braces(run, string, &call.positional, &|name| {
            call.named.iter().find(|(other, _)| &**other == name).map(|(_, value)| value.clone())
        }),
        "format_map" => {
            let args = call.bind(name, ["mapping"], 1)?;
            let Some(Value::Dict(dict)) = args.get(0) else { return fault("format_map() needs a mapping") };
            format::braces(run, string, &[], &|name| {
                dict.get(&Key::Str(name.to_owned())).map(|(_, value)| value.clone())
            })
        }
        _ => {
            call.bind(name, [], 0)?;
            Ok(Value::Bool(is(string.chars(), name)))
        }
    }
}

/// In another case.
fn cased(chars: &[Char], name: &str) -> Vec<Char> {
    match name {
        "upper" => upper(chars),
        "lower" => lower(chars),
        "casefold" => casefold(chars),
        "capitalize" => capitalize(chars),
        "title" => title(chars),
        _ => {
            let swap = |char: &Char| {
                let one = std::slice::from_ref(char);
                if char.char().is_uppercase() { lower(one) } else { upper(one) }
            };
            chars.iter().flat_map(swap).collect()
        }
    }
}

/// A part of it, or its parts.
fn cut(string: &Text, name: &str, call: &Call) -> Result<Value> {
    let chars = string.chars();
    let same_kind = |chars: Vec<Char>| Ok(Value::Str(Text::from(chars).marked(string.safe)));
    let parts = |parts: Vec<&[Char]>| {
        let part = |part: &[Char]| Value::Str(Text::from(part).marked(string.safe));
        Ok(Value::list(parts.into_iter().map(part).collect()))
    };
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let args = call.bind(name, ["chars"], 0)?;
            let set = args.text(0)?;
            let cut =
                |char: Char| set.as_ref().map_or_else(|| is_space(char), |set| set.chars().contains(&char));
            same_kind(trim(chars, name != "rstrip", name != "lstrip", cut).to_vec())
        }
        "split" | "rsplit" => {
            let args = call.bind(name, ["sep", "maxsplit"], 0)?;
            let most = args.count(1)?;
            match args.text(0)? {
                Some(separator) if separator.is_empty() => fault("empty separator"),
                Some(separator) if name == "split" => parts(split(chars, separator.chars(), most)),
                Some(separator) => parts(rsplit(chars, separator.chars(), most)),
                None if name == "split" => parts(split_space(chars, most)),
                None => parts(rsplit_space(chars, most)),
            }
        }
        "splitlines" => {
            let args = call.bind(name, ["keepends"], 0)?;
            parts(lines(chars, args.truth(0, false)))
        }
        "partition" | "rpartition" => {
            let args = call.bind(name, ["sep"], 1)?;
            let separator = text(args.get(0).unwrap_or(&Value::None))?;
            if separator.is_empty() {
                return fault("empty separator");
            }
            let at = if name == "partition" {
                find(chars, separator.chars())
            } else {
                rfind(chars, separator.chars())
            };
            let [before, middle, after] = match (at, name) {
                (Some(at), _) => {
                    [&chars[..at], &chars[at..at + separator.len()], &chars[at + separator.len()..]]
                }
                (None, "partition") => [chars, &[], &[]],
                (None, _) => [&[], &[], chars],
            };
            let part = |part: &[Char]| Value::Str(Text::from(part).marked(string.safe));
            Ok(Value::tuple(vec![part(before), part(middle), part(after)]))
        }
        _ => {
            let args = call.bind(name, ["affix"], 1)?;
            let affix = text(args.get(0).unwrap_or(&Value::None))?;
            let rest = if name == "removeprefix" {
                chars.strip_prefix(affix.chars())
            } else {
                chars.strip_suffix(affix.chars())
            };
            same_kind(rest.unwrap_or(chars).to_vec())
        }
    }
}

/// Made of several.
fn joined(run: &mut Run<'_>, string: &Text, name: &str, call: &Call) -> Result<Value> {
    let chars = string.chars();
    let same_kind = |chars: Vec<Char>| Ok(Value::Str(Text::from(chars).marked(string.safe)));
    // What joins a safe string becomes safe.
    let alike = |text: Text| if string.safe { text.escaped() } else { text };
    if name == "replace" {
        let args = call.bind(name, ["old", "new", "count"], 2)?;
        let (old, new) =
            (text(args.get(0).unwrap_or(&Value::None))?, text(args.get(1).unwrap_or(&Value::None))?);
        let new = alike(new);
        let size = chars.len() + new.len().saturating_mul(chars.len() / old.len().max(1) + 1);
        run.spend(size / 16)?;
        return same_kind(replace(chars, old.chars(), new.chars(), args.count(2)?));
    }
    let args = call.bind(name, ["iterable"], 1)?;
    let items = args.get(0).cloned().unwrap_or(Value::None).items()?;
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Value::Str(item) = item else {
            return fault(format!(
                "sequence item {index}: expected str instance, {} found",
                item.type_name()
            ));
        };
        if index > 0 {
            out.extend_from_slice(chars);
        }
        out.extend_from_slice(alike(item.clone()).chars());
        run.spend(1 + item.len() / 16)?;
    }
    same_kind(out)
}

/// Where something is in it.
fn searched(run: &mut Run<'_>, string: &Text, name: &str, call: &Call) -> Result<Value> {
    let chars = string.chars();
    match name {
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let args = call.bind(name, ["sub", "start", "end"], 1)?;
            let part = text(args.get(0).unwrap_or(&Value::None))?;
            let (start, stop) = span(&args, 1, chars.len())?;
            let inside = (start <= stop).then(|| &chars[start..stop]);
            run.spend(chars.len().saturating_mul(part.len().min(64)) / 256)?;
            if name == "count" {
                return Ok(Value::from(inside.map_or(0, |inside| count(inside, part.chars()))));
            }
            let at = inside.and_then(|inside| {
                if name.starts_with('r') { rfind(inside, part.chars()) } else { find(inside, part.chars()) }
            });
            match at {
                Some(at) => Ok(Value::from(start + at)),
                None if name.ends_with("find") => Ok(Value::Int(-1)),
                None => fault("substring not found"),
            }
        }
        _ => {
            let args = call.bind(name, ["prefix", "start", "end"], 1)?;
            let affixes = match args.get(0) {
                Some(Value::Tuple(affixes)) => affixes.iter().map(text).collect::<Result<Vec<_>>>()?,
                Some(affix) => vec![text(affix)?],
                None => Vec::new(),
            };
            let (start, stop) = span(&args, 1, chars.len())?;
            let Some(inside) = (start <= stop).then(|| &chars[start..stop]) else {
                return Ok(Value::Bool(false));
            };
            let fits = |affix: &Text| match name {
                "startswith" => inside.starts_with(affix.chars()),
                _ => inside.ends_with(affix.chars()),
            };
            Ok(Value::Bool(affixes.iter().any(fits)))
        }
    }
}

/// As wide as is asked for.
fn padded(run: &mut Run<'_>, string: &Text, name: &str, call: &Call) -> Result<Value> {
    let chars = string.chars();
    let same_kind = |chars: Vec<Char>| Ok(Value::Str(Text::from(chars).marked(string.safe)));
    // What joins a safe string becomes safe.
    let alike = |text: Text| if string.safe { text.escaped() } else { text };
    match name {
        "ljust" | "rjust" | "center" => {
            let args = call.bind(name, ["width", "fillchar"], 1)?;
            let fill = match args.text(1)? {
                None => Char::new(' ', false),
                Some(fill) => match alike(fill).chars() {
                    [fill] => *fill,
                    _ => return fault("The fill character must be exactly one character long"),
                },
            };
            let width = width(run, int(args.get(0).unwrap_or(&Value::None))?)?;
            same_kind(pad(chars, width, fill, name != "ljust", name != "rjust"))
        }
        "zfill" => {
            let args = call.bind(name, ["width"], 1)?;
            let width = width(run, int(args.get(0).unwrap_or(&Value::None))?)?;
            let (sign, digits) = match chars {
                [sign, digits @ ..] if sign.is('+') || sign.is('-') => (Some(*sign), digits),
                digits => (None, digits),
            };
            let zeros = width.saturating_sub(chars.len());
            let zeros = std::iter::repeat_n(Char::new('0', false), zeros);
            same_kind(sign.into_iter().chain(zeros).chain(digits.iter().copied()).collect())
        }
        _ => {
            let args = call.bind(name, ["tabsize"], 0)?;
            let size = width(run, args.int(0)?.unwrap_or(8))?;
            let (mut out, mut column) = (Vec::new(), 0);
            for char in chars {
                match char.char() {
                    '\t' => {
                        let spaces = if size > 0 { size - column % size } else { 0 };
                        run.spend(spaces / 16)?;
                        out.extend(std::iter::repeat_n(char.with(' '), spaces));
                        column += spaces;
                    }
                    other => {
                        out.push(*char);
                        column = if matches!(other, '\n' | '\r') { 0 } else { column + 1 };
                    }
                }
            }
            same_kind(out)
        }
    }
}

/// A width that memory holds.
fn width(run: &mut Run<'_>, width: i128) -> Result<usize> {
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    if width > LARGEST {
        return Err(Fault::Exhausted);
    }
    run.spend(width / 16)?;
    Ok(width)
}

/// How often `part` is there, without overlaps.
fn count(chars: &[Char], part: &[Char]) -> usize {
    if part.is_empty() {
        return chars.len() + 1;
    }
    split(chars, part, None).len() - 1
}

fn casefold(chars: &[Char]) -> Vec<Char> {
    let fold = |char: &Char| -> Vec<Char> {
        match char.char() {
            '\u{df}' | '\u{1e9e}' => own("ss").into_iter().map(|other| char.with(other.char())).collect(),
            '\u{3c2}' => vec![char.with('\u{3c3}')],
            '\u{17f}' => vec![char.with('s')],
            '\u{b5}' => vec![char.with('\u{3bc}')],
            '\u{149}' => vec![char.with('\u{2bc}'), char.with('n')],
            '\u{fb00}'..='\u{fb06}' => lower(&upper(std::slice::from_ref(char))),
            other => other.to_lowercase().map(|lower| char.with(lower)).collect(),
        }
    };
    chars.iter().flat_map(fold).collect()
}

/// The questions that a string answers with yes or no.
fn is(chars: &[Char], name: &str) -> bool {
    use unicode_categories::UnicodeCategories;
    let all = |test: &dyn Fn(char) -> bool| !chars.is_empty() && chars.iter().all(|char| test(char.char()));
    let is_letter =
        |char: char| char.is_letter() || (char.is_alphabetic() && !char.is_mark() && !char.is_number());
    match name {
        "isascii" => chars.iter().all(|char| char.char().is_ascii()),
        "isprintable" => chars.iter().all(|char| is_printable(char.char())),
        "isspace" => !chars.is_empty() && chars.iter().all(|char| is_space(*char)),
        "isdecimal" => all(&|char| char.is_number_decimal_digit()),
        "isdigit" => all(&is_digit),
        "isnumeric" => all(&|char| char.is_numeric() || is_numeral(char)),
        "isalpha" => all(&is_letter),
        "isalnum" => all(&|char| is_letter(char) || char.is_numeric()),
        "isidentifier" => {
            let begins = |char: char| char == '_' || is_letter(char) || char.is_number_letter();
            let goes_on = |char: char| {
                begins(char)
                    || char.is_number_decimal_digit()
                    || char.is_mark_nonspacing()
                    || char == '\u{203f}'
            };
            let mut all = chars.iter().map(|char| char.char());
            all.next().is_some_and(begins) && all.all(goes_on)
        }
        "islower" => of_case(chars, char::is_uppercase, char::is_lowercase),
        "isupper" => of_case(chars, char::is_lowercase, char::is_uppercase),
        _ => is_title(chars),
    }
}

/// Digits: decimal ones, and those that are written small or in a circle.
fn is_digit(char: char) -> bool {
    use unicode_categories::UnicodeCategories;
    char.is_number_decimal_digit()
        || matches!(char,
            '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}' | '\u{2070}' | '\u{2074}'..='\u{2079}'
            | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}'
            | '\u{24ea}' | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}'
            | '\u{278a}'..='\u{2792}' | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}'
            | '\u{1f100}'..='\u{1f10a}')
}

/// The most usual of the Chinese characters that are numbers.
fn is_numeral(char: char) -> bool {
    "一二三四五六七八九十百千万億兆〇零壱弐参肆伍陸柒捌玖拾佰仟萬亿两".contains(char)
}

fn of_case(chars: &[Char], other: fn(char) -> bool, wanted: fn(char) -> bool) -> bool {
    chars.iter().all(|char| !other(char.char())) && chars.iter().any(|char| wanted(char.char()))
}

fn is_title(chars: &[Char]) -> bool {
    let (mut in_word, mut any) = (false, false);
    for char in chars.iter().map(|char| char.char()) {
        if char.is_uppercase() {
            if in_word {
                return false;
            }
            any = true;
        } else if char.is_lowercase() && !in_word {
            return false;
        }
        in_word = is_cased(char);
    }
    any
}
