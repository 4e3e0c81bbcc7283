//! `datetime.strftime` of a local time, as Python on glibc writes it: every code, flag and width.

/// A moment of the local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: usize,
    /// From 1.
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
    /// Seconds since 1970.
    pub(super) unix: i64,
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

/// No width is larger; a template could ask for gigabytes.
const WIDEST: usize = 1024;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

impl Moment {
    /// From 0.
    fn day_of_year(&self) -> i64 {
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let before = BEFORE.get(self.month - 1).copied().unwrap_or(0);
        before + self.day - 1 + i64::from(self.month > 2 && is_leap(self.year))
    }

    /// From 0, which is Sunday.
    fn weekday(&self) -> i64 {
        // Days since 1 January of year 1, a Monday.
        let years = self.year - 1;
        let days = 365 * years + years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
        (days + self.day_of_year() + 1).rem_euclid(7)
    }

    /// Year and week by ISO 8601.
    fn iso_week(&self) -> (i64, i64) {
        let weekday = (self.weekday() + 6) % 7;
        let weeks_of = |year: i64| {
            let first = Self { year, month: 1, day: 1, ..*self }.weekday();
            if first == 4 || (first == 3 && is_leap(year)) { 53 } else { 52 }
        };
        let week = (self.day_of_year() - weekday + 10).div_euclid(7);
        if week < 1 {
            (self.year - 1, weeks_of(self.year - 1))
        } else if week > weeks_of(self.year) {
            (self.year + 1, 1)
        } else {
            (self.year, week)
        }
    }

    fn hour12(&self) -> i64 {
        (self.hour + 11) % 12 + 1
    }
}

/// Flags and width of a code.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    /// `_`, `-` or `0`.
    pad: Option<char>,
    upper: bool,
    lower: bool,
    /// `#`.
    swap: bool,
    width: usize,
}

impl Layout {
    fn text(self, text: &str) -> String {
        let text = match (self.lower, self.upper) {
            (true, _) => text.to_lowercase(),
            (false, true) => text.to_uppercase(),
            _ => text.to_owned(),
        };
        let missing = self.width.saturating_sub(text.chars().count());
        let fill = if self.pad == Some('0') { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }

    fn number(self, value: i64, digits: usize, pad: char) -> String {
        let digits = digits.max(self.width);
        let bare = value.unsigned_abs().to_string();
        let sign = if value < 0 { "-" } else { "" };
        let missing = digits.saturating_sub(bare.len() + sign.len());
        match self.pad.unwrap_or(pad) {
            '-' => self.text(&format!("{sign}{bare}")),
            '_' => format!("{}{sign}{bare}", " ".repeat(missing)),
            _ => format!("{sign}{}{bare}", "0".repeat(missing)),
        }
    }
}

/// The text of a moment.
pub(super) fn strftime(format: &str, moment: &Moment) -> String {
    let mut text = String::with_capacity(format.len());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match rest.get(1..2) {
            // Python writes these itself; a naive time has no zone.
            Some("z" | "Z") => 2,
            Some("f") => {
                let part = format!("{:06}", moment.microsecond);
                text.push_str(&part);
                2
            }
            _ => {
                let (part, length) = code(rest, moment);
                text.push_str(&part);
                length
            }
        };
        rest = &rest[length..];
    }
    text.push_str(rest);
    text
}

/// The text of the code at the beginning, and the code's length.
fn code(format: &str, moment: &Moment) -> (String, usize) {
    let mut layout = Layout::default();
    let mut chars = format.char_indices().skip(1).peekable();
    while let Some((_, flag)) = chars.next_if(|(_, flag)| "_-0^#".contains(*flag)) {
        match flag {
            '^' => layout.upper = true,
            '#' => layout.swap = true,
            pad => layout.pad = Some(pad),
        }
    }
    while let Some(digit) = chars.peek().and_then(|(_, digit)| digit.to_digit(10)) {
        layout.width = (layout.width * 10 + digit as usize).min(WIDEST);
        chars.next();
    }
    let modifier = chars.next_if(|(_, char)| matches!(char, 'E' | 'O')).map(|(_, modifier)| modifier);
    let Some((at, char)) = chars.next() else { return (layout.text(format), format.len()) };
    let length = at + char.len_utf8();
    let text = conversion(char, modifier, layout, moment).unwrap_or_else(|| layout.text(&format[..length]));
    (text, length)
}

/// What a code writes; `None` for one that is unknown, which stays as it is.
fn conversion(code: char, modifier: Option<char>, mut layout: Layout, moment: &Moment) -> Option<String> {
    let allowed = match code {
        'c' | 'C' | 'x' | 'X' | 'y' | 'Y' => true,
        _ => modifier != Some('E'),
    } && match code {
        'c' | 'C' | 'x' | 'X' | 'Y' => modifier != Some('O'),
        'a' | 'A' | 'D' | 'F' | 'n' | 't' | 'p' | 'P' | 'r' | 'R' | 'T' | 's' | 'u' | '%' => {
            modifier.is_none() || matches!(code, 'p' | 'P' | 'r' | 'R' | 'T' | 's' | 'u' | 'n' | 't')
        }
        _ => true,
    };
    if !allowed {
        return None;
    }
    let weekday = *WEEKDAYS.get(usize::try_from(moment.weekday()).ok()?)?;
    let month = *MONTHS.get(moment.month.checked_sub(1)?)?;
    if layout.swap {
        layout.upper |= matches!(code, 'a' | 'A' | 'b' | 'B' | 'h');
        layout.lower |= code == 'p';
    }
    layout.lower |= code == 'P';
    let inner = |format: &str| Some(layout.text(&strftime(format, moment)));
    let zeros = |value: i64, digits: usize| Some(layout.number(value, digits, '0'));
    let spaces = |value: i64| Some(layout.number(value, 2, '_'));
    let (day_of_year, wday) = (moment.day_of_year(), moment.weekday());
    match code {
        '%' => Some(layout.text("%")),
        'n' => Some(layout.text("\n")),
        't' => Some(layout.text("\t")),
        'a' => Some(layout.text(&weekday[..3])),
        'A' => Some(layout.text(weekday)),
        'b' | 'h' => Some(layout.text(&month[..3])),
        'B' => Some(layout.text(month)),
        'c' => inner("%a %b %e %H:%M:%S %Y"),
        'D' | 'x' => inner("%m/%d/%y"),
        'F' => inner("%Y-%m-%d"),
        'R' => inner("%H:%M"),
        'r' => inner("%I:%M:%S %p"),
        'T' | 'X' => inner("%H:%M:%S"),
        'p' | 'P' => Some(layout.text(if moment.hour < 12 { "AM" } else { "PM" })),
        'C' => zeros(moment.year.div_euclid(100), 2),
        'd' => zeros(moment.day, 2),
        'e' => spaces(moment.day),
        'H' => zeros(moment.hour, 2),
        'I' => zeros(moment.hour12(), 2),
        'k' => spaces(moment.hour),
        'l' => spaces(moment.hour12()),
        'j' => zeros(day_of_year + 1, 3),
        'm' => zeros(moment.month as i64, 2),
        'M' => zeros(moment.minute, 2),
        'S' => zeros(moment.second, 2),
        's' => zeros(moment.unix, 1),
        'u' => zeros((wday + 6) % 7 + 1, 1),
        'w' => zeros(wday, 1),
        'U' => zeros((day_of_year - wday + 7).div_euclid(7), 2),
        'W' => zeros((day_of_year - (wday + 6) % 7 + 7).div_euclid(7), 2),
        'V' => zeros(moment.iso_week().1, 2),
        // Behind a flag Python leaves them to C, which knows no zone of a naive time either.
        'Z' | 'z' => Some(layout.text("")),
        'g' => zeros(moment.iso_week().0.rem_euclid(100), 2),
        'G' => zeros(moment.iso_week().0, 1),
        'y' => zeros(moment.year.rem_euclid(100), 2),
        'Y' => zeros(moment.year, 1),
        _ => None,
    }
}
