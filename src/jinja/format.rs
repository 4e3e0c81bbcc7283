//! Python's two ways to write values into a text: `'%s' % value` and `'{}'.format(value)`.

use super::call::int;
use super::eval::{LARGEST, Run};
use super::fault::{Fault, Result, fault};
use super::number::{general, grouped, round, scientific};
use super::ops;
use super::text::{Char, Text, own, pad};
use super::value::{Key, Value};

/// How a value is laid out.
#[derive(Debug, Default, Clone)]
struct Spec {
    fill: Option<Char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    /// `+`, a space or nothing.
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    /// `,` or `_`.
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    /// Puts `sign` and `digits` into the width.
    fn number(&self, sign: &str, digits: &str) -> Vec<Char> {
        let align = self.align.unwrap_or(if self.zero { '=' } else { '>' });
        let fill = self.fill.unwrap_or(Char::new(if self.zero { '0' } else { ' ' }, false));
        if align == '=' {
            let room = self.width.saturating_sub(sign.chars().count());
            return [own(sign), pad(&own(digits), room, fill, true, false)].concat();
        }
        self.padded(&own(&format!("{sign}{digits}")), align, fill)
    }

    fn padded(&self, chars: &[Char], align: char, fill: Char) -> Vec<Char> {
        match align {
            '<' => pad(chars, self.width, fill, false, true),
            // Python's format puts the odd space behind.
            '^' => {
                let missing = self.width.saturating_sub(chars.len());
                let left = pad(chars, chars.len() + missing / 2, fill, true, false);
                pad(&left, self.width, fill, false, true)
            }
            _ => pad(chars, self.width, fill, true, false),
        }
    }

    fn text(&self, chars: &[Char]) -> Vec<Char> {
        let chars = &chars[..self.precision.unwrap_or(chars.len()).min(chars.len())];
        let fill = self.fill.unwrap_or(Char::new(if self.zero { '0' } else { ' ' }, false));
        self.padded(chars, self.align.unwrap_or('<'), fill)
    }

    fn sign_of(&self, negative: bool) -> &'static str {
        match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        }
    }

    fn whole(&self, value: i128, kind: char) -> Vec<Char> {
        let magnitude = value.unsigned_abs();
        let (prefix, digits) = match kind {
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            'o' => ("0o", format!("{magnitude:o}")),
            'b' => ("0b", format!("{magnitude:b}")),
            _ => ("", magnitude.to_string()),
        };
        let digits = match self.group {
            Some(separator) => grouped(&digits, separator),
            None => digits,
        };
        let prefix = if self.alternate { prefix } else { "" };
        self.number(&format!("{}{prefix}", self.sign_of(value < 0)), &digits)
    }

    fn float(&self, value: f64, kind: char) -> Vec<Char> {
        let magnitude = value.abs();
        let precision = self.precision.unwrap_or(6);
        let upper = kind.is_ascii_uppercase();
        let digits = if value.is_nan() {
            "nan".to_owned()
        } else if value.is_infinite() {
            "inf".to_owned()
        } else {
            match kind.to_ascii_lowercase() {
                'e' => scientific(magnitude, precision),
                'g' => general(magnitude, precision, self.alternate),
                '%' => format!("{:.precision$}%", magnitude * 100.0),
                _ => format!("{magnitude:.precision$}"),
            }
        };
        let digits = match (self.group, digits.find(['.', 'e', '%'])) {
            (Some(separator), Some(at)) => format!("{}{}", grouped(&digits[..at], separator), &digits[at..]),
            (Some(separator), None) => grouped(&digits, separator),
            (None, _) => digits,
        };
        let digits = if upper { digits.to_uppercase() } else { digits };
        self.number(self.sign_of(value.is_sign_negative() && !value.is_nan()), &digits)
    }
}

/// Decimal digits at the beginning, as a number.
fn digits(chars: &[Char], at: &mut usize) -> Result<Option<usize>> {
    let start = *at;
    let mut value = 0usize;
    while let Some(digit) = chars.get(*at).and_then(|char| char.char().to_digit(10)) {
        value = value.saturating_mul(10).saturating_add(digit as usize);
        *at += 1;
    }
    if value > LARGEST {
        return Err(Fault::Exhausted);
    }
    Ok((*at > start).then_some(value))
}

/// `format % values`.
pub(super) fn percent(format: &Text, values: &Value) -> Result<Value> {
    let chars = format.chars();
    let mut out = Vec::new();
    let mut args = Arguments { values, at: 0, named: false };
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        at += 1;
        if !char.is('%') {
            out.push(*char);
            continue;
        }
        let mut value = None;
        if chars.get(at).is_some_and(|char| char.is('(')) {
            let Some(len) = chars[at..].iter().position(|char| char.is(')')) else {
                return fault("incomplete format key");
            };
            let name = Text::from(&chars[at + 1..at + len]).to_string();
            value = Some(args.named(&name)?);
            at += len + 1;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.get(at).map(|char| char.char()).filter(|flag| "-+ #0".contains(*flag)) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                _ => spec.zero = true,
            }
            at += 1;
        }
        spec.width = args.size(chars, &mut at)?.map_or(0, |width| {
            if width < 0 {
                spec.align = Some('<');
            }
            usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX)
        });
        if chars.get(at).is_some_and(|char| char.is('.')) {
            at += 1;
            let precision = args.size(chars, &mut at)?.unwrap_or(0).max(0);
            spec.precision = Some(usize::try_from(precision).unwrap_or(usize::MAX));
        }
        if spec.width > LARGEST || spec.precision.is_some_and(|precision| precision > LARGEST) {
            return Err(Fault::Exhausted);
        }
        while chars.get(at).is_some_and(|char| "hlL".contains(char.char())) {
            at += 1;
        }
        let Some(kind) = chars.get(at).map(|char| char.char()) else { return fault("incomplete format") };
        at += 1;
        if kind == '%' {
            out.push(chars[at - 1]);
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => args.next()?,
        };
        out.extend(converted(kind, &value, spec, format.safe)?);
    }
    args.check_all_used()?;
    Ok(Value::Str(Text::from(out).marked(format.safe)))
}

/// The values of `%`.
struct Arguments<'a> {
    values: &'a Value,
    at: usize,
    named: bool,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value> {
        self.at += 1;
        match self.values {
            Value::Tuple(items) => match items.get(self.at - 1) {
                Some(item) => Ok(item.clone()),
                None => fault("not enough arguments for format string"),
            },
            one if self.at == 1 => Ok(one.clone()),
            _ => fault("not enough arguments for format string"),
        }
    }

    fn named(&mut self, name: &str) -> Result<Value> {
        let Value::Dict(dict) = self.values else { return fault("format requires a mapping") };
        self.named = true;
        match dict.get(&Key::Str(name.to_owned())) {
            Some((_, value)) => Ok(value.clone()),
            None => fault(format!("KeyError: '{name}'")),
        }
    }

    /// A width or a precision: digits, or `*` for the next value.
    fn size(&mut self, chars: &[Char], at: &mut usize) -> Result<Option<i128>> {
        if chars.get(*at).is_some_and(|char| char.is('*')) {
            *at += 1;
            return int(&self.next()?).map(Some);
        }
        Ok(digits(chars, at)?.map(|size| size as i128))
    }

    fn check_all_used(&self) -> Result<()> {
        let left = match self.values {
            Value::Tuple(items) => self.at < items.len(),
            Value::Dict(_) | Value::List(_) => false,
            _ => self.at == 0 && !self.named,
        };
        if left { fault("not all arguments converted during string formatting") } else { Ok(()) }
    }
}

fn converted(kind: char, value: &Value, mut spec: Spec, safe: bool) -> Result<Vec<Char>> {
    let right = spec.align.is_none();
    let mut text = |text: Text| {
        let text = if safe { text.escaped() } else { text };
        spec.zero = false;
        spec.align = Some(if right { '>' } else { '<' });
        Ok(spec.text(text.chars()))
    };
    match kind {
        's' => text(value.str()?),
        'r' => text(value.repr()?.into()),
        'a' => text(value.repr()?.iter().flat_map(|char| ascii(*char)).collect()),
        'c' => match (value, value.int()) {
            (Value::Str(one), _) if one.len() == 1 => text(one.clone()),
            (_, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                Some(char) => text(Text::new(char.encode_utf8(&mut [0; 4]), false)),
                None => fault("%c arg not in range(0x110000)"),
            },
            _ => fault("%c requires int or char"),
        },
        'd' | 'i' | 'u' => match (value, value.int()) {
            (_, Some(int)) => Ok(whole_with_precision(&spec, int, 'd')),
            (Value::Float(float), _) if float.is_finite() => {
                Ok(whole_with_precision(&spec, float.trunc() as i128, 'd'))
            }
            _ => fault(format!("%{kind} format: a real number is required, not {}", value.type_name())),
        },
        'o' | 'x' | 'X' => match value.int() {
            Some(int) => Ok(whole_with_precision(&spec, int, kind)),
            None => fault(format!("%{kind} format: an integer is required, not {}", value.type_name())),
        },
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match value.float() {
            Some(float) => {
                if !float.is_finite() {
                    spec.zero = false;
                }
                if spec.align.is_some() {
                    spec.zero = false;
                }
                Ok(spec.float(float, kind))
            }
            None => fault(format!("must be real number, not {}", value.type_name())),
        },
        other => fault(format!("unsupported format character '{other}'")),
    }
}

/// A precision of a whole number means digits at least.
fn whole_with_precision(spec: &Spec, value: i128, kind: char) -> Vec<Char> {
    let mut spec = spec.clone();
    if spec.align.is_some() {
        spec.zero = false;
    }
    let Some(precision) = spec.precision.take() else { return spec.whole(value, kind) };
    let bare = Spec { alternate: spec.alternate, ..Spec::default() }.whole(value.saturating_abs(), kind);
    let digits = Text::from(bare).to_string();
    let digits = format!("{digits:0>precision$}");
    spec.number(spec.sign_of(value < 0), &digits)
}

/// A character as ASCII writes it.
fn ascii(char: Char) -> Vec<Char> {
    let escape = match u32::from(char.char()) {
        0..=0x7f => return vec![char],
        code @ 0x80..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    escape.chars().map(|other| char.with(other)).collect()
}

/// Where `{}` get their values.
struct Fields<'a> {
    positional: &'a [Value],
    named: &'a dyn Fn(&str) -> Option<Value>,
    /// The next number of `{}`; `None` once numbers were given.
    next: Option<usize>,
}

/// `format.format(...)`.
pub(super) fn braces(
    run: &mut Run<'_>,
    format: &Text,
    positional: &[Value],
    named: &dyn Fn(&str) -> Option<Value>,
) -> Result<Value> {
    let mut fields = Fields { positional, named, next: Some(0) };
    let out = filled(run, format.chars(), &mut fields, format.safe, 2)?;
    Ok(Value::Str(Text::from(out).marked(format.safe)))
}

fn filled(
    run: &mut Run<'_>,
    chars: &[Char],
    fields: &mut Fields<'_>,
    safe: bool,
    depth: usize,
) -> Result<Vec<Char>> {
    if depth == 0 {
        return fault("Max string recursion exceeded");
    }
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        at += 1;
        let twice = chars.get(at).is_some_and(|next| next.is(char.char()));
        match char.char() {
            '{' | '}' if twice => {
                out.push(*char);
                at += 1;
            }
            '}' => return fault("Single '}' encountered in format string"),
            '{' => {
                let Some(len) = field_len(&chars[at..]) else {
                    return fault("expected '}' before end of string");
                };
                let part = field(run, &chars[at..at + len], fields, safe, depth)?;
                run.spend(1 + part.len() / 16)?;
                out.extend(part);
                at += len + 1;
            }
            _ => out.push(*char),
        }
    }
    Ok(out)
}

/// How long a field is, up to its closing brace.
fn field_len(chars: &[Char]) -> Option<usize> {
    let mut open = 0;
    for (at, char) in chars.iter().enumerate() {
        match char.char() {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn field(
    run: &mut Run<'_>,
    chars: &[Char],
    fields: &mut Fields<'_>,
    safe: bool,
    depth: usize,
) -> Result<Vec<Char>> {
    let mut brackets = 0;
    let ends = chars.iter().position(|char| {
        match char.char() {
            '[' => brackets += 1,
            ']' => brackets -= 1,
            '!' | ':' => return brackets <= 0,
            _ => {}
        }
        false
    });
    let (name, mut rest) = chars.split_at(ends.unwrap_or(chars.len()));
    let mut value = fields.value(&Text::from(name).to_string())?;
    if let [bang, kind, after @ ..] = rest
        && bang.is('!')
    {
        value = match kind.char() {
            's' => Value::Str(value.str()?),
            'r' => value.repr()?.into(),
            'a' => Value::Str(value.repr()?.iter().flat_map(|char| ascii(*char)).collect()),
            other => return fault(format!("Unknown conversion specifier {other}")),
        };
        rest = after;
    }
    let spec = match rest {
        [] => Vec::new(),
        [colon, spec @ ..] if colon.is(':') => filled(run, spec, fields, false, depth - 1)?,
        _ => return fault("expected ':' after conversion specifier"),
    };
    let text = Text::from(formatted(&value, &spec)?);
    let is_safe = matches!(&value, Value::Str(text) if text.safe);
    Ok(if safe && !is_safe { text.escaped() } else { text }.chars().to_vec())
}

impl Fields<'_> {
    /// The value of `name.attribute[index]`.
    fn value(&mut self, path: &str) -> Result<Value> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (first, mut rest) = path.split_at(end);
        let index = match (first, self.next) {
            ("", Some(next)) => {
                self.next = Some(next + 1);
                Some(next)
            }
            ("", None) => {
                return fault("cannot switch from manual field specification to automatic field numbering");
            }
            (first, _) => {
                let number = first.parse::<usize>().ok();
                if number.is_some() {
                    if self.next.is_some_and(|next| next > 0) {
                        return fault(
                            "cannot switch from automatic field numbering to manual field specification",
                        );
                    }
                    self.next = None;
                }
                number
            }
        };
        let found = match index {
            Some(index) => self.positional.get(index).cloned(),
            None => (self.named)(first),
        };
        let Some(mut value) = found else {
            return match index {
                Some(index) => {
                    fault(format!("Replacement index {index} out of range for positional args tuple"))
                }
                None => fault(format!("KeyError: '{first}'")),
            };
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = ops::attribute(&value, &after[..end])?;
                rest = &after[end..];
            } else if let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                let index = index.parse::<i128>().map_or_else(|_| Value::from(index), Value::Int);
                value = ops::item(&value, &index)?;
                rest = after;
            } else {
                return fault("Missing ']' in format string");
            }
        }
        Ok(value)
    }
}

/// `format(value, spec)`.
fn formatted(value: &Value, spec: &[Char]) -> Result<Vec<Char>> {
    if spec.is_empty() {
        return Ok(value.str()?.chars().to_vec());
    }
    let spec = parse_spec(spec)?;
    let unknown = |kind: char| {
        fault(format!("Unknown format code '{kind}' for object of type '{}'", value.type_name()))
    };
    match (value, spec.kind) {
        (Value::Str(text), None | Some('s')) if spec.sign.is_none() && spec.align != Some('=') => {
            Ok(spec.text(text.chars()))
        }
        (Value::Str(_), kind) => unknown(kind.unwrap_or('=')),
        (Value::Bool(_) | Value::Int(_), kind) => {
            let int = value.int().unwrap_or_default();
            match kind {
                None | Some('d' | 'n' | 'x' | 'X' | 'o' | 'b') if spec.precision.is_some() => {
                    fault("Precision not allowed in integer format specifier")
                }
                None | Some('d' | 'n') => Ok(spec.whole(int, 'd')),
                Some(kind @ ('x' | 'X' | 'o' | 'b')) => Ok(spec.whole(int, kind)),
                Some('c') => match u32::try_from(int).ok().and_then(char::from_u32) {
                    Some(char) => Ok(spec.text(&own(&char.to_string()))),
                    None => fault("%c arg not in range(0x110000)"),
                },
                Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(spec.float(int as f64, kind)),
                Some(kind) => unknown(kind),
            }
        }
        (Value::Float(float), kind) => match kind {
            None => Ok(plain_float(&spec, *float)),
            Some('n') => Ok(spec.float(*float, 'g')),
            Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Ok(spec.float(*float, kind)),
            Some(kind) => unknown(kind),
        },
        _ => fault(format!("unsupported format string passed to {}.__format__", value.type_name())),
    }
}

/// A float without a kind: like `g`, but with a digit behind the point, and all digits where no precision is given.
fn plain_float(spec: &Spec, float: f64) -> Vec<Char> {
    let digits = match spec.precision {
        None => super::number::float(float.abs()),
        Some(precision) => {
            let text = general(round(float.abs(), 300), precision, false);
            if text.contains(['.', 'e']) || text.len() > precision { text } else { format!("{text}.0") }
        }
    };
    spec.number(spec.sign_of(float.is_sign_negative()), &digits)
}

fn parse_spec(chars: &[Char]) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut at = 0;
    let is_align = |char: Option<&Char>| char.is_some_and(|char| "<>=^".contains(char.char()));
    if is_align(chars.get(1)) {
        spec.fill = chars.first().copied();
        at = 1;
    }
    if is_align(chars.get(at)) {
        spec.align = chars.get(at).map(|char| char.char());
        at += 1;
    }
    let peek = |at: usize| chars.get(at).map(|char| char.char());
    if let Some(sign @ ('+' | '-' | ' ')) = peek(at) {
        spec.sign = Some(sign);
        at += 1;
    }
    if peek(at) == Some('#') {
        spec.alternate = true;
        at += 1;
    }
    if peek(at) == Some('0') && spec.align.is_none() {
        spec.zero = true;
        at += 1;
    }
    spec.width = digits(chars, &mut at)?.unwrap_or(0);
    if let Some(group @ (',' | '_')) = peek(at) {
        spec.group = Some(group);
        at += 1;
    }
    if peek(at) == Some('.') {
        at += 1;
        spec.precision = digits(chars, &mut at)?;
        if spec.precision.is_none() {
            return fault("Format specifier missing precision");
        }
    }
    spec.kind = peek(at);
    at += usize::from(spec.kind.is_some());
    if at < chars.len() { fault("Invalid format specifier") } else { Ok(spec) }
}
