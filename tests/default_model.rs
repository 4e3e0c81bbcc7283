//! The model that comes with the page: it matches its card, it is small enough, and it answers.

#![allow(clippy::unwrap_used, reason = "an error in a test should make it fail")]

#[path = "common/engines.rs"]
mod engines;

use std::path::{Path, PathBuf};

use engines::{Backend, backends_both_ways, load};
use mobilellm::backend::Wanted;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use mobilellm::generate::session::{Event, FinishReason, GenerateOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Maximum bytes in the folder.
const LARGEST: u64 = 32_000_000;

/// Maximum bytes in one file: some hosts accept no larger files.
const LARGEST_FILE: u64 = 16 << 20;

/// Maximum difference of a logit to that of the unquantised checkpoint, in standard deviations of its row: the cost of
/// 4 bits.
const QUANTISATION_TOLERANCE: f64 = 0.75;

/// Maximum difference of a logit to the result of PyTorch with the same rounded weights, in the same unit. The CPU and
/// integer tiles round activations to 8 bits, other GPU kernels round only keys and values to f16.
fn tolerance(backend: Backend) -> f64 {
    match backend {
        Backend::Cpu | Backend::GpuInt8(_) => 0.2,
        Backend::Gpu(_) => 0.05,
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(json_file(&root.join("models/default.json"))["source"].as_str().unwrap())
}

#[test]
fn the_folder_is_small_and_its_files_are_listed() {
    let sums = std::fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    let listed: Vec<&str> = sums.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let mut bytes = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let digest = Sha256::digest(std::fs::read(folder().join(name)).unwrap());
        let listed = (0..sum.len()).step_by(2).map(|at| u8::from_str_radix(&sum[at..at + 2], 16).unwrap());
        assert!(digest.iter().copied().eq(listed), "{name} is not the file that SHA256SUMS lists");
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let size = entry.metadata().unwrap().len();
        assert!(size <= LARGEST_FILE, "{name}: {size} bytes");
        bytes += size;
        let is_card = ["README.md", "SHA256SUMS", "loss.svg"].contains(&name.as_str());
        assert!(is_card || listed.contains(&name.as_str()), "{name} is not in SHA256SUMS");
    }
    assert!(bytes <= LARGEST, "{bytes} bytes");
}

#[test]
fn its_logits_differ_from_the_checkpoint_only_by_rounding() {
    let expected =
        json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/default_model.json"));
    let tokens: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for backend in backends_both_ways() {
        let engine = load(&folder(), backend, WeightFormat::Auto);
        let mut state = engine.state().unwrap();
        let mut logits = Vec::new();
        for batch in tokens.chunks(state.max_logit_rows()) {
            logits.extend(pollster::block_on(state.forward(batch, Wanted::All)).unwrap());
        }
        for row in expected["rows"].as_array().unwrap() {
            let position = row["position"].as_u64().unwrap() as usize;
            let actual = &logits[position * engine.info().vocab_size..][..engine.info().vocab_size];
            let deviation = row["deviation"].as_f64().unwrap();
            let ids: Vec<usize> = serde_json::from_value(row["ids"].clone()).unwrap();
            for (key, tolerance) in [("logits", QUANTISATION_TOLERANCE), ("shipped", tolerance(backend))] {
                let expected: Vec<f64> = serde_json::from_value(row[key].clone()).unwrap();
                assert_eq!(expected.len(), ids.len());
                for (id, expected) in ids.iter().zip(expected) {
                    let off = (f64::from(actual[*id]) - expected).abs() / deviation;
                    assert!(off <= tolerance, "{backend:?} {position} {id} {key}: {off} > {tolerance}");
                }
            }
        }
    }
}

/// A greedy answer, its tokens, and its finish reason.
fn answer(engine: &Engine, question: &str, tools: &[Value]) -> (String, Vec<u32>, FinishReason) {
    let messages = [json!({"role": "user", "content": question})];
    let prompt = engine.chat_prompt(&messages, tools, false).unwrap();
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
            None => panic!("the generation ended without a finish reason"),
        }
    }
}

#[test]
fn greedy_answers_end_and_do_not_repeat_themselves() {
    let questions = [
        "Hello",
        "Who are you?",
        "What is the capital of France?",
        "Tell me a story about a dragon",
        "Why is the sky blue?",
    ];
    let engine = load(&folder(), Backend::Cpu, WeightFormat::Auto);
    for question in questions {
        let (text, tokens, finish_reason) = answer(&engine, question, &[]);
        assert!(!text.trim().is_empty(), "{question}");
        assert_eq!(finish_reason, FinishReason::Stop, "{question}: {text}");
        let mut grams: Vec<&[u32]> = tokens.windows(8).collect();
        let count = grams.len();
        grams.sort_unstable();
        grams.dedup();
        assert_eq!(grams.len(), count, "{question}: an 8-gram comes twice: {text}");
    }
}

/// A tool in the format of OpenAI's API, with string parameters.
fn tool(name: &str, description: &str, parameters: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        parameters.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "function", "function": {"name": name, "description": description,
        "parameters": {"type": "object", "properties": properties, "required": parameters}}})
}

#[test]
fn a_question_for_a_tool_becomes_a_call_of_an_offered_tool() {
    let tools = [
        tool("get_weather", "Get the weather in a city", &["city"]),
        tool("set_timer", "Start a timer", &["minutes"]),
        tool("web_search", "Search the internet for a text", &["query"]),
    ];
    let engine = load(&folder(), Backend::Cpu, WeightFormat::Auto);
    for (question, name, argument) in [
        ("What is the weather in Paris?", "get_weather", "Paris"),
        ("Set a timer for 12 minutes", "set_timer", "12"),
        ("Search for old Roman coins", "web_search", "Roman"),
    ] {
        let (text, _, finish_reason) = answer(&engine, question, &tools);
        assert_eq!(finish_reason, FinishReason::Stop, "{question}: {text}");
        let call = text.trim().strip_prefix("<tool_call>").and_then(|rest| rest.strip_suffix("</tool_call>"));
        let call: Value = serde_json::from_str(call.unwrap_or_else(|| panic!("{question}: {text}"))).unwrap();
        assert_eq!(call["name"], name, "{question}: {text}");
        assert!(call["arguments"].to_string().contains(argument), "{question}: {text}");
    }
}
