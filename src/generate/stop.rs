//! Stop strings in a stream of text: found across the borders of its pieces, and never shown, not even in part.

use crate::error::{Error, Result};

/// Watches a stream of text for strings that end it.
///
/// The stop string that is *complete first* wins (of several that end at the same place, the longest), so the result does not
/// depend on how the text is cut into pieces.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// The end of the text so far, where it may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

/// What [`StopStrings::push`] makes of a piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Text that is certainly before any stop string.
    pub emit: String,
    /// The stop string that ended the text, if one did.
    pub stopped: Option<String>,
}

impl StopStrings {
    /// Watches for these strings.
    ///
    /// # Errors
    /// [`Error::Request`] for an empty string, which would stop everything.
    pub fn new<S: Into<String>>(stops: impl IntoIterator<Item = S>) -> Result<Self> {
        let stops: Vec<String> = stops.into_iter().map(Into::into).collect();
        if stops.iter().any(String::is_empty) {
            return Err(Error::request("stop", "a stop string is empty; it needs at least one character"));
        }
        Ok(Self { stops, ..Self::default() })
    }

    /// Takes the next piece of the text. After the stop nothing is emitted any more.
    pub fn push(&mut self, text: &str) -> Watched {
        if self.stopped {
            return Watched::default();
        }
        let mut text = std::mem::take(&mut self.held) + text;
        if let Some((start, stop)) = self.first_complete(&text) {
            self.stopped = true;
            text.truncate(start);
            return Watched { emit: text, stopped: Some(stop) };
        }
        self.held = text.split_off(text.len() - self.possible_beginning(&text));
        Watched { emit: text, stopped: None }
    }

    /// What was held back, at the end of the text.
    pub fn finish(self) -> String {
        self.held
    }

    /// Where the stop string begins that is complete first, and which it is.
    fn first_complete(&self, text: &str) -> Option<(usize, String)> {
        self.stops
            .iter()
            .filter_map(|stop| text.find(stop).map(|start| (start + stop.len(), start, stop)))
            .min()
            .map(|(_, start, stop)| (start, stop.clone()))
    }

    /// Length of the longest end of the text with which a stop string begins.
    fn possible_beginning(&self, text: &str) -> usize {
        let longest = |stop: &String| {
            (1..stop.len())
                .rev()
                .find(|len| stop.get(..*len).is_some_and(|beginning| text.ends_with(beginning)))
        };
        self.stops.iter().filter_map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch(stops: &[&str], pieces: &[&str]) -> (Vec<String>, Option<String>, String) {
        let mut watcher = StopStrings::new(stops.iter().copied()).unwrap();
        let mut emitted = Vec::new();
        let mut stopped = None;
        for piece in pieces {
            let watched = watcher.push(piece);
            emitted.push(watched.emit);
            stopped = stopped.or(watched.stopped);
        }
        (emitted, stopped, watcher.finish())
    }

    #[test]
    fn across_pieces() {
        let (emitted, stopped, rest) = watch(&["\nUser:"], &["Hi.", "\n", "Us", "er", ": no"]);
        assert_eq!(emitted, ["Hi.", "", "", "", ""]);
        assert_eq!((stopped.as_deref(), rest.as_str()), (Some("\nUser:"), ""));
    }

    #[test]
    fn what_was_held_in_vain_comes_out() {
        let (emitted, stopped, rest) = watch(&["abab"], &["xab", "ac", "ab"]);
        assert_eq!(emitted, ["x", "abac", ""]);
        assert_eq!((stopped, rest.as_str()), (None, "ab"));
    }

    #[test]
    fn a_beginning_inside_a_false_start_is_found() {
        let (emitted, stopped, _) = watch(&["aab"], &["a", "a", "a", "b"]);
        assert_eq!(emitted.concat(), "a");
        assert!(stopped.is_some());
    }

    #[test]
    fn nothing_after_the_stop() {
        let (emitted, stopped, rest) = watch(&["b", "abc"], &["abc", "more"]);
        assert_eq!(emitted.concat(), "a");
        assert_eq!((stopped.as_deref(), rest.as_str()), (Some("b"), ""));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        assert!(matches!(StopStrings::new([""]), Err(Error::Request { .. })));
    }

    /// Character by character: the text before the stop string, and which it was.
    fn naive<'a>(stops: &'a [String], text: &str) -> (String, Option<&'a String>) {
        for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let complete =
                stops.iter().filter(|stop| text[..end].ends_with(*stop)).max_by_key(|stop| stop.len());
            if let Some(stop) = complete {
                return (text[..end - stop.len()].to_owned(), Some(stop));
            }
        }
        (text.to_owned(), None)
    }

    proptest! {
        #[test]
        fn any_pieces_give_what_a_naive_search_gives(
            stops in proptest::collection::vec("[abé🦙]{1,4}", 0..4),
            pieces in proptest::collection::vec("[abé🦙]{0,3}", 0..12),
        ) {
            let mut watcher = StopStrings::new(stops.clone()).unwrap();
            let (mut text, mut stopped) = (String::new(), None);
            for piece in &pieces {
                let watched = watcher.push(piece);
                text += &watched.emit;
                stopped = stopped.or(watched.stopped);
                // Whatever is held back could still become a stop string.
                let held = watcher.held.as_str();
                prop_assert!(held.is_empty() || stops.iter().any(|stop| stop.len() > held.len() && stop.starts_with(held)));
            }
            text += &watcher.finish();
            let (expected, stop) = naive(&stops, &pieces.concat());
            prop_assert_eq!((text, stopped.as_ref()), (expected, stop));
        }
    }
}
