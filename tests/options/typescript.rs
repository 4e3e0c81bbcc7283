//! A table as members of a TypeScript interface, between two comments.

use mobilellm::options::{OptionSpec, Range, Values};

use crate::camel_case;

/// Columns of a line of comment.
const WIDTH: usize = 126;

/// The file with the members of a table in place of those between its two comments. `kind` is `request` or `load`; the second
/// has names in camel case, and members that null does not stand for.
pub(crate) fn replace(file: &str, kind: &str, options: &[&OptionSpec]) -> String {
    let begin = format!("  // Begin of the {kind} options, made by `cargo xtask options`.\n");
    let end = format!("  // End of the {kind} options.\n");
    let (before, rest) =
        file.split_once(&begin).expect("index.d.ts has lost the comment that begins the options");
    let (_, after) = rest.split_once(&end).expect("index.d.ts has lost the comment that ends the options");
    let members: String = options.iter().map(|option| member(kind, option)).collect();
    format!("{before}{begin}{members}{end}{after}")
}

fn member(kind: &str, option: &OptionSpec) -> String {
    let (name, null) =
        if kind == "load" { (camel_case(option.name), "") } else { (option.name.to_owned(), " | null") };
    format!("{}  {name}?: {}{null};\n", comment(&about(option)), type_of(&option.values))
}

fn type_of(values: &Values) -> String {
    match values {
        Values::Number(_) | Values::Whole(_) => "number".to_owned(),
        Values::Boolean | Values::Switch => "boolean".to_owned(),
        Values::Word(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" | "),
        Values::Strings => "string | string[]".to_owned(),
        Values::ByToken(_) => "Record<number, number>".to_owned(),
    }
}

/// What an option does, its range and its default, in sentences.
fn about(option: &OptionSpec) -> String {
    let mut text = option.about.to_owned();
    match &option.values {
        Values::Number(limits) | Values::ByToken(limits) => text += &from_to(limits.package),
        Values::Strings => text += " It may also be a list of strings.",
        Values::Whole(_) | Values::Boolean | Values::Switch | Values::Word(_) => {}
    }
    match option.default.package {
        "" => text,
        default => format!("{text} Default: {default}."),
    }
}

fn from_to(range: Range) -> String {
    format!(" From {} to {}.", range.low, range.high)
}

/// A comment of one line, or of several where it is long.
fn comment(text: &str) -> String {
    let short = format!("  /** {text} */\n");
    if short.trim_end().chars().count() <= WIDTH {
        return short;
    }
    let lines = wrap(text, WIDTH - "   * ".len()).join("\n   * ");
    format!("  /**\n   * {lines}\n   */\n")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
