//! Merging characters to pieces, best score first.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;

use super::SentencePiece;
use super::proto::PieceType;

/// A stretch of the text in a doubly linked list of such; merged into its left neighbour, its length is 0.
struct Symbol {
    start: usize,
    len: usize,
    previous: Option<usize>,
    next: Option<usize>,
    /// A user-defined piece, which never merges.
    frozen: bool,
}

/// Two neighbours that make a piece. Outdated when their lengths no longer add up to `len`.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    len: usize,
}

impl Ord for Candidate {
    /// Greatest: the best score, and among equals the leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// The state of merging one text. Takes time in proportion to `n log n` of its length.
struct Merging<'a> {
    model: &'a SentencePiece,
    text: &'a str,
    symbols: Vec<Symbol>,
    agenda: BinaryHeap<Candidate>,
    /// Of the unused pieces that came up: the length of the left part from which each was made last.
    unused: HashMap<&'a str, usize>,
}

impl SentencePiece {
    /// Cuts a normalised text into pieces; what is no piece is left as single characters.
    pub(super) fn merge<'a>(&'a self, text: &'a str) -> Vec<&'a str> {
        let mut merging = Merging {
            model: self,
            text,
            symbols: self.split(text),
            agenda: BinaryHeap::new(),
            unused: HashMap::new(),
        };
        for right in 1..merging.symbols.len() {
            merging.propose(Some(right - 1), Some(right));
        }
        while let Some(candidate) = merging.agenda.pop() {
            merging.apply(&candidate);
        }
        merging.finish()
    }

    fn split(&self, text: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        let mut start = 0;
        while let Some(char) = text[start..].chars().next() {
            let user_defined = longest_prefix(&self.user_defined, &text[start..]);
            let len = user_defined.map_or(char.len_utf8(), str::len);
            let index = symbols.len();
            let next = (start + len < text.len()).then_some(index + 1);
            symbols.push(Symbol {
                start,
                len,
                previous: index.checked_sub(1),
                next,
                frozen: user_defined.is_some(),
            });
            start += len;
        }
        symbols
    }
}

impl<'a> Merging<'a> {
    /// Puts two neighbours on the agenda if together they are a piece.
    fn propose(&mut self, left: Option<usize>, right: Option<usize>) {
        let Some((left, right)) = left.zip(right) else { return };
        let (first, second) = (&self.symbols[left], &self.symbols[right]);
        if first.frozen || second.frozen {
            return;
        }
        let len = first.len + second.len;
        let text = &self.text[first.start..first.start + len];
        let Some(piece) = self.model.id_of(text).map(|id| &self.model.pieces[id as usize]) else { return };
        match piece.kind {
            PieceType::Normal | PieceType::UserDefined => {}
            PieceType::Unused => drop(self.unused.insert(text, first.len)),
            // Never made of text: somebody wrote `<s>` in letters.
            PieceType::Unknown | PieceType::Control | PieceType::Byte => return,
        }
        self.agenda.push(Candidate { score: piece.score, left, right, len });
    }

    fn apply(&mut self, candidate: &Candidate) {
        let &Candidate { left, right, len, .. } = candidate;
        let (left_len, right_len) = (self.symbols[left].len, self.symbols[right].len);
        if left_len == 0 || right_len == 0 || left_len + right_len != len {
            return;
        }
        let next = self.symbols[right].next;
        self.symbols[right].len = 0;
        self.symbols[left].len = len;
        self.symbols[left].next = next;
        if let Some(next) = next {
            self.symbols[next].previous = Some(left);
        }
        self.propose(self.symbols[left].previous, Some(left));
        self.propose(Some(left), next);
    }

    fn finish(self) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        for symbol in self.symbols.iter().filter(|symbol| symbol.len > 0) {
            let mut parts = vec![&self.text[symbol.start..symbol.start + symbol.len]];
            while let Some(part) = parts.pop() {
                match self.unused.get(part) {
                    // An unused piece is taken apart again, left part first.
                    Some(left_len) => {
                        let (left, right) = part.split_at(*left_len);
                        parts.extend([right, left]);
                    }
                    None => pieces.push(part),
                }
            }
        }
        pieces
    }
}

/// The longest of the pieces with which a text begins.
pub(super) fn longest_prefix<'a>(pieces: &'a BTreeSet<String>, text: &str) -> Option<&'a str> {
    // A piece that begins the text sorts before it; what sorts between the two shares more with the text than
    // any shorter piece does, so the search goes on below what they share.
    let mut bound = text;
    loop {
        let candidate = pieces.range::<str, _>((Bound::Unbounded, Bound::Included(bound))).next_back()?;
        if bound.starts_with(candidate.as_str()) {
            return Some(candidate);
        }
        let shared =
            candidate.chars().zip(bound.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        bound = &bound[..shared];
    }
}
