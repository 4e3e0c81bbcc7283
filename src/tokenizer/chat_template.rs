//! Conversations to text, by the template that a checkpoint brings.
//!
//! The environment is that of `transformers`' `apply_chat_template`: see [`crate::jinja`].

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::control_tokens::ControlTokens;
use super::{Tokenizer, local_time, strftime};
use crate::error::{Error, Result};
use crate::jinja::{self, Char, Fault, Template};

/// Work that a template may do: expressions, and one more for every 64 characters that it makes. A long conversation takes
/// some ten thousand.
const FUEL: u64 = 1_000_000;

/// Nesting of lists and objects in a message or a tool; deeper ones would exhaust the stack.
const DEEPEST: usize = 100;

/// How a conversation becomes text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChatFormat {
    /// By the template of the checkpoint.
    #[default]
    Template,
    /// As a dialogue of `User:` and `Assistant:`, for base models, which have no template.
    Plain,
}

impl ChatFormat {
    /// Texts that end the model's turn beside its end token: a base model does not stop at its turn's end, but writes
    /// the next question too.
    pub fn stop_strings(self) -> &'static [&'static str] {
        match self {
            Self::Template => &[],
            Self::Plain => &["\nUser:", "\nAssistant:"],
        }
    }
}

/// What [`Tokenizer::render_chat`] is asked for beside the messages.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatOptions {
    /// By template or plain.
    pub format: ChatFormat,
    /// Whether the text ends with the beginning of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Which template, where a checkpoint has several; by default `tool_use` with tools, else `default`.
    pub template: Option<String>,
    /// More variables for the template, such as `enable_thinking` or `documents`.
    pub variables: Map<String, Value>,
    /// Which control tokens of the text count.
    pub control_tokens: ControlTokens,
}

/// A conversation as the model will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its text.
    pub text: String,
    /// The tokens of the text.
    pub ids: Vec<u32>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            format: ChatFormat::default(),
            add_generation_prompt: true,
            template: None,
            variables: Map::new(),
            control_tokens: ControlTokens::default(),
        }
    }
}

impl Tokenizer {
    /// The text of a conversation. Its tokens are [`Tokenizer::chat_tokens`]: whoever encodes the text by itself makes control
    /// tokens of what users wrote.
    ///
    /// `messages` and `tools` have OpenAI's shape: `{"role", "content"}`, `tool_calls` of an assistant, `{"role": "tool"}` with
    /// a result. The template gets them as they are: what its makers want to have as content, is theirs to say.
    ///
    /// # Errors
    /// [`Error::Request`] for messages of another shape; [`Error::Template`] where there is no template or it is
    /// broken, refuses the conversation, or does not come to an end.
    pub fn render_chat(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<String> {
        Ok(self.rendered(messages, tools, options)?.iter().map(|char| char.char()).collect())
    }

    /// The text of a conversation and its tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::render_chat`], and [`Error::Request`] for a text that the vocabulary cannot express.
    pub fn chat_tokens(
        &self,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Rendered> {
        let chars = self.rendered(messages, tools, options)?;
        let ids = self.encode_rendered(&chars, options.control_tokens)?;
        Ok(Rendered { text: chars.iter().map(|char| char.char()).collect(), ids })
    }

    fn rendered(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<Vec<Char>> {
        let given = tools.iter().chain(options.variables.values());
        if given.into_iter().any(|value| is_deeper_than(value, DEEPEST)) {
            return Err(Error::request("tools", format!("one nests more than {DEEPEST} lists and objects")));
        }
        let messages: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| checked(index, message))
            .collect::<Result<_>>()?;
        match options.format {
            ChatFormat::Template => self.render_template(&messages, tools, options),
            ChatFormat::Plain => self.render_plain(&messages, tools, options),
        }
    }

    /// The default template, or the one of that name.
    ///
    /// # Errors
    /// [`Error::Template`] where there is none.
    pub fn chat_template(&self, name: Option<&str>) -> Result<&str> {
        let templates = &self.settings.chat_templates;
        let found =
            |name: &str| templates.iter().find(|(other, _)| other == name).map(|(_, text)| text.as_str());
        found(name.unwrap_or("default")).ok_or_else(|| {
            let names: Vec<&str> = templates.iter().map(|(name, _)| name.as_str()).collect();
            let problem = if names.is_empty() {
                "this checkpoint has none, as base models do: they continue text. Ask for a completion, for the \
                 plain chat format, or load an instruction-tuned checkpoint"
                    .to_owned()
            } else {
                format!("there is none called {:?}, only {}", name.unwrap_or("default"), names.join(", "))
            };
            Error::Template { problem }
        })
    }

    /// Whether the checkpoint brings a chat template.
    pub fn has_chat_template(&self) -> bool {
        !self.settings.chat_templates.is_empty()
    }

    fn render_template(
        &self,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<Char>> {
        let for_tools = options.template.is_none() && !tools.is_empty();
        let source = match (for_tools, self.chat_template(Some("tool_use"))) {
            (true, Ok(source)) => source,
            _ => self.chat_template(options.template.as_deref())?,
        };
        let now = |format: &str| strftime::strftime(format, &local_time::now());
        Template::new(source)
            .and_then(|template| template.render(self.variables(messages, tools, options), FUEL, &now))
            .map_err(|error| failed(&error))
    }

    /// What the template may refer to. Whatever came with the request is marked as a user's; only the checkpoint's own tokens
    /// are not.
    fn variables(
        &self,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> HashMap<Rc<str>, jinja::Value> {
        let mut variables = HashMap::new();
        for (name, token) in &self.settings.named_tokens {
            variables.insert(name.as_str().into(), jinja::Value::from_json(token, false));
        }
        let tools = if tools.is_empty() { Value::Null } else { Value::from(tools) };
        for (name, value) in
            [("messages", Value::from(messages)), ("tools", tools), ("documents", Value::Null)]
        {
            variables.insert(name.into(), jinja::Value::from_json(&value, true));
        }
        variables.insert("add_generation_prompt".into(), jinja::Value::from(options.add_generation_prompt));
        for (name, value) in &options.variables {
            variables.insert(name.as_str().into(), jinja::Value::from_json(value, true));
        }
        variables
    }

    fn render_plain(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<Vec<Char>> {
        if !tools.is_empty() {
            return Err(Error::request("tools", "the plain chat format cannot express tools"));
        }
        let mut out = Vec::new();
        let mut write = |text: &str, users: bool| out.extend(text.chars().map(|char| Char::new(char, users)));
        if let Some(bos) = self.bos_token_id.filter(|bos| self.special_tokens.before.first() == Some(bos)) {
            write(&self.token(bos).unwrap_or_default(), false);
        }
        for (index, message) in messages.iter().enumerate() {
            let content = plain_content(index, message)?;
            let (before, after) = match message["role"].as_str().unwrap_or_default() {
                "system" | "developer" => ("", "\n\n"),
                "user" => ("User: ", "\n"),
                "assistant" => ("Assistant: ", "\n"),
                other => {
                    return Err(Error::request(
                        format!("messages[{index}].role"),
                        format!("the plain chat format cannot express {other:?}"),
                    ));
                }
            };
            write(before, false);
            write(content.trim(), true);
            write(after, false);
        }
        if options.add_generation_prompt {
            // No space: it belongs to the first word of the answer.
            write("Assistant:", false);
        }
        Ok(out)
    }
}

fn failed(error: &jinja::Error) -> Error {
    let line = error.line;
    let problem = match &error.fault {
        Fault::Exhausted => {
            "it does not come to an end, or makes far too much of the conversation".to_owned()
        }
        Fault::Syntax(words) => format!("syntax error in line {line}: {words}"),
        Fault::Refused(words) => format!("it refuses this conversation: {words}"),
        Fault::Unsupported(what) => format!("in line {line} it needs {what}, which this engine does not do"),
        Fault::Raised(words) => format!("it fails in line {line}: {words}"),
    };
    Error::Template { problem }
}

/// A message as templates get it: as it is, but for the arguments of tool calls.
fn checked(index: usize, message: &Value) -> Result<Value> {
    let problem = |field: &str, problem: String| Error::request(format!("messages[{index}]{field}"), problem);
    let Value::Object(message) = message else {
        return Err(problem("", "it is not an object with role and content".to_owned()));
    };
    if message.values().any(|value| is_deeper_than(value, DEEPEST)) {
        return Err(problem("", format!("it nests more than {DEEPEST} lists and objects")));
    }
    if !message.get("role").is_some_and(Value::is_string) {
        return Err(problem(
            ".role",
            "it is missing; it is \"system\", \"user\", \"assistant\" or \"tool\"".to_owned(),
        ));
    }
    let mut message = message.clone();
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        // OpenAI has arguments as a string of JSON, templates want what it says.
        if let Some(arguments) = call.pointer_mut("/function/arguments")
            && let Some(Ok(parsed @ Value::Object(_))) = arguments.as_str().map(serde_json::from_str)
        {
            *arguments = parsed;
        }
    }
    Ok(Value::Object(message))
}

/// The content of a message as one text.
fn plain_content(index: usize, message: &Value) -> Result<String> {
    let problem = |problem: String| Error::request(format!("messages[{index}].content"), problem);
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            parts.iter().map(part_text).collect::<Result<String, String>>().map_err(problem)
        }
        _ => Err(problem("it is neither a string nor a list of text parts".to_owned())),
    }
}

fn is_deeper_than(value: &Value, depth: usize) -> bool {
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    depth == 0 || inner.any(|value| is_deeper_than(value, depth - 1))
}

fn part_text(part: &Value) -> Result<&str, String> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text") | None, Some(text)) => Ok(text),
        (Some(kind), _) => {
            Err(format!("a part of type {kind:?} is not text, and this model reads only text"))
        }
        (None, None) => Err("a part has no text".to_owned()),
    }
}
