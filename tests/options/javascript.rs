//! The tables as a JavaScript module: the check of each option.

use mobilellm::options::{Limits, OptionSpec, Values};

use crate::camel_case;

const HEADER: &str = "\
// The options and their checks.
// `cargo xtask options` makes this file from src/options/. Do not edit it: change the tables and run the command again.

";

/// The whole module.
pub(crate) fn module(request: &[&OptionSpec], load: &[&OptionSpec]) -> String {
    let imports = imports(request.iter().chain(load)).join(", ");
    let request = table(request, str::to_owned);
    let load = table(load, camel_case);
    format!(
        "{HEADER}import {{ {imports} }} from \"./checks.js\";\n\n\
        /** The check of each option of a request, under the names that the engine uses. */\n\
        export const REQUEST_OPTIONS = {{\n{request}\n}};\n\n\
        /** The check of each option of Engine.load(). */\n\
        export const LOAD_OPTIONS = {{\n{load}\n}};\n"
    )
}

/// A line for each option.
fn table(options: &[&OptionSpec], name: impl Fn(&str) -> String) -> String {
    let checks: Vec<_> =
        options.iter().map(|option| format!("  {}: {},", name(option.name), check(option))).collect();
    checks.join("\n")
}

/// The functions of `checks.js` that are used, in order.
fn imports<'a>(options: impl Iterator<Item = &'a &'a OptionSpec>) -> Vec<&'static str> {
    let mut names: Vec<_> = options.map(|option| function(&option.values)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The function of `checks.js` for a kind of values.
fn function(values: &Values) -> &'static str {
    match values {
        Values::Number(_) => "number",
        Values::Whole(_) => "integer",
        Values::Boolean | Values::Switch => "boolean",
        Values::Word(_) => "oneOf",
        Values::Strings => "strings",
        Values::ByToken(_) => "numberByToken",
    }
}

/// The expression that checks an option.
fn check(option: &OptionSpec) -> String {
    let function = function(&option.values);
    match &option.values {
        Values::Number(limits) | Values::Whole(limits) | Values::ByToken(limits) => call(function, limits),
        Values::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("{function}({})", words.join(", "))
        }
        Values::Boolean | Values::Switch | Values::Strings => function.to_owned(),
    }
}

fn call(function: &str, limits: &Limits) -> String {
    format!("{function}({}, {})", limits.package.low, limits.package.high)
}
