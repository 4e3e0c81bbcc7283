//! Python's ways of writing values, which chat templates rely on: they were written for Jinja in Python.

use std::io;

use minijinja::value::{Kwargs, Value as Jinja, ValueKind};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// The filter `tojson` as `transformers` defines it: Python's `json.dumps` with `ensure_ascii=False`, and without
/// the escapes for HTML that Jinja's own has.
#[expect(clippy::needless_pass_by_value, reason = "filters get their arguments by value")]
pub(super) fn tojson(value: &Jinja, indent: Option<Jinja>, args: Kwargs) -> Result<Jinja, Error> {
    let failed = |error: serde_json::Error| {
        Error::new(ErrorKind::InvalidOperation, format!("tojson cannot write this value: {error}"))
    };
    let mut value = serde_json::to_value(value).map_err(failed)?;
    let indent = match indent {
        Some(indent) => Some(indent),
        None => args.get::<Option<Jinja>>("indent")?,
    };
    let ensure_ascii = args.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let separators = args.get::<Option<Vec<String>>>("separators")?;
    if args.get::<Option<bool>>("sort_keys")?.unwrap_or(false) {
        value.sort_all_objects();
    }
    args.assert_all_used()?;
    let mut dumps = Dumps::new(indent_of(indent)?, ensure_ascii);
    if let Some([item, key]) = separators.as_deref() {
        dumps.item_separator.clone_from(item);
        dumps.key_separator.clone_from(key);
    }
    let mut json = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut json, dumps)).map_err(failed)?;
    Ok(Jinja::from(String::from_utf8_lossy(&json).into_owned()))
}

/// An indent is a number of spaces or the text itself. It is written once a line, so a template may not ask for much.
fn indent_of(indent: Option<Jinja>) -> Result<Option<String>, Error> {
    const WIDEST: usize = 64;
    let Some(indent) = indent.filter(|indent| !indent.is_none()) else { return Ok(None) };
    let text = match indent.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(indent)?.min(WIDEST + 1)),
    };
    if text.len() > WIDEST {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the indent is too wide"));
    }
    Ok(Some(text))
}

/// How `json.dumps` lays out JSON.
struct Dumps {
    indent: Option<String>,
    depth: usize,
    has_items: bool,
    item_separator: String,
    key_separator: String,
    ensure_ascii: bool,
}

impl Dumps {
    fn new(indent: Option<String>, ensure_ascii: bool) -> Self {
        let item_separator = if indent.is_some() { "," } else { ", " }.to_owned();
        Self {
            indent,
            depth: 0,
            has_items: false,
            item_separator,
            key_separator: ": ".to_owned(),
            ensure_ascii,
        }
    }

    fn new_line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(indent.as_bytes()))
    }

    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: u8) -> io::Result<()> {
        self.depth += 1;
        self.has_items = false;
        writer.write_all(&[bracket])
    }

    fn separate<W: ?Sized + io::Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.item_separator.as_bytes())?;
        }
        self.new_line(writer)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: u8) -> io::Result<()> {
        self.depth -= 1;
        if self.has_items {
            self.new_line(writer)?;
        }
        self.has_items = true;
        writer.write_all(&[bracket])
    }
}

impl Formatter for Dumps {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b'[')
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b']')
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b'{')
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b'}')
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key_separator.as_bytes())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ensure_ascii {
            return writer.write_all(fragment.as_bytes());
        }
        fragment.encode_utf16().try_for_each(|unit| match u8::try_from(unit) {
            Ok(ascii) if ascii.is_ascii() => writer.write_all(&[ascii]),
            _ => write!(writer, "\\u{unit:04x}"),
        })
    }
}

/// `repr` of a float: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match exponent {
        Some(exponent) if !(-4..16).contains(&exponent) => {
            let mantissa = scientific.split('e').next().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => {
            let text = value.to_string();
            if text.contains('.') { text } else { format!("{text}.0") }
        }
    }
}

/// `str(value)`: what `{{ value }}` writes.
pub(super) fn str(value: &Jinja) -> String {
    if value.is_undefined() {
        return String::new();
    }
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

fn repr(value: &Jinja) -> String {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| repr(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let item = |key: Jinja| {
                let value = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&value))
            };
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(item).collect();
            format!("{{{}}}", items.join(", "))
        }
        _ => value.to_string(),
    }
}

/// `repr` of a string: in single quotes unless it has some and no double ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for char in text.chars() {
        match char {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            _ if char == quote => quoted.extend(['\\', char]),
            _ if u32::from(char) < 0x20 || char == '\u{7f}' => {
                let digits = format!("{:02x}", u32::from(char));
                quoted.extend(["\\x", &digits]);
            }
            _ => quoted.push(char),
        }
    }
    quoted.push(quote);
    quoted
}

/// `strftime` of a moment in UTC, given in seconds since 1970.
pub(super) fn strftime(format: &str, unix_seconds: u64) -> String {
    let date = Date::of(unix_seconds);
    let mut text = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        match chars.next() {
            // GNU's flag: no padding.
            Some('-') => match chars.next().and_then(|directive| date.write(directive)) {
                Some(part) => {
                    let bare = part.trim_start_matches(['0', ' ']);
                    text.push_str(if bare.is_empty() { "0" } else { bare });
                }
                None => text.push_str("%-"),
            },
            Some(directive) => match date.write(directive) {
                Some(part) => text.push_str(&part),
                None => text.extend(['%', directive]),
            },
            None => text.push('%'),
        }
    }
    text
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment in the Gregorian calendar.
struct Date {
    year: u64,
    /// From 0.
    month: usize,
    /// From 1.
    day: u64,
    /// From 1.
    day_of_year: u64,
    weekday: usize,
    second_of_day: u64,
}

impl Date {
    fn of(unix_seconds: u64) -> Self {
        let days = unix_seconds / 86_400;
        // Howard Hinnant's civil_from_days: years that begin in March, in eras of 400.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_from_march + 2) / 153;
        let month = (month_from_march + 2) % 12;
        let year = year_of_era + era * 400 + u64::from(month < 2);
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let day_of_year = match month {
            0 | 1 => day_from_march - 305,
            _ => day_from_march + 60 + u64::from(is_leap),
        };
        Self {
            year,
            month: month as usize,
            day: day_from_march - (153 * month_from_march + 2) / 5 + 1,
            day_of_year,
            weekday: ((days + 4) % 7) as usize,
            second_of_day: unix_seconds % 86_400,
        }
    }

    fn write(&self, directive: char) -> Option<String> {
        let (hour, minute) = (self.second_of_day / 3600, self.second_of_day / 60 % 60);
        let (month, weekday) = (MONTHS[self.month], WEEKDAYS[self.weekday]);
        Some(match directive {
            'a' => weekday[..3].to_owned(),
            'A' => weekday.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'B' => month.to_owned(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'm' => format!("{:02}", self.month + 1),
            'y' => format!("{:02}", self.year % 100),
            'Y' => self.year.to_string(),
            'j' => format!("{:03}", self.day_of_year),
            'w' => self.weekday.to_string(),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'M' => format!("{minute:02}"),
            'S' => format!("{:02}", self.second_of_day % 60),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month + 1, self.day),
            'T' => format!("{hour:02}:{minute:02}:{:02}", self.second_of_day % 60),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

/// A value of JSON as templates see it.
pub(super) fn jinja(value: &Value) -> Jinja {
    Jinja::from(minijinja::value::Serde(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // Each with what Python's strftime gives in UTC.
        let cases = [
            (0, "%d %b %Y %A %j", "01 Jan 1970 Thursday 001"),
            (951_782_400, "%F %a %-d %-m", "2000-02-29 Tue 29 2"),
            (951_868_800, "%F %j", "2000-03-01 061"),
            (1_709_251_199, "%B %d, %Y %I:%M:%S %p", "February 29, 2024 11:59:59 PM"),
            (1_735_603_200, "%j %y %H%%%M", "366 24 00%00"),
            (4_107_542_400, "%F %j", "2100-03-01 060"),
            (1_735_689_600, "%-H|%e|%Q|%", "0| 1|%Q|%"),
        ];
        for (seconds, format, expected) in cases {
            assert_eq!(strftime(format, seconds), expected);
        }
    }
}
