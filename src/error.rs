//! The one error type: every message says what was wrong, where, and what to do about it.

use std::fmt::Display;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. [`Error::code`] is stable and reaches JavaScript as `error.code`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the checkpoint needs is not there.
    #[error("{file} is missing. {remedy}")]
    Missing {
        /// Path or URL of the absent file.
        file: String,
        /// What the user can do.
        remedy: String,
    },
    /// A file is there but its content is wrong: truncated, malformed or self-contradictory.
    #[error("{file}: {field}: {problem}. {remedy}")]
    Invalid {
        /// Path or URL of the file.
        file: String,
        /// The field, tensor or byte range at fault.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The file is well formed but asks for something that this engine does not do.
    #[error("{file}: {what} is not supported. {remedy}")]
    Unsupported {
        /// Path or URL of the file.
        file: String,
        /// The feature by name, such as `model_type qwen3_moe`.
        what: String,
        /// What is supported instead.
        remedy: String,
    },
    /// Bytes could not be read from a disk or a server.
    #[error("cannot read {location}: {problem}. {remedy}")]
    Fetch {
        /// Path or URL.
        location: String,
        /// The cause in words, with the HTTP status where there is one.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A file could not be written.
    #[error("cannot write {location}: {problem}. {remedy}")]
    Write {
        /// Path.
        location: String,
        /// The cause in words.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The prompt does not fit into the context window.
    #[error(
        "the prompt has {prompt} tokens, {excess} more than the context of {limit} leaves room for. Shorten it, or start a new conversation"
    )]
    ContextOverflow {
        /// Tokens in the prompt.
        prompt: usize,
        /// Tokens that the context holds.
        limit: usize,
        /// How many tokens are too many.
        excess: usize,
    },
    /// A request (options, messages, token ids) is not acceptable.
    #[error("{field}: {problem}")]
    Request {
        /// The option or argument at fault.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The chat template cannot be used.
    #[error("chat template: {problem}")]
    Template {
        /// What is wrong and what would help.
        problem: String,
    },
    /// The device has not enough of something.
    #[error("{what} needs {needed}, but the device offers {available}. {remedy}")]
    Limit {
        /// What was being made.
        what: String,
        /// How much it needs, with its unit.
        needed: String,
        /// How much there is, with its unit.
        available: String,
        /// What would fit.
        remedy: String,
    },
    /// The GPU is missing, was lost, or reported an error.
    #[error("GPU: {problem}. {remedy}")]
    Device {
        /// What happened.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// There is not enough memory.
    #[error("there is not enough memory for {what}, which needs {needed}. {remedy}")]
    OutOfMemory {
        /// What was being made.
        what: String,
        /// How much it needs, with its unit.
        needed: String,
        /// What would fit.
        remedy: String,
    },
    /// The engine did what it never should: a bug.
    #[error("internal error: {problem}. This is a bug in mobilellm, please report it")]
    Internal {
        /// What happened.
        problem: String,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A stable, machine-readable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing_file",
            Self::Invalid { .. } => "invalid_file",
            Self::Unsupported { .. } => "unsupported",
            Self::Fetch { .. } => "fetch_failed",
            Self::Write { .. } => "write_failed",
            Self::ContextOverflow { .. } => "context_length_exceeded",
            Self::Request { .. } => "invalid_request",
            Self::Template { .. } => "chat_template",
            Self::Limit { .. } => "limit_exceeded",
            Self::Device { .. } => "device",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Internal { .. } => "internal",
            Self::Cancelled => "cancelled",
        }
    }

    /// [`Error::Missing`].
    pub fn missing(file: impl Display, remedy: impl Display) -> Self {
        Self::Missing { file: file.to_string(), remedy: remedy.to_string() }
    }

    /// [`Error::Invalid`].
    pub fn invalid(
        file: impl Display,
        field: impl Display,
        problem: impl Display,
        remedy: impl Display,
    ) -> Self {
        Self::Invalid {
            file: file.to_string(),
            field: field.to_string(),
            problem: problem.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// [`Error::Unsupported`].
    pub fn unsupported(file: impl Display, what: impl Display, remedy: impl Display) -> Self {
        Self::Unsupported { file: file.to_string(), what: what.to_string(), remedy: remedy.to_string() }
    }

    /// [`Error::Fetch`].
    pub fn fetch(location: impl Display, problem: impl Display, remedy: impl Display) -> Self {
        Self::Fetch {
            location: location.to_string(),
            problem: problem.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// [`Error::Write`].
    pub fn write(location: impl Display, problem: impl Display, remedy: impl Display) -> Self {
        Self::Write {
            location: location.to_string(),
            problem: problem.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// [`Error::Request`].
    pub fn request(field: impl Display, problem: impl Display) -> Self {
        Self::Request { field: field.to_string(), problem: problem.to_string() }
    }

    /// [`Error::Device`].
    pub fn device(problem: impl Display, remedy: impl Display) -> Self {
        Self::Device { problem: problem.to_string(), remedy: remedy.to_string() }
    }

    /// [`Error::OutOfMemory`].
    pub fn out_of_memory(what: impl Display, needed: impl Display, remedy: impl Display) -> Self {
        Self::OutOfMemory { what: what.to_string(), needed: needed.to_string(), remedy: remedy.to_string() }
    }

    /// [`Error::Internal`].
    pub fn internal(problem: impl Display) -> Self {
        Self::Internal { problem: problem.to_string() }
    }

    /// [`Error::Limit`].
    pub fn limit(
        what: impl Display,
        needed: impl Display,
        available: impl Display,
        remedy: impl Display,
    ) -> Self {
        Self::Limit {
            what: what.to_string(),
            needed: needed.to_string(),
            available: available.to_string(),
            remedy: remedy.to_string(),
        }
    }
}
