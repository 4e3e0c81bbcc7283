//! A load needs memory for a few tensors besides the finished weights, never for the whole file. The allocator counts
//! it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;
#[path = "common/counting.rs"]
mod counting;

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

    for format in WeightFormat::ALL {
        let before = counting::in_use();
        counting::start_peak();
        let mut sink = DroppingSink::default();
        let source = DirectorySource::new(folder.path()).unwrap();
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
