//! How far a download has come, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A terminal's line is rewritten this often.
const GLANCE: Duration = Duration::from_millis(250);

/// Where nobody watches, or a build writes beside it, a line is added this often.
const LINE: Duration = Duration::from_secs(5);

/// Shows one download, from the byte at which it begins.
pub(super) struct Progress {
    label: String,
    begin: u64,
    total: Option<u64>,
    start: Instant,
    shown: Instant,
    is_live: bool,
}

impl Progress {
    /// Begins at byte `begin` of `total`.
    pub(super) fn new(label: &str, begin: u64, total: Option<u64>) -> Self {
        let now = Instant::now();
        let size = total.map(|total| format!(", {}", megabytes(total))).unwrap_or_default();
        let resumed = if begin > 0 { format!(", going on at {}", megabytes(begin)) } else { String::new() };
        eprintln!("Fetching {label}{size}{resumed}");
        let is_live = std::io::stderr().is_terminal() && !crate::build::is_running();
        Self { label: label.to_owned(), begin, total, start: now, shown: now, is_live }
    }

    /// So many bytes of the file are here.
    pub(super) fn show(&mut self, here: u64) {
        let is_done = self.total == Some(here);
        let pace = if self.is_live { GLANCE } else { LINE };
        if self.shown.elapsed() < pace && !is_done {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.start.elapsed().as_secs_f64().max(0.001);
        let line = self.line(here, (here - self.begin) as f64 / seconds);
        if self.is_live {
            let end = if is_done { "\n" } else { "" };
            eprint!("\r{line}\x1b[K{end}");
            // A lost line of progress is no loss.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn line(&self, here: u64, speed: f64) -> String {
        let rate = format!("{:.1} MB/s", speed / 1e6);
        let Some(total) = self.total else { return format!("  {}: {}, {rate}", self.label, megabytes(here)) };
        let left = total.saturating_sub(here) as f64 / speed.max(1.0);
        let left = if left < 90.0 { format!("{left:.0} s") } else { format!("{:.0} min", left / 60.0) };
        format!("  {}: {} of {}, {rate}, {left} left", self.label, megabytes(here), megabytes(total))
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn a_line_says_what_is_left() {
        let progress = Progress::new("a.gguf", 0, Some(491_400_064));
        assert_eq!(progress.line(100_000_000, 1e7), "  a.gguf: 100.0 MB of 491.4 MB, 10.0 MB/s, 39 s left");
        let progress = Progress::new("a.json", 0, None);
        assert_eq!(progress.line(1500, 1e3), "  a.json: 2 kB, 0.0 MB/s");
    }
}
