//! The filter `tojson` as transformers defines it: Python's `json.dumps`, whose characters keep their origin.

use super::call::Call;
use super::eval::Run;
use super::fault::{Fault, Result, fault};
use super::number::float;
use super::text::{Char, Text, own};
use super::value::{Object, Value};

/// An indent is written once a line, so a template may not ask for much.
const WIDEST: usize = 64;

pub(super) fn tojson(run: &mut Run<'_>, value: &Value, call: &Call) -> Result<Value> {
    let args = call.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], 0)?;
    let indent = match args.some(1) {
        None => None,
        Some(Value::Str(text)) => Some(text.chars().to_vec()),
        Some(width) => {
            let width = super::call::int(width)?.clamp(0, WIDEST as i128 + 1);
            Some(vec![Char::new(' ', false); usize::try_from(width).unwrap_or(0)])
        }
    };
    if indent.as_ref().is_some_and(|indent| indent.len() > WIDEST) {
        return Err(Fault::Unsupported("so wide an indent of tojson".to_owned()));
    }
    let (item, key) = match args.some(2) {
        None => (own(if indent.is_some() { "," } else { ", " }), own(": ")),
        Some(pair) => match pair.items()?.as_slice() {
            [Value::Str(item), Value::Str(key)] => (item.chars().to_vec(), key.chars().to_vec()),
            _ => return fault("separators must be two strings"),
        },
    };
    let mut dumps = Dumps {
        run,
        indent,
        item,
        key,
        ensure_ascii: args.truth(0, false),
        sort_keys: args.truth(3, false),
        out: Vec::new(),
    };
    dumps.value(value, 0)?;
    Ok(dumps.out.into())
}

struct Dumps<'a, 'b> {
    run: &'a mut Run<'b>,
    indent: Option<Vec<Char>>,
    item: Vec<Char>,
    key: Vec<Char>,
    ensure_ascii: bool,
    sort_keys: bool,
    out: Vec<Char>,
}

impl Dumps<'_, '_> {
    fn write(&mut self, text: &str) {
        self.out.extend(own(text));
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.indent.clone() {
            self.write("\n");
            for _ in 0..depth {
                self.out.extend_from_slice(&indent);
            }
        }
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        self.run.spend(1)?;
        match value {
            Value::None => self.write("null"),
            Value::Bool(flag) => self.write(if *flag { "true" } else { "false" }),
            Value::Int(int) => self.write(&int.to_string()),
            Value::Float(number) => self.write(&json_float(*number)),
            Value::Str(text) => self.string(text)?,
            Value::Dict(dict) => {
                let mut pairs = Vec::new();
                for (name, value) in dict.values() {
                    pairs.push((name.clone(), value.clone()));
                }
                if self.sort_keys {
                    super::filters::sort_by(&mut pairs, |(name, _)| name.clone(), false)?;
                }
                self.list('{', '}', pairs.len(), depth, |dumps, index| {
                    let (name, value) = &pairs[index];
                    dumps.name(name)?;
                    dumps.out.extend_from_slice(&dumps.key.clone());
                    dumps.value(value, depth + 1)
                })?;
            }
            Value::List(items) | Value::Tuple(items) => {
                self.list('[', ']', items.len(), depth, |dumps, index| {
                    dumps.value(&items[index], depth + 1)
                })?;
            }
            Value::Object(object) => match &**object {
                Object::Group(group, items) => {
                    let items = [group.clone(), items.clone()];
                    self.list('[', ']', 2, depth, |dumps, index| dumps.value(&items[index], depth + 1))?;
                }
                _ => return not_json(value),
            },
            Value::Undefined(_) | Value::Bytes(_) => return not_json(value),
        }
        Ok(())
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        len: usize,
        depth: usize,
        mut each: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        self.write(&open.to_string());
        for index in 0..len {
            if index > 0 {
                self.out.extend_from_slice(&self.item.clone());
            }
            self.new_line(depth + 1);
            each(self, index)?;
        }
        if len > 0 {
            self.new_line(depth);
        }
        self.write(&close.to_string());
        Ok(())
    }

    fn name(&mut self, name: &Value) -> Result<()> {
        match name {
            Value::Str(text) => self.string(text),
            Value::None => self.string(&Text::from("null")),
            Value::Bool(flag) => self.string(&Text::from(if *flag { "true" } else { "false" })),
            Value::Int(int) => self.string(&Text::from(int.to_string().as_str())),
            Value::Float(number) => self.string(&Text::from(json_float(*number).as_str())),
            other => fault(format!("keys must be str, int, float, bool or None, not {}", other.type_name())),
        }
    }

    fn string(&mut self, text: &Text) -> Result<()> {
        self.run.spend(text.len() / 16)?;
        self.write("\"");
        for char in text.chars() {
            let escape = match char.char() {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                '\u{8}' => "\\b".to_owned(),
                '\u{c}' => "\\f".to_owned(),
                other if u32::from(other) < 0x20 => format!("\\u{:04x}", u32::from(other)),
                other if self.ensure_ascii && u32::from(other) > 0x7e => {
                    let mut units = [0; 2];
                    let units: Vec<String> =
                        other.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
                    units.concat()
                }
                _ => {
                    self.out.push(*char);
                    continue;
                }
            };
            self.out.extend(escape.chars().map(|other| char.with(other)));
        }
        self.write("\"");
        Ok(())
    }
}

fn json_float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        float(number)
    }
}

fn not_json<T>(value: &Value) -> Result<T> {
    fault(format!("Object of type {} is not JSON serializable", value.type_name()))
}
