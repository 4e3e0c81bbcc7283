//! `cargo xtask site`: the page with a model as a folder that any static web server can host.

mod pieces;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::build::copy_folder;
use crate::models::{Mount, Served};
use crate::workspace;
use pieces::Pieces;

/// Where to, and what the host takes.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct SiteOptions {
    /// Where to put it; what lies there under the same names is replaced
    #[arg(default_value = "target/site")]
    folder: PathBuf,
    /// Files of more bytes are cut into pieces of this size; many static hosts refuse more than 25 MiB
    #[arg(long, value_name = "BYTES", default_value_t = 24 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    piece_size: u64,
}

/// Lays out page, package and models. Weights are cut into pieces that the host takes.
pub(crate) fn site(options: &SiteOptions, served: &Served) -> Result<()> {
    served.check_handing_on()?;
    let out = workspace::root().join(&options.folder);
    copy_folder(&workspace::path("www"), &out)?;
    copy_folder(&workspace::package(), &out.join("pkg"))?;
    let models = out.join("models");
    clear(&models)?;
    copy_folder(&workspace::path("models"), &models)?;
    let opened = lay_out(served, &models.join(&served.name), options.piece_size)?;
    write(&models.join("default.json"), &served.default_json(&opened))?;
    println!("{} is ready to be hosted, with the model {}", out.display(), served.name);
    println!("docs/hosting.md says which headers the server should send");
    Ok(())
}

/// Removes the models of an earlier run, and nothing that somebody else has put there.
fn clear(models: &Path) -> Result<()> {
    if models.join("catalog.json").is_file() && models.join("default.json").is_file() {
        fs::remove_dir_all(models).with_context(|| format!("cannot clear {}", models.display()))?;
    }
    Ok(())
}

/// Writes a model's files, and returns which of them is to be opened; empty for the folder.
fn lay_out(served: &Served, folder: &Path, piece_size: u64) -> Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pieces = Pieces::new(folder, &served.opened(), piece_size);
    match &served.mount {
        Mount::Files(files) => {
            for file in files {
                pieces.add(file)?;
            }
        }
        Mount::Folder(source) => {
            let entries =
                fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
            let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            files.retain(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                path.is_file() && !name.starts_with('.')
            });
            files.sort();
            for file in files {
                pieces.add(&file)?;
            }
        }
    }
    Ok(if pieces.write()? { pieces::MANIFEST.to_owned() } else { served.opened() })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::lay_out;
    use crate::models::Served;

    #[test]
    fn small_models_need_no_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("mine");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("config.json"), "{}").unwrap();
        fs::write(source.join(".whole"), "").unwrap();
        let out = folder.path().join("out");
        assert_eq!(lay_out(&Served::folder(source.clone()), &out, 24).unwrap(), "");
        assert!(out.join("config.json").is_file() && !out.join(".whole").exists());

        fs::write(source.join("a.gguf"), "x").unwrap();
        let out = folder.path().join("file");
        assert_eq!(lay_out(&Served::file(source.join("a.gguf")).unwrap(), &out, 24).unwrap(), "a.gguf");
        assert!(!out.join("config.json").exists());
    }
}
