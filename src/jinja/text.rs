//! Strings of templates: Python's `str`, a sequence of code points, in which every character knows whether a user wrote it.
//!
//! This is how control tokens in a user's text stay text. A character keeps its origin through every operation - cutting,
//! joining, replacing, changing case, writing as JSON - because the operations move characters, and none looks at the origin.
//! Comparisons and searches do not see it either, so a template decides as it always did.

use std::rc::Rc;

/// A character, and whether a user wrote it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Char(u32);

/// Code points need 21 bits.
const USERS: u32 = 1 << 31;

impl Char {
    /// A character of the template, or of a user.
    pub(crate) fn new(char: char, users: bool) -> Self {
        Self(u32::from(char) | if users { USERS } else { 0 })
    }

    /// The character.
    pub(crate) fn char(self) -> char {
        char::from_u32(self.0 & !USERS).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Whether a user wrote it.
    pub(crate) fn is_users(self) -> bool {
        self.0 & USERS != 0
    }

    /// Another character in its place, of the same origin.
    pub(super) fn with(self, char: char) -> Self {
        Self::new(char, self.is_users())
    }

    pub(super) fn is(self, char: char) -> bool {
        self.char() == char
    }
}

/// Two characters are equal whoever wrote them.
impl PartialEq for Char {
    fn eq(&self, other: &Self) -> bool {
        self.char() == other.char()
    }
}

/// A string. A safe one (`Markup` in Python) is not escaped again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    chars: Rc<[Char]>,
    pub(super) safe: bool,
}

impl Text {
    /// A string of the template's own, or of a user.
    pub(crate) fn new(text: &str, users: bool) -> Self {
        text.chars().map(|char| Char::new(char, users)).collect()
    }

    /// Its characters.
    pub(crate) fn chars(&self) -> &[Char] {
        &self.chars
    }

    pub(super) fn len(&self) -> usize {
        self.chars.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    /// The same characters, marked safe or not.
    pub(super) fn marked(mut self, safe: bool) -> Self {
        self.safe = safe;
        self
    }

    /// Its characters with `&`, `<`, `>` and quotes as HTML writes them.
    pub(super) fn escaped(&self) -> Self {
        if self.safe {
            return self.clone();
        }
        let mut out = Vec::with_capacity(self.len());
        for char in self.chars() {
            let entity = match char.char() {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&#34;",
                '\'' => "&#39;",
                _ => {
                    out.push(*char);
                    continue;
                }
            };
            out.extend(entity.chars().map(|other| char.with(other)));
        }
        Self::from(out).marked(true)
    }
}

impl From<Vec<Char>> for Text {
    fn from(chars: Vec<Char>) -> Self {
        Self { chars: chars.into(), safe: false }
    }
}

impl From<&[Char]> for Text {
    fn from(chars: &[Char]) -> Self {
        Self { chars: chars.into(), safe: false }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text, false)
    }
}

impl FromIterator<Char> for Text {
    fn from_iter<I: IntoIterator<Item = Char>>(chars: I) -> Self {
        Self { chars: chars.into_iter().collect(), safe: false }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        self.chars.iter().try_for_each(|char| f.write_char(char.char()))
    }
}

/// Plain characters of the template's own.
pub(super) fn own(text: &str) -> Vec<Char> {
    text.chars().map(|char| Char::new(char, false)).collect()
}

/// What `str.isspace` says of a character.
pub(super) fn is_space(char: Char) -> bool {
    let char = char.char();
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

/// Where `str.splitlines` cuts.
pub(super) fn is_line_end(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Where `needle` lies first, from the left.
pub(super) fn find(hay: &[Char], needle: &[Char]) -> Option<usize> {
    if needle.len() > hay.len() {
        return None;
    }
    (0..=hay.len() - needle.len()).find(|at| hay[*at..].starts_with(needle))
}

/// Where `needle` lies first, from the right.
pub(super) fn rfind(hay: &[Char], needle: &[Char]) -> Option<usize> {
    if needle.len() > hay.len() {
        return None;
    }
    (0..=hay.len() - needle.len()).rev().find(|at| hay[*at..].starts_with(needle))
}

/// Without the characters for which `cut` holds at its ends.
pub(super) fn trim(mut chars: &[Char], left: bool, right: bool, cut: impl Fn(Char) -> bool) -> &[Char] {
    while let (true, [first, rest @ ..]) = (left, chars) {
        if !cut(*first) {
            break;
        }
        chars = rest;
    }
    while let (true, [rest @ .., last]) = (right, chars) {
        if !cut(*last) {
            break;
        }
        chars = rest;
    }
    chars
}

/// `str.upper`.
pub(super) fn upper(chars: &[Char]) -> Vec<Char> {
    chars.iter().flat_map(|char| char.char().to_uppercase().map(|upper| char.with(upper))).collect()
}

/// `str.lower`. A capital sigma at the end of a word has a small form of its own.
pub(super) fn lower(chars: &[Char]) -> Vec<Char> {
    let mut out = Vec::with_capacity(chars.len());
    for (at, char) in chars.iter().enumerate() {
        if char.is('\u{3a3}') {
            let letter = |char: &&Char| is_cased(char.char()) || !is_ignorable(char.char());
            let before = chars[..at].iter().rev().find(letter).is_some_and(|char| is_cased(char.char()));
            let after = chars[at + 1..].iter().find(letter).is_some_and(|char| is_cased(char.char()));
            out.push(char.with(if before && !after { '\u{3c2}' } else { '\u{3c3}' }));
        } else {
            out.extend(char.char().to_lowercase().map(|lower| char.with(lower)));
        }
    }
    out
}

pub(super) fn is_cased(char: char) -> bool {
    char.is_lowercase() || char.is_uppercase() || is_title(char)
}

/// What does not part the letters of a word: marks, apostrophes and the like.
fn is_ignorable(char: char) -> bool {
    matches!(
        char,
        '\'' | '.' | ':' | '^' | '`' | '\u{a8}' | '\u{ad}' | '\u{b7}' | '\u{2019}' | '\u{300}'..='\u{36f}'
    )
}

/// Letters that are a capital and a small one at once.
fn is_title(char: char) -> bool {
    matches!(char, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

/// The form of a letter at the beginning of a word; a sharp s becomes Ss.
pub(super) fn title_of(char: Char) -> Vec<Char> {
    let special = match char.char() {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        _ => {
            let mut upper = char.char().to_uppercase();
            let first = upper.next().map(|first| char.with(first));
            return first
                .into_iter()
                .chain(upper.flat_map(char::to_lowercase).map(|c| char.with(c)))
                .collect();
        }
    };
    vec![char.with(special)]
}

/// `str.capitalize`.
pub(super) fn capitalize(chars: &[Char]) -> Vec<Char> {
    match chars {
        [] => Vec::new(),
        [first, rest @ ..] => title_of(*first).into_iter().chain(lower(rest)).collect(),
    }
}

/// `str.title`: a word begins after everything that is no letter.
pub(super) fn title(chars: &[Char]) -> Vec<Char> {
    let mut out = Vec::with_capacity(chars.len());
    let mut in_word = false;
    for char in chars {
        if in_word {
            out.extend(lower(std::slice::from_ref(char)));
        } else {
            out.extend(title_of(*char));
        }
        in_word = is_cased(char.char());
    }
    out
}

/// Parts between white space; at most `most` cuts.
pub(super) fn split_space(chars: &[Char], most: Option<usize>) -> Vec<&[Char]> {
    let mut parts = Vec::new();
    let mut rest = trim(chars, true, false, is_space);
    while !rest.is_empty() {
        if most.is_some_and(|most| parts.len() >= most) {
            // What is left keeps the white space inside and at its end.
            parts.push(rest);
            break;
        }
        let end = rest.iter().position(|char| is_space(*char)).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = trim(&rest[end..], true, false, is_space);
    }
    parts
}

/// The same, cut from the right.
pub(super) fn rsplit_space(chars: &[Char], most: Option<usize>) -> Vec<&[Char]> {
    let mut parts = Vec::new();
    let mut rest = trim(chars, false, true, is_space);
    while !rest.is_empty() {
        if most.is_some_and(|most| parts.len() >= most) {
            parts.push(rest);
            break;
        }
        let start = rest.iter().rposition(|char| is_space(*char)).map_or(0, |at| at + 1);
        parts.push(&rest[start..]);
        rest = trim(&rest[..start], false, true, is_space);
    }
    parts.reverse();
    parts
}

/// Parts between a separator; at most `most` cuts.
pub(super) fn split<'a>(chars: &'a [Char], separator: &[Char], most: Option<usize>) -> Vec<&'a [Char]> {
    let mut parts = Vec::new();
    let mut rest = chars;
    while let Some(at) = find(rest, separator).filter(|_| most.is_none_or(|most| parts.len() < most)) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

/// The same, cut from the right.
pub(super) fn rsplit<'a>(chars: &'a [Char], separator: &[Char], most: Option<usize>) -> Vec<&'a [Char]> {
    let mut parts = Vec::new();
    let mut rest = chars;
    while let Some(at) = rfind(rest, separator).filter(|_| most.is_none_or(|most| parts.len() < most)) {
        parts.push(&rest[at + separator.len()..]);
        rest = &rest[..at];
    }
    parts.push(rest);
    parts.reverse();
    parts
}

/// `str.replace`; at most `most` times.
pub(super) fn replace(chars: &[Char], from: &[Char], to: &[Char], most: Option<usize>) -> Vec<Char> {
    let most = most.unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(chars.len());
    let (mut at, mut done) = (0, 0);
    if from.is_empty() {
        for (index, char) in chars.iter().enumerate() {
            if index < most {
                out.extend_from_slice(to);
            }
            out.push(*char);
        }
        if chars.len() < most {
            out.extend_from_slice(to);
        }
        return out;
    }
    while at < chars.len() {
        if done < most && chars[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
            done += 1;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// `str.splitlines`.
pub(super) fn lines(chars: &[Char], keep_ends: bool) -> Vec<&[Char]> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < chars.len() {
        if is_line_end(chars[at].char()) {
            let pair = chars[at].is('\r') && chars.get(at + 1).is_some_and(|next| next.is('\n'));
            let end = at + 1 + usize::from(pair);
            lines.push(&chars[start..if keep_ends { end } else { at }]);
            start = end;
            at = end;
        } else {
            at += 1;
        }
    }
    if start < chars.len() {
        lines.push(&chars[start..]);
    }
    lines
}

/// Filled up to `width`, as `str.ljust`, `rjust` and `center` do.
pub(super) fn pad(chars: &[Char], width: usize, fill: Char, left: bool, right: bool) -> Vec<Char> {
    let missing = width.saturating_sub(chars.len());
    let before = match (left, right) {
        // Python puts the odd one to the left only where the width is odd, too.
        (true, true) => missing / 2 + (missing & width & 1),
        (true, false) => missing,
        _ => 0,
    };
    let fill = |count: usize| std::iter::repeat_n(fill, count);
    fill(before).chain(chars.iter().copied()).chain(fill(missing - before)).collect()
}
