//! Stop strings in a stream of text. They are found also across the borders of pieces, and no part of them is emitted.

use crate::error::{Error, Result};

/// Watches a stream of text for strings that end it.
///
/// The stop string that is *complete first* ends the text; if several end at the same place, the longest. So the result
/// does not depend on how the text is cut into pieces.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// The end of the text so far, if it may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

/// The result of [`StopStrings::push`] for a piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Text that is certainly before any stop string.
    pub emit: String,
    /// The stop string that ended the text, if any.
    pub stopped: Option<String>,
}

impl StopStrings {
    /// Watches for these strings.
    ///
    /// # Errors
    /// [`Error::Request`] for an empty string, because it would end every text at once.
    pub fn new<S: Into<String>>(stops: impl IntoIterator<Item = S>) -> Result<Self> {
        let stops: Vec<String> = stops.into_iter().map(Into::into).collect();
        if stops.iter().any(String::is_empty) {
            return Err(Error::request("stop", "a stop string is empty; each needs at least one character"));
        }
        Ok(Self { stops, ..Self::default() })
    }

    /// Takes the next piece of the text. After a stop string nothing more is emitted.
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

    /// The text that was held back, once the whole text has come.
    pub fn finish(self) -> String {
        self.held
    }

    /// The stop string that is complete first, and the byte position where it begins.
    fn first_complete(&self, text: &str) -> Option<(usize, String)> {
        self.stops
            .iter()
            .filter_map(|stop| text.find(stop).map(|start| (start + stop.len(), start, stop)))
            .min()
            .map(|(_, start, stop)| (start, stop.clone()))
    }

    /// Length in bytes of the longest end of the text that is the beginning of a stop string.
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
    fn stop_strings_are_found_across_pieces() {
        let (emitted, stopped, rest) = watch(&["\nUser:"], &["Hi.", "\n", "Us", "er", ": no"]);
        assert_eq!(emitted, ["Hi.", "", "", "", ""]);
        assert_eq!((stopped.as_deref(), rest.as_str()), (Some("\nUser:"), ""));
    }

    #[test]
    fn held_text_is_emitted_if_no_stop_string_follows() {
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
    fn nothing_is_emitted_after_a_stop() {
        let (emitted, stopped, rest) = watch(&["b", "abc"], &["abc", "more"]);
        assert_eq!(emitted.concat(), "a");
        assert_eq!((stopped.as_deref(), rest.as_str()), (Some("b"), ""));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        assert!(matches!(StopStrings::new([""]), Err(Error::Request { .. })));
    }

    /// A simple search, character by character: the text before the stop string, and the stop string.
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
                // The text that is held back could still become a stop string.
                let held = watcher.held.as_str();
                prop_assert!(held.is_empty() || stops.iter().any(|stop| stop.len() > held.len() && stop.starts_with(held)));
            }
            text += &watcher.finish();
            let (expected, stop) = naive(&stops, &pieces.concat());
            prop_assert_eq!((text, stopped.as_ref()), (expected, stop));
        }
    }
}
