//! The table at the end of a run.

use std::fmt;
use std::time::Duration;

/// The result of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Number of checks that passed.
    pub(super) passed: usize,
    /// Number of checks that failed.
    pub(super) failed: usize,
    /// The skipped checks, by name, with the reason.
    pub(super) skipped: Vec<String>,
}

impl Outcome {
    /// One check that passed.
    pub(super) fn success() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One skipped check, with the reason.
    pub(super) fn skipped(reason: String) -> Self {
        Self { skipped: vec![reason], ..Self::default() }
    }

    /// The result in one word.
    fn word(&self) -> &'static str {
        if self.failed > 0 {
            "FAILED"
        } else if self.passed == 0 && !self.skipped.is_empty() {
            "skipped"
        } else {
            "ok"
        }
    }

    /// One check that failed.
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
    /// Its result.
    pub(super) outcome: Outcome,
}

/// All steps of the run.
#[derive(Default)]
pub(super) struct Summary {
    /// The steps, in the order in which they ran.
    pub(super) rows: Vec<Row>,
    /// The requirements that are not met, with the remedy.
    pub(super) unmet: Vec<String>,
}

impl Summary {
    /// Number of failed checks and of requirements that are not met.
    pub(super) fn failed(&self) -> usize {
        self.rows.iter().map(|row| row.outcome.failed).sum::<usize>() + self.unmet.len()
    }

    /// The skipped checks of all steps.
    pub(super) fn skipped(&self) -> Vec<&str> {
        self.rows.iter().flat_map(|row| &row.outcome.skipped).map(String::as_str).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>8}  result", "step", "time")?;
        for Row { name, duration, outcome } in &self.rows {
            let result = outcome.word();
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
        for unmet in &self.unmet {
            writeln!(f, "REQUIRED {unmet}")?;
        }
        let passed: usize = self.rows.iter().map(|row| row.outcome.passed).sum();
        let skipped = self.skipped().len();
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
        let mut summary = Summary { rows: vec![row("format", Outcome::success())], ..Summary::default() };
        assert!(summary.to_string().ends_with("\n1 passed, 0 failed\n"), "{summary}");
        let skipped = vec!["logits of a model: ../shared is absent".to_owned()];
        summary.rows.push(row("tests", Outcome { passed: 7, failed: 2, skipped }));
        let text = summary.to_string();
        assert!(text.contains("FAILED, 7 of 9 checks"), "{text}");
        assert!(text.contains("skipped in tests: logits of a model: ../shared is absent"), "{text}");
        assert!(text.ends_with("\n8 passed, 2 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn an_unmet_requirement_fails_the_run() {
        let outcome = Outcome::skipped("browser: no Chromium".to_owned());
        let rows = vec![Row { name: "browser", duration: Duration::ZERO, outcome }];
        let mut summary = Summary { rows, ..Summary::default() };
        assert!(summary.to_string().contains("0.0s  skipped\n"), "{summary}");
        assert_eq!((summary.failed(), summary.skipped()), (0, vec!["browser: no Chromium"]));
        summary.unmet.push("browser: install Chromium".to_owned());
        assert_eq!(summary.failed(), 1);
        let text = summary.to_string();
        assert!(
            text.ends_with("REQUIRED browser: install Chromium\n0 passed, 1 failed, 1 skipped\n"),
            "{text}"
        );
    }
}
