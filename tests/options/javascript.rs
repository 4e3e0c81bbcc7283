//! The table as a JavaScript module: the check of each option.

use mobilellm::generate::options::{Limits, RequestOption, Values};

const HEADER: &str = "\
// The request options and their checks, under the names that the engine uses.
// `cargo xtask options` makes this file from src/generate/options.rs. Do not edit it: change the table and run the command again.

";

/// The whole module.
pub(crate) fn module(options: &[&RequestOption]) -> String {
    let imports = imports(options).join(", ");
    let checks: Vec<_> =
        options.iter().map(|option| format!("  {}: {},", option.name, check(option))).collect();
    let checks = checks.join("\n");
    format!(
        "{HEADER}import {{ {imports} }} from \"./checks.js\";\n\n\
        /** The check of each option. */\nexport const OPTIONS = {{\n{checks}\n}};\n"
    )
}

/// The functions of `checks.js` that are used, in order.
fn imports(options: &[&RequestOption]) -> Vec<&'static str> {
    let mut names: Vec<_> = options.iter().map(|option| function(&option.values)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The function of `checks.js` for a kind of values.
fn function(values: &Values) -> &'static str {
    match values {
        Values::Number(_) => "number",
        Values::Whole(_) => "integer",
        Values::Boolean => "boolean",
        Values::Word(_) => "oneOf",
        Values::Strings => "strings",
        Values::ByToken(_) => "numberByToken",
    }
}

/// The expression that checks an option.
fn check(option: &RequestOption) -> String {
    let function = function(&option.values);
    match &option.values {
        Values::Number(limits) | Values::Whole(limits) | Values::ByToken(limits) => call(function, limits),
        Values::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("{function}({})", words.join(", "))
        }
        Values::Boolean | Values::Strings => function.to_owned(),
    }
}

fn call(function: &str, limits: &Limits) -> String {
    format!("{function}({}, {})", limits.package.low, limits.package.high)
}
