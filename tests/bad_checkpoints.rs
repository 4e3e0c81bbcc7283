//! Checkpoints that are wrong in one place: a typed error that says what and where, and no panic whatever comes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::tiny::{Tiny, file};
use common::{load, load_error};
use mobilellm::checkpoint::container::safetensors::Header;
use mobilellm::checkpoint::container::shard_index::Index;
use mobilellm::checkpoint::load::Checkpoint;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::memory::MemorySource;
use mobilellm::model::config::Config;
use mobilellm::model::network::{MatrixId, Projection};
use proptest::prelude::*;
use serde_json::{Value, json};

#[track_caller]
fn refused(source: &MemorySource, code: &str, words: &[&str]) {
    let error = load_error(source);
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

/// The checkpoint with its header's text changed.
fn with_header(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> MemorySource {
    let tiny = Tiny::new();
    let mut header = tiny.header();
    change(&mut header);
    tiny.source_with(&Value::Object(header).to_string(), &tiny.data())
}

#[test]
fn configurations() {
    let mut source = Tiny::new().source();
    source.remove("config.json");
    refused(&source, "missing_file", &["config.json", "missing"]);
    for (bytes, words) in
        [(&b"{"[..], "JSON"), (b"[]", "not a JSON object"), (b"\xff\xfe", "JSON"), (b"", "JSON")]
    {
        refused(&Tiny::new().source().with("config.json", bytes), "invalid_file", &["config.json", words]);
    }
    refused(
        &Tiny::new().source().with("config.json", &b"<!DOCTYPE html>"[..]),
        "fetch_failed",
        &["web page"],
    );
    refused(&Tiny::new().source().with("config.json", vec![b' '; 5 << 20]), "invalid_file", &["larger"]);
    for (field, value, code) in [
        ("model_type", json!("qwen3_moe"), "unsupported"),
        ("hidden_size", json!(66), "invalid_file"),
        ("hidden_size", json!(0), "invalid_file"),
        ("hidden_size", json!(-64), "invalid_file"),
        ("hidden_size", json!("64"), "invalid_file"),
        ("hidden_size", Value::Null, "invalid_file"),
        ("num_hidden_layers", json!(1u64 << 40), "invalid_file"),
        ("num_hidden_layers", json!(0), "invalid_file"),
        ("num_key_value_heads", json!(3), "invalid_file"),
        ("head_dim", json!(15), "invalid_file"),
        ("vocab_size", json!(1u64 << 60), "invalid_file"),
        ("rms_norm_eps", json!(-1.0), "invalid_file"),
        ("rope_theta", json!(0), "invalid_file"),
        ("rope_scaling", json!({"type": "yarn", "factor": 2.0}), "unsupported"),
        ("rope_scaling", json!({"type": "linear"}), "invalid_file"),
        ("hidden_act", json!("gelu"), "unsupported"),
        ("quantization", json!({"bits": 3, "group_size": 64}), "unsupported"),
        ("quantization", json!({"bits": 4, "group_size": 64, "mode": "mxfp4"}), "unsupported"),
        ("quantization", json!(4), "invalid_file"),
        ("quantization_config", json!({"quant_method": "gptq"}), "unsupported"),
    ] {
        refused(&Tiny::new().with_config(field, value).source(), code, &[field]);
    }
}

/// What changes the computation is refused by name, unless it says that it does nothing.
#[test]
fn configurations_that_ask_for_another_network() {
    for (field, value, words) in [
        ("partial_rotary_factor", json!(0.5), "partial_rotary_factor 0.5"),
        (
            "rope_parameters",
            json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5}),
            "partial_rotary_factor 0.5",
        ),
        ("rope_parameters", json!({"full_attention": {"rope_theta": 1e4}}), "rope_parameters.full_attention"),
        ("rope_parameters", json!({"rope_type": "dynamic", "factor": 2.0}), "rope_parameters type dynamic"),
        ("sliding_window", json!(4096), "sliding_window 4096"),
        ("layer_types", json!(["full_attention", "sliding_attention"]), "layer_types sliding_attention"),
        ("num_local_experts", json!(8), "num_local_experts 8"),
        ("use_qk_norm", json!(true), "use_qk_norm true"),
        ("final_logit_softcapping", json!(30.0), "final_logit_softcapping 30"),
        ("embedding_multiplier", json!(12), "embedding_multiplier 12"),
        ("attention_multiplier", json!(0.125), "attention_multiplier 0.125"),
        // What nobody has heard of may change everything.
        ("quantum_attention", json!("entangled"), "quantum_attention entangled"),
        ("num_thinking_layers", json!(0), "num_thinking_layers 0"),
        ("residual_scales", json!([1.0]), "residual_scales [1.0]"),
    ] {
        refused(&Tiny::new().with_config(field, value).source(), "unsupported", &["config.json", words]);
    }
    for (field, value) in [
        ("partial_rotary_factor", json!(1.0)),
        ("sliding_window", Value::Null),
        ("use_qk_norm", json!(false)),
        ("embedding_multiplier", json!(1.0)),
        ("layer_types", json!(["full_attention", "full_attention"])),
        ("attention_dropout", json!(0.1)),
        ("pretraining_tp", json!(2)),
        ("quantum_attention", Value::Null),
        ("quantum_attention", json!(false)),
    ] {
        load(&Tiny::new().with_config(field, value).source(), WeightFormat::Auto).unwrap();
    }
    let unknown = Tiny::new().with_config("quantum_attention", json!("entangled")).source();
    refused(&unknown, "unsupported", &["--ignore-config-field quantum_attention", "ignoreConfigFields"]);
    let open = |ignored: &[&str]| {
        let ignored: Vec<_> = ignored.iter().map(ToString::to_string).collect();
        pollster::block_on(Checkpoint::open_ignoring(&unknown, &ignored, &Cancel::default())).map(|_| ())
    };
    open(&["quantum_attention"]).unwrap();
    assert_eq!(open(&["another"]).unwrap_err().code(), "unsupported");
    let switched_off = Tiny::new().with_config("sliding_window", json!(4096));
    let switched_off = switched_off.with_config("use_sliding_window", json!(false));
    load(&switched_off.source(), WeightFormat::Auto).unwrap();
    refused(
        &Tiny::new().with_config("rope_scaling", json!({"rope_type": 5})).source(),
        "invalid_file",
        &["rope_scaling.rope_type", "must be a string"],
    );
}

/// Each size may pass by itself, and they may agree with each other.
#[test]
fn configurations_that_are_absurd_as_a_whole() {
    let tiny = || {
        Tiny::new()
            .with_config("hidden_size", json!(1 << 16))
            .with_config("num_attention_heads", json!(1 << 10))
    };
    let tiny =
        || tiny().with_config("num_key_value_heads", json!(1 << 10)).with_config("head_dim", json!(64));
    for (field, value) in
        [("vocab_size", 1 << 21), ("intermediate_size", 1 << 20), ("num_hidden_layers", 1 << 10)]
    {
        let named = if field == "num_hidden_layers" { "num_attention_heads" } else { field };
        refused(&tiny().with_config(field, json!(value)).source(), "invalid_file", &[named, "weights"]);
    }
}

#[test]
fn headers() {
    let (tiny, name) = (Tiny::new(), "model.norm.weight");
    let weights = |bytes: Vec<u8>| tiny.source().with("model.safetensors", bytes);
    refused(&weights(vec![]), "invalid_file", &["only 0 bytes"]);
    refused(&weights(vec![1, 2, 3]), "invalid_file", &["only 3 bytes"]);
    refused(&weights(u64::MAX.to_le_bytes().to_vec()), "invalid_file", &["header length"]);
    refused(&weights(file("{}", b"")[..9].to_vec()), "invalid_file", &["truncated"]);
    let mut longer = file(&Value::Object(tiny.header()).to_string(), &[]);
    longer[..8].copy_from_slice(&1_000_000u64.to_le_bytes());
    refused(&weights(longer), "invalid_file", &["header", "truncated"]);
    refused(&weights(file("{]", b"")), "invalid_file", &["header"]);
    refused(
        &weights(b"version https://git-lfs.github.com/spec/v1\n".to_vec()),
        "invalid_file",
        &["git lfs pull"],
    );
    refused(&weights(b"<html>".to_vec()), "fetch_failed", &["web page"]);

    refused(&with_header(|h| h[name]["dtype"] = json!("I64")), "invalid_file", &[name]);
    refused(&with_header(|h| h[name]["dtype"] = json!("Q5_K")), "unsupported", &[name, "Q5_K"]);
    refused(&with_header(|h| h[name]["dtype"] = json!("I16")), "unsupported", &[name, "I16"]);
    refused(&with_header(|h| h[name]["shape"] = json!([32])), "invalid_file", &[name, "32"]);
    refused(&with_header(|h| h[name]["shape"] = json!([1, 64])), "invalid_file", &[name, "[1, 64]", "[64]"]);
    let huge = json!([u64::MAX, u64::MAX]);
    refused(&with_header(|h| h[name]["shape"] = huge), "invalid_file", &[name, "absurd"]);
    refused(&with_header(|h| h[name]["data_offsets"] = json!([9, 1])), "invalid_file", &[name]);
    refused(&with_header(|h| h[name]["data_offsets"] = json!([0, 128])), "invalid_file", &["overlaps"]);
    let far = json!([1_000_000, 1_000_128]);
    refused(&with_header(|h| h[name]["data_offsets"] = far), "invalid_file", &[name, "hole"]);
    refused(&with_header(|h| drop(h.remove(name))), "invalid_file", &[name, "missing"]);

    let twice = Value::Object(tiny.header()).to_string().replacen(
        '{',
        &format!("{{\"{name}\":{},", tiny.header()[name]),
        1,
    );
    refused(&tiny.source_with(&twice, &tiny.data()), "invalid_file", &[name]);

    let mut renamed = tiny.clone();
    renamed.tensor(name).name = "model.layers.0.self_attn.q_norm.weight".to_owned();
    refused(&renamed.source(), "unsupported", &["q_norm"]);
    renamed.tensor("model.layers.0.self_attn.q_norm.weight").name =
        "model.layers.7.input_layernorm.weight".to_owned();
    refused(&renamed.source(), "unsupported", &["num_hidden_layers (2)"]);
}

#[test]
fn a_header_whose_length_looks_like_the_beginning_of_a_web_page_is_read() {
    let tiny = Tiny::new();
    // 0x3c is '<', and 0x3c20 a space and '<'.
    for len in [0x203c, 0x3c20] {
        let header = format!("{:len$}", Value::Object(tiny.header()).to_string());
        load(&tiny.source_with(&header, &tiny.data()), WeightFormat::Auto).unwrap();
    }
}

#[test]
fn data() {
    let tiny = Tiny::new();
    let header = Value::Object(tiny.header()).to_string();
    let mut data = tiny.data();
    data.push(0);
    refused(&tiny.source_with(&header, &data), "invalid_file", &["bytes follow the last tensor"]);
    data.truncate(data.len() - 3);
    refused(&tiny.source_with(&header, &data), "invalid_file", &["model.norm.weight", "truncated"]);
    refused(&tiny.source_with(&header, &[]), "invalid_file", &["model.embed_tokens.weight", "truncated"]);
}

#[test]
fn weights_that_are_not_finite_load_with_a_warning() {
    for bits in [0x7fc0u16, 0x7f80, 0xff80] {
        for format in WeightFormat::ALL {
            let mut tiny = Tiny::new();
            tiny.tensor("model.layers.1.mlp.up_proj.weight").bytes[..2].copy_from_slice(&bits.to_le_bytes());
            let (_, _, report) = load(&tiny.source(), format).unwrap();
            assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
            assert!(report.warnings[0].contains("model.layers.1.mlp.up_proj"), "{:?}", report.warnings);
        }
    }
}

#[test]
fn values_beyond_f16_are_kept_in_f32() {
    let mut tiny = Tiny::new();
    // 2^100 as bf16, in the last row.
    let name = "model.layers.0.self_attn.o_proj.weight";
    let at = tiny.tensor(name).bytes.len() - 2;
    tiny.tensor(name).bytes[at..].copy_from_slice(&0x7180u16.to_le_bytes());
    let id = MatrixId::Block(0, Projection::Output);
    let (_, exact, _) = load(&tiny.source(), WeightFormat::F32).unwrap();
    for format in [WeightFormat::F16, WeightFormat::Q8, WeightFormat::Q4] {
        let (_, sink, report) = load(&tiny.source(), format).unwrap();
        assert!(report.warnings[0].contains("beyond the range of f16"), "{:?}", report.warnings);
        let (ours, exact) = (sink.matrix(id), exact.matrix(id));
        assert!((ours[4095] / exact[4095] - 1.0).abs() < 1e-6, "{}", ours[4095]);
        assert!(ours.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn surplus_tensors_are_passed_over() {
    let mut tiny = Tiny::new();
    tiny.add("model.layers.0.self_attn.rotary_emb.inv_freq", &[8]);
    let (_, _, report) = load(&tiny.source(), WeightFormat::Auto).unwrap();
    assert_eq!(report.surplus, ["model.layers.0.self_attn.rotary_emb.inv_freq"]);
}

#[test]
fn indexes() {
    let good = Tiny::new().sharded_source();
    let (_, whole, _) = load(&Tiny::new().source(), WeightFormat::Auto).unwrap();
    assert_eq!(load(&good, WeightFormat::Auto).unwrap().1.matrices, whole.matrices);

    let mut source = good.clone();
    source.remove("model-2.safetensors");
    refused(&source, "missing_file", &["model-2.safetensors", "names it"]);

    let mut swapped = good.clone();
    let first = swapped.remove("model-1.safetensors").unwrap();
    refused(
        &swapped.with("model-2.safetensors", first.clone()).with("model-1.safetensors", first),
        "invalid_file",
        &["model-2.safetensors"],
    );

    // A server that answers every address with its page does so for the single file that is not there.
    load(&good.clone().with("model.safetensors", &b"<!DOCTYPE html>"[..]), WeightFormat::Auto).unwrap();

    let index = |text: String| good.clone().with("model.safetensors.index.json", text);
    refused(&index("[]".into()), "invalid_file", &["index"]);
    refused(&index("{}".into()), "invalid_file", &["weight_map"]);
    refused(&index(r#"{"weight_map": {}}"#.into()), "invalid_file", &["weight_map"]);
    refused(
        &index(r#"{"weight_map": {"model.norm.weight": 7}}"#.into()),
        "invalid_file",
        &["model.norm.weight"],
    );
    for path in [
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/b.safetensors",
        "..\\x.safetensors",
        "C:x.safetensors",
        "x.bin",
        ".safetensors",
        "http://x/a.safetensors",
        "x?.safetensors",
        "",
    ] {
        let text = json!({ "weight_map": { "model.norm.weight": path } }).to_string();
        refused(&index(text), "invalid_file", &["model.norm.weight", "same folder"]);
    }
}

#[test]
fn quantised_tensors_that_contradict_their_configuration() {
    let mut tiny = Tiny::new();
    let name = "model.layers.0.self_attn.o_proj.weight";
    tiny.tensor(name).dtype = "U32";
    tiny.tensor(name).shape = vec![64, 32];
    refused(&tiny.source(), "unsupported", &[name, "U32"]);
    let mut scales = tiny.tensor("model.norm.weight").clone();
    scales.name = "model.layers.0.self_attn.o_proj.scales".to_owned();
    tiny.tensors.push(scales.clone());
    refused(&tiny.source(), "invalid_file", &["o_proj.biases", "missing"]);
    scales.name = "model.layers.0.self_attn.o_proj.biases".to_owned();
    tiny.tensors.push(scales);
    refused(&tiny.source(), "invalid_file", &[name, "no `quantization`"]);
    let quantised = tiny.with_config("quantization", json!({"bits": 4, "group_size": 64}));
    refused(&quantised.source(), "invalid_file", &["its shape is [64, 32]", "[64, 8]"]);
}

#[test]
fn pieces_of_any_size_load_the_same() {
    let (_, whole, _) = load(&Tiny::new().source(), WeightFormat::Q4).unwrap();
    for len in [1, 7, 1000] {
        let (_, sink, _) = load(&Tiny::new().source().in_pieces_of(len), WeightFormat::Q4).unwrap();
        assert_eq!(sink.matrices, whole.matrices);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_no_configuration_header_or_index(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&bytes);
        let _ = Header::parse("x", &bytes);
        let _ = Index::parse("x", &bytes);
    }

    /// Any one field of the configuration replaced by anything: loaded or refused, never a panic.
    #[test]
    fn a_spoilt_configuration(field in 0usize..12, value in prop_oneof![
        any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)),
        (0u64..300).prop_map(|n| json!(n)), ".{0,8}".prop_map(|s| json!(s)), Just(json!([])), Just(json!({"bits": 4, "group_size": 64})),
    ]) {
        let fields = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "vocab_size", "rms_norm_eps", "tie_word_embeddings", "head_dim",
            "rope_scaling", "quantization", "max_position_embeddings"];
        let _ = load(&Tiny::new().with_config(fields[field], value).source(), WeightFormat::Auto);
    }

    /// The tensors of a quantised weight with any shape, type and bytes.
    #[test]
    fn spoilt_quantised_tensors(
        which in 0usize..3, dtype in prop::sample::select(vec!["U32", "F32", "BF16", "F16", "U8"]),
        rows in 0usize..80, cols in 0usize..40, byte: u8, bits in prop::sample::select(vec![4, 8]),
    ) {
        let mut tiny = Tiny::new().with_config("quantization", json!({"bits": bits, "group_size": 32}));
        let module = "model.layers.0.self_attn.o_proj";
        let mut weight = tiny.tensor(&format!("{module}.weight")).clone();
        tiny.tensors.retain(|tensor| tensor.name != weight.name);
        for (i, (field, dtype, cols)) in
            [("weight", "U32", 2 * bits), ("scales", "F16", 2), ("biases", "F16", 2)].into_iter().enumerate()
        {
            weight.name = format!("{module}.{field}");
            weight.dtype = dtype;
            weight.shape = vec![64, cols];
            weight.bytes = vec![byte; 64 * cols * if i == 0 { 4 } else { 2 }];
            tiny.tensors.push(weight.clone());
        }
        let (_, sink, _) = load(&tiny.source(), WeightFormat::Auto).unwrap();
        prop_assert_eq!(sink.matrix(MatrixId::Block(0, Projection::Output)).len(), 64 * 64);
        let at = tiny.tensors.len() - 3 + which;
        let size = match dtype { "U8" => 1, "U32" | "F32" => 4, _ => 2 };
        tiny.tensors[at].dtype = dtype;
        tiny.tensors[at].shape = vec![rows, cols];
        tiny.tensors[at].bytes = vec![byte; rows * cols * size];
        let fits = match which {
            0 => (dtype, rows, cols) == ("U32", 64, 2 * bits),
            _ => matches!(dtype, "F32" | "BF16" | "F16") && (rows, cols) == (64, 2),
        };
        prop_assert_eq!(load(&tiny.source(), WeightFormat::Auto).is_ok(), fits);
    }

    /// Any byte of the weights' file changed, and the file cut anywhere.
    #[test]
    fn a_spoilt_file(at in any::<prop::sample::Index>(), byte: u8, cut in proptest::option::of(any::<prop::sample::Index>())) {
        let mut source = Tiny::new().source();
        let bytes = source.file_mut("model.safetensors").unwrap();
        // Mostly in the header, where it matters.
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let at = at.index(header + 64);
        bytes[at] = byte;
        if let Some(cut) = cut {
            let len = cut.index(bytes.len());
            bytes.truncate(len);
            prop_assert!(load(&source, WeightFormat::Q8).is_err());
        } else {
            let _ = load(&source, WeightFormat::Q8);
        }
    }
}
