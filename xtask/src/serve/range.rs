//! The `Range` header (RFC 9110, section 14): one range of bytes.

use std::ops::Range;

/// What a `Range` header asks of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The header is absent, malformed or asks for several ranges: send everything.
    Whole,
    /// These bytes, not empty and inside the file.
    Part(Range<u64>),
    /// Nothing of what it asks for exists.
    Unsatisfiable,
}

/// Reads a header against a file of `length` bytes.
pub(super) fn parse(header: Option<&str>, length: u64) -> Wanted {
    let Some((first, last)) =
        header.and_then(|value| value.trim().strip_prefix("bytes=")).and_then(|spec| spec.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, parse};

    #[test]
    fn one_range_is_cut_to_the_file() {
        assert_eq!(parse(Some("bytes=0-9"), 100), Wanted::Part(0..10));
        assert_eq!(parse(Some("bytes=90-200"), 100), Wanted::Part(90..100));
        assert_eq!(parse(Some("bytes=90-"), 100), Wanted::Part(90..100));
        assert_eq!(parse(Some("bytes=-10"), 100), Wanted::Part(90..100));
        assert_eq!(parse(Some("bytes=-1000"), 100), Wanted::Part(0..100));
        assert_eq!(parse(Some("bytes=0-18446744073709551615"), 100), Wanted::Part(0..100));
    }

    #[test]
    fn a_range_outside_the_file_is_refused() {
        assert_eq!(parse(Some("bytes=100-"), 100), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=100-110"), 100), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=-0"), 100), Wanted::Unsatisfiable);
        assert_eq!(parse(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_not_one_range_gets_everything() {
        for header in
            [None, Some("bytes=5-2"), Some("bytes=a-b"), Some("lines=1-2"), Some("bytes=1-2,5-6"), Some("")]
        {
            assert_eq!(parse(header, 100), Wanted::Whole, "{header:?}");
        }
    }
}
