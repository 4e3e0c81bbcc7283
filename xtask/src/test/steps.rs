//! The checks, in the order in which they run: quick ones first.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::count;
use super::deny;
use super::install::Tools;
use super::require::Need;
use super::summary::Outcome;
use crate::toolchain::{self, WASM};
use crate::{build, process, workspace};

/// The data that all steps use.
pub(super) struct Run {
    /// The programs that were found.
    pub(super) tools: Tools,
    /// Whether to run slow checks too.
    pub(super) full: bool,
}

/// Number of random cases per property in a full run; the default of proptest is 256.
const FULL_CASES: &str = "4096";

/// One line of the summary.
pub(super) struct Step {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// Runs the step; an error counts as a failure.
    pub(super) run: fn(&Run) -> Result<Outcome>,
}

/// All steps.
pub(super) const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "deny", run: |run| deny::check(run.full) },
    Step { name: "clippy", run: clippy },
    Step { name: "clippy-wasm", run: clippy_wasm },
    Step { name: "tests", run: tests },
    Step { name: "doc-tests", run: doc_tests },
    Step { name: "documentation", run: documentation },
    Step { name: "web-build", run: web_build },
    Step { name: "types", run: types },
    Step { name: "browser", run: browser },
    Step { name: "engines", run: engines },
];

fn format(_: &Run) -> Result<Outcome> {
    check(&mut process::cargo(&["fmt", "--all", "--check"]))
}

fn clippy(_: &Run) -> Result<Outcome> {
    check(&mut process::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn clippy_wasm(_: &Run) -> Result<Outcome> {
    toolchain::ensure_wasm_target()?;
    check(&mut process::cargo(&[
        "clippy",
        "--package",
        "mobilellm-npm",
        "--target",
        WASM,
        "--",
        "-D",
        "warnings",
    ]))
}

fn tests(run: &Run) -> Result<Outcome> {
    let mut command = process::cargo(&[
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    if run.full {
        command.env("PROPTEST_CASES", FULL_CASES);
    }
    // Mesa's layer for choosing devices needs a window system. Without one it prints an error for every device.
    command.env("NODEVICE_SELECT", "1");
    // Keep a driver that the user chose.
    if let (Some(driver), None) = (&run.tools.vulkan, std::env::var_os("VK_ICD_FILENAMES")) {
        command.env("VK_ICD_FILENAMES", driver);
    }
    counted(&mut command, count::cargo_tests)
}

fn doc_tests(_: &Run) -> Result<Outcome> {
    counted(&mut process::cargo(&["test", "--workspace", "--doc"]), count::cargo_tests)
}

fn documentation(_: &Run) -> Result<Outcome> {
    let mut command = process::cargo(&["doc", "--workspace", "--no-deps"]);
    check(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn web_build(_: &Run) -> Result<Outcome> {
    build::build(&build::BuildOptions::default())?;
    Ok(Outcome::success())
}

/// A TypeScript program that uses the whole API must compile with the types of the package.
fn types(run: &Run) -> Result<Outcome> {
    let Some(node) = &run.tools.node else { return Ok(Outcome::skipped(Need::Browser.not_found())) };
    build::install_packages()?;
    let args = ["node_modules/typescript/bin/tsc", "--project", "tests/browser/types/tsconfig.json"];
    check(process::command(node).args(args))
}

fn browser(run: &Run) -> Result<Outcome> {
    let (Some(node), Some(chromium)) = (&run.tools.node, &run.tools.browser) else {
        return Ok(Outcome::skipped(Need::Browser.not_found()));
    };
    let mut command = page_tests(node, "tests/browser")?;
    command.env("CHROMIUM", chromium).env("ARTIFACTS", workspace::target().join("browser"));
    counted(&mut command, count::node_tests)
}

/// Tests in other browser engines. A test that finds no browser is skipped and says its name.
fn engines(run: &Run) -> Result<Outcome> {
    let Some(node) = &run.tools.node else { return Ok(Outcome::skipped(Need::Browser.not_found())) };
    let mut command = page_tests(node, "tests/browser/engines")?;
    if let Some(firefox) = &run.tools.firefox {
        command.env("FIREFOX", firefox);
    }
    if let Some(webkit) = &run.tools.webkit {
        command.env("WEBKIT_DRIVER", &webkit.driver).env("XVFB", &webkit.display);
    }
    counted(&mut command, count::node_tests)
}

/// Node's test runner on the files of a folder.
fn page_tests(node: &Path, folder: &str) -> Result<Command> {
    build::install_packages()?;
    let mut command = process::command(node);
    // One file at a time: a software GPU takes all cores.
    command.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    command.args(test_files(folder)?).env("XTASK", std::env::current_exe()?);
    Ok(command)
}

/// The test files of a folder. Versions of Node handle a folder differently, so each file is named.
fn test_files(folder: &str) -> Result<Vec<PathBuf>> {
    let entries = workspace::path(folder).read_dir().with_context(|| format!("cannot read {folder}"))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}

/// Runs a command that counts as one check.
fn check(command: &mut Command) -> Result<Outcome> {
    process::run(command)?;
    Ok(Outcome::success())
}

/// Runs a test runner and counts its tests. If it fails without a failed test, it did not start the tests: one failure.
fn counted(command: &mut Command, count: fn(&[String]) -> Outcome) -> Result<Outcome> {
    let (success, lines) = process::run_and_read(command)?;
    let mut outcome = count(&lines);
    if !success && outcome.failed == 0 {
        outcome.failed = 1;
    }
    if success && outcome.passed == 0 && outcome.skipped.is_empty() {
        anyhow::bail!("{} ran no test", process::describe(command));
    }
    Ok(outcome)
}
