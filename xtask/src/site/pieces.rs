//! Large files in pieces, and the manifest that lists them. docs/formats.md describes it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::models::digest::{sha256, sha256_of_bytes};

/// The name of the manifest.
pub(super) const MANIFEST: &str = "pieces.json";

/// Files that are being laid out in a folder.
pub(super) struct Pieces {
    folder: PathBuf,
    limit: u64,
    manifest: Manifest,
}

#[derive(Serialize)]
struct Manifest {
    version: u32,
    /// The file to open; empty where the model is the folder.
    model: String,
    files: BTreeMap<String, Cut>,
}

/// A file that was cut.
#[derive(Serialize)]
struct Cut {
    size: u64,
    sha256: String,
    pieces: Vec<Piece>,
}

#[derive(Serialize)]
struct Piece {
    /// Its path from the manifest.
    file: String,
    size: u64,
    sha256: String,
}

impl Pieces {
    /// Nothing yet. `opened` is the file that is to be opened; empty for the folder. No file will be larger than `limit`.
    pub(super) fn new(folder: &Path, opened: &str, limit: u64) -> Self {
        let manifest = Manifest { version: 1, model: opened.to_owned(), files: BTreeMap::new() };
        Self { folder: folder.to_owned(), limit, manifest }
    }

    /// Copies a file, in pieces where it is too large for one.
    pub(super) fn add(&mut self, source: &Path) -> Result<()> {
        let reading = || format!("cannot read {}", source.display());
        let name = source.file_name().with_context(reading)?.to_string_lossy().into_owned();
        let size = source.metadata().with_context(reading)?.len();
        if size <= self.limit {
            let to = self.folder.join(&name);
            fs::copy(source, &to).with_context(|| format!("cannot write {}", to.display()))?;
            return Ok(());
        }
        fs::create_dir_all(self.folder.join("pieces")).context("cannot make the folder of the pieces")?;
        let mut file = File::open(source).with_context(reading)?;
        let mut pieces = Vec::new();
        loop {
            let mut bytes = Vec::new();
            (&mut file).take(self.limit).read_to_end(&mut bytes).with_context(reading)?;
            if bytes.is_empty() {
                break;
            }
            pieces.push(self.write_piece(&bytes)?);
        }
        self.manifest.files.insert(name, Cut { size, sha256: sha256(source)?, pieces });
        Ok(())
    }

    /// A piece's name is made of its bytes, so that no cache can mix the pieces of two versions.
    fn write_piece(&self, bytes: &[u8]) -> Result<Piece> {
        let sha256 = sha256_of_bytes(bytes);
        let file = format!("pieces/{}.bin", &sha256[..16]);
        let to = self.folder.join(&file);
        fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
        Ok(Piece { file, size: bytes.len() as u64, sha256 })
    }

    /// Writes the manifest and says whether one is needed.
    pub(super) fn write(&self) -> Result<bool> {
        if self.manifest.files.is_empty() {
            return Ok(false);
        }
        let to = self.folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(&self.manifest)? + "\n";
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::Pieces;
    use crate::models::digest::sha256_of_bytes;

    #[test]
    fn pieces_together_are_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.gguf");
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        fs::write(&source, &bytes).unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let mut pieces = Pieces::new(&out, "a.gguf", 300);
        pieces.add(&source).unwrap();
        assert!(pieces.write().unwrap());

        let manifest: Value = serde_json::from_slice(&fs::read(out.join("pieces.json")).unwrap()).unwrap();
        assert_eq!(manifest["version"], 1);
        assert_eq!(manifest["model"], "a.gguf");
        let file = &manifest["files"]["a.gguf"];
        assert_eq!((&file["size"], &file["sha256"]), (&1000.into(), &sha256_of_bytes(&bytes).into()));
        let mut joined = Vec::new();
        for piece in file["pieces"].as_array().unwrap() {
            let bytes = fs::read(out.join(piece["file"].as_str().unwrap())).unwrap();
            assert_eq!(piece["size"], bytes.len());
            assert!(bytes.len() <= 300);
            assert_eq!(piece["sha256"], sha256_of_bytes(&bytes));
            joined.extend(bytes);
        }
        assert_eq!(joined, bytes);
    }
}
