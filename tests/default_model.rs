//! The model that comes with the page: it is what its card says, it fits, and it answers.

#![allow(clippy::unwrap_used, reason = "a test that fails here should say so")]

#[path = "common/engines.rs"]
mod engines;

use std::path::{Path, PathBuf};

use engines::{backends, load};
use mobilellm::backend::Wanted;
use mobilellm::checkpoint::WeightFormat;
use mobilellm::engine::Engine;
use mobilellm::session::{Event, FinishReason, GenerateOptions};
use serde_json::{Value, json};

/// Bytes that the folder may have.
const LARGEST: u64 = 32_000_000;

/// How far a logit may be from the unquantised checkpoint's, in standard deviations of its row.
const TOLERANCE: f64 = 0.35;

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn folder() -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let name = json_file(&models.join("default.json"))["model"].as_str().unwrap().to_owned();
    models.join(name)
}

#[test]
fn it_is_small_and_lists_its_files() {
    let sums = std::fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    let listed: Vec<&str> = sums.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        bytes += entry.metadata().unwrap().len();
        let is_card = ["README.md", "SHA256SUMS", "loss.svg"].contains(&name.as_str());
        assert!(is_card || listed.contains(&name.as_str()), "{name} is not in SHA256SUMS");
    }
    assert!(bytes <= LARGEST, "{bytes} bytes");
}

#[test]
fn its_logits_are_those_of_the_unquantised_checkpoint_but_for_rounding() {
    let expected =
        json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/default_model.json"));
    let tokens: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for backend in backends() {
        let engine = load(&folder(), backend, WeightFormat::Auto);
        let mut state = engine.state().unwrap();
        let mut logits = Vec::new();
        for batch in tokens.chunks(state.max_batch()) {
            logits.extend(pollster::block_on(state.forward(batch, Wanted::All)).unwrap());
        }
        for row in expected["rows"].as_array().unwrap() {
            let position = row["position"].as_u64().unwrap() as usize;
            let actual = &logits[position * engine.info().vocab_size..][..engine.info().vocab_size];
            let allowed = TOLERANCE * row["deviation"].as_f64().unwrap();
            for (id, logit) in row["ids"].as_array().unwrap().iter().zip(row["logits"].as_array().unwrap()) {
                let difference = f64::from(actual[id.as_u64().unwrap() as usize]) - logit.as_f64().unwrap();
                assert!(difference.abs() <= allowed, "{backend:?} {position} {id}: {difference} > {allowed}");
            }
        }
    }
}

/// A greedy answer, its tokens, and why it ended.
fn answer(engine: &Engine, question: &str) -> (String, Vec<u32>, FinishReason) {
    let messages = [json!({"role": "user", "content": question})];
    let prompt = engine.chat_prompt(&messages, &[], false).unwrap();
    let mut session = engine.session().unwrap();
    let options = GenerateOptions { max_tokens: Some(300), ..GenerateOptions::default() };
    let mut generation = session.start(&prompt.tokens, options).unwrap().as_answer();
    let (mut text, mut tokens) = (String::new(), Vec::new());
    loop {
        match pollster::block_on(generation.next()).unwrap() {
            Some(Event::Token(token)) => {
                text.push_str(&token.text);
                tokens.push(token.token);
            }
            Some(Event::Done { finish_reason, .. }) => return (text, tokens, finish_reason),
            Some(Event::Prefill { .. }) => {}
            None => panic!("it ended without saying so"),
        }
    }
}

#[test]
fn greedy_answers_end_by_themselves_and_do_not_go_in_circles() {
    let questions = [
        "Hello",
        "Who are you?",
        "What is the capital of France?",
        "Tell me a story about a dragon",
        "Why is the sky blue?",
    ];
    let [cpu, ..] = backends()[..] else { panic!("the CPU is always there") };
    let engine = load(&folder(), cpu, WeightFormat::Auto);
    for question in questions {
        let (text, tokens, finish_reason) = answer(&engine, question);
        assert!(!text.trim().is_empty(), "{question}");
        assert_eq!(finish_reason, FinishReason::Stop, "{question}: {text}");
        let mut grams: Vec<&[u32]> = tokens.windows(8).collect();
        let count = grams.len();
        grams.sort_unstable();
        grams.dedup();
        assert_eq!(grams.len(), count, "{question}: an 8-gram comes twice: {text}");
    }
}
