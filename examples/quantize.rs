//! Writes a quantised copy of a float checkpoint (default: a tiny one from the tests) into a new folder, and loads the copy.
//! Run: `cargo run --release --example quantize [FOLDER] [NEW_FOLDER]`

use std::path::{Path, PathBuf};

use mobilellm::{
    BitsAndGroup, Cancel, DirectorySource, Engine, LoadOptions, QuantizeOptions, Result, quantize_folder,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    // The default model is quantised already, and a quantised checkpoint cannot be quantised again.
    let folder =
        arguments.next().unwrap_or_else(|| "tests/reference/fixtures/checkpoints/untied-mha".to_owned());
    let copy = arguments.next().map_or_else(
        || PathBuf::from(format!("target/quantize-example-{}", std::process::id())),
        PathBuf::from,
    );
    if let Err(error) = pollster::block_on(quantize(&folder, &copy)) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

async fn quantize(folder: &str, copy: &Path) -> Result<()> {
    let source = DirectorySource::new(folder)?;
    let options = QuantizeOptions {
        default: BitsAndGroup { bits: 4, group_size: 32 },
        // Modules that need more bits, in the form of `mobilellm quantize --override`.
        overrides: vec!["model.embed_tokens=8".parse()?],
        max_shard_size: 16 << 20,
    };
    // The copy appears only when it is complete. It must not exist before, or be an empty folder.
    let report = quantize_folder(&source, copy, &options, &mut |_| (), &Cancel::default()).await?;
    println!(
        "{}: {} modules quantised, {} bytes became {}",
        copy.display(),
        report.quantized,
        report.bytes_read,
        report.bytes_written
    );
    for module in &report.indivisible {
        println!("{module} is not quantised: its row length is not a multiple of the group size");
    }

    let engine = Engine::load(&DirectorySource::new(copy)?, LoadOptions::default()).await?;
    println!(
        "the copy needs {} bytes of memory on the {}",
        engine.info().weight_bytes,
        engine.info().backend
    );
    Ok(())
}
