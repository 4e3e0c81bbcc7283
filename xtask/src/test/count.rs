//! Counts passed, failed and skipped tests in the output of the test runners.

use super::summary::Outcome;

/// Counts the `test result:` lines of cargo test. A test that is skipped prints `skipped: NAME: REASON`.
pub(super) fn cargo_tests(lines: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for line in lines {
        if let Some(result) = line.strip_prefix("test result: ") {
            outcome.passed += number_before(result, " passed");
            outcome.failed += number_before(result, " failed");
        } else if let Some(name) = line.trim_start().strip_prefix("skipped: ") {
            // A test that looks for the same file twice prints the line twice.
            if !outcome.skipped.iter().any(|known| known == name) {
                outcome.skipped.push(name.to_owned());
            }
        } else if line.starts_with("test ") && line.contains(" ... ignored") {
            outcome.skipped.push(line.trim_start_matches("test ").to_owned());
        }
    }
    outcome
}

/// Counts in the output of Node's test runner with its `spec` reporter.
pub(super) fn node_tests(lines: &[String]) -> Outcome {
    let mut outcome = Outcome::default();
    for line in lines {
        let count = |label: &str| line.strip_prefix("ℹ ")?.strip_prefix(label)?.trim().parse::<usize>().ok();
        if let Some(passed) = count("pass ") {
            outcome.passed = passed;
        } else if let Some(failed) = count("fail ") {
            outcome.failed += failed;
        } else if let Some(cancelled) = count("cancelled ") {
            outcome.failed += cancelled;
        } else if let Some(name) = line.trim_start().strip_prefix("﹣ ") {
            outcome.skipped.push(name.to_owned());
        }
    }
    outcome
}

/// The number directly before `label`.
fn number_before(text: &str, label: &str) -> usize {
    let number = text.split(label).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{cargo_tests, node_tests};

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn cargo_tests_are_summed_over_all_programs() {
        let outcome = cargo_tests(&lines(
            "test a ... ok\ntest b ... ignored, needs a GPU\n\
             test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\
             skipped: stories260k: ../shared is absent\nskipped: stories260k: ../shared is absent\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ));
        assert_eq!((outcome.passed, outcome.failed), (15, 2));
        assert_eq!(outcome.skipped, ["b ... ignored, needs a GPU", "stories260k: ../shared is absent"]);
    }

    #[test]
    fn node_tests_are_read_from_the_last_lines() {
        let outcome = node_tests(&lines(
            "✔ loads (12ms)\n  ﹣ answers (0.1ms) # no model\nℹ tests 5\nℹ pass 3\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1",
        ));
        assert_eq!((outcome.passed, outcome.failed), (3, 2));
        assert_eq!(outcome.skipped, ["answers (0.1ms) # no model"]);
    }
}
