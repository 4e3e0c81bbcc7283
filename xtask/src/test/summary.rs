//! The table at the end of a run.

use std::fmt;
use std::time::Duration;

/// What a step came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Checks that held.
    pub(super) passed: usize,
    /// Checks that did not.
    pub(super) failed: usize,
    /// What was not checked, by name, with the reason.
    pub(super) skipped: Vec<String>,
}

impl Outcome {
    /// One check that held.
    pub(super) fn success() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check that did not.
    pub(super) fn failure() -> Self {
        Self { failed: 1, ..Self::default() }
    }
}

/// A step of the run.
pub(super) struct Row {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// How long it took.
    pub(super) duration: Duration,
    /// What it came to.
    pub(super) outcome: Outcome,
}

/// All steps of the run.
#[derive(Default)]
pub(super) struct Summary {
    /// In the order they ran.
    pub(super) rows: Vec<Row>,
}

impl Summary {
    /// Checks that did not hold.
    pub(super) fn failed(&self) -> usize {
        self.rows.iter().map(|row| row.outcome.failed).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>8}  result", "step", "time")?;
        for Row { name, duration, outcome } in &self.rows {
            let result = if outcome.failed > 0 { "FAILED" } else { "ok" };
            let checks = outcome.passed + outcome.failed;
            let detail =
                if checks > 1 { format!(", {} of {checks} checks", outcome.passed) } else { String::new() };
            writeln!(f, "{name:<16} {:>7.1}s  {result}{detail}", duration.as_secs_f32())?;
        }
        for Row { name, outcome, .. } in &self.rows {
            for skipped in &outcome.skipped {
                writeln!(f, "skipped in {name}: {skipped}")?;
            }
        }
        let passed: usize = self.rows.iter().map(|row| row.outcome.passed).sum();
        let skipped: usize = self.rows.iter().map(|row| row.outcome.skipped.len()).sum();
        write!(f, "{passed} passed, {} failed", self.failed())?;
        if skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Row, Summary};
    use std::time::Duration;

    #[test]
    fn the_last_line_counts_everything() {
        let row = |name, outcome| Row { name, duration: Duration::from_millis(1500), outcome };
        let mut summary = Summary { rows: vec![row("format", Outcome::success())] };
        assert!(summary.to_string().ends_with("\n1 passed, 0 failed\n"), "{summary}");
        let skipped = vec!["logits of a model: ../shared is absent".to_owned()];
        summary.rows.push(row("tests", Outcome { passed: 7, failed: 2, skipped }));
        let text = summary.to_string();
        assert!(text.contains("FAILED, 7 of 9 checks"), "{text}");
        assert!(text.contains("skipped in tests: logits of a model: ../shared is absent"), "{text}");
        assert!(text.ends_with("\n8 passed, 2 failed, 1 skipped\n"), "{text}");
    }
}
