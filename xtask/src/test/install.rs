//! Finds what the checks need besides Rust: a browser, a Vulkan driver, Node.js. Installs it if possible, or says how.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::require::Need;
use super::vulkan;
use crate::browser::{self, Webkit};
use crate::process;

/// The programs that were found or installed.
pub(super) struct Tools {
    /// A browser of the Chromium family.
    pub(super) browser: Option<PathBuf>,
    /// Firefox.
    pub(super) firefox: Option<PathBuf>,
    /// WebKitGTK, with its driver.
    pub(super) webkit: Option<Webkit>,
    /// Node.js.
    pub(super) node: Option<PathBuf>,
    /// The manifest of a software Vulkan driver.
    pub(super) vulkan: Option<PathBuf>,
}

impl Tools {
    /// Whether GPU tests find a driver: a software driver, one that the user chose, or one of the system.
    pub(super) fn has_gpu(&self) -> bool {
        !cfg!(target_os = "linux") || self.vulkan.is_some() || std::env::var_os("VK_ICD_FILENAMES").is_some()
    }

    /// Whether Node.js and npm are installed.
    pub(super) fn has_node(&self) -> bool {
        self.node.is_some() && process::find("npm").is_some()
    }
}

/// Looks for all programs and installs missing ones; Firefox and `WebKit` only if they are required.
pub(super) fn install(required: &[Need]) -> Tools {
    let missing = missing(&look(), required);
    if !missing.is_empty() {
        println!("Missing: {}", missing.join(", "));
        if !apt_install(&missing) {
            println!(
                "Install them yourself, on Debian or Ubuntu with:\n  sudo apt-get install {}",
                missing.join(" ")
            );
        }
    }
    look()
}

fn look() -> Tools {
    Tools {
        browser: browser::find(),
        firefox: browser::firefox(),
        webkit: browser::webkit(),
        node: process::find("node"),
        vulkan: vulkan::software_driver(),
    }
}

/// The Debian packages of the missing programs.
fn missing(tools: &Tools, required: &[Need]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if tools.browser.is_none() {
        packages.push("chromium");
    }
    if !tools.has_node() {
        packages.extend(["nodejs", "npm"]);
    }
    if cfg!(target_os = "linux") {
        if tools.vulkan.is_none() {
            packages.push("mesa-vulkan-drivers");
        }
        if !has_vulkan_loader() {
            packages.push("libvulkan1");
        }
    }
    for need in [Need::Firefox, Need::Webkit] {
        if required.contains(&need) && !need.is_found(tools) {
            packages.extend(need.packages());
        }
    }
    packages
}

fn has_vulkan_loader() -> bool {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    folders.iter().any(|folder| Path::new(folder).join("libvulkan.so.1").exists())
}

/// Installs packages as root, or with sudo if it needs no password; `false` if neither is possible.
fn apt_install(packages: &[&str]) -> bool {
    let Some(apt) = process::find("apt-get") else { return false };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut words: Vec<OsString> = Vec::new();
    if !is_root {
        let Some(sudo) = process::find("sudo") else { return false };
        words.extend([sudo.into_os_string(), "-n".into()]);
    }
    words.extend(["env".into(), "DEBIAN_FRONTEND=noninteractive".into(), apt.into_os_string()]);
    let run = |args: &[&str]| {
        let mut command = process::command(Path::new(&words[0]));
        process::run(command.args(&words[1..]).args(args)).is_ok()
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    run(&["update", "-qq"]) && run(&install)
}
