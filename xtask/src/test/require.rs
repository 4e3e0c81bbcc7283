//! What a run may insist on: there a skipped test fails the run, and so does what the tests need and do not find.

use clap::ValueEnum;

use super::install::Tools;

/// Something that tests use where it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Need {
    /// A Vulkan driver in software that has every tier
    Gpu,
    /// Chromium and Node.js
    Browser,
    /// Firefox
    Firefox,
    /// WebKitGTK, with a display that needs no screen
    Webkit,
}

impl Need {
    /// As on the command line, and at the beginning of a reason to skip.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Browser => "browser",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }

    /// What tests look for, in words.
    fn what(self) -> &'static str {
        match self {
            Self::Gpu => "a Vulkan driver in software",
            Self::Browser => "Chromium, Node.js and npm",
            Self::Firefox => "Firefox",
            Self::Webkit => "WebKitWebDriver and Xvfb",
        }
    }

    /// The Debian packages that bring it.
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

    /// Whether a test was skipped for lack of it: the reason begins with its name.
    ///
    /// A Rust test's line is all reason; Node's test runner puts the reason behind the name of the test.
    fn is_lacked_by(self, skipped: &str) -> bool {
        let reason = skipped.rsplit_once(" # ").map_or(skipped, |(_, reason)| reason);
        reason.strip_prefix(self.name()).is_some_and(|rest| rest.starts_with(": "))
    }

    /// A skipped step of which nothing ran for lack of it.
    pub(super) fn lack(self) -> String {
        format!("{}: not found: {}. {}", self.name(), self.what(), self.remedy())
    }

    fn remedy(self) -> String {
        format!("Install it; on Debian or Ubuntu: sudo apt-get install {}", self.packages().join(" "))
    }
}

/// What was required and not had, a line each, with what to do.
pub(super) fn unmet(required: &[Need], tools: &Tools, skipped: &[&str]) -> Vec<String> {
    required.iter().filter_map(|need| judge(*need, need.is_found(tools), skipped)).collect()
}

/// What is wrong with one requirement, if anything is.
fn judge(need: Need, found: bool, skipped: &[&str]) -> Option<String> {
    if !found {
        return Some(need.lack());
    }
    let lacking: Vec<_> = skipped.iter().filter(|skipped| need.is_lacked_by(skipped)).collect();
    let first = lacking.first()?;
    Some(format!(
        "{}: {} skipped for lack of it, first \"{first}\". {}",
        need.name(),
        if lacking.len() == 1 { "1 test was".to_owned() } else { format!("{} tests were", lacking.len()) },
        need.remedy()
    ))
}

#[cfg(test)]
mod tests {
    use super::{Need, judge};

    #[test]
    fn a_need_is_lacked_where_the_reason_begins_with_its_name() {
        for (need, skipped, lacked) in [
            (Need::Gpu, "gpu: matvec on tier f16: GPU: no adapter", true),
            (Need::Gpu, "stories260k: ../shared is absent", false),
            (Need::Gpu, "gpus are many: ../shared is absent", false),
            (Need::Browser, "types # browser: Node.js is not there", true),
            (Need::Browser, "the page (0.1ms) # browser: it does not start", true),
            (Need::Browser, "browser: answers (0.1ms) # models/default.json is absent", false),
        ] {
            assert_eq!(need.is_lacked_by(skipped), lacked, "{need:?}: {skipped}");
        }
    }

    #[test]
    fn what_is_not_found_is_told_with_what_to_install() {
        let problem = judge(Need::Gpu, false, &[]).unwrap();
        assert!(problem.starts_with("gpu: not found: a Vulkan driver in software. "), "{problem}");
        assert!(problem.ends_with("apt-get install mesa-vulkan-drivers libvulkan1"), "{problem}");
    }

    #[test]
    fn what_was_skipped_for_lack_of_it_is_counted() {
        let skipped = ["gpu: a: no adapter", "b: ../shared is absent", "gpu: c: no adapter"];
        let problem = judge(Need::Gpu, true, &skipped).unwrap();
        assert!(
            problem.starts_with("gpu: 2 tests were skipped for lack of it, first \"gpu: a: no"),
            "{problem}"
        );
        assert_eq!(judge(Need::Browser, true, &skipped), None);
        assert_eq!(judge(Need::Gpu, true, &["b: ../shared is absent"]), None);
    }
}
