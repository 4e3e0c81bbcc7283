//! Public models, as they lie in GGUF files: token ids, logits and greedy tokens are those of transformers in float32.
//!
//! The files are looked for in `target/models` (`cargo xtask fetch smollm2-135m-instruct`) and in the folder that
//! `MOBILELLM_MODELS` names. A file that is absent is skipped by name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/engines.rs"]
mod engines;

use std::path::{Path, PathBuf};

use mobilellm::backend::Wanted;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use serde::Deserialize;

use engines::{Backend, fixtures, load};

/// The fixture has every so many logits.
const STRIDE: usize = 997;

/// Allowed difference of a logit, as a part of the largest logit.
const TOLERANCE: f32 = 1e-3;

/// Below this lead of the best token over the second, another order of additions may choose the second.
const NEAR_TIE: f32 = 0.05;

#[derive(Deserialize)]
struct Prompt {
    #[serde(rename = "prompt")]
    text: String,
    ids: Vec<u32>,
    max_logit: f32,
    logits: Vec<f32>,
    greedy: Vec<u32>,
    /// The lead of each greedy token over the second best.
    leads: Vec<f32>,
}

/// The prompts of a file, and its path; `None`, with a message, where the file is absent.
fn model(file: &str) -> Option<(PathBuf, Vec<Prompt>)> {
    let json = std::fs::read(fixtures().join("real_models.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let Some(path) = find(file) else {
        println!("skipped: models: {file} is absent");
        return None;
    };
    Some((path, serde_json::from_value(json[file]["prompts"].take()).unwrap()))
}

fn find(file: &str) -> Option<PathBuf> {
    let own = std::env::var_os("MOBILELLM_MODELS").map(PathBuf::from);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("models");
    let folders =
        own.into_iter().chain(std::fs::read_dir(target).into_iter().flatten().flatten().map(|e| e.path()));
    folders.map(|folder| folder.join(file)).find(|path| path.is_file())
}

fn check(engine: &Engine, expected: &Prompt) {
    let name = &expected.text;
    assert_eq!(engine.text_prompt(name).unwrap(), expected.ids, "{name:?}");
    let mut state = engine.state().unwrap();
    let mut logits = pollster::block_on(state.forward(&expected.ids, Wanted::Last)).unwrap();
    for (index, wanted) in expected.logits.iter().enumerate() {
        let difference = (logits[index * STRIDE] - wanted).abs();
        assert!(
            difference <= TOLERANCE * expected.max_logit,
            "{name:?}: logit {} differs by {difference}",
            index * STRIDE
        );
    }
    for (step, (token, lead)) in expected.greedy.iter().zip(&expected.leads).enumerate() {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        if best != *token as usize {
            assert!(*lead < NEAR_TIE, "{name:?}: token {step} is {best}, not {token}, which leads by {lead}");
            return;
        }
        logits = pollster::block_on(state.forward(&[*token], Wanted::Last)).unwrap();
    }
}

fn check_all(file: &str) {
    let Some((path, prompts)) = model(file) else { return };
    let engine = load(&path, Backend::Cpu, WeightFormat::F32);
    for prompt in &prompts {
        check(&engine, prompt);
    }
}

#[test]
fn smollm2_computes_what_transformers_computes() {
    check_all("SmolLM2-135M-Instruct.Q4_1.gguf");
}

#[test]
fn gemma3_computes_what_transformers_computes() {
    check_all("gemma-3-270m-q4_k_m.gguf");
}

#[test]
fn qwen2_computes_what_transformers_computes() {
    check_all("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
}
