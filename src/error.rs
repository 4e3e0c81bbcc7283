//! The error type. Every message says what is wrong, where, and what to do about it.

use std::fmt::Display;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. [`Error::code`] is stable; JavaScript gets it as `error.code`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the checkpoint needs does not exist.
    #[error("{file} is missing. {remedy}")]
    Missing {
        /// Path or URL of the missing file.
        file: String,
        /// What the user can do.
        remedy: String,
    },
    /// A file exists, but its content is wrong: truncated, malformed or contradictory.
    #[error("{file}: {field}: {problem}. {remedy}")]
    Invalid {
        /// Path or URL of the file.
        file: String,
        /// The field, tensor or byte range that is wrong.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The file is well formed, but it needs something that this engine does not support.
    #[error("{file}: {what} is not supported. {remedy}")]
    Unsupported {
        /// Path or URL of the file.
        file: String,
        /// The feature by name, such as `model_type qwen3_moe`.
        what: String,
        /// What is supported instead.
        remedy: String,
    },
    /// Bytes could not be read from the disk or from a server.
    #[error("cannot read {location}: {problem}. {remedy}")]
    Fetch {
        /// Path or URL.
        location: String,
        /// The cause in words, with the HTTP status if there is one.
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
        "the prompt has {prompt} tokens, {excess} too many for the context of {limit} tokens. Shorten the prompt, or start a new conversation"
    )]
    ContextOverflow {
        /// Tokens in the prompt.
        prompt: usize,
        /// Tokens that the context holds.
        limit: usize,
        /// Tokens that the prompt has too many.
        excess: usize,
    },
    /// A request (options, messages, token ids) is not valid.
    #[error("{field}: {problem}")]
    Request {
        /// The option or argument that is wrong.
        field: String,
        /// What is wrong with it, and which values are valid.
        problem: String,
    },
    /// The chat template cannot be used.
    #[error("chat template: {problem}")]
    Template {
        /// What is wrong, and what the user can do.
        problem: String,
    },
    /// Something exceeds a limit of the device.
    #[error("{what} needs {needed}, but the device offers {available}. {remedy}")]
    Limit {
        /// What was being made.
        what: String,
        /// How much it needs, with its unit.
        needed: String,
        /// How much the device offers, with its unit.
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
    /// The engine reached a state that should be impossible: a bug in the engine.
    #[error("internal error: {problem}. This is a bug in mobilellm, please report it")]
    Internal {
        /// What happened.
        problem: String,
    },
    /// The caller cancelled the load or the generation.
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
