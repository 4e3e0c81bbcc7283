//! The filters of Jinja: `value | filter`.

use std::cmp::Ordering;

use super::ast::Op;
use super::call::{Call, text};
use super::eval::{LARGEST, Run};
use super::fault::{Fault, Result, fault};
use super::number::{parse_float, parse_int, round};
use super::text::{
    Char, Text, capitalize, is_space, lines, lower, own, pad, replace, rsplit, title_of, trim, upper,
};
use super::value::{Dict, Object, Value, key, put};
use super::{format, json, methods, ops, tests, wrap};

const NAMES: [&str; 54] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Applies a filter.
pub(super) fn apply(run: &mut Run<'_>, name: &str, value: &Value, call: &Call) -> Result<Value> {
    run.spend(1 + value.len().unwrap_or(0) / 16)?;
    match name {
        "default" | "d" => {
            let args = call.bind(name, ["default_value", "boolean"], 0)?;
            let is_missing = matches!(value, Value::Undefined(_)) || (args.truth(1, false) && !value.truth());
            let default = args.get(0).cloned().unwrap_or_else(|| Value::from(""));
            Ok(if is_missing { default } else { value.clone() })
        }
        "tojson" => json::tojson(run, value, call),
        "map" => map(run, value, call),
        "select" | "reject" | "selectattr" | "rejectattr" => select(run, name, value, call),
        "attr" => {
            let args = call.bind(name, ["name"], 1)?;
            let name = args.get(0).unwrap_or(&Value::None).str()?.to_string();
            if let Value::Undefined(words) = value {
                return fault(words.to_string());
            }
            Ok(methods::attribute(value, &name)?
                .unwrap_or_else(|| Value::undefined(format!("no attribute '{name}'"))))
        }
        "abs" => {
            call.bind(name, [], 0)?;
            match (value, value.int()) {
                (_, Some(int)) => Ok(Value::Int(int.saturating_abs())),
                (Value::Float(float), _) => Ok(Value::Float(float.abs())),
                (Value::Undefined(words), _) => fault(words.to_string()),
                _ => fault(format!("bad operand type for abs(): '{}'", value.type_name())),
            }
        }
        "length" | "count" => {
            call.bind(name, [], 0)?;
            match value.len() {
                Some(len) => Ok(Value::from(len)),
                None => fault(format!("object of type '{}' has no len()", value.type_name())),
            }
        }
        "int" => to_int(value, call),
        "float" => {
            let args = call.bind(name, ["default"], 0)?;
            let read = match value {
                Value::Str(text) => parse_float(&text.to_string()),
                other => other.float(),
            };
            Ok(read.map_or_else(|| args.get(0).cloned().unwrap_or(Value::Float(0.0)), Value::Float))
        }
        "round" => to_rounded(value, call),
        "filesizeformat" => file_size(value, call),
        "pprint" => {
            call.bind(name, [], 0)?;
            let text = value.repr()?;
            // Python breaks what is longer than a line.
            if text.len() > 80
                || matches!(value, Value::Str(text) if text.chars().iter().any(|char| char.is('\n')))
            {
                return Err(Fault::Unsupported("pprint of a value longer than a line".to_owned()));
            }
            if matches!(value, Value::Dict(_)) {
                let sorted = apply(run, "dictsort", value, &Call::default())?;
                let mut dict = Dict::new();
                for pair in sorted.items()? {
                    let pair = pair.items()?;
                    put(&mut dict, pair[0].clone(), pair[1].clone())?;
                }
                return Ok(Value::Dict(dict.into()).repr()?.into());
            }
            Ok(text.into())
        }
        "urlize" => Err(Fault::Unsupported("the filter urlize".to_owned())),
        "safe" | "e" | "escape" | "forceescape" | "string" | "upper" | "lower" | "capitalize" | "title"
        | "trim" | "center" | "indent" | "truncate" | "wordcount" | "wordwrap" | "replace" | "format"
        | "striptags" | "urlencode" | "xmlattr" => of_text(run, name, value, call),
        _ if is_known(name) => of_items(run, name, value, call),
        _ => fault(format!("No filter named '{name}'")),
    }
}

/// Filters of texts. They take anything, as Python writes it.
fn of_text(run: &mut Run<'_>, name: &str, value: &Value, call: &Call) -> Result<Value> {
    if name == "urlencode" {
        call.bind(name, [], 0)?;
        return url_encoded(value);
    }
    if name == "xmlattr" {
        return xml_attributes(run, value, call);
    }
    let string = value.str()?;
    let chars = string.chars();
    let same_kind = |chars: Vec<Char>| Ok(Value::Str(Text::from(chars).marked(string.safe)));
    let none = || call.bind(name, [], 0).map(|_| ());
    match name {
        "safe" => none().map(|()| Value::Str(string.clone().marked(true))),
        "e" | "escape" => none().map(|()| Value::Str(string.escaped())),
        "forceescape" => none().map(|()| Value::Str(string.clone().marked(false).escaped())),
        "string" => none().map(|()| Value::Str(string.clone())),
        "upper" => none().and_then(|()| same_kind(upper(chars))),
        "lower" => none().and_then(|()| same_kind(lower(chars))),
        "capitalize" => none().and_then(|()| same_kind(capitalize(chars))),
        // Its parts are joined to a string that is not safe any more.
        "title" => none().map(|()| Value::from(words_with_capitals(chars))),
        "trim" => {
            let args = call.bind(name, ["chars"], 0)?;
            let set = args.text(0)?;
            let cut =
                |char: Char| set.as_ref().map_or_else(|| is_space(char), |set| set.chars().contains(&char));
            same_kind(trim(chars, true, true, cut).to_vec())
        }
        "center" => {
            let args = call.bind(name, ["width"], 0)?;
            let width = args.size(0, 80)?;
            if width > LARGEST {
                return Err(Fault::Exhausted);
            }
            same_kind(pad(chars, width, Char::new(' ', false), true, true))
        }
        "indent" => indent(run, &text(value)?, call),
        "truncate" => truncate(&text(value)?, call),
        "wordcount" => {
            none()?;
            let is_word = |char: &Char| char.char().is_alphanumeric() || char.is('_');
            let words = chars.split(|char| !is_word(char)).filter(|word| !word.is_empty());
            Ok(Value::from(words.count()))
        }
        "wordwrap" => wrap::wordwrap(&text(value)?, call),
        "replace" => {
            let args = call.bind(name, ["old", "new", "count"], 2)?;
            let old = args.get(0).unwrap_or(&Value::None).str()?;
            let new = args.get(1).unwrap_or(&Value::None).str()?;
            let most = args.count(2)?;
            run.spend((chars.len() + new.len().saturating_mul(chars.len() / old.len().max(1) + 1)) / 16)?;
            let replaced = |chars: &[Char], new: &Text| replace(chars, old.chars(), new.chars(), most);
            if !run.autoescape {
                return Ok(replaced(chars, &new).into());
            }
            let safe = string.safe || old.safe || new.safe;
            let (string, new) = if safe {
                (string.escaped(), if string.safe { new.escaped() } else { new })
            } else {
                (string.clone(), new)
            };
            Ok(Value::Str(Text::from(replaced(string.chars(), &new)).marked(safe)))
        }
        "format" => format_filter(&string, call),
        _ => {
            none()?;
            Ok(without_tags(chars).into())
        }
    }
}

/// `title`: a word begins after white space, a hyphen or an opening bracket.
fn words_with_capitals(chars: &[Char]) -> Vec<Char> {
    let mut out = Vec::with_capacity(chars.len());
    let mut begins = true;
    for char in chars {
        let parts = is_space(*char) || "-({[<".contains(char.char());
        if begins && !parts {
            // Jinja takes the capital form, not the form of a word's beginning.
            out.extend(match char.char().to_uppercase().count() {
                1 => upper(std::slice::from_ref(char)),
                _ => upper(&title_of(*char)),
            });
        } else {
            out.extend(lower(std::slice::from_ref(char)));
        }
        begins = parts;
    }
    out
}

fn format_filter(string: &Text, call: &Call) -> Result<Value> {
    let values = if call.named.is_empty() {
        Value::tuple(call.positional.clone())
    } else if call.positional.is_empty() {
        let mut dict = Dict::new();
        for (name, value) in &call.named {
            put(&mut dict, Value::from(&**name), value.clone())?;
        }
        Value::Dict(dict.into())
    } else {
        return fault("can't handle positional and keyword arguments at the same time");
    };
    format::percent(string, &values)
}

fn truncate(string: &Text, call: &Call) -> Result<Value> {
    let args = call.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let end = args.text(2)?.unwrap_or_else(|| Text::from("..."));
    let (length, leeway) = (args.int(0)?.unwrap_or(255), args.int(3)?.unwrap_or(5));
    if length < end.len() as i128 || leeway < 0 {
        return fault(format!("expected length >= {} and leeway >= 0", end.len()));
    }
    let chars = string.chars();
    if chars.len() as i128 <= length + leeway {
        return Ok(Value::Str(string.clone()));
    }
    let kept = usize::try_from(length).unwrap_or(usize::MAX).min(chars.len()) - end.len();
    let kept = &chars[..kept];
    let kept = if args.truth(1, false) {
        kept
    } else {
        rsplit(kept, &own(" "), Some(1)).first().copied().unwrap_or(kept)
    };
    Ok(Value::Str(Text::from([kept, end.chars()].concat()).marked(string.safe)))
}

fn indent(run: &mut Run<'_>, string: &Text, call: &Call) -> Result<Value> {
    let args = call.bind("indent", ["width", "first", "blank"], 0)?;
    let indent = match args.get(0) {
        Some(Value::Str(text)) => text.chars().to_vec(),
        _ => vec![Char::new(' ', false); args.size(0, 4)?.min(LARGEST)],
    };
    let (first, blank) = (args.truth(1, false), args.truth(2, false));
    let newline = Char::new('\n', false);
    let with_end = [string.chars(), &[newline]].concat();
    let lines = lines(&with_end, false);
    run.spend(lines.len().saturating_mul(1 + indent.len() / 16))?;
    let mut out = if first { indent.clone() } else { Vec::new() };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push(newline);
            if blank || !line.is_empty() {
                out.extend_from_slice(&indent);
            }
        }
        out.extend_from_slice(line);
    }
    Ok(Value::Str(Text::from(out).marked(string.safe)))
}

fn to_int(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("int", ["default", "base"], 0)?;
    let base = u32::try_from(args.int(1)?.unwrap_or(10)).unwrap_or(10);
    let default = args.get(0).cloned().unwrap_or(Value::Int(0));
    let from_float = |float: f64| {
        if float.is_finite() && float.abs() < 1.7e38 { Some(Value::Int(float.trunc() as i128)) } else { None }
    };
    Ok(match value {
        Value::Str(text) => {
            let text = text.to_string();
            let is_base = base == 0 || (2..=36).contains(&base);
            parse_int(&text, if is_base { base } else { 10 })
                .map(Value::Int)
                .or_else(|| parse_float(&text).and_then(from_float))
                .unwrap_or(default)
        }
        Value::Float(float) => from_float(*float).unwrap_or(default),
        other => other.int().map_or(default, Value::Int),
    })
}

fn to_rounded(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("round", ["precision", "method"], 0)?;
    let digits = i32::try_from(args.int(0)?.unwrap_or(0)).unwrap_or(0);
    let method = args.text(1)?.map_or_else(|| "common".to_owned(), |method| method.to_string());
    let Some(number) = value.float() else {
        return match value {
            Value::Undefined(words) => fault(words.to_string()),
            _ => fault(format!("type {} doesn't define __round__ method", value.type_name())),
        };
    };
    match (method.as_str(), value.int()) {
        ("common", Some(int)) => {
            // A whole number stays one; ties go to the even ten.
            if digits >= 0 {
                return Ok(Value::Int(int));
            }
            let Some(power) = 10i128.checked_pow(digits.unsigned_abs()) else { return Ok(Value::Int(0)) };
            let (low, rest) = (int.div_euclid(power), int.rem_euclid(power));
            let up = 2 * rest > power || (2 * rest == power && low % 2 != 0);
            Ok(Value::Int((low + i128::from(up)) * power))
        }
        ("common", None) => Ok(Value::Float(round(number, digits))),
        ("ceil" | "floor", _) => {
            let power = 10f64.powi(digits);
            let scaled = number * power;
            Ok(Value::Float(if method == "ceil" { scaled.ceil() } else { scaled.floor() } / power))
        }
        _ => fault("method must be common, ceil or floor"),
    }
}

fn file_size(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("filesizeformat", ["binary"], 0)?;
    let binary = args.truth(0, false);
    let number = match value {
        Value::Str(text) => parse_float(&text.to_string()),
        other => other.float(),
    };
    let Some(number) = number else { return fault("could not convert to a size") };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if number == 1.0 {
        return Ok(Value::from("1 Byte"));
    }
    if number < base {
        return Ok(Value::from(format!("{} Bytes", number.trunc()).as_str()));
    }
    let mut unit = base * base;
    let prefixes = "KMGTPEZY";
    for (index, prefix) in prefixes.chars().enumerate() {
        if number < unit || index + 1 == prefixes.len() {
            let suffix = if binary { "iB" } else { "B" };
            let prefix = if binary || prefix != 'K' { prefix } else { 'k' };
            return Ok(Value::from(format!("{:.1} {prefix}{suffix}", base * number / unit).as_str()));
        }
        unit *= base;
    }
    fault("too large a size")
}

/// Text without what stands between `<` and `>`, and with single spaces.
fn without_tags(chars: &[Char]) -> Vec<Char> {
    let mut rest = chars;
    let mut bare = Vec::new();
    // Comments first, then tags, as markupsafe does.
    while let Some(at) = super::text::find(rest, &own("<!--")) {
        let Some(len) = super::text::find(&rest[at..], &own("-->")) else { break };
        bare.extend_from_slice(&rest[..at]);
        rest = &rest[at + len + 3..];
    }
    bare.extend_from_slice(rest);
    let mut rest = bare.as_slice();
    let mut out = Vec::new();
    while let Some(at) = rest.iter().position(|char| char.is('<')) {
        let Some(len) = rest[at..].iter().position(|char| char.is('>')) else { break };
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + len + 1..];
    }
    out.extend_from_slice(rest);
    let words = super::text::split_space(&out, None);
    unescaped(&words.join(&Char::new(' ', false)))
}

/// The commonest of HTML's entities.
fn unescaped(chars: &[Char]) -> Vec<Char> {
    let entities =
        [("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#34;", '"'), ("&#39;", '\''), ("&amp;", '&')];
    let mut out = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let entity = entities.iter().find(|(entity, _)| chars[at..].starts_with(&own(entity)));
        if let Some((entity, char)) = entity {
            out.push(chars[at].with(*char));
            at += entity.len();
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn url_quoted(chars: &[Char], safe: &str, plus: bool) -> Vec<Char> {
    let mut out = Vec::with_capacity(chars.len());
    for char in chars {
        let plain = char.char();
        if plain.is_ascii_alphanumeric() || "_.-~".contains(plain) || safe.contains(plain) {
            out.push(*char);
        } else if plus && plain == ' ' {
            out.push(char.with('+'));
        } else {
            let mut bytes = [0; 4];
            for byte in plain.encode_utf8(&mut bytes).bytes() {
                out.extend(format!("%{byte:02X}").chars().map(|other| char.with(other)));
            }
        }
    }
    out
}

fn url_encoded(value: &Value) -> Result<Value> {
    if !value.is_iterable() || matches!(value, Value::Str(_)) {
        return Ok(url_quoted(value.str()?.chars(), "/", false).into());
    }
    let pairs = match value {
        Value::Dict(dict) => {
            dict.values().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
        }
        other => other.items()?,
    };
    let mut out = Vec::new();
    for (index, pair) in pairs.into_iter().enumerate() {
        let pair = pair.items()?;
        let [name, value] = pair.as_slice() else { return fault("urlencode needs pairs") };
        if index > 0 {
            out.extend(own("&"));
        }
        out.extend(url_quoted(name.str()?.chars(), "", true));
        out.extend(own("="));
        out.extend(url_quoted(value.str()?.chars(), "", true));
    }
    Ok(out.into())
}

fn xml_attributes(run: &mut Run<'_>, value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("xmlattr", ["autospace"], 0)?;
    let Value::Dict(dict) = value else { return fault("xmlattr needs a mapping") };
    let mut out = Vec::new();
    for (name, value) in dict.values() {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let name = name.str()?;
        if name.chars().iter().any(|char| is_space(*char) || "/>=".contains(char.char())) {
            return fault(format!("Invalid character in attribute name: '{name}'"));
        }
        if !out.is_empty() || args.truth(0, true) {
            out.extend(own(" "));
        }
        out.extend_from_slice(name.escaped().chars());
        out.extend(own("=\""));
        out.extend_from_slice(value.str()?.escaped().chars());
        out.extend(own("\""));
    }
    Ok(Value::Str(Text::from(out).marked(run.autoescape)))
}

/// Filters of lists and dicts.
fn of_items(run: &mut Run<'_>, name: &str, value: &Value, call: &Call) -> Result<Value> {
    match name {
        "items" => {
            call.bind(name, [], 0)?;
            match value {
                Value::Undefined(_) => Ok(Value::generator(Vec::new())),
                Value::Dict(dict) => {
                    let pair = |(key, value): &(Value, Value)| Value::tuple(vec![key.clone(), value.clone()]);
                    Ok(Value::generator(dict.values().map(pair).collect()))
                }
                _ => fault("Can only get item pairs from a mapping."),
            }
        }
        "first" => {
            call.bind(name, [], 0)?;
            let first = first(value)?;
            Ok(first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
        }
        "last" => {
            call.bind(name, [], 0)?;
            if matches!(value, Value::Object(object) if matches!(**object, Object::Generator(_))) {
                return fault("'generator' object is not reversible");
            }
            Ok(value.items()?.pop().unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
        }
        "random" => {
            call.bind(name, [], 0)?;
            let items = value.items()?;
            if items.is_empty() {
                return Ok(Value::undefined("No random item, sequence was empty."));
            }
            let now = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).unwrap_or_default();
            Ok(items[now.subsec_nanos() as usize % items.len()].clone())
        }
        "list" => {
            call.bind(name, [], 0)?;
            Ok(Value::list(value.items()?))
        }
        "reverse" => {
            call.bind(name, [], 0)?;
            if let Value::Str(text) = value {
                let chars: Text = text.chars().iter().rev().copied().collect();
                return Ok(Value::Str(chars.marked(text.safe)));
            }
            let mut items = value.items()?;
            items.reverse();
            Ok(Value::generator(items))
        }
        "batch" | "slice" => {
            let args = call.bind(name, ["size", "fill_with"], 1)?;
            let size = usize::try_from(super::call::int(args.get(0).unwrap_or(&Value::None))?).unwrap_or(0);
            let groups = if name == "batch" {
                batches(value.items()?, size, args.some(1))
            } else {
                slices(&value.items()?, size, args.some(1))?
            };
            Ok(Value::generator(groups))
        }
        "join" => {
            let args = call.bind(name, ["d", "attribute"], 0)?;
            let mut items = value.items()?;
            if let Some(attribute) = args.some(1) {
                items = items.iter().map(|item| by_path(item, attribute, None)).collect::<Result<_>>()?;
            }
            joined(run, &items, args.get(0))
        }
        "sum" => {
            let args = call.bind(name, ["attribute", "start"], 0)?;
            let mut total = args.get(1).cloned().unwrap_or(Value::Int(0));
            if matches!(total, Value::Str(_)) {
                return fault("sum() can't sum strings [use ''.join(seq) instead]");
            }
            for item in value.items()? {
                let item = match args.some(0) {
                    Some(attribute) => by_path(&item, attribute, None)?,
                    None => item,
                };
                total = ops::binary(Op::Add, &total, &item)?;
                run.spend(1 + total.len().unwrap_or(0) / 16)?;
            }
            Ok(total)
        }
        "min" | "max" => extreme(name, value, call),
        "sort" => sort(value, call),
        "dictsort" => dictsort(value, call),
        "unique" => {
            let args = call.bind(name, ["case_sensitive", "attribute"], 0)?;
            let (sensitive, attribute) = (args.truth(0, false), args.some(1));
            let mut seen = std::collections::HashSet::new();
            let mut kept = Vec::new();
            for item in value.items()? {
                if seen.insert(key(&sort_key(&item, attribute, sensitive)?)?) {
                    kept.push(item);
                }
            }
            Ok(Value::generator(kept))
        }
        _ => groupby(value, call),
    }
}

/// The first item; of what can be gone through once, only that is taken.
fn first(value: &Value) -> Result<Option<Value>> {
    if let Value::Object(object) = value
        && let Object::Generator(items) = &**object
    {
        return Ok(items.borrow_mut().pop_front());
    }
    Ok(value.items()?.into_iter().next())
}

fn batches(items: Vec<Value>, size: usize, fill: Option<&Value>) -> Vec<Value> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for item in items {
        if group.len() == size {
            groups.push(Value::list(std::mem::take(&mut group)));
        }
        group.push(item);
    }
    if !group.is_empty() {
        if let Some(fill) = fill {
            group.resize(group.len().max(size.min(LARGEST)), fill.clone());
        }
        groups.push(Value::list(group));
    }
    groups
}

fn slices(items: &[Value], count: usize, fill: Option<&Value>) -> Result<Vec<Value>> {
    if count == 0 {
        return fault("integer division or modulo by zero");
    }
    if count > LARGEST {
        return Err(Fault::Exhausted);
    }
    let (each, more) = (items.len() / count, items.len() % count);
    let mut start = 0;
    Ok((0..count)
        .map(|index| {
            let end = start + each + usize::from(index < more);
            let mut group = items[start..end].to_vec();
            start = end;
            if index >= more {
                group.extend(fill.cloned());
            }
            Value::list(group)
        })
        .collect())
}

/// `join`: with escaping on, what is not safe is escaped as soon as something is.
fn joined(run: &mut Run<'_>, items: &[Value], separator: Option<&Value>) -> Result<Value> {
    let separator = separator.map_or_else(|| Ok(Text::from("")), Value::str)?;
    let is_safe = |value: &Value| matches!(value, Value::Str(text) if text.safe);
    let safe = run.autoescape && (separator.safe || items.iter().any(is_safe));
    let written = |text: Text| if safe { text.escaped() } else { text };
    let separator = written(separator);
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator.chars());
        }
        out.extend_from_slice(written(item.str()?).chars());
        run.spend(1 + (out.len() / 16).min(1 + separator.len() / 16))?;
    }
    // Without escaping Python's own join is used, which a safe separator makes safe.
    Ok(Value::Str(Text::from(out).marked(safe)))
}

/// `attribute` of a value: a name, a number, or several with dots between.
fn by_path(value: &Value, path: &Value, default: Option<&Value>) -> Result<Value> {
    let mut value = value.clone();
    let parts = match path {
        Value::Str(path) => path
            .to_string()
            .split('.')
            .map(|part| {
                let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                part.parse().ok().filter(|_| is_number).map_or_else(|| Value::from(part), Value::Int)
            })
            .collect(),
        other => vec![other.clone()],
    };
    for part in parts {
        value = ops::item(&value, &part)?;
        if let (Value::Undefined(_), Some(default)) = (&value, default) {
            value = default.clone();
        }
    }
    Ok(value)
}

fn map(run: &mut Run<'_>, value: &Value, call: &Call) -> Result<Value> {
    let items = if value.truth() || value.is_iterable() { value.items()? } else { Vec::new() };
    run.spend(items.len())?;
    if call.positional.is_empty() {
        let named =
            |name: &str| call.named.iter().find(|(other, _)| &**other == name).map(|(_, value)| value);
        if let Some((name, _)) =
            call.named.iter().find(|(name, _)| !matches!(&**name, "attribute" | "default"))
        {
            return fault(format!("Unexpected keyword argument '{name}'"));
        }
        let Some(attribute) = named("attribute") else { return fault("map requires a filter argument") };
        let default = named("default").filter(|default| !matches!(default, Value::None));
        let mapped = items.iter().map(|item| by_path(item, attribute, default)).collect::<Result<_>>()?;
        return Ok(Value::generator(mapped));
    }
    let (name, rest) =
        call.positional.split_first().map_or((Value::None, &[][..]), |(name, rest)| (name.clone(), rest));
    let name = text(&name)?.to_string();
    let call = Call { positional: rest.to_vec(), named: call.named.clone() };
    let mut mapped = Vec::with_capacity(items.len());
    for item in &items {
        mapped.push(apply(run, &name, item, &call)?);
    }
    Ok(Value::generator(mapped))
}

fn select(run: &mut Run<'_>, name: &str, value: &Value, call: &Call) -> Result<Value> {
    let items = if value.truth() || value.is_iterable() { value.items()? } else { Vec::new() };
    run.spend(items.len())?;
    let mut rest = call.positional.as_slice();
    let by_attribute = name.ends_with("attr");
    let mut attribute = None;
    if by_attribute {
        let Some((first, more)) = rest.split_first() else {
            return fault("Missing parameter for attribute name");
        };
        attribute = Some(first);
        rest = more;
    }
    let test = match rest.split_first() {
        Some((test, more)) => {
            Some((text(test)?.to_string(), Call { positional: more.to_vec(), named: call.named.clone() }))
        }
        None => None,
    };
    let mut kept = Vec::new();
    for item in items {
        let tested = match attribute {
            Some(attribute) => by_path(&item, attribute, None)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some((test, call)) => tests::apply(test, &tested, call)?,
            None => tested.truth(),
        };
        if holds != name.starts_with("reject") {
            kept.push(item);
        }
    }
    Ok(Value::generator(kept))
}

/// What is compared of an item: strings without regard to case, unless that is asked for.
fn sort_key(item: &Value, attribute: Option<&Value>, sensitive: bool) -> Result<Value> {
    let item = match attribute {
        Some(attribute) => by_path(item, attribute, None)?,
        None => item.clone(),
    };
    Ok(match item {
        Value::Str(text) if !sensitive => lower(text.chars()).into(),
        other => other,
    })
}

/// Sorts by a key; equal ones stay in their order.
pub(super) fn sort_by<T: Clone>(items: &mut Vec<T>, key: impl Fn(&T) -> Value, reverse: bool) -> Result<()> {
    let mut failed = None;
    let mut keyed: Vec<(Value, T)> = items.drain(..).map(|item| (key(&item), item)).collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        a.order(b).unwrap_or_else(|fault| {
            failed.get_or_insert(fault);
            Ordering::Equal
        })
    });
    items.extend(keyed.into_iter().map(|(_, item)| item));
    failed.map_or(Ok(()), Err)
}

fn sort(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("sort", ["reverse", "case_sensitive", "attribute"], 0)?;
    let sensitive = args.truth(1, false);
    let paths: Vec<Value> = match args.some(2) {
        Some(Value::Str(text)) => text.to_string().split(',').map(Value::from).collect(),
        Some(other) => vec![other.clone()],
        None => Vec::new(),
    };
    let mut keyed = Vec::new();
    for item in value.items()? {
        let key = match paths.as_slice() {
            [] => sort_key(&item, None, sensitive)?,
            paths => {
                let keys = paths.iter().map(|path| sort_key(&item, Some(path), sensitive));
                Value::list(keys.collect::<Result<_>>()?)
            }
        };
        keyed.push((key, item));
    }
    sort_by(&mut keyed, |(key, _)| key.clone(), args.truth(0, false))?;
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).collect()))
}

fn dictsort(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
    let Value::Dict(dict) = value else {
        return fault(format!("'{}' object has no attribute 'items'", value.type_name()));
    };
    let by_value = match args.text(1)?.map(|by| by.to_string()).as_deref() {
        None | Some("key") => false,
        Some("value") => true,
        Some(_) => return fault("You can only sort by either \"key\" or \"value\""),
    };
    let mut pairs = Vec::new();
    for (key, value) in dict.values() {
        let by = sort_key(if by_value { value } else { key }, None, args.truth(0, false))?;
        pairs.push((by, Value::tuple(vec![key.clone(), value.clone()])));
    }
    sort_by(&mut pairs, |(by, _)| by.clone(), args.truth(2, false))?;
    Ok(Value::list(pairs.into_iter().map(|(_, pair)| pair).collect()))
}

fn extreme(name: &str, value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind(name, ["case_sensitive", "attribute"], 0)?;
    let mut best: Option<(Value, Value)> = None;
    for item in value.items()? {
        let key = sort_key(&item, args.some(1), args.truth(0, false))?;
        let better = match &best {
            None => true,
            Some((other, _)) if name == "max" => other.order(&key)? == Ordering::Less,
            Some((other, _)) => key.order(other)? == Ordering::Less,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("No aggregated item, sequence was empty."), |(_, item)| item))
}

fn groupby(value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
    let attribute = args.get(0).unwrap_or(&Value::None);
    let sensitive = args.truth(2, false);
    let mut keyed = Vec::new();
    for item in value.items()? {
        let group = by_path(&item, attribute, args.some(1))?;
        keyed.push((sort_key(&group, None, sensitive)?, group, item));
    }
    sort_by(&mut keyed, |(key, ..)| key.clone(), false)?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (key, group, item) in keyed {
        match groups.last_mut() {
            Some((other, _, items)) if other.equals(&key) => items.push(item),
            _ => groups.push((key, group, vec![item])),
        }
    }
    let group = |(_, group, items): (Value, Value, Vec<Value>)| {
        Value::object(Object::Group(group, Value::list(items)))
    };
    Ok(Value::list(groups.into_iter().map(group).collect()))
}
