//! Conversations to text, by the template that a checkpoint brings.
//!
//! The environment is that of `transformers`' `apply_chat_template`: Jinja with Python's methods on strings, blocks
//! trimmed, `raise_exception`, `strftime_now` and its own `tojson`.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Jinja;
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value};

use super::Tokenizer;
use super::python;
use crate::error::{Error, Result};

/// Work that a template may do: instructions, and one more for every 64 bytes that it makes. A long conversation takes
/// some ten thousand; this much is 64 MB of text at the most.
const FUEL: u64 = 1_000_000;

/// Depth to which a template may call itself; Jinja's engine counts ten and more for a call of a macro.
const RECURSION: usize = 200;

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
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            format: ChatFormat::default(),
            add_generation_prompt: true,
            template: None,
            variables: Map::new(),
        }
    }
}

impl Tokenizer {
    /// The text of a conversation, to be encoded *without* special tokens, for it has its own.
    ///
    /// `messages` and `tools` have OpenAI's shape: `{"role", "content"}` with a string or a list of text parts,
    /// `tool_calls` of an assistant, `{"role": "tool"}` with a result.
    ///
    /// # Errors
    /// [`Error::Request`] for messages of another shape; [`Error::Template`] where there is no template or it is
    /// broken, refuses the conversation, or does not come to an end.
    pub fn render_chat(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<String> {
        let given = tools.iter().chain(options.variables.values());
        if given.into_iter().any(|value| is_deeper_than(value, DEEPEST)) {
            return Err(Error::request("tools", format!("one nests more than {DEEPEST} lists and objects")));
        }
        let messages: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| plain_text(index, message))
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

    fn render_template(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<String> {
        let for_tools = options.template.is_none() && !tools.is_empty();
        let source = match (for_tools, self.chat_template(Some("tool_use"))) {
            (true, Ok(source)) => source,
            _ => self.chat_template(options.template.as_deref())?,
        };
        let source = prepare(source)?;
        let environment = environment();
        let template = environment.template_from_str(&source).map_err(|error| failed(&error))?;
        template.render(self.variables(messages, tools, options)).map_err(|error| failed(&error))
    }

    fn variables(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Jinja {
        let mut variables = self.settings.named_tokens.clone();
        variables.insert("messages".to_owned(), Value::from(messages));
        let tools = if tools.is_empty() { Value::Null } else { Value::from(tools) };
        variables.insert("tools".to_owned(), tools);
        variables.insert("documents".to_owned(), Value::Null);
        variables.insert("add_generation_prompt".to_owned(), Value::from(options.add_generation_prompt));
        variables.extend(options.variables.clone());
        python::jinja(&Value::Object(variables))
    }

    fn render_plain(&self, messages: &[Value], tools: &[Value], options: &ChatOptions) -> Result<String> {
        if !tools.is_empty() {
            return Err(Error::request("tools", "the plain chat format cannot express tools"));
        }
        let mut text = match self.bos_token_id.filter(|bos| self.special_tokens.before.first() == Some(bos)) {
            Some(bos) => self.token(bos).unwrap_or_default(),
            None => String::new(),
        };
        for (index, message) in messages.iter().enumerate() {
            let content = message["content"].as_str().unwrap_or_default().trim();
            match message["role"].as_str().unwrap_or_default() {
                "system" | "developer" => text.extend([content, "\n\n"]),
                "user" => text.extend(["User: ", content, "\n"]),
                "assistant" => text.extend(["Assistant: ", content, "\n"]),
                other => {
                    return Err(Error::request(
                        format!("messages[{index}].role"),
                        format!("the plain chat format cannot express {other:?}"),
                    ));
                }
            }
        }
        if options.add_generation_prompt {
            // No space: it belongs to the first word of the answer.
            text.push_str("Assistant:");
        }
        Ok(text)
    }
}

/// The environment that `transformers` gives to chat templates.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    minijinja_contrib::add_to_environment(&mut environment);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, _, value| {
        out.write_str(&python::str(value))
            .map_err(|error| minijinja::Error::new(ErrorKind::WriteFailure, error.to_string()))
    });
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.add_filter("tojson", python::tojson);
    environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
    });
    environment.add_function("strftime_now", |format: String| {
        let now = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).unwrap_or_default();
        python::strftime(&format, now.as_secs())
    });
    environment
}

/// How a template's own complaint is told from other errors.
const RAISED: &str = "raise_exception: ";

fn failed(error: &minijinja::Error) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let place = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    let problem = match error.kind() {
        ErrorKind::OutOfFuel => {
            "it does not come to an end, or makes far too much of the conversation".to_owned()
        }
        ErrorKind::SyntaxError => format!("syntax error{place}: {detail}"),
        _ => match detail.split_once(RAISED) {
            Some((_, complaint)) => format!("it refuses this conversation: {complaint}"),
            None => format!("it fails{place}: {}: {detail}", error.kind()),
        },
    };
    Error::Template { problem }
}

/// Words and signs in one tag. Jinja's engine reads expressions and chains of `elif` recursively and limits only some of
/// that: a tag of ten thousand `not` would exhaust the stack.
const LONGEST_TAG: usize = 400;

/// Tags `elif` in a template.
const MOST_ELIFS: usize = 200;

/// Makes a template fit for the engine: refuses what would exhaust the stack, and takes out `{% generation %}`, with
/// which training code finds the assistant's words and which writes nothing.
fn prepare(template: &str) -> Result<String> {
    let mut prepared = String::with_capacity(template.len());
    let mut elifs = 0;
    let mut rest = template;
    while let Some(start) = ["{%", "{{", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        let line = || 1 + template[..template.len() - rest.len() + start].matches('\n').count();
        let (before, tag) = rest.split_at(start);
        let (length, words) = measure_tag(tag);
        let (tag, after) = tag.split_at(length);
        let inner = tag.trim_start_matches("{%").trim_end_matches("%}").trim_matches(['-', '+']).trim();
        elifs += usize::from(tag.starts_with("{%") && inner.starts_with("elif"));
        if words > LONGEST_TAG || elifs > MOST_ELIFS {
            return Err(Error::Template {
                problem: format!(
                    "it is too intricate in line {}: at most {LONGEST_TAG} words a tag and {MOST_ELIFS} elif",
                    line()
                ),
            });
        }
        prepared.push_str(before);
        match inner {
            // A block of the same kind keeps the rules for the white space around it.
            "generation" => prepared.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => prepared.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => prepared.push_str(tag),
        }
        rest = after;
    }
    prepared.push_str(rest);
    Ok(prepared)
}

/// The length of the tag or comment with which a text begins, and how many words and signs are in it, strings aside.
fn measure_tag(text: &str) -> (usize, usize) {
    if text.starts_with("{#") {
        return (text.find("#}").map_or(text.len(), |end| end + 2), 0);
    }
    let end = if text.starts_with("{%") { "%}" } else { "}}" };
    let (mut words, mut in_word, mut escaped) = (0, false, false);
    let mut quote = None;
    for (index, char) in text.char_indices() {
        if let Some(open) = quote {
            if char == open && !escaped {
                quote = None;
            }
            escaped = char == '\\' && !escaped;
            continue;
        }
        if text[index..].starts_with(end) {
            return (index + end.len(), words);
        }
        let is_word = char.is_alphanumeric() || char == '_';
        words += usize::from(!(char.is_whitespace() || is_word && in_word));
        in_word = is_word;
        quote = Some(char).filter(|char| matches!(char, '\'' | '"'));
    }
    (text.len(), words)
}

/// A message as templates for text models expect it: content as one string, arguments of tool calls as objects.
fn plain_text(index: usize, message: &Value) -> Result<Value> {
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
    let calls_tools =
        message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    let content = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(part_text)
            .collect::<Result<String, String>>()
            .map_err(|text| problem(".content", text))?,
        None | Some(Value::Null) if calls_tools => String::new(),
        _ => return Err(problem(".content", "it is neither a string nor a list of text parts".to_owned())),
    };
    message.insert("content".to_owned(), Value::from(content));
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
