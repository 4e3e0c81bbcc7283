//! Templates to tokens, with Jinja's rules for white space: `trim_blocks` and `lstrip_blocks`, as transformers sets them.

use super::fault::{Error, Fault};
use super::number;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok {
    /// Text between tags.
    Data(String),
    /// `{{`.
    PrintBegin,
    /// `}}`.
    PrintEnd,
    /// `{%`.
    BlockBegin,
    /// `%}`.
    BlockEnd,
    /// A word.
    Name(String),
    /// A string.
    Str(String),
    /// A whole number.
    Int(i128),
    /// A float.
    Float(f64),
    /// An operator, a bracket or another sign.
    Sign(&'static str),
    /// The end.
    Eof,
}

/// A token and its line.
pub(super) type Token = (Tok, usize);

const SIGNS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
    "=", ".", ":", "|", ",", ";",
];

/// All tokens of a template.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // Python takes one line end at the end away.
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { rest: source, line: 1, line_starting: true, tokens: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.text()?;
    }
    let line = lexer.line;
    lexer.tokens.push((Tok::Eof, line));
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// Nothing but white space stands before in this line, as far as tags have left it.
    line_starting: bool,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn fail<T>(&self, words: impl Into<String>) -> Result<T, Error> {
        Err(Error { fault: Fault::Syntax(words.into()), line: self.line })
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        if !taken.is_empty() {
            self.line_starting = taken.ends_with('\n');
        }
        self.rest = rest;
        taken
    }

    fn push(&mut self, tok: Tok) {
        self.tokens.push((tok, self.line));
    }

    /// Text up to the next tag, and the tag.
    fn text(&mut self) -> Result<(), Error> {
        let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|open| self.rest.find(open)).min() else {
            let rest = self.take(self.rest.len());
            self.push(Tok::Data(rest.to_owned()));
            return Ok(());
        };
        let open = &self.rest[at..at + 2];
        let sign = self.rest[at + 2..].chars().next().filter(|sign| matches!(sign, '-' | '+'));
        // A plus before a value is a part of it only if it is none of the tag: Jinja takes it for the tag's.
        let line = self.line;
        let text = stripped(&self.rest[..at], sign, open != "{{", self.line_starting);
        if !text.is_empty() {
            self.tokens.push((Tok::Data(text.to_owned()), line));
        }
        self.take(at + 2 + usize::from(sign.is_some()));
        match open {
            "{#" => self.comment(),
            "{{" => {
                self.push(Tok::PrintBegin);
                self.inside("}}")
            }
            _ => {
                if let Some(length) = raw_begin(self.rest) {
                    self.take(length);
                    return self.raw();
                }
                self.push(Tok::BlockBegin);
                self.inside("%}")
            }
        }
    }

    fn comment(&mut self) -> Result<(), Error> {
        let Some(end) = self.rest.find("#}") else { return self.fail("Missing end of comment tag") };
        let sign = self.rest[..end].chars().last();
        self.take(end + 2);
        self.after_tag(sign);
        Ok(())
    }

    fn raw(&mut self) -> Result<(), Error> {
        let mut from = 0;
        while let Some(at) = self.rest[from..].find("{%").map(|at| from + at) {
            let tag = &self.rest[at + 2..];
            let sign = tag.chars().next().filter(|sign| matches!(sign, '-' | '+'));
            let inner = tag[usize::from(sign.is_some())..].trim_start();
            if let Some(after) = inner.strip_prefix("endraw").map(str::trim_start) {
                let closing = after.chars().next().filter(|sign| matches!(sign, '-' | '+'));
                if after[usize::from(closing.is_some())..].starts_with("%}") {
                    let text = stripped(&self.rest[..at], sign, true, self.line_starting).to_owned();
                    self.push(Tok::Data(text));
                    let end = self.rest.len() - after.len() + usize::from(closing.is_some()) + 2;
                    self.take(end);
                    self.after_tag(closing);
                    return Ok(());
                }
            }
            from = at + 2;
        }
        self.fail("Missing end of raw directive")
    }

    /// The white space after a tag that is no value: all of it after `-`, one line end without a sign.
    fn after_tag(&mut self, sign: Option<char>) {
        match sign {
            Some('-') => {
                self.take(self.rest.len() - self.rest.trim_start_matches(is_space).len());
            }
            Some('+') => {}
            _ => {
                self.take(usize::from(self.rest.starts_with('\n')));
            }
        }
    }

    /// The tokens of a tag up to its end.
    fn inside(&mut self, end: &str) -> Result<(), Error> {
        let mut open = Vec::new();
        loop {
            self.take(self.rest.len() - self.rest.trim_start_matches(is_space).len());
            if open.is_empty() {
                let bare =
                    self.rest.strip_prefix(['-', '+']).filter(|_| end == "%}" || self.rest.starts_with('-'));
                let (sign, tag) = match bare {
                    Some(bare) if bare.starts_with(end) => (self.rest.chars().next(), true),
                    _ => (None, self.rest.starts_with(end)),
                };
                if tag {
                    self.push(if end == "%}" { Tok::BlockEnd } else { Tok::PrintEnd });
                    self.take(2 + usize::from(sign.is_some()));
                    if end == "%}" || sign == Some('-') {
                        self.after_tag(sign);
                    }
                    return Ok(());
                }
            }
            if self.rest.is_empty() {
                return self.fail("unexpected end of template");
            }
            self.token(&mut open)?;
        }
    }

    fn token(&mut self, open: &mut Vec<&'static str>) -> Result<(), Error> {
        let line = self.line;
        let after_dot = self.tokens.last().is_some_and(|(tok, _)| *tok == Tok::Sign("."));
        if let Some((length, tok)) = number_at(self.rest, after_dot) {
            let Some(tok) = tok else {
                let fault = Fault::Unsupported("a whole number beyond 128 bits".to_owned());
                return Err(Error { fault, line });
            };
            self.take(length);
            self.tokens.push((tok, line));
            return Ok(());
        }
        let first = self.rest.chars().next().unwrap_or_default();
        if first.is_alphanumeric() || first == '_' {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || is_mark(c);
            let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let name = self.take(length).to_owned();
            if name.starts_with(|c: char| c.is_numeric()) {
                return self.fail("Invalid character in identifier");
            }
            self.tokens.push((Tok::Name(name), line));
            return Ok(());
        }
        if matches!(first, '\'' | '"') {
            let Some(length) = string_end(self.rest, first) else {
                return self.fail(format!("unexpected char {first:?}"));
            };
            let raw = self.take(length);
            let text = unescaped(&raw[1..length - 1])
                .map_err(|words| Error { fault: Fault::Syntax(words), line })?;
            self.tokens.push((Tok::Str(text), line));
            return Ok(());
        }
        let Some(sign) = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) else {
            return self.fail(format!("unexpected char {first:?}"));
        };
        match sign {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            ")" | "]" | "}" => match open.pop() {
                Some(expected) if expected == sign => {}
                Some(expected) => return self.fail(format!("unexpected '{sign}', expected '{expected}'")),
                None => return self.fail(format!("unexpected '{sign}'")),
            },
            _ => {}
        }
        self.take(sign.len());
        self.tokens.push((Tok::Sign(sign), line));
        Ok(())
    }
}

/// What Python's `\s` is.
fn is_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

fn is_mark(char: char) -> bool {
    use unicode_categories::UnicodeCategories;
    char.is_mark()
}

/// Text before a tag: without its white space before `-`, without that of the tag's line where a block has no sign.
fn stripped(text: &str, sign: Option<char>, is_block: bool, line_starting: bool) -> &str {
    if sign == Some('-') {
        return text.trim_end_matches(is_space);
    }
    let start = text.rfind('\n').map_or(0, |at| at + 1);
    let alone = start > 0 || line_starting;
    let line = &text[start..];
    if is_block && sign.is_none() && alone && !line.is_empty() && line.chars().all(is_space) {
        &text[..start]
    } else {
        text
    }
}

/// The length of ` raw %}` at the beginning, with the white space that belongs to it.
fn raw_begin(rest: &str) -> Option<usize> {
    let after = rest.trim_start_matches(is_space).strip_prefix("raw")?.trim_start_matches(is_space);
    match after.strip_prefix("-%}") {
        Some(after) => Some(rest.len() - after.trim_start_matches(is_space).len()),
        None => after.strip_prefix("%}").map(|after| rest.len() - after.len()),
    }
}

/// The length of digits with single `_` between.
fn digits(text: &str, is_digit: impl Fn(char) -> bool) -> usize {
    let mut length = 0;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let parts = char == '_' && length > 0 && chars.peek().is_some_and(|next| is_digit(*next));
        if !(is_digit(char) || parts) {
            break;
        }
        length += 1;
    }
    length
}

/// A number at the beginning: its length, and `None` for its value where that is too large.
fn number_at(text: &str, after_dot: bool) -> Option<(usize, Option<Tok>)> {
    let decimal = |text: &str| digits(text, |c| c.is_ascii_digit());
    let whole = decimal(text);
    if whole == 0 {
        return None;
    }
    let fraction = text[whole..].strip_prefix('.').map_or(0, decimal);
    let mantissa = whole + if fraction > 0 { 1 + fraction } else { 0 };
    let exponent = text[mantissa..].strip_prefix(['e', 'E']).map_or(0, |rest| {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let length = decimal(&rest[sign..]);
        if length > 0 { 1 + sign + length } else { 0 }
    });
    if (fraction > 0 || exponent > 0) && !after_dot {
        let length = mantissa + exponent;
        return Some((length, Some(Tok::Float(number::parse_float(&text[..length]).unwrap_or(f64::NAN)))));
    }
    let lower = text.get(..2).unwrap_or_default().to_lowercase();
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if lower == prefix {
            let rest = &text[2..];
            let start = usize::from(rest.starts_with('_'));
            let length = digits(&rest[start..], |c| c.is_digit(base));
            if length > 0 {
                let length = 2 + start + length;
                return Some((length, number::parse_int(&text[..length], base).map(Tok::Int)));
            }
        }
    }
    // A zero begins nothing but zeros.
    let length = if text.starts_with('0') { digits(text, |c| c == '0') } else { whole };
    Some((length, number::parse_int(&text[..length], 10).map(Tok::Int)))
}

fn string_end(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if char == '\\' {
            escaped = true;
        } else if char == quote {
            return Some(at + 1);
        }
    }
    None
}

/// A string's content as Python's `unicode-escape` reads it, after every character beyond ASCII became an escape.
fn unescaped(raw: &str) -> Result<String, String> {
    let escaped = |char: char| match u32::from(char) {
        0..=0x7f => char.to_string(),
        code @ 0x80..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    let ascii: String = raw.chars().map(escaped).collect();
    let mut out = String::with_capacity(raw.len());
    let mut rest = ascii.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let kind = rest[at + 1..].chars().next().ok_or("\\ at end of string")?;
        rest = &rest[at + 2..];
        let simple = match kind {
            '\n' => continue,
            '\\' | '\'' | '"' => kind,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' | 'u' | 'U' => {
                let length = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits = rest.get(..length).ok_or_else(|| format!("truncated \\{kind} escape"))?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                let code = code.ok_or_else(|| format!("truncated \\{kind} escape"))?;
                rest = &rest[length..];
                char::from_u32(code).ok_or_else(|| format!("\\{kind}{digits} is no character"))?
            }
            '0'..='7' => {
                let more = rest.bytes().take(2).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
                let code = u32::from_str_radix(&format!("{kind}{}", &rest[..more]), 8).unwrap_or_default();
                rest = &rest[more..];
                char::from_u32(code).unwrap_or_default()
            }
            'N' => return Err("characters by their name (\\N) are not read here".to_owned()),
            other => {
                out.push('\\');
                other
            }
        };
        out.push(simple);
    }
    out.push_str(rest);
    Ok(out)
}
