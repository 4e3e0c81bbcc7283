//! Programs that a run can require. If a required program is missing, or a test is skipped because of it, the run
//! fails.

use clap::ValueEnum;

use super::install::Tools;

/// A program that tests use if it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Need {
    /// A software Vulkan driver that supports every tier
    Gpu,
    /// Chromium and Node.js
    Browser,
    /// Firefox
    Firefox,
    /// WebKitGTK, with an X server that needs no screen
    Webkit,
}

impl Need {
    /// The name on the command line. The reason of a skipped test begins with it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Browser => "browser",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }

    /// The programs that tests look for, in words.
    fn what(self) -> &'static str {
        match self {
            Self::Gpu => "a software Vulkan driver",
            Self::Browser => "Chromium, Node.js and npm",
            Self::Firefox => "Firefox",
            Self::Webkit => "WebKitWebDriver and Xvfb",
        }
    }

    /// Its Debian packages.
    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Gpu => &["mesa-vulkan-drivers", "libvulkan1"],
            Self::Browser => &["chromium", "nodejs", "npm"],
            Self::Firefox => &["firefox-esr"],
            Self::Webkit => &["webkit2gtk-driver", "xvfb"],
        }
    }

    /// Whether this machine has it.
    pub(super) fn is_found(self, tools: &Tools) -> bool {
        match self {
            Self::Gpu => tools.has_gpu(),
            Self::Browser => tools.browser.is_some() && tools.has_node(),
            Self::Firefox => tools.firefox.is_some() && tools.has_node(),
            Self::Webkit => tools.webkit.is_some() && tools.has_node(),
        }
    }

    /// Whether a test was skipped because this is missing: then the reason begins with its name.
    ///
    /// The line of a Rust test is only the reason. Node's test runner writes the reason after the name of the test.
    fn is_reason_of(self, skipped: &str) -> bool {
        let reason = skipped.rsplit_once(" # ").map_or(skipped, |(_, reason)| reason);
        reason.strip_prefix(self.name()).is_some_and(|rest| rest.starts_with(": "))
    }

    /// The message that it was not found, with the remedy.
    pub(super) fn not_found(self) -> String {
        format!("{}: not found: {}. {}", self.name(), self.what(), self.remedy())
    }

    fn remedy(self) -> String {
        format!("Install it; on Debian or Ubuntu: sudo apt-get install {}", self.packages().join(" "))
    }
}

/// The requirements that are not met, one line each, with the remedy.
pub(super) fn unmet(required: &[Need], tools: &Tools, skipped: &[&str]) -> Vec<String> {
    required.iter().filter_map(|need| judge(*need, need.is_found(tools), skipped)).collect()
}

/// The problem with one requirement, if there is one.
fn judge(need: Need, found: bool, skipped: &[&str]) -> Option<String> {
    if !found {
        return Some(need.not_found());
    }
    let skipped_tests: Vec<_> = skipped.iter().filter(|skipped| need.is_reason_of(skipped)).collect();
    let first = skipped_tests.first()?;
    Some(format!(
        "{}: {} skipped because it is missing, first \"{first}\". {}",
        need.name(),
        if skipped_tests.len() == 1 {
            "1 test was".to_owned()
        } else {
            format!("{} tests were", skipped_tests.len())
        },
        need.remedy()
    ))
}

#[cfg(test)]
mod tests {
    use super::{Need, judge};

    #[test]
    fn a_need_is_the_reason_if_the_reason_begins_with_its_name() {
        for (need, skipped, expected) in [
            (Need::Gpu, "gpu: matvec on tier f16: GPU: no adapter", true),
            (Need::Gpu, "stories260k: ../shared is absent", false),
            (Need::Gpu, "gpus are many: ../shared is absent", false),
            (Need::Browser, "types # browser: Node.js is not there", true),
            (Need::Browser, "the page (0.1ms) # browser: it does not start", true),
            (Need::Browser, "browser: answers (0.1ms) # models/default.json is absent", false),
        ] {
            assert_eq!(need.is_reason_of(skipped), expected, "{need:?}: {skipped}");
        }
    }

    #[test]
    fn a_missing_need_is_reported_with_its_packages() {
        let problem = judge(Need::Gpu, false, &[]).unwrap();
        assert!(problem.starts_with("gpu: not found: a software Vulkan driver. "), "{problem}");
        assert!(problem.ends_with("apt-get install mesa-vulkan-drivers libvulkan1"), "{problem}");
    }

    #[test]
    fn tests_that_it_skips_are_counted() {
        let skipped = ["gpu: a: no adapter", "b: ../shared is absent", "gpu: c: no adapter"];
        let problem = judge(Need::Gpu, true, &skipped).unwrap();
        assert!(
            problem.starts_with("gpu: 2 tests were skipped because it is missing, first \"gpu: a: no"),
            "{problem}"
        );
        assert_eq!(judge(Need::Browser, true, &skipped), None);
        assert_eq!(judge(Need::Gpu, true, &["b: ../shared is absent"]), None);
    }
}
