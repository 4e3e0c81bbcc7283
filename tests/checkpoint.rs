//! Loading checkpoints: every format as it lies on the hub, and every way in which the files can be wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{RecordingSink, fixture, load, load_fixture, raw_tensors};
use mobilellm::checkpoint::load::{Checkpoint, WeightFormat};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::model::matrix::{Format, ScaleFormat};
use mobilellm::model::network::{MatrixId, Projection, VectorId};

/// All fixtures that transformers wrote, by what they are there for.
const FLOAT_FIXTURES: [&str; 10] = [
    "smallest",
    "tied-gqa3",
    "untied-mha",
    "mqa-odd",
    "wide-heads",
    "rope-llama3",
    "biases",
    "sharded",
    "mobilellm",
    "mobilellm-ls",
];

/// Row `row` of head-wise rotated `part`: where rotary embedding's pairs are neighbours.
fn paired(row: usize, head_dim: usize) -> usize {
    let (head, i) = (row / head_dim, row % head_dim);
    let half = head_dim / 2;
    head * head_dim + if i.is_multiple_of(2) { i / 2 } else { i / 2 + half }
}

#[test]
fn float_checkpoints_arrive_exactly() {
    for name in FLOAT_FIXTURES {
        for format in [WeightFormat::Auto, WeightFormat::F32] {
            let (config, sink, report) = load_fixture(name, format);
            let raw = raw_tensors(name);
            assert!(report.warnings.is_empty(), "{name}: {:?}", report.warnings);
            assert_eq!(sink.matrix(MatrixId::Embedding), raw["model.embed_tokens.weight"], "{name}");
            assert_eq!(sink.vectors[&VectorId::FinalNorm], raw["model.norm.weight"], "{name}");
            assert_eq!(
                sink.matrices.contains_key(&MatrixId::Head),
                !config.decoder.tied_embeddings,
                "{name}"
            );
            for block in 0..config.num_hidden_layers {
                let part = |path: &str| &raw[&format!("model.layers.{block}.{path}.weight")];
                let (hidden, head_dim) = (config.hidden_size, config.head_dim);
                let qkv = sink.matrix(MatrixId::Block(block, Projection::Qkv));
                let mut rows = qkv.chunks_exact(hidden);
                for (path, heads, rotated) in [
                    ("self_attn.q_proj", config.num_heads, true),
                    ("self_attn.k_proj", config.num_kv_heads, true),
                    ("self_attn.v_proj", config.num_kv_heads, false),
                ] {
                    for row in 0..heads * head_dim {
                        let stored = if rotated { paired(row, head_dim) } else { row };
                        let expected = &part(path)[stored * hidden..(stored + 1) * hidden];
                        assert_eq!(rows.next().unwrap(), expected, "{name} {path} row {row}");
                    }
                }
                let gate_up = sink.matrix(MatrixId::Block(block, Projection::GateUp));
                let mut rows = gate_up.chunks_exact(hidden);
                for row in 0..config.intermediate_size {
                    for path in ["mlp.gate_proj", "mlp.up_proj"] {
                        let expected = &part(path)[row * hidden..(row + 1) * hidden];
                        assert_eq!(rows.next().unwrap(), expected, "{name} {path} row {row}");
                    }
                }
                let output = sink.matrix(MatrixId::Block(block, Projection::Output));
                assert_eq!(&output, part("self_attn.o_proj"), "{name}");
                let down = sink.matrix(MatrixId::Block(block, Projection::Down));
                assert_eq!(&down, part("mlp.down_proj"), "{name}");
            }
        }
    }
}

#[test]
fn biases_follow_the_rows() {
    let (config, sink, _) = load_fixture("biases", WeightFormat::Auto);
    let raw = raw_tensors("biases");
    let qkv = &sink.vectors[&VectorId::Bias(0, Projection::Qkv)];
    for (row, value) in qkv[..config.query_width()].iter().enumerate() {
        let expected = raw["model.layers.0.self_attn.q_proj.bias"][paired(row, config.head_dim)];
        assert_eq!(value.to_bits(), expected.to_bits());
    }
    assert_eq!(qkv[config.query_width() + config.kv_width()..], raw["model.layers.0.self_attn.v_proj.bias"]);
    let gate_up = &sink.vectors[&VectorId::Bias(0, Projection::GateUp)];
    assert_eq!(gate_up[0].to_bits(), raw["model.layers.0.mlp.gate_proj.bias"][0].to_bits());
    assert_eq!(gate_up[1].to_bits(), raw["model.layers.0.mlp.up_proj.bias"][0].to_bits());
    assert_eq!(sink.vectors[&VectorId::Bias(0, Projection::Down)], raw["model.layers.0.mlp.down_proj.bias"]);
}

#[test]
fn auto_keeps_small_checkpoints_as_stored() {
    for (name, format) in
        [("tied-gqa3", Format::F32), ("untied-mha", Format::Bf16), ("wide-heads", Format::F16)]
    {
        let (_, sink, _) = load_fixture(name, WeightFormat::Auto);
        assert!(sink.matrices.values().all(|matrix| matrix.format == format), "{name}");
    }
}

#[test]
fn mlx_checkpoints_keep_their_integers() {
    for (name, bits, group_size, scales) in
        [("mlx-q4", 4, 32, ScaleFormat::Bf16), ("mlx-q8", 8, 128, ScaleFormat::F32)]
    {
        let (_, sink, report) = load_fixture(name, WeightFormat::Auto);
        assert!(report.warnings.is_empty());
        let raw = raw_tensors(name);
        for matrix in sink.matrices.values() {
            match matrix.format {
                Format::Affine(affine) => assert_eq!(
                    (affine.bits, affine.group_size, affine.scales),
                    (bits, group_size, scales),
                    "{name}"
                ),
                other => assert!(matrix.cols % group_size as usize != 0, "{name}: {other:?}"),
            }
        }
        let expected = common::dequantized(&raw, "model.layers.0.mlp.down_proj", bits, group_size as usize);
        assert_eq!(sink.matrix(MatrixId::Block(0, Projection::Down)), expected, "{name}");
    }
}

#[test]
fn parts_in_different_formats_are_joined_without_loss() {
    let (config, sink, _) = load_fixture("mlx-mixed", WeightFormat::Auto);
    let raw = raw_tensors("mlx-mixed");
    let id = MatrixId::Block(1, Projection::Qkv);
    let Format::Affine(affine) = sink.matrices[&id].format else { panic!("not quantised") };
    assert_eq!((affine.bits, affine.group_size), (4, 32), "the smaller group of v_proj holds for all three");
    let values = sink.matrix(id);
    let value_rows = &values[(config.query_width() + config.kv_width()) * config.hidden_size..];
    assert_eq!(value_rows, common::dequantized(&raw, "model.layers.1.self_attn.v_proj", 4, 32));
    let keys = common::dequantized(&raw, "model.layers.1.self_attn.k_proj", 4, 64);
    for row in 0..config.kv_width() {
        let stored = paired(row, config.head_dim);
        let at = (config.query_width() + row) * config.hidden_size;
        assert_eq!(
            values[at..at + config.hidden_size],
            keys[stored * config.hidden_size..(stored + 1) * config.hidden_size]
        );
    }
    assert_eq!(sink.matrix(MatrixId::Embedding), common::dequantized(&raw, "model.embed_tokens", 8, 32));
    assert_eq!(sink.matrices[&MatrixId::Head].format, Format::F16, "a head that is not quantised stays so");
}

#[test]
fn asked_formats_are_obeyed() {
    let (_, sink, _) = load_fixture("untied-mha", WeightFormat::Q4);
    for (id, matrix) in &sink.matrices {
        match matrix.format {
            Format::Affine(affine) => assert_eq!((affine.bits, affine.scales), (4, ScaleFormat::F16)),
            other => assert_eq!((other, matrix.cols % 32 != 0), (Format::Bf16, true), "{id:?}"),
        }
    }
    let (_, sink, _) = load_fixture("mlx-q8", WeightFormat::F16);
    assert!(sink.matrices.values().all(|matrix| matrix.format == Format::F16));
    let (_, sink, _) = load_fixture("mlx-q8", WeightFormat::Q4);
    for matrix in sink.matrices.values() {
        let Format::Affine(affine) = matrix.format else { panic!("{:?}", matrix.format) };
        assert_eq!((affine.bits, affine.group_size), (4, 64));
    }
    let (_, stored, _) = load_fixture("mlx-q4", WeightFormat::Auto);
    let (_, asked, _) = load_fixture("mlx-q4", WeightFormat::Q8);
    assert_eq!(stored.matrices, asked.matrices, "more bits than stored would only take more room");
}

#[test]
fn eight_bits_are_close_to_the_weights() {
    let (_, sink, _) = load_fixture("chat", WeightFormat::Q8);
    let raw = raw_tensors("chat");
    let original = &raw["model.embed_tokens.weight"];
    let largest = original.iter().fold(0f32, |max, w| max.max(w.abs()));
    for (ours, theirs) in sink.matrix(MatrixId::Embedding).iter().zip(original) {
        assert!((ours - theirs).abs() <= 2.0 * largest / 255.0, "{ours} for {theirs}");
    }
}

#[test]
fn a_real_checkpoint_loads() {
    let Some(folder) = common::shared::shared("stories260k") else { return };
    let source = DirectorySource::new(folder).unwrap();
    let (config, sink, report) = load(&source, WeightFormat::Auto).unwrap();
    assert_eq!((config.num_hidden_layers, config.decoder.tied_embeddings), (5, true));
    assert_eq!(sink.matrices.len(), 5 * 4 + 1);
    assert_eq!(report.tensors, 5 * 9 + 2);
}

#[test]
fn mobilellm_without_a_head_is_tied_by_its_own_field() {
    let source = DirectorySource::new(fixture("mobilellm")).unwrap();
    let checkpoint = pollster::block_on(Checkpoint::open(&source, &Cancel::default())).unwrap();
    assert!(checkpoint.config.decoder.tied_embeddings);
    let mut sink = RecordingSink::default();
    pollster::block_on(checkpoint.load(WeightFormat::Auto, &mut sink, &mut |_| {})).unwrap();
    assert!(!sink.matrices.contains_key(&MatrixId::Head));
}

#[test]
fn inspection_counts_without_reading_weights() {
    use mobilellm::checkpoint::load::inspect::Inspection;
    let of = |name: &str| {
        let source = DirectorySource::new(fixture(name)).unwrap();
        pollster::block_on(Inspection::of(&source, &Cancel::default())).unwrap()
    };
    for name in FLOAT_FIXTURES {
        let inspection = of(name);
        let stored: usize = raw_tensors(name).values().map(Vec::len).sum();
        assert_eq!(inspection.parameters.total, stored as u64, "{name}");
        let files = inspection.files.iter();
        let on_disk: u64 = files.map(|file| fixture(name).join(file).metadata().unwrap().len()).sum();
        assert_eq!(inspection.bytes, on_disk, "{name}");
    }
    let shared = of("mobilellm-ls");
    assert!(shared.layer_sharing);
    assert_eq!(
        shared.kv_bytes_per_token,
        shared.num_hidden_layers * 2 * 2 * shared.num_kv_heads * shared.head_dim * 2
    );
    let mobile = of("mobilellm");
    assert_eq!((mobile.tokenizer, mobile.chat_template), (Some("tokenizer.model".to_owned()), None));
    assert_eq!(of("chat").chat_template, Some("tokenizer_config.json".to_owned()));
    assert_eq!(of("chat-template-file").chat_template, Some("chat_template.jinja".to_owned()));
    let mixed = of("mlx-mixed");
    assert_eq!(mixed.quantization.as_deref(), Some("4 bits, groups of 64, 2 exceptions"));
    assert!(mixed.dtypes.contains_key("U32") && mixed.dtypes.contains_key("F16"));
}
