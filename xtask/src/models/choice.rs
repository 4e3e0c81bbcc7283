//! What `--model` names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::catalog::{Catalog, Model, has_extension};

/// A model that somebody chose.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    /// One of the catalog.
    Offered(Box<Model>),
    /// One of the Hugging Face hub that is not in the catalog.
    Hub(HubName),
    /// A model folder on this machine.
    Folder(PathBuf),
    /// A GGUF file on this machine.
    File(PathBuf),
}

/// A name on the hub: `organisation/name`, then which of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubName {
    /// `organisation/name`.
    pub(super) repository: String,
    pub(super) wanted: Wanted,
}

/// Which files of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A model folder.
    Folder,
    /// This file.
    File(String),
    /// The GGUF file whose name has these letters, such as `Q4_K_M`.
    Quantization(String),
}

impl Choice {
    /// Reads what was typed. What is on this machine comes before what is on the hub.
    pub(super) fn parse(text: &str, catalog: &Catalog) -> Result<Self> {
        if let Some(model) = catalog.find(text) {
            return Ok(Self::Offered(Box::new(model.clone())));
        }
        let path = Path::new(text);
        if path.exists() {
            return Self::on_disk(path);
        }
        if let Some(name) = HubName::parse(text) {
            return Ok(Self::Hub(name));
        }
        let ids: Vec<_> = catalog.models.iter().map(|model| model.id.as_str()).collect();
        bail!(
            "--model {text}: there is no such folder or file here, it is no name on the hub (organisation/name), and \
             models/catalog.json has only {}",
            ids.join(", ")
        )
    }

    fn on_disk(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
        if path.is_file() {
            let is_gguf = has_extension(&path.to_string_lossy(), "gguf");
            ensure!(is_gguf, "{} is neither a model folder nor a .gguf file", path.display());
            return Ok(Self::File(path));
        }
        if path.join("config.json").is_file() {
            return Ok(Self::Folder(path));
        }
        match &first_parts(&path)?[..] {
            [file] => Ok(Self::File(file.clone())),
            [] => bail!("{} has no config.json and no .gguf file", path.display()),
            several => {
                let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                bail!("{} has several .gguf files; name one: {}", path.display(), names.join(", "))
            }
        }
    }
}

/// The GGUF files of a folder; of one that is split, only its first part.
fn first_parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        has_extension(&name, "gguf") && (!name.contains("-of-") || name.contains("-00001-of-"))
    });
    files.sort();
    Ok(files)
}

impl HubName {
    fn parse(text: &str) -> Option<Self> {
        let (path, quantization) = match text.split_once(':') {
            Some((path, quantization)) => (path, Some(quantization)),
            None => (text, None),
        };
        let parts: Vec<_> = path.split('/').collect();
        let is_part = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
        };
        if !parts.iter().all(|part| is_part(part)) {
            return None;
        }
        let wanted = match (&parts[..], quantization) {
            ([_, _], None) => Wanted::Folder,
            ([_, _], Some(letters)) if is_part(letters) => Wanted::Quantization(letters.to_owned()),
            ([_, _, file], None) if has_extension(file, "gguf") => Wanted::File((*file).to_owned()),
            _ => return None,
        };
        Some(Self { repository: parts[..2].join("/"), wanted })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Choice, HubName, Wanted};
    use crate::models::catalog::Catalog;
    use crate::workspace;

    fn parse(text: &str) -> Result<Choice, String> {
        let catalog = Catalog::read(&workspace::path("models")).unwrap();
        Choice::parse(text, &catalog).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn names_of_the_catalog_and_of_the_hub() {
        assert!(matches!(parse("builtin"), Ok(Choice::Offered(model)) if model.folder.is_some()));
        for (text, wanted) in [
            ("o/n", Wanted::Folder),
            ("o/n/f-Q8_0.gguf", Wanted::File("f-Q8_0.gguf".to_owned())),
            ("o/n:Q4_K_M", Wanted::Quantization("Q4_K_M".to_owned())),
        ] {
            let name = HubName { repository: "o/n".to_owned(), wanted };
            assert!(matches!(parse(text), Ok(Choice::Hub(found)) if found == name), "{text}");
        }
        for text in ["nothing", "a/b/c", "../x/y.gguf", "a/.b", "o/n:", "o/n:../x", ""] {
            let said = parse(text).unwrap_err();
            assert!(said.contains("no such folder or file"), "{text}: {said}");
        }
    }

    #[test]
    fn folders_and_files_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert!(parse(path).unwrap_err().contains("has no config.json and no .gguf file"));
        fs::write(folder.path().join("a-00001-of-00002.gguf"), "").unwrap();
        fs::write(folder.path().join("a-00002-of-00002.gguf"), "").unwrap();
        assert!(matches!(parse(path), Ok(Choice::File(file)) if file.ends_with("a-00001-of-00002.gguf")));
        fs::write(folder.path().join("b.gguf"), "").unwrap();
        assert!(parse(path).unwrap_err().contains("several .gguf files"));
        assert!(matches!(parse(&format!("{path}/b.gguf")), Ok(Choice::File(_))));
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert!(matches!(parse(path), Ok(Choice::Folder(_))));
        assert!(parse(&format!("{path}/config.json")).unwrap_err().contains("neither a model folder nor"));
    }
}
