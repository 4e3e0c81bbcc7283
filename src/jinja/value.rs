//! Values of templates, with Python's types and rules.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use indexmap::IndexMap;

use super::ast::Macro;
use super::eval::Scope;
use super::fault::{Fault, Result, fault};
use super::text::{Char, Text, own};

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// What a name without a value gives; with words for an error.
    Undefined(Rc<str>),
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// Python's have no limit, these have 128 bits; beyond is an error.
    Int(i128),
    /// A float.
    Float(f64),
    /// A string.
    Str(Text),
    /// What `encode` gives.
    Bytes(Rc<[u8]>),
    /// A list; the sandbox lets nobody change it.
    List(Rc<Vec<Value>>),
    /// A tuple.
    Tuple(Rc<Vec<Value>>),
    /// A dict.
    Dict(Rc<Dict>),
    /// Everything else.
    Object(Rc<Object>),
}

/// Values that are no data.
#[derive(Debug)]
pub(crate) enum Object {
    /// `range(start, stop, step)`.
    Range(i128, i128, i128),
    /// `dict.items()` and its like.
    View(View, Rc<Dict>),
    /// What `map`, `select` and the like give: it can be gone through once.
    Generator(RefCell<std::collections::VecDeque<Value>>),
    /// A group of `groupby`: a tuple whose parts have names.
    Group(Value, Value),
    /// `namespace()`.
    Namespace(RefCell<Dict>),
    /// A macro with the variables around it.
    Macro(Rc<Macro>, Rc<Scope>),
    /// `loop`.
    Loop(RefCell<LoopState>),
    /// `cycler(...)`.
    Cycler(Vec<Value>, RefCell<usize>),
    /// `joiner(...)`.
    Joiner(Value, RefCell<bool>),
    /// A function of the environment.
    Function(&'static str),
    /// A method and whose it is.
    Method(Value, &'static str),
}

/// What of a dict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Pairs.
    Items,
    /// Keys.
    Keys,
    /// Values.
    Values,
}

/// Where a loop is.
#[derive(Debug)]
pub(crate) struct LoopState {
    pub(super) items: Rc<Vec<Value>>,
    pub(super) index0: usize,
    pub(super) depth0: usize,
    /// What `changed` was last called with.
    pub(super) last: Option<Vec<Value>>,
    /// The loop that `loop(...)` begins anew, with the variables around it.
    pub(super) again: Option<(Rc<super::ast::For>, Rc<Scope>)>,
}

/// A key of a dict: numbers that are equal are the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// `None`.
    None,
    /// Whole numbers, and what equals them.
    Int(i128),
    /// The bits of another float.
    Float(u64),
    /// A string.
    Str(String),
    /// A tuple.
    Tuple(Vec<Key>),
    /// Any undefined value.
    Undefined,
}

/// A dict in the order of its making.
pub(crate) type Dict = IndexMap<Key, (Value, Value)>;

/// The key of a value.
pub(crate) fn key(value: &Value) -> Result<Key> {
    Ok(match value {
        Value::Undefined(_) => Key::Undefined,
        Value::None => Key::None,
        Value::Bool(flag) => Key::Int(i128::from(*flag)),
        Value::Int(int) => Key::Int(*int),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e30 => Key::Int(*float as i128),
        Value::Float(float) => Key::Float(float.to_bits()),
        Value::Str(text) => Key::Str(text.to_string()),
        Value::Tuple(items) => Key::Tuple(items.iter().map(key).collect::<Result<_>>()?),
        other => return fault(format!("unhashable type: {}", other.type_name())),
    })
}

/// Puts a pair into a dict; an equal key keeps its form and its place.
pub(crate) fn put(dict: &mut Dict, name: Value, value: Value) -> Result<()> {
    let entry = dict.entry(key(&name)?);
    entry.and_modify(|pair| pair.1 = value.clone()).or_insert((name, value));
    Ok(())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<Vec<Char>> for Value {
    fn from(chars: Vec<Char>) -> Self {
        Self::Str(chars.into())
    }
}

impl From<usize> for Value {
    fn from(size: usize) -> Self {
        Self::Int(size as i128)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl Value {
    /// A value of JSON; every character in it, keys included, is marked as a user's where `users` says so.
    pub(crate) fn from_json(json: &serde_json::Value, users: bool) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::None,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(int), _) => Self::Int(int),
                (None, float) => Self::Float(float.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Str(Text::new(text, users)),
            Json::Array(items) => Self::list(items.iter().map(|item| Self::from_json(item, users)).collect()),
            Json::Object(fields) => {
                let pair = |(name, value): (&String, &Json)| {
                    let key = Self::Str(Text::new(name, users));
                    (Key::Str(name.clone()), (key, Self::from_json(value, users)))
                };
                Self::Dict(Rc::new(fields.iter().map(pair).collect()))
            }
        }
    }

    pub(super) fn undefined(words: impl AsRef<str>) -> Self {
        Self::Undefined(words.as_ref().into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(items))
    }

    pub(super) fn object(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(super) fn generator(items: Vec<Self>) -> Self {
        Self::object(Object::Generator(RefCell::new(items.into())))
    }

    /// The name of its type in Python.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Object(object) => match &**object {
                Object::Range(..) => "range",
                Object::View(View::Items, _) => "dict_items",
                Object::View(View::Keys, _) => "dict_keys",
                Object::View(View::Values, _) => "dict_values",
                Object::Generator(_) => "generator",
                Object::Group(..) => "tuple",
                Object::Namespace(_) => "Namespace",
                Object::Macro(..) => "Macro",
                Object::Loop(_) => "LoopContext",
                Object::Cycler(..) => "Cycler",
                Object::Joiner(..) => "Joiner",
                Object::Function(_) => "function",
                Object::Method(..) => "method",
            },
        }
    }

    /// `bool(value)`.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(int) => *int != 0,
            Self::Float(float) => *float != 0.0,
            _ => self.len().is_none_or(|len| len > 0),
        }
    }

    /// `len(value)`; `None` where Python has none.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Str(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::List(items) | Self::Tuple(items) => Some(items.len()),
            Self::Dict(dict) => Some(dict.len()),
            Self::Object(object) => match &**object {
                Object::Range(start, stop, step) => Some(range_len(*start, *stop, *step)),
                Object::View(_, dict) => Some(dict.len()),
                Object::Group(..) => Some(2),
                Object::Loop(state) => Some(state.borrow().items.len()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The items that a loop over it sees.
    pub(super) fn items(&self) -> Result<Vec<Self>> {
        Ok(match self {
            Self::Undefined(_) => Vec::new(),
            Self::Str(text) => {
                text.chars().iter().map(|char| Self::Str(std::slice::from_ref(char).into())).collect()
            }
            Self::Bytes(bytes) => bytes.iter().map(|byte| Self::Int(i128::from(*byte))).collect(),
            Self::List(items) | Self::Tuple(items) => items.to_vec(),
            Self::Dict(dict) => dict.values().map(|(key, _)| key.clone()).collect(),
            Self::Object(object) => match &**object {
                Object::Range(start, stop, step) => (0..range_len(*start, *stop, *step))
                    .map(|i| Self::Int(start + i as i128 * step))
                    .collect(),
                Object::View(view, dict) => dict.values().map(|pair| view.of(pair)).collect(),
                Object::Generator(items) => items.borrow_mut().drain(..).collect(),
                Object::Group(key, items) => vec![key.clone(), items.clone()],
                _ => return fault(format!("'{}' object is not iterable", self.type_name())),
            },
            _ => return fault(format!("'{}' object is not iterable", self.type_name())),
        })
    }

    pub(super) fn is_iterable(&self) -> bool {
        match self {
            Self::Object(object) => {
                matches!(
                    **object,
                    Object::Range(..)
                        | Object::View(..)
                        | Object::Generator(_)
                        | Object::Group(..)
                        | Object::Loop(_)
                )
            }
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) => false,
            _ => true,
        }
    }

    /// A number, and whether it is whole.
    pub(super) fn int(&self) -> Option<i128> {
        match self {
            Self::Bool(flag) => Some(i128::from(*flag)),
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Float(float) => Some(*float),
            other => other.int().map(|int| int as f64),
        }
    }

    /// The items of a list, or of a tuple.
    fn sequence(&self) -> Option<(bool, Vec<Self>)> {
        match self {
            Self::List(items) => Some((true, items.to_vec())),
            Self::Tuple(items) => Some((false, items.to_vec())),
            Self::Object(object) => match &**object {
                Object::Group(key, items) => Some((false, vec![key.clone(), items.clone()])),
                _ => None,
            },
            _ => None,
        }
    }

    /// `a == b`.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a.chars() == b.chars(),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, (_, value))| b.get(key).is_some_and(|(_, other)| value.equals(other)))
            }
            (Self::Object(a), Self::Object(b)) if Rc::ptr_eq(a, b) => true,
            (Self::Object(a), Self::Object(b)) => match (&**a, &**b) {
                (Object::Range(..), Object::Range(..)) => {
                    let items = |value: &Self| value.items().unwrap_or_default();
                    all_equal(&items(self), &items(other))
                }
                (Object::Function(a), Object::Function(b)) => a == b,
                (Object::Group(..), Object::Group(..)) => self.sequence_equals(other),
                _ => false,
            },
            _ => match (self.int(), other.int()) {
                (Some(a), Some(b)) => a == b,
                _ => match (self.float(), other.float()) {
                    (Some(a), Some(b)) => a == b,
                    _ => self.sequence_equals(other),
                },
            },
        }
    }

    fn sequence_equals(&self, other: &Self) -> bool {
        match (self.sequence(), other.sequence()) {
            (Some((list, a)), Some((other_list, b))) => list == other_list && all_equal(&a, &b),
            _ => false,
        }
    }

    /// The order of two values, for `<` and for sorting.
    pub(super) fn order(&self, other: &Self) -> Result<Ordering> {
        if let (Some(a), Some(b)) = (self.int(), other.int()) {
            return Ok(a.cmp(&b));
        }
        if let (Some(a), Some(b)) = (self.float(), other.float()) {
            // NaN is neither less nor greater; `less` asks for the one only.
            return Ok(a.partial_cmp(&b).unwrap_or(Ordering::Greater));
        }
        if let (Self::Str(a), Self::Str(b)) = (self, other) {
            return Ok(a
                .chars()
                .iter()
                .map(|char| char.char())
                .cmp(b.chars().iter().map(|char| char.char())));
        }
        if let (Some((list, a)), Some((other_list, b))) = (self.sequence(), other.sequence())
            && list == other_list
        {
            for (a, b) in a.iter().zip(&b) {
                if !a.equals(b) {
                    return a.order(b);
                }
            }
            return Ok(a.len().cmp(&b.len()));
        }
        match (self, other) {
            (Self::Undefined(words), _) | (_, Self::Undefined(words)) => fault(words.to_string()),
            _ => fault(format!(
                "'<' not supported between instances of '{}' and '{}'",
                self.type_name(),
                other.type_name()
            )),
        }
    }

    /// `item in self`.
    pub(super) fn contains(&self, item: &Self) -> Result<bool> {
        match self {
            Self::Str(text) => match item {
                Self::Str(part) => Ok(super::text::find(text.chars(), part.chars()).is_some()),
                Self::Undefined(words) => fault(words.to_string()),
                other => {
                    fault(format!("'in <string>' requires string as left operand, not {}", other.type_name()))
                }
            },
            Self::Dict(dict) => Ok(dict.contains_key(&key(item)?)),
            Self::Object(object) => match &**object {
                Object::View(View::Keys, dict) => Ok(dict.contains_key(&key(item)?)),
                Object::Namespace(_) | Object::Macro(..) | Object::Function(_) => {
                    fault(format!("argument of type '{}' is not iterable", self.type_name()))
                }
                _ => Ok(self.items()?.iter().any(|other| other.equals(item))),
            },
            _ => Ok(self.items()?.iter().any(|other| other.equals(item))),
        }
    }

    /// `str(value)`.
    pub(super) fn str(&self) -> Result<Text> {
        match self {
            Self::Undefined(_) => Ok(Text::from("")),
            Self::Str(text) => Ok(text.clone()),
            other => Ok(other.repr()?.into()),
        }
    }

    /// `repr(value)`.
    pub(super) fn repr(&self) -> Result<Vec<Char>> {
        Ok(match self {
            Self::Undefined(_) => own("Undefined"),
            Self::None => own("None"),
            Self::Bool(flag) => own(if *flag { "True" } else { "False" }),
            Self::Int(int) => own(&int.to_string()),
            Self::Float(float) => own(&super::number::float(*float)),
            Self::Str(text) if text.safe => wrapped("Markup(", quoted(text.chars()), ")"),
            Self::Str(text) => quoted(text.chars()),
            Self::Bytes(bytes) => {
                let mut out = own("b'");
                for byte in bytes.iter() {
                    match byte {
                        b'\\' | b'\'' => out.extend(own(&format!("\\{}", char::from(*byte)))),
                        b'\n' => out.extend(own("\\n")),
                        b'\r' => out.extend(own("\\r")),
                        b'\t' => out.extend(own("\\t")),
                        0x20..=0x7e => out.push(Char::new(char::from(*byte), false)),
                        other => out.extend(own(&format!("\\x{other:02x}"))),
                    }
                }
                out.extend(own("'"));
                out
            }
            Self::List(items) => wrapped("[", joined(items)?, "]"),
            Self::Tuple(items) => match items.as_slice() {
                [one] => wrapped("(", one.repr()?, ",)"),
                items => wrapped("(", joined(items)?, ")"),
            },
            Self::Dict(dict) => {
                let mut out = Vec::new();
                for (index, (key, value)) in dict.values().enumerate() {
                    if index > 0 {
                        out.extend(own(", "));
                    }
                    out.extend(key.repr()?);
                    out.extend(own(": "));
                    out.extend(value.repr()?);
                }
                wrapped("{", out, "}")
            }
            Self::Object(object) => match &**object {
                Object::Range(start, stop, 1) => own(&format!("range({start}, {stop})")),
                Object::Range(start, stop, step) => own(&format!("range({start}, {stop}, {step})")),
                Object::View(view, dict) => {
                    let items: Vec<_> = dict.values().map(|pair| view.of(pair)).collect();
                    let inner = wrapped("[", joined(&items)?, "]");
                    wrapped(&format!("{}(", self.type_name()), inner, ")")
                }
                Object::Group(key, items) => wrapped("(", joined(&[key.clone(), items.clone()])?, ")"),
                Object::Namespace(dict) => {
                    wrapped("<Namespace ", Self::Dict(Rc::new(dict.borrow().clone())).repr()?, ">")
                }
                Object::Macro(body, _) => wrapped("<Macro ", quoted(&own(&body.name)), ">"),
                Object::Loop(state) => {
                    let state = state.borrow();
                    own(&format!("<LoopContext {}/{}>", state.index0 + 1, state.items.len()))
                }
                // Python would write an address in memory.
                _ => return Err(Fault::Unsupported(format!("to write out a {}", self.type_name()))),
            },
        })
    }
}

impl View {
    fn of(self, (key, value): &(Value, Value)) -> Value {
        match self {
            Self::Items => Value::tuple(vec![key.clone(), value.clone()]),
            Self::Keys => key.clone(),
            Self::Values => value.clone(),
        }
    }
}

fn all_equal(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
}

fn range_len(start: i128, stop: i128, step: i128) -> usize {
    let span = if step > 0 { stop - start } else { start - stop };
    if span <= 0 { 0 } else { usize::try_from((span - 1) / step.abs() + 1).unwrap_or(usize::MAX) }
}

fn wrapped(before: &str, inner: Vec<Char>, after: &str) -> Vec<Char> {
    own(before).into_iter().chain(inner).chain(own(after)).collect()
}

fn joined(items: &[Value]) -> Result<Vec<Char>> {
    let mut out = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.extend(own(", "));
        }
        out.extend(item.repr()?);
    }
    Ok(out)
}

/// `repr` of a string: in single quotes unless it has some and no double ones.
fn quoted(chars: &[Char]) -> Vec<Char> {
    let has = |quote: char| chars.iter().any(|char| char.is(quote));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    let mut out = own(&quote.to_string());
    for char in chars {
        let escape = match char.char() {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\\' => "\\\\".to_owned(),
            other if other == quote => format!("\\{other}"),
            other if is_printable(other) => {
                out.push(*char);
                continue;
            }
            other => match u32::from(other) {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            },
        };
        out.extend(escape.chars().map(|other| char.with(other)));
    }
    out.push(Char::new(quote, false));
    out
}

/// `str.isprintable` of a character: no separator but the space, nothing of the kinds "other".
pub(super) fn is_printable(char: char) -> bool {
    let escape = || char.escape_debug().len() > 1;
    match char {
        ' ' | '"' | '\'' | '\\' => true,
        // Marks that combine are printable; Rust writes them as escapes at a text's beginning.
        _ if char.is_whitespace() || char.is_control() => false,
        '\u{300}'..='\u{36f}' => true,
        _ if !escape() => true,
        _ => is_mark(char),
    }
}

/// Marks that combine with the letter before.
fn is_mark(char: char) -> bool {
    use unicode_categories::UnicodeCategories;
    char.is_mark()
}
