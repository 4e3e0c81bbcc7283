//! Whole files that are wrong in one place, and the places where a model may lie.

use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::checkpoint::source::memory::MemorySource;
use mobilellm::model::network::{MatrixId, Projection};
use proptest::prelude::*;

use crate::common::gguf::{File, list, typed};
use crate::common::{load, load_error};

const HIDDEN: u64 = 32;
const FFN: u64 = 64;
const VOCAB: u64 = 8;

fn values(len: u64, seed: u64) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 23.0 - 0.5).collect()
}

/// One layer of Llama: two heads of 16, one of keys and values.
pub(crate) fn tiny() -> File {
    let mut file = File::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.context_length", 64)
        .u32("llama.embedding_length", HIDDEN as u32)
        .u32("llama.feed_forward_length", FFN as u32)
        .u32("llama.attention.head_count", 2)
        .u32("llama.attention.head_count_kv", 1)
        .u32("llama.rope.dimension_count", 16)
        .u32("llama.vocab_size", VOCAB as u32)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    let matrices = [
        ("token_embd", HIDDEN, VOCAB),
        ("output", HIDDEN, VOCAB),
        ("blk.0.attn_q", HIDDEN, HIDDEN),
        ("blk.0.attn_k", HIDDEN, 16),
        ("blk.0.attn_v", HIDDEN, 16),
        ("blk.0.attn_output", HIDDEN, HIDDEN),
        ("blk.0.ffn_gate", HIDDEN, FFN),
        ("blk.0.ffn_up", HIDDEN, FFN),
        ("blk.0.ffn_down", FFN, HIDDEN),
    ];
    for (seed, (name, cols, rows)) in matrices.into_iter().enumerate() {
        file = file.floats(&format!("{name}.weight"), &[cols, rows], &values(cols * rows, seed as u64));
    }
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        file = file.floats(&format!("{name}.weight"), &[HIDDEN], &values(HIDDEN, 7));
    }
    file
}

fn changed(change: impl FnOnce(&mut File)) -> MemorySource {
    let mut file = tiny();
    change(&mut file);
    file.source()
}

fn set(file: &mut File, key: &str, value: Vec<u8>) {
    file.keys.retain(|(known, _)| known != key);
    file.keys.push((key.to_owned(), value));
}

fn u32(value: u32) -> Vec<u8> {
    typed(4, &value.to_le_bytes())
}

fn text(value: &str) -> Vec<u8> {
    typed(8, &crate::common::gguf::text(value))
}

#[track_caller]
fn refused(source: &MemorySource, code: &str, words: &[&str]) {
    let error = load_error(source);
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_sound_file_loads() {
    let (config, sink, report) = load(&tiny().source(), WeightFormat::Stored).unwrap();
    assert_eq!((config.hidden_size, config.head_dim, config.vocab_size), (32, 16, 8));
    assert!(!config.decoder.tied_embeddings);
    assert_eq!(report.tensors, 12);
    // Rows of queries lie in the file as the engine wants them: pairs are neighbours.
    let joint = sink.matrix(MatrixId::Block(0, Projection::Qkv));
    assert_eq!(joint[..1024], values(1024, 2));
    // A padded last tensor is one, too.
    let mut bytes = tiny().bytes();
    bytes.extend([0; 31]);
    load(&MemorySource::new().with("tiny.gguf", bytes).in_pieces_of(13), WeightFormat::Stored).unwrap();
}

#[test]
fn without_an_output_matrix_it_is_the_embedding() {
    let source = changed(|file| file.tensors.retain(|tensor| tensor.name != "output.weight"));
    assert!(load(&source, WeightFormat::Stored).unwrap().0.decoder.tied_embeddings);
}

#[test]
fn metadata() {
    let with = |key: &str, value: Vec<u8>| changed(|file| set(file, key, value));
    let without = |key: &str| changed(|file| file.keys.retain(|(known, _)| known != key));
    refused(
        &without("general.architecture"),
        "invalid_file",
        &["tiny.gguf", "general.architecture", "missing"],
    );
    refused(&with("general.architecture", text("mamba")), "unsupported", &["tiny.gguf", "mamba", "llama"]);
    refused(&with("general.architecture", u32(1)), "invalid_file", &["general.architecture"]);
    refused(&with("general.type", text("adapter")), "unsupported", &["adapter"]);
    for (key, value, code) in [
        ("llama.block_count", u32(0), "invalid_file"),
        ("llama.block_count", u32(u32::MAX), "invalid_file"),
        ("llama.block_count", text("1"), "invalid_file"),
        ("llama.attention.head_count", u32(0), "invalid_file"),
        ("llama.attention.head_count", list(4, 1 << 10, &[0; 4096]), "invalid_file"),
        ("llama.attention.head_count_kv", u32(3), "invalid_file"),
        ("llama.embedding_length", typed(12, &32.5f64.to_le_bytes()), "invalid_file"),
        ("llama.attention.layer_norm_rms_epsilon", typed(6, &f32::NAN.to_le_bytes()), "invalid_file"),
        ("llama.attention.value_length", u32(8), "invalid_file"),
        ("llama.expert_count", u32(8), "unsupported"),
        ("llama.attention.new_trick", u32(1), "unsupported"),
        ("llama.rope.scaling.type", text("yarn"), "unsupported"),
        ("llama.attention.head_count", list(0, 5000, &[0; 5000]), "invalid_file"),
    ] {
        refused(&with(key, value), code, &["tiny.gguf", key]);
    }
    for key in ["llama.block_count", "llama.embedding_length", "llama.attention.head_count"] {
        refused(&without(key), "invalid_file", &["tiny.gguf"]);
    }
}

#[test]
fn tensors() {
    let on = |name: &str, change: &dyn Fn(&mut crate::common::gguf::Tensor)| {
        changed(|file| {
            let tensor = file.tensors.iter_mut().find(|tensor| tensor.name == name);
            change(tensor.expect("the tensor is there"));
        })
    };
    let norm = "blk.0.attn_norm.weight";
    refused(&changed(|file| file.tensors.retain(|t| t.name != norm)), "invalid_file", &[norm, "missing"]);
    refused(&on(norm, &|tensor| tensor.kind = 28), "unsupported", &[norm, "F64"]);
    refused(
        &on(norm, &|tensor| (tensor.kind, tensor.bytes) = (8, vec![0; 34])),
        "unsupported",
        &[norm, "Q8_0"],
    );
    refused(&on(norm, &|tensor| tensor.dims = vec![16, 2]), "invalid_file", &[norm, "[2, 16]", "[32]"]);
    let query = "blk.0.attn_q.weight";
    refused(
        &on(query, &|tensor| tensor.dims = vec![64, 16]),
        "invalid_file",
        &[query, "[16, 64]", "[32, 32]"],
    );
    let add = |name: &str| changed(|file| *file = file.clone().floats(name, &[32], &values(32, 1)));
    for name in [
        "blk.1.attn_norm.weight",
        "blk.0.attn_norm.scale",
        "blk.0.ssm_a",
        "v.patch_embd.weight",
        "blk.00.attn_norm.weight",
    ] {
        refused(&add(name), "unsupported", &[name]);
    }
    let frequencies = |values: &[f32]| {
        let file = tiny().floats("rope_freqs.weight", &[values.len() as u64], values);
        load(&file.source(), WeightFormat::Stored).map(|(_, _, report)| report.frequency_divisors)
    };
    assert_eq!(frequencies(&[2.0; 8]).unwrap(), Some(vec![2.0; 8]));
    for wrong in [&[0.0; 8][..], &[-1.0; 8], &[f32::NAN; 8], &[1.0; 4]] {
        let error = frequencies(wrong).expect_err("wrong divisors").to_string();
        assert!(error.contains("rope_freqs.weight"), "{error}");
    }
    let mut bytes = tiny().bytes();
    bytes.extend([0; 64]);
    refused(&MemorySource::new().with("tiny.gguf", bytes), "invalid_file", &["end of file"]);
}

#[test]
fn truncated_weights_are_an_error_wherever_they_end() {
    let bytes = tiny().bytes();
    for len in (0..bytes.len()).step_by(97) {
        let source = MemorySource::new().with("tiny.gguf", &bytes[..len]);
        assert_eq!(load_error(&source).code(), "invalid_file");
    }
}

/// The tensors of the tiny file in two files.
fn split() -> [File; 2] {
    let number = |file: File, no: u16| {
        file.key("split.no", typed(2, &no.to_le_bytes()))
            .key("split.count", typed(2, &2u16.to_le_bytes()))
            .key("split.tensors.count", typed(5, &12i32.to_le_bytes()))
    };
    let mut first = number(tiny(), 0);
    let mut second = number(File::default(), 1);
    second.tensors = first.tensors.split_off(5);
    [first, second]
}

fn parts([first, second]: &[File; 2]) -> MemorySource {
    MemorySource::new()
        .with("m-00001-of-00002.gguf", first.bytes())
        .with("m-00002-of-00002.gguf", second.bytes())
}

#[test]
fn parts_are_one_model() {
    let whole = load(&tiny().source(), WeightFormat::Stored).unwrap().1;
    let loaded = load(&parts(&split()), WeightFormat::Stored).unwrap().1;
    assert_eq!(loaded.matrices, whole.matrices);
    // All metadata and no tensor in the first.
    let [mut first, mut second] = split();
    second.tensors.splice(0..0, first.tensors.drain(..));
    let loaded = load(&parts(&[first, second]), WeightFormat::Stored).unwrap().1;
    assert_eq!(loaded.matrices, whole.matrices);

    let mut missing = parts(&split());
    missing.remove("m-00002-of-00002.gguf");
    refused(&missing, "missing_file", &["m-00002-of-00002.gguf", "all parts"]);
    let [first, _] = split();
    refused(&first.source(), "invalid_file", &["tiny.gguf", "split.count", "2 parts"]);
    let with_second = |change: &dyn Fn(&mut File)| {
        let [first, mut second] = split();
        change(&mut second);
        parts(&[first, second])
    };
    refused(&with_second(&|file| set(file, "split.no", u32(0))), "invalid_file", &["m-00002", "split.no"]);
    refused(
        &with_second(&|file| set(file, "split.count", u32(3))),
        "invalid_file",
        &["m-00002", "split.count"],
    );
    refused(&with_second(&|file| file.tensors.truncate(3)), "invalid_file", &["split.tensors.count"]);
    refused(
        &with_second(&|file| file.tensors[0].name = "token_embd.weight".to_owned()),
        "invalid_file",
        &["token_embd.weight", "another part"],
    );
}

#[test]
fn a_model_is_found_by_its_file_and_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.gguf");
    std::fs::write(&file, tiny().bytes()).unwrap();
    // A configuration may lie beside it.
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for path in [&file, &folder.path().to_owned()] {
        load(&DirectorySource::new(path).unwrap(), WeightFormat::Stored).unwrap();
    }
    std::fs::write(folder.path().join("b.gguf"), tiny().bytes()).unwrap();
    load(&DirectorySource::new(&file).unwrap(), WeightFormat::Stored).unwrap();
    let error = load_error(&DirectorySource::new(folder.path()).unwrap());
    assert!(error.to_string().contains("a.gguf, b.gguf"), "{error}");
    let error = DirectorySource::new(folder.path().join("config.json")).unwrap_err();
    assert!(error.to_string().contains("GGUF"), "{error}");
}

proptest! {
    /// Whatever bytes of a file are changed: it loads, or there is an error, and no panic.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0usize..1 << 16, any::<u8>()), 1..6), cut in 0usize..1 << 17) {
        let mut bytes = tiny().bytes();
        let header = tiny().header().len();
        for (at, byte) in changes {
            bytes[at % header] = byte;
        }
        if cut < bytes.len() {
            bytes.truncate(cut);
        }
        let _ = load(&MemorySource::new().with("tiny.gguf", bytes), WeightFormat::Stored);
    }

    /// The same of a file of blocks.
    #[test]
    fn changed_blocks(at in 0usize..1 << 16, value: u32, f32: bool) {
        let mut bytes = BLOCKS.to_vec();
        let at = at % bytes.len().min(8192);
        let len = 4.min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        let format = if f32 { WeightFormat::F32 } else { WeightFormat::Q4 };
        let _ = load(&MemorySource::new().with("tiny.gguf", bytes), format);
    }
}

const BLOCKS: &[u8] = include_bytes!("../reference/fixtures/gguf/qwen2-mixed.gguf");
