//! Numbers as Python writes and reads them.

use super::fault::{Fault, Result, fault};

/// `repr` of a float: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
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

/// With an exponent of two digits at least, as C writes it.
pub(super) fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g`: the shorter of both ways, with `precision` digits, and no zeros at the end unless `keep_zeros`.
pub(super) fn general(value: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let exponent = match scientific(value, precision - 1).split_once('e') {
        Some((_, exponent)) => exponent.parse::<i32>().unwrap_or(0),
        None => 0,
    };
    let is_plain = exponent >= -4 && exponent < precision as i32;
    let text = if is_plain {
        let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
        format!("{value:.decimals$}")
    } else {
        scientific(value, precision - 1)
    };
    if keep_zeros {
        return text;
    }
    let (digits, exponent) = match text.split_once('e') {
        Some((digits, exponent)) => (digits, format!("e{exponent}")),
        None => (text.as_str(), String::new()),
    };
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{exponent}")
}

/// What `int(text, base)` reads; `None` where Python raises.
pub(super) fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_lowercase();
    let prefixed =
        [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| lower.starts_with(prefix));
    let (digits, base) = match (prefixed, base) {
        (Some((prefix, own)), base) if base == own || base == 0 => {
            let rest = &lower[prefix.len()..];
            (rest.strip_prefix('_').unwrap_or(rest).to_owned(), own)
        }
        (_, 0) => {
            let is_zero = lower.chars().all(|c| c == '0' || c == '_');
            if lower.starts_with('0') && !is_zero {
                return None;
            }
            (lower, 10)
        }
        (_, base) => (lower, base),
    };
    let badly_parted = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if digits.is_empty() || badly_parted {
        return None;
    }
    let mut value: i128 = 0;
    for digit in digits.chars().filter(|c| *c != '_') {
        let digit = digit.to_digit(base).or_else(|| decimal_digit(digit).filter(|digit| *digit < base))?;
        value = value.checked_mul(i128::from(base))?.checked_add(i128::from(digit))?;
    }
    Some(if negative { -value } else { value })
}

/// The value of a decimal digit of any script: they stand in tens.
fn decimal_digit(char: char) -> Option<u32> {
    const ZEROS: [u32; 20] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0,
        0xf20, 0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce,
    ];
    let code = u32::from(char);
    ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)).map(|zero| code - zero)
}

/// What `float(text)` reads; `None` where Python raises.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    let plain = text.replace('_', "").to_lowercase();
    let bare = plain.trim_start_matches(['+', '-']);
    let is_word = matches!(bare, "inf" | "infinity" | "nan");
    let is_number = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if plain.len() > bare.len() + 1 || !(is_word || is_number) { None } else { plain.parse().ok() }
}

/// Too large for 128 bits.
pub(super) fn too_large<T>() -> Result<T> {
    Err(Fault::Unsupported("a whole number beyond 128 bits".to_owned()))
}

/// `round(value, digits)` of a float: to the nearest, a tie to the even one, judged by its exact decimal value.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    match usize::try_from(digits) {
        // Formatting rounds the exact value, ties to even.
        Ok(digits) if digits < 320 => format!("{value:.digits$}").parse().unwrap_or(value),
        Ok(_) => value,
        Err(_) => {
            let power = 10f64.powi(-digits);
            let scaled = value / power;
            scaled.round_ties_even() * power
        }
    }
}

/// `a // b` of whole numbers.
pub(super) fn floor_div(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return fault("division by zero");
    }
    let quotient = a.wrapping_div(b);
    Ok(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

/// `a % b` of whole numbers: it has the sign of `b`.
pub(super) fn floor_mod(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return fault("integer modulo by zero");
    }
    let rest = a.wrapping_rem(b);
    Ok(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
}

/// `a % b` of floats.
pub(super) fn float_mod(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// Digits in groups of three, parted by `separator`.
pub(super) fn grouped(digits: &str, separator: char) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}
