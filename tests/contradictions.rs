//! Checkpoints whose `config.json` and weights say different things, or the same thing twice: what is meant is computed, and
//! where nobody can say what is meant, an error names both sides.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::tiny::Tiny;
use common::{RecordingSink, load, load_error};
use mobilellm::checkpoint::load::{Checkpoint, WeightFormat};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::memory::MemorySource;
use mobilellm::model::config::{Config, Rope, RopeScaling};
use mobilellm::model::network::{MatrixId, Projection, VectorId};
use serde_json::{Value, json};

/// The error has all the words, and does not advise another download.
#[track_caller]
fn refused(source: &MemorySource, words: &[&str]) {
    let error = load_error(source).to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert!(!error.contains("again"), "{error}");
}

fn with(fields: &Value) -> Tiny {
    let fields = fields.as_object().unwrap().clone();
    fields.into_iter().fold(Tiny::new(), |tiny, (field, value)| tiny.with_config(&field, value))
}

fn loaded(tiny: &Tiny) -> (Config, RecordingSink) {
    let (config, sink, _) = load(&tiny.source(), WeightFormat::F32).unwrap();
    (config, sink)
}

#[test]
fn rotary_settings_in_both_forms_must_agree() {
    let linear = |theta, factor| Rope { theta, scaling: RopeScaling::Linear { factor }, part: 1.0 };
    let plain = |theta| Rope { theta, scaling: RopeScaling::None, part: 1.0 };
    for (fields, rope) in [
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}}),
            linear(5e5, 2.0),
        ),
        (
            json!({"rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}),
            linear(1e4, 2.0),
        ),
        (
            json!({"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 2.0}, "rope_theta": 9.0}),
            linear(9.0, 2.0),
        ),
        (
            json!({"rope_scaling": {"type": "default", "rope_theta": 7.0}, "rope_parameters": {"rope_theta": 7}}),
            plain(7.0),
        ),
        (json!({"rope_scaling": null, "rope_parameters": null, "rope_theta": 7.0}), plain(7.0)),
    ] {
        assert_eq!(loaded(&with(&fields)).0.rope, rope, "{fields}");
    }
    let llama3 = |factor: f64, original: u32| json!({"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": original});
    for (fields, words) in [
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "linear", "factor": 4.0}}),
            ["rope_scaling", "rope_parameters"],
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 1e4}}),
            ["rope_scaling", "rope_parameters"],
        ),
        (
            json!({"rope_scaling": llama3(4.0, 32), "rope_parameters": llama3(4.0, 64)}),
            ["rope_scaling", "rope_parameters"],
        ),
        (
            json!({"rope_scaling": {"rope_theta": 1e4}, "rope_parameters": {"rope_theta": 5e5}}),
            ["rope_scaling.rope_theta", "rope_parameters.rope_theta"],
        ),
        (
            json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}),
            ["rope_theta: ", "rope_parameters.rope_theta"],
        ),
        (
            json!({"rope_scaling": {"rope_type": "linear", "type": "default", "factor": 2.0}}),
            ["rope_scaling.rope_type", "rope_scaling.type"],
        ),
        (
            json!({"rope_scaling": llama3(4.0, 32), "original_max_position_embeddings": 64}),
            ["original_max_position_embeddings: ", "rope_scaling.original_max_position_embeddings"],
        ),
        (
            json!({"partial_rotary_factor": 0.5, "rope_parameters": {"partial_rotary_factor": 1.0}}),
            ["partial_rotary_factor: ", "rope_parameters.partial_rotary_factor"],
        ),
    ] {
        refused(&with(&fields).source(), &words);
    }
}

/// A head with another name than usual, at the front as it lies in most files.
fn with_head(mut tiny: Tiny, name: &str, copy: bool) -> Tiny {
    tiny.add(name, &[51, 64]);
    let mut head = tiny.tensors.pop().unwrap();
    if copy {
        head.bytes.clone_from(&tiny.tensor("model.embed_tokens.weight").bytes);
    }
    tiny.tensors.insert(0, head);
    tiny
}

#[test]
fn a_head_in_the_file_is_used_whatever_the_configuration_says() {
    for tied in [json!(true), json!(false), Value::Null] {
        let tiny = with_head(with(&json!({"tie_word_embeddings": tied})), "lm_head.weight", false);
        let (config, sink) = loaded(&tiny);
        assert!(!config.decoder.tied_embeddings && sink.matrices.contains_key(&MatrixId::Head), "{tied}");
        assert_ne!(sink.matrix(MatrixId::Head), sink.matrix(MatrixId::Embedding));
    }
}

#[test]
fn a_head_that_is_a_copy_of_the_embedding_is_not_kept_twice() {
    let (_, alone, _) = load(&Tiny::new().source(), WeightFormat::Q8).unwrap();
    let tiny = with_head(Tiny::new(), "lm_head.weight", true);
    let (_, sink, report) = load(&tiny.source(), WeightFormat::Q8).unwrap();
    assert!(report.head_is_embedding && sink.matrices == alone.matrices);
    let (_, _, without) = load(&Tiny::new().source(), WeightFormat::Q8).unwrap();
    assert_eq!(report.weight_bytes, without.weight_bytes);
}

#[test]
fn without_a_head_the_configuration_must_tie_it() {
    for tied in [json!(false), Value::Null] {
        refused(
            &with(&json!({"tie_word_embeddings": tied})).source(),
            &["lm_head.weight", "tie_word_embeddings"],
        );
    }
    // The paper's models share the embedding, and do not always say so.
    loaded(&with(&json!({"model_type": "mobilellm", "tie_word_embeddings": null})));
    loaded(&with(&json!({"model_type": "mobilellm", "tie_word_embeddings": false, "share_embedding": true})));
}

#[test]
fn quantisation_modes_of_any_layer() {
    let q = |more: &Value| {
        let mut fields = json!({"bits": 4, "group_size": 32});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let up = "model.layers.0.mlp.up_proj";
    for (field, more, words) in [
        ("quantization", json!({"mode": "mxfp4"}), ["mxfp4", "quantization"]),
        ("quantization", json!({"mode": 3}), ["mode 3", "quantization"]),
        ("quantization", json!({up: {"bits": 4, "group_size": 16, "mode": "nvfp4"}}), ["nvfp4", up]),
        ("quantization", json!({"mode": "affine", up: {"mode": "mxfp8"}}), ["mxfp8", up]),
        ("quantization_config", json!({up: {"bits": 4, "group_size": 32, "mode": "mxfp4"}}), ["mxfp4", up]),
    ] {
        refused(&Tiny::new().with_config(field, q(&more)).source(), &words);
    }
    let both = Tiny::new().with_config("quantization", q(&json!({})));
    loaded(&both.clone().with_config("quantization_config", q(&json!({"mode": "affine"}))));
    let other = json!({"bits": 8, "group_size": 32});
    refused(
        &both.with_config("quantization_config", other).source(),
        &["quantization", "quantization_config"],
    );
}

#[test]
fn prefixes_of_names() {
    let (_, plain) = loaded(&with_head(Tiny::new(), "lm_head.weight", false));
    for (root, head) in [
        ("", "lm_head."),
        ("_orig_mod.model.", "_orig_mod.lm_head."),
        ("base_model.model.model.", "base_model.model.lm_head."),
        ("module.model.", "module.lm_head."),
        ("language_model.model.", "language_model.lm_head."),
        ("language_model.model.", "lm_head."),
        ("model.language_model.", "lm_head."),
        ("model.model.", "lm_head."),
        ("transformer.", "transformer.lm_head."),
    ] {
        let mut tiny = with_head(Tiny::new(), "lm_head.weight", false);
        for tensor in &mut tiny.tensors {
            tensor.name = match tensor.name.strip_prefix("model.") {
                Some(rest) => format!("{root}{rest}"),
                None => tensor.name.replace("lm_head.", head),
            };
        }
        let (_, sink) = loaded(&tiny);
        assert_eq!(sink.matrices, plain.matrices, "{root:?}");
        assert_eq!(sink.vectors, plain.vectors, "{root:?}");
        tiny.add("vision.patch.weight", &[64]);
        if !root.is_empty() {
            refused(&tiny.source(), &["vision.patch.weight", "prefix", root]);
        }
    }
    let mut twice = Tiny::new();
    twice.add("embed_tokens.weight", &[51, 64]);
    refused(&twice.source(), &["embed_tokens.weight"]);
    let mut adapter = Tiny::new();
    adapter.add("model.layers.0.self_attn.q_proj.lora_A.weight", &[8, 64]);
    refused(&adapter.source(), &["lora_A", "LoRA", "merge"]);
}

#[test]
fn overrides_of_quantisation_have_the_prefix_too() {
    let mut tiny = Tiny::new();
    for tensor in &mut tiny.tensors {
        tensor.name = format!("language_model.{}", tensor.name);
    }
    let tiny = tiny.with_config("quantization", json!({"bits": 4, "group_size": 64, "language_model.model.layers.1.mlp.up_proj": {"bits": 8, "group_size": 32}}));
    let source = tiny.source();
    let cancel = Cancel::default();
    let checkpoint = pollster::block_on(Checkpoint::open(&source, &cancel)).unwrap();
    let quantization = checkpoint.config.quantization.unwrap();
    assert_eq!(quantization.of("model.layers.1.mlp.up_proj").unwrap().bits, 8);
    assert_eq!(quantization.of("model.layers.0.mlp.up_proj").unwrap().bits, 4);
}

/// The widths of the projections that may have biases.
const PROJECTIONS: [(&str, usize); 7] = [
    ("self_attn.q_proj", 64),
    ("self_attn.k_proj", 32),
    ("self_attn.v_proj", 32),
    ("self_attn.o_proj", 64),
    ("mlp.gate_proj", 128),
    ("mlp.up_proj", 128),
    ("mlp.down_proj", 64),
];

fn with_biases(mut tiny: Tiny, projections: &[&str], blocks: &[usize]) -> Tiny {
    for block in blocks {
        for (path, width) in
            PROJECTIONS.into_iter().filter(|(path, _)| projections.iter().any(|p| path.ends_with(p)))
        {
            tiny.add(&format!("model.layers.{block}.{path}.bias"), &[width]);
        }
    }
    tiny
}

#[test]
fn some_biases_alone() {
    let attention = || with(&json!({"attention_bias": true}));
    let (_, sink) = loaded(&with_biases(attention(), &["q_proj", "k_proj", "v_proj"], &[0, 1]));
    assert!(sink.vectors.contains_key(&VectorId::Bias(1, Projection::Qkv)));
    assert!(!sink.vectors.contains_key(&VectorId::Bias(1, Projection::Output)));
    let (_, sink) = loaded(&with_biases(attention(), &["o_proj"], &[0, 1]));
    assert!(!sink.vectors.contains_key(&VectorId::Bias(0, Projection::Qkv)));
    assert!(sink.vectors.contains_key(&VectorId::Bias(0, Projection::Output)));
    // A part without a bias counts as zero beside one that has it.
    let (_, sink) = loaded(&with_biases(attention(), &["q_proj", "v_proj"], &[0, 1]));
    let bias = &sink.vectors[&VectorId::Bias(0, Projection::Qkv)];
    let is_zero = |part: &[f32]| part.iter().all(|value| *value == 0.0);
    assert!(!is_zero(&bias[..64]) && is_zero(&bias[64..96]) && !is_zero(&bias[96..]));
    let (_, sink) = loaded(&with_biases(with(&json!({"mlp_bias": true})), &["up_proj"], &[0, 1]));
    let bias = &sink.vectors[&VectorId::Bias(0, Projection::GateUp)];
    assert!(bias.iter().step_by(2).all(|gate| *gate == 0.0) && bias.iter().any(|value| *value != 0.0));
}

#[test]
fn biases_and_their_announcement() {
    let attention = || with(&json!({"attention_bias": true}));
    let report =
        load(&with_biases(attention(), &["q_proj", "k_proj", "v_proj"], &[0, 1]).source(), WeightFormat::F32)
            .unwrap()
            .2;
    assert!(report.warnings[0].contains("self_attn.o_proj"), "{:?}", report.warnings);
    for (tiny, words) in [
        (attention(), &["q_proj.bias", "missing", "attention_bias"][..]),
        (with(&json!({"mlp_bias": true})), &["gate_proj.bias", "missing", "mlp_bias"]),
        (
            with_biases(attention(), &["q_proj"], &[0]),
            &["model.layers.1.self_attn.q_proj.bias", "missing", "other blocks"],
        ),
        (
            with_biases(Tiny::new(), &["q_proj", "k_proj", "v_proj"], &[0, 1]),
            &[
                "there are biases of self_attn.q_proj, self_attn.k_proj, self_attn.v_proj, none of self_attn.o_proj",
                "attention_bias",
            ],
        ),
        (
            with_biases(attention(), &["o_proj", "down_proj"], &[0, 1]),
            &["mlp.down_proj", "none of mlp.gate_proj", "mlp_bias"],
        ),
    ] {
        refused(&tiny.source(), words);
    }
    let mut norm = Tiny::new();
    norm.add("model.norm.bias", &[64]);
    refused(&norm.source(), &["model.norm.bias", "no place"]);
}
