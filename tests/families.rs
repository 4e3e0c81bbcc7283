//! Every family against what transformers computed: logits of all positions, decode through caches and rings, greedy tokens, and
//! going back to any position.
//!
//! Checkpoints are the fixtures under `tests/reference/fixtures/families` and, where `MOBILELLM_FAMILIES` names a folder of more
//! of them, those in it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails here should say so")]

#[path = "common/engines.rs"]
mod engines;

use std::path::{Path, PathBuf};

use engines::{Backend, backends, device, fixtures, load, load_on};
use mobilellm::backend::{State, Wanted};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::quantize::{QuantizeOptions, quantize_folder};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::engine::Engine;
use mobilellm::generate::session::{Event, GenerateOptions, Session};
use mobilellm::generate::speculate::Speculation;
use mobilellm::model::affine::unpack;
use mobilellm::model::config::{BitsAndGroup, Config};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

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
        self.engine_on(Backend::Cpu)
    }

    fn engine_on(&self, backend: Backend) -> Engine {
        load(&self.folder, backend, WeightFormat::F32)
    }

    fn vocab(&self) -> usize {
        self.logits.len() / self.tokens.len()
    }

    /// A prompt and the greedy tokens after it, where there are some.
    fn greedy(&self) -> Option<(Vec<u32>, Vec<u32>)> {
        let file = std::fs::read_to_string(self.folder.join("greedy.json")).ok()?;
        let file: Value = serde_json::from_str(&file).unwrap();
        let ids = |field: &str| -> Vec<u32> { serde_json::from_value(file[field].clone()).unwrap() };
        Some((ids("ids"), ids("greedy")))
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

/// The floats that a quantised checkpoint stands for, as a checkpoint of its own.
fn dequantised(folder: &Path, out: &Path) {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let bits = config["quantization"]["bits"].as_u64().unwrap() as u32;
    for field in ["quantization", "quantization_config"] {
        config.as_object_mut().unwrap().remove(field);
    }
    let halves = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap().data().to_vec();
        data.as_chunks::<2>().0.iter().map(|half| half::f16::from_le_bytes(*half).to_f32()).collect()
    };
    let mut tensors = Vec::new();
    for name in file.names() {
        let tensor = file.tensor(name).unwrap();
        let Some(module) = name.strip_suffix(".weight") else { continue };
        if tensor.dtype() != Dtype::U32 {
            tensors.push((name.to_owned(), tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()));
            continue;
        }
        let (scales, biases) = (halves(&format!("{module}.scales")), halves(&format!("{module}.biases")));
        let words: Vec<_> = tensor.data().as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
        let mut values = Vec::new();
        let groups = scales.iter().copied().zip(biases);
        for (words, pair) in words.chunks(words.len() / scales.len()).zip(groups) {
            unpack(words, bits, pair, &mut values);
        }
        let shape = vec![tensor.shape()[0], values.len() / tensor.shape()[0]];
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name.to_owned(), Dtype::F32, shape, data));
    }
    for name in
        file.names().iter().filter(|name| name.rsplit_once('.').is_some_and(|(_, field)| field == "bias"))
    {
        let tensor = file.tensor(name).unwrap();
        tensors.push(((*name).to_owned(), tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()));
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    std::fs::create_dir_all(out).unwrap();
    safetensors::serialize_to_file(views, None, &out.join("model.safetensors")).unwrap();
    std::fs::write(out.join("config.json"), config.to_string()).unwrap();
    std::fs::copy(folder.join("tokenizer.json"), out.join("tokenizer.json")).unwrap();
}

/// A checkpoint in MLX's layout is the floats that it stands for: fused matrices, too, are divided by rows.
#[test]
fn quantised_checkpoints_of_every_family() {
    for folder in folders(&fixtures().join("families")) {
        let case = Case::read(folder, TOLERANCE);
        for bits in [4, 8] {
            let scratch = tempfile::tempdir().unwrap();
            let (quantised, floats) = (scratch.path().join("quantised"), scratch.path().join("floats"));
            let options = QuantizeOptions {
                default: BitsAndGroup { bits, group_size: 32 },
                overrides: Vec::new(),
                max_shard_size: 1 << 30,
            };
            let source = DirectorySource::new(&case.folder).unwrap();
            let report = pollster::block_on(quantize_folder(
                &source,
                &quantised,
                &options,
                &mut |_| (),
                &Cancel::default(),
            ));
            let report = report.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            dequantised(&quantised, &floats);
            let logits = |folder: &Path, weights| {
                let mut state = load(folder, Backend::Cpu, weights).state().unwrap();
                state.expect(case.tokens.len());
                run(&mut state, &case.tokens, &[64])
            };
            let expected = logits(&floats, WeightFormat::F32);
            let exact = error(&logits(&quantised, WeightFormat::F32), &expected);
            assert!(exact <= TOLERANCE, "{} in {bits} bits: {exact:.1e}", case.name);
            if report.quantized > 0 {
                // With activations of 8 bits, which tiny random networks amplify.
                let fast = error(&logits(&quantised, WeightFormat::Stored), &expected);
                assert!(fast < 0.3, "{} in {bits} bits: {fast:.1e}", case.name);
            }
        }
    }
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

/// Of the largest logit: what single precision leaves where sums are made in another order and by other exponentials.
const GPU_TOLERANCE: f32 = 3e-5;

#[test]
fn every_tier_of_a_gpu_computes_the_same() {
    let tiers: Vec<_> = backends().into_iter().filter(|backend| !matches!(backend, Backend::Cpu)).collect();
    let devices: Vec<_> = tiers.iter().map(|backend| (backend, device(*backend).unwrap())).collect();
    for case in cases() {
        let mut worst = Vec::new();
        for (backend, device) in &devices {
            let engine = load_on(&case.folder, device.clone(), WeightFormat::F32);
            let mut off = 0.0f32;
            for pieces in [&[usize::MAX][..], &[1], &[3, 1, 17, 2]] {
                let mut state = engine.state().unwrap();
                state.expect(case.tokens.len());
                let logits = run(&mut state, &case.tokens, pieces);
                off = off.max(error(&logits, &case.logits));
            }
            assert!(off <= GPU_TOLERANCE, "{} on {backend:?}: {off:.1e}", case.name);
            worst.push(format!("{off:.1e}"));
            let Some((prompt, expected)) = case.greedy() else { continue };
            let mut session = engine.session().unwrap();
            for speculation in [Speculation::Off, Speculation::On] {
                let tokens = greedy(&mut session, &prompt, expected.len(), speculation);
                assert_eq!(tokens, expected, "{} on {backend:?} {speculation:?}", case.name);
            }
        }
        println!("{:24} {}", case.name, worst.join(" "));
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
        let Some((prompt, expected)) = case.greedy() else { continue };
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
    for backend in backends() {
        let engine = case.engine_on(backend);
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
                let what = format!("{count} tokens after {start}, {backend:?} {speculation:?}");
                assert_eq!(tokens, expected[start..], "{what}");
            }
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

/// The configuration of a fixture with one field changed.
fn changed(name: &str, field: &str, value: Value) -> Result<Config, mobilellm::Error> {
    let path = fixtures().join("families").join(name).join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    config[field] = value;
    Config::parse(config.to_string().as_bytes())
}

#[test]
fn what_a_family_does_not_compute_is_refused_by_name() {
    let longrope = |short: usize, more: Value| {
        let mut rope =
            json!({"type": "longrope", "short_factor": vec![1.0; short], "long_factor": [1, 2, 3]});
        rope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rope
    };
    for (name, field, value, code, words) in [
        ("llama4", "moe_layers", json!([0]), "unsupported", "layers of experts"),
        ("llama4-chunks", "moe_layers", json!([1, 3]), "unsupported", "layers of experts"),
        (
            "llama4-chunks",
            "no_rope_layers",
            json!([1, 2, 1, 1]),
            "invalid_file",
            "no_rope_layers: 2 is neither",
        ),
        ("llama4-chunks", "no_rope_layers", json!([1]), "invalid_file", "1 entries, there are 4 layers"),
        (
            "llama4",
            "layer_types",
            json!(["sliding_attention", "sliding_attention"]),
            "unsupported",
            "layer_types \"sliding",
        ),
        ("llama4-chunks", "floor_scale", json!(0), "invalid_file", "floor_scale"),
        ("lfm2", "full_attn_idxs", json!([9]), "invalid_file", "full_attn_idxs"),
        ("lfm2", "conv_bias", json!(true), "unsupported", "conv_bias true"),
        ("lfm2", "conv_L_cache", json!(1 << 20), "invalid_file", "conv_L_cache"),
        ("lfm2", "block_ffn_dim_multiplier", json!(1e9), "invalid_file", "block_ff_dim"),
        (
            "lfm2-kinds",
            "layer_types",
            json!(["conv", "mamba", "conv"]),
            "unsupported",
            "layer_types \"mamba\"",
        ),
        ("phi3-long", "rope_scaling", longrope(2, json!({})), "invalid_file", "2 short and 3 long factors"),
        ("phi3-long", "rope_scaling", longrope(3, json!({"long_mscale": 1.2})), "unsupported", "long_mscale"),
        (
            "phi3-long",
            "rope_scaling",
            json!({"type": "dynamic", "factor": 2.0}),
            "unsupported",
            "type dynamic",
        ),
        ("phi3-long", "partial_rotary_factor", json!(0.01), "invalid_file", "0 pairs of a head"),
        ("gemma3", "attn_logit_softcapping", json!(50.0), "unsupported", "attn_logit_softcapping 50"),
        ("gemma3", "use_bidirectional_attention", json!(true), "unsupported", "use_bidirectional_attention"),
        ("gemma3", "sliding_window", Value::Null, "invalid_file", "sliding_window: it is missing"),
        ("gemma3", "hidden_activation", json!("gelu"), "unsupported", "hidden_activation gelu"),
        ("gemma3", "query_pre_attn_scalar", json!(0), "invalid_file", "query_pre_attn_scalar"),
        ("gemma3", "model_type", json!("gemma3"), "unsupported", "model_type gemma3"),
        ("granite", "logits_scaling", json!(0), "invalid_file", "logits_scaling"),
        (
            "granite-dense",
            "layer_types",
            json!(["mamba", "attention"]),
            "unsupported",
            "layer_types \"mamba\"",
        ),
        ("granite-dense", "num_local_experts", json!(8), "unsupported", "num_local_experts 8"),
        ("granite-dense", "num_local_experts", Value::Null, "unsupported", "num_local_experts"),
        (
            "granite-dense",
            "position_embedding_type",
            json!("alibi"),
            "unsupported",
            "position_embedding_type",
        ),
        ("qwen2-window", "sliding_window", json!(0), "invalid_file", "sliding_window"),
        ("qwen2", "use_sliding_window", json!(7), "invalid_file", "use_sliding_window"),
        ("qwen3", "layer_types", json!("full_attention"), "invalid_file", "layer_types"),
        ("smollm3", "no_rope_layer_interval", json!(0), "invalid_file", "no_rope_layer_interval"),
        ("olmo2", "clip_qkv", json!(8.0), "unsupported", "clip_qkv 8"),
        ("mistral", "head_dim", json!(11), "invalid_file", "head_dim"),
    ] {
        let error = changed(name, field, value.clone()).expect_err(&format!("{name} {field} {value}"));
        let text = error.to_string();
        assert!(
            error.code() == code && text.contains(words),
            "{name} {field} {value}: {} {text}",
            error.code()
        );
    }
}

#[test]
fn fields_that_ask_for_nothing_are_accepted() {
    for (name, field, value) in [
        ("llama4", "layer_types", json!([])),
        ("gemma3", "cache_implementation", json!("hybrid")),
        ("gemma3", "attn_logit_softcapping", Value::Null),
        ("qwen2", "use_mrope", json!(false)),
        ("phi3", "embd_pdrop", json!(0.1)),
        ("mistral", "sliding_window", Value::Null),
        ("lfm2", "conv_bias", json!(false)),
    ] {
        changed(name, field, value.clone()).unwrap_or_else(|error| panic!("{name} {field} {value}: {error}"));
    }
}
