//! Every family against what transformers computed: logits of all positions, decode through caches and rings, greedy tokens, and
//! going back to any position.
//!
//! Checkpoints are the fixtures under `tests/reference/fixtures/families` and, where `MOBILELLM_FAMILIES` names a folder of more
//! of them, those in it.

#![allow(clippy::unwrap_used, reason = "a test that fails here should say so")]

#[path = "common/engines.rs"]
mod engines;

use std::path::{Path, PathBuf};

use engines::{Backend, fixtures, load};
use mobilellm::backend::{State, Wanted};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::Engine;
use mobilellm::generate::session::{Event, GenerateOptions, Session};
use mobilellm::generate::speculate::Speculation;
use safetensors::SafeTensors;
use serde_json::Value;

/// Of the largest logit: what single precision leaves.
const TOLERANCE: f32 = 1e-5;

/// The same where the expected logits, too, were computed in single precision.
const TOLERANCE_OF_OTHERS: f32 = 3e-5;

/// A checkpoint with its expected logits.
struct Case {
    name: String,
    folder: PathBuf,
    tokens: Vec<u32>,
    logits: Vec<f32>,
    tolerance: f32,
}

impl Case {
    fn read(folder: PathBuf, tolerance: f32) -> Self {
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let data = |name: &str| file.tensor(name).unwrap().data().to_vec();
        let tokens =
            data("tokens").as_chunks::<8>().0.iter().map(|id| i64::from_le_bytes(*id) as u32).collect();
        let logits = data("logits").as_chunks::<4>().0.iter().map(|bits| f32::from_le_bytes(*bits)).collect();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, folder, tokens, logits, tolerance }
    }

    fn engine(&self) -> Engine {
        load(&self.folder, Backend::Cpu, WeightFormat::F32)
    }

    fn vocab(&self) -> usize {
        self.logits.len() / self.tokens.len()
    }

    /// The expected logits from a position on.
    fn from(&self, position: usize) -> &[f32] {
        &self.logits[position * self.vocab()..]
    }
}

/// The checkpoints of a folder.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").exists() && path.join("expected.safetensors").exists())
        .collect();
    folders.sort();
    folders
}

fn cases() -> Vec<Case> {
    let read = |tolerance| move |folder| Case::read(folder, tolerance);
    let mut all: Vec<_> = folders(&fixtures().join("families")).into_iter().map(read(TOLERANCE)).collect();
    assert!(all.len() >= 20, "the fixtures are incomplete: {} folders", all.len());
    match std::env::var_os("MOBILELLM_FAMILIES") {
        Some(more) => {
            all.extend(folders(Path::new(&more)).into_iter().map(read(TOLERANCE_OF_OTHERS)));
        }
        None => println!("skipped: MOBILELLM_FAMILIES names no folder of more checkpoints"),
    }
    all
}

/// Logits of tokens that follow those in the state, the tokens divided into pieces of these lengths, again and again.
fn run(state: &mut State, tokens: &[u32], pieces: &[usize]) -> Vec<f32> {
    let mut logits = Vec::new();
    let (mut rest, mut pieces) = (tokens, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) =
            rest.split_at(rest.len().min(*pieces.next().unwrap()).min(state.max_logit_rows()));
        logits.extend(pollster::block_on(state.forward(piece, Wanted::All)).unwrap());
        rest = after;
    }
    logits
}

/// The largest difference, as a part of the largest logit.
fn error(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len(), "number of logits");
    let largest = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs());
    differences
        .fold(0.0f32, |max, difference| if difference.is_nan() { f32::NAN } else { max.max(difference) })
        / largest
}

#[test]
fn logits_of_every_position_in_every_division() {
    let mut wrong = Vec::new();
    for case in cases() {
        let engine = case.engine();
        let mut worst = 0.0f32;
        let mut first: Option<Vec<f32>> = None;
        for pieces in [&[usize::MAX][..], &[1], &[7], &[3, 1, 17, 2], &[33]] {
            let mut state = engine.state().unwrap();
            state.expect(case.tokens.len());
            let logits = run(&mut state, &case.tokens, pieces);
            worst = worst.max(error(&logits, &case.logits));
            // A row has the same bits in every batch.
            let first = first.get_or_insert_with(|| logits.clone());
            assert!(*first == logits, "{}: pieces of {pieces:?} give other bits", case.name);
        }
        println!("{:24} {worst:.1e}", case.name);
        if worst.is_nan() || worst > case.tolerance {
            wrong.push((case.name, worst));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Wherever a text is taken back to, what follows is what it would have been.
#[test]
fn going_back_equals_never_having_been_there() {
    for case in cases() {
        let engine = case.engine();
        let tokens = &case.tokens;
        let wrong: Vec<u32> = tokens.iter().rev().copied().collect();
        for kept in [0, 1, 2, 5, 9, 16, 17, tokens.len() / 2, tokens.len() - 2, tokens.len() - 1] {
            let mut state = engine.state().unwrap();
            state.expect(tokens.len());
            run(&mut state, &tokens[..kept], &[13]);
            run(&mut state, &wrong[..tokens.len() - kept], &[usize::MAX]);
            let remain = state.truncate(kept);
            assert!(remain == kept || remain == 0, "{}: {remain} of {kept} positions", case.name);
            assert_eq!(state.len(), remain);
            let logits = run(&mut state, &tokens[remain..], &[11]);
            let error = error(&logits, case.from(remain));
            assert!(error <= case.tolerance, "{} back at {kept}: {error:.1e}", case.name);
        }
    }
}

/// Greedy tokens.
fn greedy(session: &mut Session, prompt: &[u32], max_tokens: usize, speculation: Speculation) -> Vec<u32> {
    let options =
        GenerateOptions { max_tokens: Some(max_tokens), ignore_eos: true, speculation, ..Default::default() };
    let mut generation = session.start(prompt, options).unwrap();
    let mut tokens = Vec::new();
    while let Some(event) = pollster::block_on(generation.next()).unwrap() {
        if let Event::Token(token) = event {
            tokens.push(token.token);
        }
    }
    tokens
}

#[test]
fn greedy_tokens_through_the_cache() {
    let mut checked = 0;
    for case in cases() {
        let Ok(file) = std::fs::read_to_string(case.folder.join("greedy.json")) else { continue };
        let file: Value = serde_json::from_str(&file).unwrap();
        let ids = |field: &str| -> Vec<u32> { serde_json::from_value(file[field].clone()).unwrap() };
        let (prompt, expected) = (ids("ids"), ids("greedy"));
        let engine = case.engine();
        let mut session = engine.session().unwrap();
        for speculation in [Speculation::Off, Speculation::On] {
            let tokens = greedy(&mut session, &prompt, expected.len(), speculation);
            assert_eq!(tokens, expected, "{} {speculation:?}", case.name);
        }
        // A text that shares a part with the last one.
        let turned = [&prompt[..prompt.len() / 2], &[5, 6, 7]].concat();
        let reused = greedy(&mut session, &turned, 12, Speculation::Off);
        let fresh = greedy(&mut engine.session().unwrap(), &turned, 12, Speculation::Off);
        assert_eq!(reused, fresh, "{}", case.name);
        assert_eq!(
            greedy(&mut session, &prompt, expected.len(), Speculation::Off),
            expected,
            "{}",
            case.name
        );
        checked += 1;
    }
    assert!(checked > 10, "{checked} cases had greedy tokens");
}

/// A text that outgrows the length of its first training while it is written is, from there on, what it would be if all of it had
/// been turned by the frequencies of long texts.
#[test]
fn a_text_that_crosses_longropes_length() {
    let case = Case::read(fixtures().join("families/phi3-long"), TOLERANCE);
    let engine = case.engine();
    let likeliest = |tokens: &[u32]| {
        let mut state = engine.state().unwrap();
        state.expect(tokens.len());
        let logits = run(&mut state, tokens, &[usize::MAX]);
        let row = &logits[(tokens.len() - 1) * case.vocab()..];
        (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u32
    };
    let mut session = engine.session().unwrap();
    // It is 32; the last goes back to below it.
    for (start, count) in [(28, 12), (31, 3), (32, 2), (33, 4), (20, 30), (5, 4)] {
        let prompt = &case.tokens[..start];
        let mut expected = prompt.to_vec();
        for _ in 0..count {
            expected.push(likeliest(&expected));
        }
        for speculation in [Speculation::Off, Speculation::On] {
            let tokens = greedy(&mut session, prompt, count, speculation);
            assert_eq!(tokens, expected[start..], "{count} tokens after {start}, {speculation:?}");
        }
    }
}

/// Without a word of how long the text will be, a state refuses to turn its positions in two ways.
#[test]
fn a_state_is_not_silently_wrong_beyond_longropes_length() {
    let case = Case::read(fixtures().join("families/phi3-long"), TOLERANCE);
    let mut state = case.engine().state().unwrap();
    run(&mut state, &case.tokens[..30], &[usize::MAX]);
    let refused = pollster::block_on(state.forward(&case.tokens[30..34], Wanted::None)).unwrap_err();
    assert!(refused.to_string().contains("State::expect"), "{refused}");
    assert_eq!(state.expect(34), 0);
    let logits = run(&mut state, &case.tokens, &[16]);
    assert!(error(&logits, &case.logits) <= TOLERANCE);
}
