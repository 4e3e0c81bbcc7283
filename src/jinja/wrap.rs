//! The filter `wordwrap`: Python's `textwrap`, paragraph by paragraph.

use super::call::Call;
use super::fault::{Result, fault};
use super::text::{Char, Text, lines, own};
use super::value::Value;

pub(super) fn wordwrap(text: &Text, call: &Call) -> Result<Value> {
    let args = call.bind("wordwrap", ["width", "break_long_words", "wrapstring", "break_on_hyphens"], 0)?;
    let width = args.size(0, 79)?;
    if width == 0 {
        return fault("invalid width 0 (must be > 0)");
    }
    let wrapstring = args.text(2)?.map_or_else(|| own("\n"), |text| text.chars().to_vec());
    let wrap = Wrap { width, break_words: args.truth(1, true), break_hyphens: args.truth(3, true) };
    let paragraphs = lines(text.chars(), false);
    let wrapped: Vec<Vec<Char>> =
        paragraphs.into_iter().map(|line| wrap.paragraph(line).join(wrapstring.as_slice())).collect();
    Ok(Value::Str(Text::from(wrapped.join(wrapstring.as_slice())).marked(text.safe)))
}

struct Wrap {
    width: usize,
    break_words: bool,
    break_hyphens: bool,
}

/// What textwrap takes for white space: that of ASCII.
fn is_blank(char: Char) -> bool {
    matches!(char.char(), '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

impl Wrap {
    fn paragraph(&self, line: &[Char]) -> Vec<Vec<Char>> {
        let mut chunks = self.chunks(line);
        chunks.reverse();
        let mut out: Vec<Vec<Char>> = Vec::new();
        while !chunks.is_empty() {
            let mut current: Vec<Vec<Char>> = Vec::new();
            let mut length = 0;
            // White space at the beginning of a line is dropped, but for the first.
            if !out.is_empty() && chunks.last().is_some_and(|chunk| chunk.iter().all(|char| is_blank(*char)))
            {
                chunks.pop();
            }
            while let Some(chunk) = chunks.last().filter(|chunk| length + chunk.len() <= self.width) {
                length += chunk.len();
                current.extend(chunks.pop());
            }
            if chunks.last().is_some_and(|chunk| chunk.len() > self.width) {
                self.long_word(&mut chunks, &mut current, length);
            }
            if current.last().is_some_and(|chunk| chunk.iter().all(|char| is_blank(*char))) {
                current.pop();
            }
            if !current.is_empty() {
                out.push(current.concat());
            }
        }
        out
    }

    fn long_word(&self, chunks: &mut Vec<Vec<Char>>, current: &mut Vec<Vec<Char>>, length: usize) {
        let room = self.width - length.min(self.width);
        if self.break_words {
            let Some(chunk) = chunks.last_mut() else { return };
            let mut end = room;
            if self.break_hyphens && chunk.len() > room {
                let hyphen = chunk[..room].iter().rposition(|char| char.is('-')).filter(|at| *at > 0);
                if let Some(at) = hyphen.filter(|at| chunk[..*at].iter().any(|char| !char.is('-'))) {
                    end = at + 1;
                }
            }
            let rest = chunk.split_off(end.min(chunk.len()));
            let begin = std::mem::replace(chunk, rest);
            current.push(begin);
        } else if current.is_empty() {
            current.extend(chunks.pop());
        }
    }

    /// Words, the white space between, and the parts of words that hyphens part.
    fn chunks(&self, line: &[Char]) -> Vec<Vec<Char>> {
        let mut chunks = Vec::new();
        let mut rest = line;
        while let Some(first) = rest.first() {
            let blank = is_blank(*first);
            let end = rest.iter().position(|char| is_blank(*char) != blank).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            if blank || !self.break_hyphens {
                chunks.push(run.to_vec());
            } else {
                chunks.extend(hyphenated(run));
            }
            rest = after;
        }
        chunks
    }
}

/// A word cut after each hyphen between letters, and around dashes of two and more.
fn hyphenated(word: &[Char]) -> Vec<Vec<Char>> {
    let is_letter = |at: usize| word.get(at).is_some_and(|char| char.char().is_alphabetic() || char.is('_'));
    let is_hyphen = |at: usize| word.get(at).is_some_and(|char| char.is('-'));
    let is_word = |at: usize| {
        word.get(at).is_some_and(|char| char.char().is_alphanumeric() || "_!\"'&.,?".contains(char.char()))
    };
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < word.len() {
        if !is_hyphen(at) {
            at += 1;
            continue;
        }
        let dash = (at..word.len()).take_while(|at| is_hyphen(*at)).count();
        if dash >= 2 && at > 0 && is_word(at - 1) && is_word(at + dash) {
            parts.push(word[start..at].to_vec());
            parts.push(word[at..at + dash].to_vec());
            start = at + dash;
        } else if dash == 1
            && at >= 2
            && is_letter(at - 1)
            && (is_letter(at - 2) || is_hyphen(at - 2))
            && is_letter(at + 1)
            && (is_letter(at + 2) || is_hyphen(at + 2))
        {
            parts.push(word[start..=at].to_vec());
            start = at + 1;
        }
        at += dash;
    }
    parts.push(word[start..].to_vec());
    parts.retain(|part| !part.is_empty());
    parts
}
