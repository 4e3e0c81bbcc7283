//! What can go wrong in a template.

/// Shorthand for results inside the interpreter.
pub(super) type Result<T, E = Fault> = std::result::Result<T, E>;

/// An error without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The template cannot be read.
    Syntax(String),
    /// Python would raise this.
    Raised(String),
    /// `raise_exception` was called: the template refuses the conversation.
    Refused(String),
    /// Python computes this, the interpreter does not.
    Unsupported(String),
    /// It works for too long, or makes too much.
    Exhausted,
}

/// An error as Python would raise it.
pub(super) fn fault<T>(words: impl Into<String>) -> Result<T> {
    Err(Fault::Raised(words.into()))
}

/// A template's error, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    /// What.
    pub fault: Fault,
    /// Where, from 1.
    pub line: usize,
}
