//! Logits and texts against what transformers computed (tests/reference), on every backend of this machine.

#![allow(clippy::unwrap_used, reason = "a test that fails here should say so")]

#[path = "common/engines.rs"]
mod engines;
#[path = "common/shared.rs"]
mod shared;

use std::path::Path;

use engines::{Backend, backends, fixtures, load};
use mobilellm::backend::State;
use mobilellm::backend::Wanted;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use mobilellm::generate::session::{Event, GenerateOptions, Session};
use safetensors::SafeTensors;
use serde_json::Value;
use shared::shared;

/// A case's tokens and the logits of every position.
struct Expected {
    tokens: Vec<u32>,
    logits: Vec<f32>,
}

fn expected(folder: &Path, tensor: &str) -> Expected {
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| -> Vec<[u8; 4]> {
        file.tensor(name).unwrap().data().chunks_exact(4).map(|word| word.try_into().unwrap()).collect()
    };
    Expected {
        tokens: words("tokens").into_iter().map(u32::from_le_bytes).collect(),
        logits: words(tensor).into_iter().map(f32::from_le_bytes).collect(),
    }
}

fn cases() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(fixtures().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 14, "the fixtures are incomplete: {names:?}");
    names
}

/// Every position's logits, the tokens divided into batches of at most `batch`.
fn logits(state: &mut State, tokens: &[u32], batch: usize) -> Vec<f32> {
    let batch = batch.min(state.max_logit_rows());
    tokens
        .chunks(batch)
        .flat_map(|batch| pollster::block_on(state.forward(batch, Wanted::All)).unwrap())
        .collect()
}

fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of logits");
    let largest = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    for (at, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!(
            (a - e).abs() <= tolerance * largest,
            "{what}: logit {at} is {a}, not {e} (largest {largest})"
        );
    }
}

/// Runs `check` for each case on each backend.
fn everywhere(weights: WeightFormat, check: impl Fn(&str, &Engine, &Expected)) {
    for backend in backends() {
        for case in cases() {
            let folder = fixtures().join("checkpoints").join(&case);
            let engine = load(&folder, backend, weights);
            check(&format!("{case} on {backend:?}"), &engine, &expected(&folder, "logits"));
        }
    }
}

#[test]
fn f32_logits_of_every_position() {
    everywhere(WeightFormat::F32, |what, engine, expected| {
        let actual = logits(&mut engine.state().unwrap(), &expected.tokens, usize::MAX);
        assert_close(what, &actual, &expected.logits, 1e-3);
    });
}

#[test]
fn f16_logits_of_every_position() {
    everywhere(WeightFormat::F16, |what, engine, expected| {
        let actual = logits(&mut engine.state().unwrap(), &expected.tokens, usize::MAX);
        assert_close(what, &actual, &expected.logits, 1e-2);
    });
}

#[test]
fn decoding_one_by_one_and_uneven_chunks_equal_one_prefill() {
    everywhere(WeightFormat::F32, |what, engine, expected| {
        let tokens = &expected.tokens[..expected.tokens.len().min(48)];
        let expected = &expected.logits[..tokens.len() * engine.info().vocab_size];
        for batch in [1, 7] {
            let actual = logits(&mut engine.state().unwrap(), tokens, batch);
            assert_close(&format!("{what}, batches of {batch}"), &actual, expected, 1e-3);
        }
    });
}

/// Speculation relies on it: proposed tokens are verified in a batch, and the text must be the one without.
#[test]
fn on_the_cpu_a_row_is_the_same_to_the_bit_in_every_batch() {
    for case in cases() {
        let folder = fixtures().join("checkpoints").join(&case);
        let tokens = expected(&folder, "logits").tokens;
        for weights in WeightFormat::ALL {
            let engine = load(&folder, Backend::Cpu, weights);
            let singles = logits(&mut engine.state().unwrap(), &tokens, 1);
            for batch in [3, 8, usize::MAX] {
                let batched = logits(&mut engine.state().unwrap(), &tokens, batch);
                let same = batched.iter().zip(&singles).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{case}, {weights:?}, batches of {batch}");
            }
        }
    }
}

#[test]
fn going_back_equals_never_having_been_there() {
    everywhere(WeightFormat::F32, |what, engine, expected| {
        let mut state = engine.state().unwrap();
        let tokens = &expected.tokens;
        let (kept, wrong) = (tokens.len() / 2, tokens.len().min(5));
        logits(&mut state, &tokens[..kept.max(1)], usize::MAX);
        logits(&mut state, &tokens[..wrong], usize::MAX);
        state.truncate(kept);
        let actual = logits(&mut state, &tokens[kept..], usize::MAX);
        assert_close(what, &actual, &expected.logits[kept * engine.info().vocab_size..], 1e-3);
    });
}

#[test]
fn the_other_reading_of_layer_sharing() {
    let folder = fixtures().join("checkpoints/mobilellm-ls");
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["layer_sharing_shared_kv"] = true.into();
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    let expected = expected(&folder, "logits_shared_kv");
    for backend in backends() {
        let engine = load(copy.path(), backend, WeightFormat::F32);
        let actual = logits(&mut engine.state().unwrap(), &expected.tokens, 7);
        assert_close(&format!("{backend:?}"), &actual, &expected.logits, 1e-3);
    }
}

/// Greedy tokens and their text.
fn greedy(session: &mut Session, prompt: &[u32], max_tokens: usize) -> (Vec<u32>, String) {
    let options = GenerateOptions { max_tokens: Some(max_tokens), ..GenerateOptions::default() };
    let mut generation = session.start(prompt, options).unwrap();
    let (mut tokens, mut text) = (Vec::new(), String::new());
    while let Some(event) = pollster::block_on(generation.next()).unwrap() {
        if let Event::Token(token) = event {
            tokens.push(token.token);
            text.push_str(&token.text);
        }
    }
    (tokens, text)
}

#[test]
fn stories260k_tells_its_story() {
    const STORY: &str = ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a \
         big, red ball. She wanted to play with it, but it was too high.";
    let Some(folder) = shared("stories260k") else { return };
    for backend in backends() {
        for weights in [WeightFormat::Auto, WeightFormat::F16] {
            let engine = load(&folder, backend, weights);
            let prompt = engine.text_prompt("Once upon a time").unwrap();
            let (_, text) = greedy(&mut engine.session().unwrap(), &prompt, 80);
            assert!(text.starts_with(STORY), "{backend:?} {weights:?}: {text}");
        }
    }
}

#[test]
fn a_session_reuses_its_prefix_and_answers_as_if_it_had_none() {
    let Some(folder) = shared("stories260k") else { return };
    for backend in backends() {
        let engine = load(&folder, backend, WeightFormat::F32);
        let first = engine.text_prompt("Once upon a time, there was a cat").unwrap();
        let second = engine.text_prompt("Once upon a time, there was a dog. He").unwrap();
        let mut session = engine.session().unwrap();
        greedy(&mut session, &first, 20);
        let shared_prefix = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
        assert!(shared_prefix > 4);
        let reused = greedy(&mut session, &second, 20);
        assert_eq!(reused, greedy(&mut engine.session().unwrap(), &second, 20), "{backend:?}");
    }
}

#[test]
fn greedy_texts_of_transformers() {
    let with_texts = ["mobilellm", "chat", "chat-named-templates", "chat-template-file"];
    for backend in backends() {
        for case in with_texts {
            check_generation(case, backend);
        }
    }
}

fn check_generation(case: &str, backend: Backend) {
    let folder = fixtures().join("checkpoints").join(case);
    let engine = load(&folder, backend, WeightFormat::F32);
    let file = std::fs::read_to_string(folder.join("expected_generation.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
    let mut checked = 0;
    for kind in ["completion", "chat"] {
        let Some(row) = file.get(kind).filter(|row| !row.is_null()) else { continue };
        let prompt = match kind {
            "completion" => engine.text_prompt(row["prompt"].as_str().unwrap()).unwrap(),
            _ => engine.chat_prompt(row["messages"].as_array().unwrap(), &[], false).unwrap().tokens,
        };
        assert_eq!(prompt, ids(&row["prompt_ids"]), "{case} {kind}: prompt");
        let (tokens, text) = greedy(&mut engine.session().unwrap(), &prompt, ids(&row["ids"]).len());
        assert_eq!(tokens, ids(&row["ids"]), "{case} {kind} on {backend:?}");
        assert_eq!(text, row["text"].as_str().unwrap(), "{case} {kind} on {backend:?}");
        checked += 1;
    }
    assert!(checked > 0, "{case}: expected_generation.json has nothing known in it");
}
