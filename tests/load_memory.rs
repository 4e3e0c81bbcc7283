//! A load needs memory for a few tensors besides the finished weights, never for the whole file. The allocator counts
//! it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::path::Path;

use common::tiny::Tiny;
use mobilellm::Result;
use mobilellm::backend::WeightSink;
use mobilellm::checkpoint::load::{Checkpoint, Progress, WeightFormat};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::model::matrix::Matrix;
use mobilellm::model::network::{MatrixId, VectorId};
use serde_json::json;

/// A backend with memory of its own, like a GPU. It drops the weights that it gets.
#[derive(Default)]
struct DroppingSink {
    largest: usize,
}

impl WeightSink for DroppingSink {
    fn put_matrix(&mut self, _: MatrixId, matrix: Matrix) -> Result<()> {
        self.largest = self.largest.max(matrix.bytes());
        Ok(())
    }

    fn put_vector(&mut self, _: VectorId, _: Vec<f32>) -> Result<()> {
        Ok(())
    }

    fn remove_matrix(&mut self, _: MatrixId) {}
}

#[test]
fn a_load_needs_a_few_tensors() {
    // 48 blocks with the shape of the smallest checkpoint, but 256 wide, in bf16: about 80 MB.
    let mut tiny = Tiny::new();
    for (field, value) in [
        ("hidden_size", 256),
        ("intermediate_size", 1024),
        ("num_attention_heads", 4),
        ("num_hidden_layers", 48),
    ] {
        tiny.config.insert(field.to_owned(), json!(value));
    }
    tiny.config.insert("num_key_value_heads".to_owned(), json!(2));
    tiny.tensors.clear();
    tiny.add("model.embed_tokens.weight", &[51, 256]);
    for block in 0..48 {
        for (path, shape) in [
            ("input_layernorm", &[256][..]),
            ("mlp.down_proj", &[256, 1024]),
            ("mlp.gate_proj", &[1024, 256]),
            ("mlp.up_proj", &[1024, 256]),
            ("post_attention_layernorm", &[256]),
            ("self_attn.k_proj", &[128, 256]),
            ("self_attn.o_proj", &[256, 256]),
            ("self_attn.q_proj", &[256, 256]),
            ("self_attn.v_proj", &[128, 256]),
        ] {
            tiny.add(&format!("model.layers.{block}.{path}.weight"), shape);
        }
    }
    tiny.add("model.norm.weight", &[256]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), tiny.config_json()).unwrap();
    let header = serde_json::Value::Object(tiny.header()).to_string();
    let bytes = common::tiny::file(&header, &tiny.data());
    let file_len = bytes.len();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    drop(tiny);

    check(folder.path(), file_len);

    let folder = tempfile::tempdir().unwrap();
    let file = gguf();
    let file_len = file.len();
    std::fs::write(folder.path().join("model.gguf"), file).unwrap();
    check(folder.path(), file_len);
}

/// The same blocks in a GGUF file, in `Q8_0`: about 50 MB.
fn gguf() -> Vec<u8> {
    let mut file = common::gguf::File::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 48)
        .u32("llama.context_length", 64)
        .u32("llama.embedding_length", 256)
        .u32("llama.feed_forward_length", 1024)
        .u32("llama.attention.head_count", 4)
        .u32("llama.attention.head_count_kv", 2)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .tensor("token_embd.weight", &[256, 51], 8, vec![0; 51 * 8 * 34])
        .floats("output_norm.weight", &[256], &[1.0; 256]);
    for block in 0..48 {
        for (name, cols, rows) in [
            ("ffn_down", 1024, 256),
            ("ffn_gate", 256, 1024),
            ("ffn_up", 256, 1024),
            ("attn_k", 256, 128),
            ("attn_output", 256, 256),
            ("attn_q", 256, 256),
            ("attn_v", 256, 128),
        ] {
            let bytes = vec![0; (cols * rows / 32 * 34) as usize];
            file = file.tensor(&format!("blk.{block}.{name}.weight"), &[cols, rows], 8, bytes);
        }
        for name in ["attn_norm", "ffn_norm"] {
            file = file.floats(&format!("blk.{block}.{name}.weight"), &[256], &[1.0; 256]);
        }
    }
    file.bytes()
}

/// Loads a folder in every format.
fn check(folder: &Path, file_len: usize) {
    for format in WeightFormat::ALL {
        let before = counting::in_use();
        counting::start_peak();
        let mut sink = DroppingSink::default();
        let source = DirectorySource::new(folder).unwrap();
        let (mut seen, mut total) = (0, None);
        let report = pollster::block_on(async {
            let checkpoint = Checkpoint::open(&source, &Cancel::default()).await?;
            let mut observe = |progress: Progress| {
                // On a slow connection this much arrives in a second, and users want to see progress.
                assert!(progress.bytes - seen <= 128 << 10, "{seen}, and then {}", progress.bytes);
                (seen, total) = (progress.bytes, progress.total_bytes);
            };
            checkpoint.load(format, &mut sink, &mut observe).await
        })
        .unwrap();
        assert_eq!((seen, total), (report.bytes, Some(report.bytes)));
        let extra = counting::peak() - before;
        // The parts of one matrix, the matrix itself, one band in each of its formats, and the header.
        let allowed = 3 * sink.largest + (12 << 20);
        assert!(extra <= allowed, "{format}: {extra} bytes beside the weights, {allowed} are allowed");
        assert!(allowed < file_len / 2, "the file is too small to tell: {file_len} bytes");
    }
}
