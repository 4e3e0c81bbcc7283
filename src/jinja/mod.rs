//! Jinja as Python runs it: the language of chat templates, in the environment that `transformers` gives them.
//!
//! Templates are written for Python's Jinja, and use whatever Python's values can do. So values, operators, methods, filters
//! and tests here follow Python's rules to the letter; what is missing is an error that names it. And strings know which of
//! their characters a user wrote (see [`text`]): an ordinary engine could not tell the tokenizer.
//!
//! A template is untrusted. It cannot change a value, reach anything outside, recurse without limit, or work for ever.

mod ast;
mod call;
mod eval;
mod fault;
mod filters;
mod format;
mod functions;
mod json;
mod lexer;
mod methods;
mod number;
mod ops;
mod parser;
mod tests;
pub(crate) mod text;
mod value;
mod wrap;

use std::collections::HashMap;
use std::rc::Rc;

pub(crate) use fault::{Error, Fault};
pub(crate) use text::Char;
pub(crate) use value::Value;

/// A template that has been read.
#[derive(Debug)]
pub(crate) struct Template {
    body: Vec<ast::Stmt>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Fault::Syntax`].
    pub(crate) fn new(source: &str) -> Result<Self, Error> {
        Ok(Self { body: parser::parse(source)? })
    }

    /// What it writes with these variables, doing at most `fuel` work. `now` formats the local time for `strftime_now`.
    ///
    /// # Errors
    /// What Python would raise, what the interpreter does not do, and too much work.
    pub(crate) fn render(
        &self,
        variables: HashMap<Rc<str>, Value>,
        fuel: u64,
        now: &dyn Fn(&str) -> String,
    ) -> Result<Vec<Char>, Error> {
        eval::Run::template(&self.body, variables, fuel, now)
    }
}
