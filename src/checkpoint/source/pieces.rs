//! A folder whose large files lie in pieces, as static hosts want them. `pieces.json` lists them; docs/formats.md describes it.
//!
//! Each piece is compared with its digest before its last bytes are handed out.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::files::read_required;
use super::reader::path_of;
use super::{ByteStream, Source};
use crate::checkpoint::source::Cancel;
use crate::error::{Error, Result};

/// The manifest's name in its folder.
pub const MANIFEST: &str = "pieces.json";

/// No manifest is larger: 16 MiB list a hundred thousand pieces.
const LIMIT: u64 = 16 << 20;

const REMEDY: &str = "Lay the folder out again, with `cargo xtask site`";

/// Whether a path or an address names a manifest.
pub fn is_manifest(model: &str) -> bool {
    let path = model.split(['?', '#']).next().unwrap_or(model);
    path.rsplit(['/', std::path::MAIN_SEPARATOR]).next() == Some(MANIFEST)
}

/// A folder with a manifest. Files that the manifest does not list are those of the folder.
pub struct PiecedSource<S> {
    folder: Rc<S>,
    manifest: OnceCell<Manifest>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    version: u32,
    /// The file to open; empty where the model is the folder.
    #[serde(default)]
    model: String,
    files: BTreeMap<String, Cut>,
}

/// A file in pieces.
#[derive(Debug, Deserialize)]
struct Cut {
    size: u64,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Deserialize)]
struct Piece {
    /// Its path from the manifest.
    file: String,
    size: u64,
    sha256: String,
}

impl<S: Source + 'static> PiecedSource<S> {
    /// The folder in which the manifest lies; it is read when the first file is opened.
    pub fn new(folder: S) -> Self {
        Self { folder: Rc::new(folder), manifest: OnceCell::new() }
    }

    /// The file that the model is in; empty where the model is the folder.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Invalid`] where the manifest is absent or wrong, and whatever the folder says.
    pub async fn model(&self, cancel: &Cancel) -> Result<&str> {
        Ok(&self.manifest(cancel).await?.model)
    }

    async fn manifest(&self, cancel: &Cancel) -> Result<&Manifest> {
        if let Some(manifest) = self.manifest.get() {
            return Ok(manifest);
        }
        let bytes = read_required(self.folder.as_ref(), MANIFEST, LIMIT, cancel).await?;
        let manifest = Manifest::parse(&bytes, &path_of(self.folder.as_ref(), MANIFEST))?;
        Ok(self.manifest.get_or_init(|| manifest))
    }

    async fn open_file(&self, file: &str, cancel: &Cancel) -> Result<Option<Box<dyn ByteStream>>> {
        let Some(cut) = self.manifest(cancel).await?.files.get(file) else {
            return self.folder.open(file, cancel).await;
        };
        let (folder, cancel) = (self.folder.clone(), cancel.clone());
        let left = cut.pieces.iter().cloned().collect();
        Ok(Some(Box::new(PieceStream { folder, cancel, len: cut.size, left, current: None })))
    }
}

impl<S: Source + 'static> Source for PiecedSource<S> {
    fn location(&self) -> String {
        self.folder.location()
    }

    fn gguf<'a>(&'a self, cancel: &'a Cancel) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            let model = self.model(cancel).await?;
            Ok(crate::checkpoint::source::gguf::is_file(model).then(|| model.to_owned()))
        }
        .boxed_local()
    }

    fn is_remote(&self) -> bool {
        self.folder.is_remote()
    }

    fn open<'a>(
        &'a self,
        file: &'a str,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
        self.open_file(file, cancel).boxed_local()
    }
}

impl Manifest {
    fn parse(bytes: &[u8], path: &str) -> Result<Self> {
        let wrong = |field: &str, problem: String| Error::invalid(path, field, problem, REMEDY);
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| wrong("JSON", error.to_string()))?;
        if manifest.version != 1 {
            let problem = format!("it is {}, and this program reads 1", manifest.version);
            return Err(wrong("version", problem));
        }
        if !manifest.model.is_empty() && !is_path(&manifest.model) {
            return Err(wrong("model", format!("{:?} is no file of the folder", manifest.model)));
        }
        for (name, cut) in &manifest.files {
            for piece in &cut.pieces {
                if !is_path(&piece.file) {
                    return Err(wrong(name, format!("{:?} is no path in the folder", piece.file)));
                }
                let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                if piece.sha256.len() != 64 || !piece.sha256.chars().all(is_digit) {
                    return Err(wrong(
                        name,
                        format!("the sha256 of {} is not 64 hexadecimal digits", piece.file),
                    ));
                }
            }
            let sizes = cut.pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.size));
            if sizes != Some(cut.size) {
                return Err(wrong(name, format!("the sizes of its pieces do not add up to {}", cut.size)));
            }
        }
        Ok(manifest)
    }
}

/// Whether this is a path that stays in the folder.
fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && !name.starts_with('.') && !name.contains(['\\', ':', '?', '#', '%', '\0'])
    };
    path.split('/').all(is_name)
}

/// A file that is put together from its pieces.
struct PieceStream<S> {
    folder: Rc<S>,
    cancel: Cancel,
    len: u64,
    /// Pieces that have not been opened.
    left: VecDeque<Piece>,
    current: Option<Current>,
}

/// The piece that is being read.
struct Current {
    piece: Piece,
    stream: Box<dyn ByteStream>,
    received: u64,
    hasher: Sha256,
}

impl<S: Source> PieceStream<S> {
    async fn read(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                None => match self.left.pop_front() {
                    Some(piece) => {
                        let opened = Current::open(self.folder.as_ref(), piece, &self.cancel).await?;
                        self.current.insert(opened)
                    }
                    None => return Ok(None),
                },
            };
            let bytes = current.stream.next().await?.unwrap_or_default();
            current.received += bytes.len() as u64;
            current.hasher.update(&bytes);
            if bytes.is_empty() || current.received >= current.piece.size {
                current.check(self.folder.as_ref())?;
                self.current = None;
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Current {
    async fn open(folder: &dyn Source, piece: Piece, cancel: &Cancel) -> Result<Self> {
        match folder.open(&piece.file, cancel).await? {
            Some(stream) => Ok(Self { piece, stream, received: 0, hasher: Sha256::new() }),
            None => Err(Error::missing(path_of(folder, &piece.file), REMEDY)),
        }
    }

    /// Whether all bytes came, and the right ones.
    fn check(&self, folder: &dyn Source) -> Result<()> {
        let Piece { file, size, sha256 } = &self.piece;
        let wrong = |field: &str, problem: String| {
            Err(Error::invalid(
                path_of(folder, file),
                field,
                problem,
                "Load again; if it stays so, lay the folder out again",
            ))
        };
        if self.received != *size {
            return wrong("size", format!("{} bytes came, and {MANIFEST} says {size}", self.received));
        }
        let digest = self.hasher.clone().finalize();
        let found = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if found != *sha256 {
            return wrong("sha256", format!("it is {found}, and {MANIFEST} says {sha256}"));
        }
        Ok(())
    }
}

impl<S: Source> ByteStream for PieceStream<S> {
    fn len_hint(&self) -> Option<u64> {
        Some(self.len)
    }

    fn next(&mut self) -> LocalBoxFuture<'_, Result<Option<Vec<u8>>>> {
        self.read().boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;
    use serde_json::{Value, json};

    use super::*;
    use crate::checkpoint::source::memory::MemorySource;

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn manifest(parts: &[&[u8]]) -> Value {
        let piece = |(index, bytes): (usize, &&[u8])| json!({"file": format!("pieces/{index}.bin"), "size": bytes.len(), "sha256": sha256(bytes)});
        let pieces: Vec<_> = parts.iter().enumerate().map(piece).collect();
        let size: usize = parts.iter().map(|part| part.len()).sum();
        json!({"version": 1, "model": "a.gguf", "files": {"a.gguf": {"size": size, "sha256": "", "pieces": pieces}}})
    }

    fn folder(manifest: &Value, parts: &[&[u8]]) -> MemorySource {
        let files = MemorySource::new()
            .in_pieces_of(4)
            .with(MANIFEST, manifest.to_string())
            .with("config.json", "{}");
        parts
            .iter()
            .enumerate()
            .fold(files, |files, (index, part)| files.with(format!("pieces/{index}.bin"), *part))
    }

    fn read(folder: MemorySource, file: &str) -> Result<Option<Vec<u8>>> {
        let source = PiecedSource::new(folder);
        block_on(async {
            let Some(mut stream) = source.open(file, &Cancel::default()).await? else { return Ok(None) };
            let mut bytes = Vec::new();
            while let Some(piece) = stream.next().await? {
                assert!(!piece.is_empty());
                bytes.extend(piece);
            }
            Ok(Some(bytes))
        })
    }

    const PARTS: [&[u8]; 3] = [b"the first piece, ", b"", b"the last"];

    #[test]
    fn pieces_are_read_as_one_file() {
        let folder = folder(&manifest(&PARTS), &PARTS);
        assert_eq!(read(folder.clone(), "a.gguf").unwrap().unwrap(), b"the first piece, the last");
        assert_eq!(read(folder.clone(), "config.json").unwrap().unwrap(), b"{}", "other files lie beside");
        assert!(read(folder.clone(), "absent").unwrap().is_none());
        let source = PiecedSource::new(folder);
        assert_eq!(block_on(source.model(&Cancel::default())).unwrap(), "a.gguf");
    }

    #[test]
    fn wrong_pieces_are_named() {
        let right = manifest(&PARTS);
        for (parts, words) in [
            ([PARTS[0], PARTS[1], b"the lost"], "pieces/2.bin: sha256"),
            ([PARTS[0], PARTS[1], b"the las"], "pieces/2.bin: size: 7 bytes came"),
            ([b"the first piece, and more", PARTS[1], PARTS[2]], "pieces/0.bin: size: 20 bytes came"),
        ] {
            let error = read(folder(&right, &parts), "a.gguf").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = read(folder(&right, &PARTS[..2]), "a.gguf").unwrap_err().to_string();
        assert!(error.contains("pieces/2.bin is missing"), "{error}");
        assert!(matches!(read(MemorySource::new(), "a.gguf"), Err(Error::Missing { .. })));
    }

    #[test]
    fn wrong_manifests_are_refused() {
        let change = |path: &str, value: Value| {
            let mut manifest = manifest(&PARTS);
            *manifest.pointer_mut(path).unwrap() = value;
            manifest
        };
        for (manifest, words) in [
            (json!("text"), "JSON"),
            (change("/version", json!(2)), "version: it is 2"),
            (change("/model", json!("../a")), "model"),
            (change("/files/a.gguf/size", json!(3)), "do not add up to 3"),
            (change("/files/a.gguf/pieces/0/size", json!(u64::MAX)), "do not add up"),
            (change("/files/a.gguf/pieces/0/file", json!("../secret")), "no path in the folder"),
            (change("/files/a.gguf/pieces/0/file", json!("https://x/y")), "no path in the folder"),
            (change("/files/a.gguf/pieces/0/sha256", json!("")), "64 hexadecimal digits"),
        ] {
            let error = read(folder(&manifest, &PARTS), "a.gguf").unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(MANIFEST), "{error}");
        }
    }

    #[test]
    fn manifests_are_recognised_by_their_name() {
        for model in ["pieces.json", "a/pieces.json", "https://host/a/pieces.json?x#y"] {
            assert!(is_manifest(model), "{model}");
        }
        for model in ["a/pieces.json/", "a", "https://host/?pieces.json", "mypieces.json"] {
            assert!(!is_manifest(model), "{model}");
        }
    }
}
