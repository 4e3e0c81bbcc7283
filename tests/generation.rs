//! The generation loop: the text does not depend on where tokens are chosen and how many are submitted at once. A
//! session that was stopped or abandoned continues as if it had never computed ahead.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/engines.rs"]
mod engines;

use std::path::Path;
use std::time::Duration;

use engines::{Backend, backends, fixtures, load};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use mobilellm::generate::sampler::SamplerOptions;
use mobilellm::generate::session::{Event, FinishReason, GenerateOptions, Session};
use mobilellm::generate::speculate::Speculation;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKENS: usize = 60;

fn engine(backend: Backend) -> Engine {
    load(&fixtures().join("checkpoints/mobilellm"), backend, WeightFormat::F32)
}

fn options() -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(TOKENS),
        ignore_eos: true,
        speculation: Speculation::Off,
        in_flight: Some(Duration::from_mins(1)),
        ..GenerateOptions::default()
    }
}

fn warm() -> SamplerOptions {
    SamplerOptions { temperature: 0.9, top_p: 0.9, seed: 3, ..SamplerOptions::default() }
}

/// The tokens, and the finish reason.
fn generate(session: &mut Session, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, FinishReason) {
    let mut generation = session.start(prompt, options).unwrap();
    let mut tokens = Vec::new();
    loop {
        match pollster::block_on(generation.next()).unwrap().unwrap() {
            Event::Prefill { .. } => {}
            Event::Token(token) => tokens.push(token.token),
            Event::Done { finish_reason, usage, .. } => {
                assert_eq!(usage.completion_tokens, tokens.len());
                return (tokens, finish_reason);
            }
        }
    }
}

/// Prompts of one piece and of several, with repetition and without.
fn prompts(vocab: u32) -> Vec<Vec<u32>> {
    let repeating = [5, 6, 7, 8, 9, 10, 11].map(|token| token % vocab).repeat(4);
    let long = (0..75).map(|i| (i * i + 3 * i + 1) % vocab).collect();
    vec![vec![1], repeating, long]
}

#[test]
fn every_way_to_choose_gives_the_same_tokens() {
    for backend in backends() {
        let engine = engine(backend);
        let vocab = engine.session().unwrap().vocab_size() as u32;
        for prompt in prompts(vocab) {
            let run = |options| generate(&mut engine.session().unwrap(), &prompt, options).0;
            for sampler in [SamplerOptions::default(), warm()] {
                let with = |change: &dyn Fn(&mut GenerateOptions)| {
                    let mut options = GenerateOptions { sampler: sampler.clone(), ..options() };
                    change(&mut options);
                    run(options)
                };
                let plain = with(&|_| {});
                assert_eq!(plain.len(), TOKENS);
                // One token per submit.
                assert_eq!(plain, with(&|o| o.in_flight = Some(Duration::ZERO)), "{backend:?}");
                // With guesses: always, and only while they are faster.
                assert_eq!(plain, with(&|o| o.speculation = Speculation::On), "{backend:?}");
                assert_eq!(plain, with(&|o| o.speculation = Speculation::Auto), "{backend:?}");
                // Chosen on the CPU from logits: the same tokens, except for the accuracy of the logarithm on the
                // device.
                if sampler.temperature == 0.0 {
                    assert_eq!(plain, with(&|o| o.sampler.logprobs = Some(1)), "{backend:?}");
                }
            }
        }
    }
}

#[test]
fn guesses_under_penalties_change_nothing() {
    for backend in backends() {
        let engine = engine(backend);
        let prompt = [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7];
        let run = |speculation| {
            let sampler = SamplerOptions { frequency_penalty: 0.2, repetition_penalty: 1.1, ..warm() };
            let options = GenerateOptions { sampler, speculation, ..options() };
            generate(&mut engine.session().unwrap(), &prompt, options).0
        };
        assert_eq!(run(Speculation::Off), run(Speculation::On), "{backend:?}");
    }
}

#[test]
fn an_abandoned_session_continues_as_if_it_had_never_computed_ahead() {
    for backend in backends() {
        let engine = engine(backend);
        for speculation in [Speculation::Off, Speculation::On] {
            let options = || GenerateOptions { speculation, ..options() };
            let prompt = [1, 5, 6, 7, 5, 6, 7, 5, 6];
            let (all, _) = generate(&mut engine.session().unwrap(), &prompt, options());
            // Abandon the generation after these numbers of tokens: between two submits and in the middle of one.
            for abandon in [1, 2, 3, 5, 9, 17, 40] {
                let mut session = engine.session().unwrap();
                let mut generation = session.start(&prompt, options()).unwrap();
                let mut taken = Vec::new();
                while taken.len() < abandon {
                    if let Event::Token(token) = pollster::block_on(generation.next()).unwrap().unwrap() {
                        taken.push(token.token);
                    }
                }
                drop(generation);
                assert_eq!(taken, all[..abandon], "{backend:?}");
                let cached = [&prompt[..], &taken[..abandon - 1]].concat();
                assert_eq!(session.cached_tokens(), cached, "{backend:?}");
                // Continue the conversation after the last token.
                let prompt = [&prompt[..], &taken[..]].concat();
                let more = GenerateOptions { max_tokens: Some(TOKENS - abandon), ..options() };
                let (rest, _) = generate(&mut session, &prompt, more);
                assert_eq!(rest, all[abandon..], "{backend:?} after {abandon}");
            }
        }
    }
}

#[test]
fn an_answer_ends_at_the_last_token_and_at_the_last_position() {
    for backend in backends() {
        let engine = engine(backend);
        let mut session = engine.session().unwrap();
        for max_tokens in [1, 2, 3, 7, 16, 17] {
            let options = GenerateOptions { max_tokens: Some(max_tokens), ..options() };
            let (tokens, reason) = generate(&mut session, &[1, 2, 3], options);
            assert_eq!((tokens.len(), reason), (max_tokens, FinishReason::Length), "{backend:?}");
        }
        let limit = session.max_context();
        for speculation in [Speculation::Off, Speculation::On] {
            let options = GenerateOptions { max_tokens: None, speculation, ..options() };
            let prompt = [4, 5, 6].repeat(limit / 3)[..limit - 12].to_vec();
            let (tokens, reason) = generate(&mut session, &prompt, options);
            assert_eq!((tokens.len(), reason), (13, FinishReason::Length), "{backend:?}");
        }
    }
}

/// A copy of a fixture with one changed field in one of its JSON files.
fn changed(name: &str, file: &str, field: &str, value: Value) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures().join("checkpoints").join(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join(file);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json[field] = value;
    std::fs::write(path, json.to_string()).unwrap();
    copy
}

/// Generates with these options after the prompt of the transformers reference. Returns the text, the tokens and the
/// finish reason.
fn continued(folder: &Path, backend: Backend, options: GenerateOptions) -> (String, Vec<u32>, FinishReason) {
    let engine = load(folder, backend, WeightFormat::F32);
    let prompt = engine.text_prompt("Alice was beginning to get").unwrap();
    let mut session = engine.session().unwrap();
    let mut generation = session.start(&prompt, options).unwrap();
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match pollster::block_on(generation.next()).unwrap().unwrap() {
            Event::Prefill { .. } => {}
            Event::Token(token) => {
                text.push_str(&token.text);
                tokens.push(token.token);
            }
            Event::Done { finish_reason, .. } => return (text, tokens, finish_reason),
        }
    }
}

/// The reference generates 45, 195, five times 283 ("as"), 319 ("ot").
#[test]
fn each_end_token_ends_a_text_and_is_not_part_of_it() {
    for backend in backends() {
        for (ends, tokens, text) in [
            (json!([2, 0, 319]), &[45, 195, 283, 283, 283, 283, 283, 319][..], "K\u{4}asasasasas"),
            (json!([319, 195]), &[45, 195], "K"),
            (json!(45), &[45], ""),
        ] {
            let folder = changed("chat", "generation_config.json", "eos_token_id", ends);
            let options = GenerateOptions { max_tokens: Some(16), ..GenerateOptions::default() };
            let expected = (text.to_owned(), tokens.to_vec(), FinishReason::Stop);
            assert_eq!(continued(folder.path(), backend, options), expected, "{backend:?}");
        }
    }
}

#[test]
fn stop_strings_end_a_text_also_inside_tokens() {
    let folder = fixtures().join("checkpoints/chat");
    for backend in backends() {
        for (stop, text, reason) in [
            (&["sasaso"][..], "K\u{4}asasa", FinishReason::Stop),
            (&["never", "sa"], "K\u{4}a", FinishReason::Stop),
            // The stop string begins many times but never completes, so all text that was held back is emitted.
            (&["asasasasasa"], "K\u{4}asasasasasot", FinishReason::Length),
        ] {
            let stop = stop.iter().map(ToString::to_string).collect();
            let options = GenerateOptions { max_tokens: Some(8), stop, ..GenerateOptions::default() };
            let (actual, _, actual_reason) = continued(&folder, backend, options);
            assert_eq!((actual.as_str(), actual_reason), (text, reason), "{backend:?}");
        }
    }
}

/// This holds also if each block has two caches.
#[test]
fn a_session_runs_only_tokens_that_are_not_cached() {
    for layer_sharing in [false, true] {
        let folder = changed("mobilellm", "config.json", "layer_sharing", json!(layer_sharing));
        for backend in backends() {
            let engine = load(folder.path(), backend, WeightFormat::F32);
            let mut session = engine.session().unwrap();
            let first: Vec<u32> = (1..60).collect();
            generate(&mut session, &first, options());
            let second: Vec<u32> = (1..40).chain([7, 9, 11]).collect();
            let mut generation = session.start(&second, options()).unwrap();
            let mut tokens = Vec::new();
            let usage = loop {
                match pollster::block_on(generation.next()).unwrap().unwrap() {
                    Event::Token(token) => tokens.push(token.token),
                    Event::Prefill { done, .. } => assert!(done > 39, "{done}"),
                    Event::Done { usage, .. } => break usage,
                }
            };
            assert_eq!((usage.prompt_tokens, usage.cached_tokens), (42, 39), "{backend:?}");
            let (fresh, _) = generate(&mut engine.session().unwrap(), &second, options());
            assert_eq!(tokens, fresh, "{backend:?}, layer sharing {layer_sharing}");
        }
    }
}
