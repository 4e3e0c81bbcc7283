//! Logits of whole files, against those of their unpacked weights in float64 (`tests/reference/make_gguf.py`), and against those
//! of transformers where `MOBILELLM_FAMILIES` names the folder into which `../shared/families/make.py` made its files.

use std::path::{Path, PathBuf};

use mobilellm::backend::{Products, State, Wanted};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use safetensors::SafeTensors;

use crate::engines::{Backend, backends, fixtures, load};

/// A file, or the first of several, and what it must compute.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    tokens: Vec<u32>,
    logits: Vec<f32>,
}

/// The cases of a folder.
pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let file = entry.unwrap().path();
            let name = file.file_name()?.to_str()?.strip_suffix(".gguf")?;
            let name = match name.split_once("-00001-of-") {
                Some((name, _)) => name,
                None if name.contains("-of-") => return None,
                None => name,
            };
            let bytes = std::fs::read(folder.join(format!("{name}.expected.safetensors"))).unwrap();
            let expected = SafeTensors::deserialize(&bytes).unwrap();
            let tokens = expected.tensor("tokens").unwrap();
            let width = tokens.data().len() / tokens.shape()[0];
            let id = |id: &[u8]| u32::from_le_bytes(id[..4].try_into().unwrap());
            let tokens = tokens.data().chunks_exact(width).map(id).collect();
            let words = expected.tensor("logits").unwrap().data().chunks_exact(4);
            let logits = words.map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
            Some(Case { name: name.to_owned(), file: file.clone(), tokens, logits })
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// How far the logits are from the expected ones, as a part of the largest.
pub(crate) fn error(mut state: State, case: &Case) -> f32 {
    let batch = state.max_logit_rows();
    let logits: Vec<f32> = case
        .tokens
        .chunks(batch)
        .flat_map(|batch| pollster::block_on(state.forward(batch, Wanted::All)).unwrap())
        .collect();
    assert_eq!(logits.len(), case.logits.len(), "{}", case.name);
    let largest = case.logits.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    let off = logits.iter().zip(&case.logits).map(|(a, b)| (a - b).abs());
    off.fold(0.0, |max, off| if off.is_nan() { f32::INFINITY } else { f32::max(max, off) }) / largest
}

pub(crate) fn exact(engine: &Engine, case: &Case) -> State {
    engine.state_with(case.tokens.len(), Products::Exact).unwrap()
}

pub(crate) fn check(case: &Case, what: &str, error: f32, tolerance: f32) {
    println!("{}: {what}: {error:.1e}", case.name);
    assert!(
        error <= tolerance,
        "{}: {what}: off by {error} of the largest logit, not {tolerance}",
        case.name
    );
}

#[test]
fn logits_are_those_of_the_unpacked_weights_on_every_backend() {
    let cases = cases(&fixtures().join("gguf"));
    assert!(cases.len() >= 3, "fixtures are missing");
    for backend in backends() {
        for case in &cases {
            let engine = load(&case.file, backend, WeightFormat::F32);
            check(case, &format!("f32, {backend:?}"), error(engine.state().unwrap(), case), 1e-4);
            let engine = load(&case.file, backend, WeightFormat::Stored);
            // Scales of half precision.
            check(case, &format!("as stored, {backend:?}"), error(exact(&engine, case), case), 2e-3);
            // Activations of eight bits on the CPU, of half precision on the tier `f16`.
            check(case, &format!("fast, {backend:?}"), error(engine.state().unwrap(), case), 5e-2);
        }
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let Some(folder) = std::env::var_os("MOBILELLM_FAMILIES") else {
        println!("skipped: MOBILELLM_FAMILIES names no folder of ../shared/families/make.py");
        return;
    };
    for case in cases(Path::new(&folder)) {
        let engine = load(&case.file, Backend::Cpu, WeightFormat::F32);
        check(&case, "f32", error(engine.state().unwrap(), &case), 2e-5);
        let engine = load(&case.file, Backend::Cpu, WeightFormat::Stored);
        check(&case, "as stored", error(exact(&engine, &case), &case), 2e-5);
    }
}
