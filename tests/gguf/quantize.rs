//! Copies of files in the MLX layout.

use std::path::Path;

use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::quantize::{QuantizeOptions, QuantizeReport, quantize_folder};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::model::config::BitsAndGroup;

use super::models::{cases, check, error, exact};
use crate::engines::{Backend, fixtures, load};

fn copy(file: &Path, folder: &Path) -> Result<QuantizeReport, mobilellm::Error> {
    let options = QuantizeOptions {
        default: BitsAndGroup { bits: 8, group_size: 32 },
        overrides: Vec::new(),
        max_shard_size: 40_000,
    };
    let source = DirectorySource::new(file).unwrap();
    pollster::block_on(quantize_folder(&source, folder, &options, &mut |_| {}, &Cancel::default()))
}

#[test]
fn copies_say_what_was_repacked_and_what_was_quantised_anew() {
    let folder = tempfile::tempdir().unwrap();
    for case in cases(&fixtures().join("gguf")) {
        let destination = folder.path().join(&case.name);
        let report = copy(&case.file, &destination).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let anew: &[&str] = match case.name.as_str() {
            "llama-mixed" => &["Q2_K", "Q3_K", "Q6_K"],
            "qwen2-mixed" => &["Q3_K", "Q6_K"],
            _ => &[],
        };
        assert_eq!(report.requantized, anew, "{}", case.name);
        assert!(report.files.len() > 1 && report.without_tokenizer);
        let engine = load(&destination, Backend::Cpu, WeightFormat::Stored);
        // Two and three bits out of their groups of 16 lose much.
        let tolerance = if anew.is_empty() { 1e-5 } else { 0.5 };
        check(&case, "a copy", error(exact(&engine, &case), &case), tolerance);
    }
}

/// Every family whose checkpoints differ from its files: rows of queries and keys, weights of norms, joint matrices.
#[test]
fn copies_of_all_families_compute_the_same() {
    let Some(made) = std::env::var_os("MOBILELLM_FAMILIES") else {
        println!("skipped: MOBILELLM_FAMILIES names no folder of ../shared/families/make.py");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for case in cases(Path::new(&made)).into_iter().filter(|case| case.name.ends_with("-q8_0")) {
        let destination = folder.path().join(&case.name);
        match copy(&case.file, &destination) {
            Ok(_) => {
                let engine = load(&destination, Backend::Cpu, WeightFormat::Stored);
                check(&case, "a copy", error(exact(&engine, &case), &case), 2e-5);
            }
            Err(refused) => assert!(
                case.name.starts_with("lfm2") && refused.code() == "unsupported",
                "{}: {refused}",
                case.name
            ),
        }
    }
}
