//! A model that is here and can be served: which files, and how the page finds them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::catalog::{Catalog, License, Model};
use super::choice::{Choice, HubName, Wanted};
use super::fetch::Fetcher;
use crate::workspace;

/// A model on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// Its id in the catalog, where it is from there.
    pub(crate) id: Option<String>,
    /// The name of its folder below `models/` of the site.
    pub(crate) name: String,
    /// What lies in that folder.
    pub(crate) mount: Mount,
    /// The licence that every user has to accept, where there is one.
    accept: Option<License>,
}

/// Files under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mount {
    /// All files of a folder.
    Folder(PathBuf),
    /// These files, the first of which is the one to open. They lie in one folder.
    Files(Vec<PathBuf>),
}

impl Served {
    /// A model folder.
    pub(crate) fn folder(folder: PathBuf) -> Self {
        Self { id: None, name: name_of(&folder), mount: Mount::Folder(folder), accept: None }
    }

    /// A file, with the other parts where it is split.
    pub(crate) fn file(file: PathBuf) -> Result<Self> {
        let name =
            file.file_stem().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { id: None, name, mount: Mount::Files(parts(file)?), accept: None })
    }

    /// What to open on this machine.
    pub(crate) fn path(&self) -> &Path {
        match &self.mount {
            Mount::Folder(folder) => folder,
            Mount::Files(files) => files.first().map_or(Path::new(""), PathBuf::as_path),
        }
    }

    /// `models/default.json`, from which the page learns what it starts with. `opened` is the file in the model's folder
    /// that is to be opened; empty where it is the folder.
    pub(crate) fn default_json(&self, opened: &str) -> String {
        let encoded = |name: &str| percent_encoding::utf8_percent_encode(name, ENCODED).to_string();
        let source = format!("models/{}/{}", encoded(&self.name), encoded(opened));
        json!({ "id": self.id, "source": source }).to_string()
    }

    /// The name of the file to open, or nothing where it is the folder.
    pub(crate) fn opened(&self) -> String {
        match &self.mount {
            Mount::Folder(_) => String::new(),
            Mount::Files(_) => name_of(self.path()),
        }
    }

    /// Fails where its licence wants to be accepted by everyone who gets the weights: then nobody may hand them on.
    pub(crate) fn check_handing_on(&self) -> Result<()> {
        let Some(license) = &self.accept else { return Ok(()) };
        bail!(
            "the licence of {} asks everyone for acceptance ({}, {}), so its weights are not copied to a site. The page offers it from the \
             hub, after the user has accepted. Choose another model for the site with --model",
            self.name,
            license.name,
            license.url
        )
    }

    fn offered(self, model: &Model) -> Self {
        let accept = model.license.accept.then(|| model.license.clone());
        // The folder of the model that comes with the repository keeps its name.
        let name = model.folder.as_ref().unwrap_or(&model.id).clone();
        Self { id: Some(model.id.clone()), name, accept, ..self }
    }
}

/// All but what is never special in a path.
const ENCODED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}

/// A GGUF file and, where its name says `-00001-of-00003`, the others.
fn parts(file: PathBuf) -> Result<Vec<PathBuf>> {
    let name = name_of(&file);
    let Some((begin, count)) = name
        .strip_suffix(".gguf")
        .and_then(|stem| stem.rsplit_once("-of-"))
        .and_then(|(begin, count)| Some((begin.strip_suffix("-00001")?, count.parse::<u32>().ok()?)))
    else {
        return Ok(vec![file]);
    };
    let part = |index| file.with_file_name(format!("{begin}-{index:05}-of-{count:05}.gguf"));
    let parts: Vec<_> = (1..=count).map(part).collect();
    match parts.iter().find(|part| !part.is_file()) {
        Some(absent) => {
            bail!("{} is one of {count} files, and {} is not there", file.display(), absent.display())
        }
        None => Ok(parts),
    }
}

/// Gets what was chosen, and fails where it cannot be had.
pub(super) fn provide(choice: &Choice, fetcher: &Fetcher) -> Result<Served> {
    match choice {
        Choice::Folder(folder) => Ok(Served::folder(folder.clone())),
        Choice::File(file) => Served::file(file.clone()),
        Choice::Offered(model) => offered(model, fetcher),
        Choice::Hub(name) => on_hub(name, fetcher),
    }
}

/// The catalog's default, or what the catalog names in its place where no mirror answers; says in a line what happened.
pub(super) fn provide_default(catalog: &Catalog, fetcher: &Fetcher) -> Result<Served> {
    let mut failures = Vec::new();
    for model in catalog.defaults() {
        match offered(model, fetcher) {
            Ok(served) if failures.is_empty() => return Ok(served),
            Ok(served) => {
                eprintln!("{} Using {} instead.", failures.join(" "), model.name);
                return Ok(served);
            }
            Err(error) => failures.push(format!("{} could not be fetched: {error:#}.", model.name)),
        }
    }
    bail!("{}", failures.join(" "))
}

fn offered(model: &Model, fetcher: &Fetcher) -> Result<Served> {
    if let Some(folder) = &model.folder {
        return Ok(Served::folder(workspace::path("models").join(folder)).offered(model));
    }
    let path = fetcher.offered(model)?;
    let served = if path.is_dir() { Served::folder(path) } else { Served::file(path)? };
    Ok(served.offered(model))
}

fn on_hub(name: &HubName, fetcher: &Fetcher) -> Result<Served> {
    let path = fetcher.on_hub(name).with_context(|| format!("cannot fetch {}", name.repository))?;
    match name.wanted {
        Wanted::Folder => Ok(Served::folder(path)),
        Wanted::File(_) | Wanted::Quantization(_) => Served::file(path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Mount, Served};

    #[test]
    fn the_page_learns_what_to_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b.gguf");
        fs::write(&file, "").unwrap();
        let served = Served::file(file).unwrap();
        let json = served.default_json(&served.opened());
        assert_eq!(json, r#"{"id":null,"source":"models/a%20b/a%20b.gguf"}"#);
        let served = Served::folder(folder.path().join("mine"));
        assert_eq!(served.default_json(&served.opened()), r#"{"id":null,"source":"models/mine/"}"#);
    }

    #[test]
    fn a_split_file_comes_with_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("a-00001-of-00002.gguf");
        fs::write(&first, "").unwrap();
        assert!(
            Served::file(first.clone())
                .unwrap_err()
                .to_string()
                .contains("a-00002-of-00002.gguf is not there")
        );
        let second = folder.path().join("a-00002-of-00002.gguf");
        fs::write(&second, "").unwrap();
        assert_eq!(Served::file(first.clone()).unwrap().mount, Mount::Files(vec![first, second]));
    }
}
