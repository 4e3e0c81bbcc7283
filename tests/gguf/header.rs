//! What the beginning of a file says, and how it may be wrong.

use mobilellm::Error;
use mobilellm::checkpoint::container::gguf::{Header, List, TensorType, Value};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::memory::MemorySource;
use proptest::prelude::*;

use crate::common::gguf::{File, list, text, typed};

fn read(source: &MemorySource) -> Result<Header, Error> {
    let header = pollster::block_on(Header::of_file(source, "tiny.gguf", &Cancel::default()));
    header.map(|header| header.expect("the file is there"))
}

fn read_bytes(bytes: Vec<u8>) -> Result<Header, Error> {
    read(&MemorySource::new().with("tiny.gguf", bytes))
}

/// A file with every type of value, and tensors with padding between them.
fn sound() -> File {
    File::default()
        .text("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e5)
        .texts("tokenizer.ggml.tokens", &["a", "", "\u{2581}b"])
        .key("u8", typed(0, &[200]))
        .key("i8", typed(1, &[200]))
        .key("u16", typed(2, &[1, 2]))
        .key("i16", typed(3, &[255, 255]))
        .key("i32", typed(5, &(-5i32).to_le_bytes()))
        .key("flag", typed(7, &[1]))
        .key("u64", typed(10, &(1u64 << 40).to_le_bytes()))
        .key("i64", typed(11, &i64::MIN.to_le_bytes()))
        .key("f64", typed(12, &0.1f64.to_le_bytes()))
        .key("flags", list(7, 3, &[1, 0, 1]))
        .key("scores", list(6, 2, &[1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat()))
        .key(
            "nested",
            list(9, 1, &[&5u32.to_le_bytes()[..], &1u64.to_le_bytes(), &7i32.to_le_bytes()].concat()),
        )
        .floats("norm.weight", &[3], &[1.0, 2.0, 3.0])
        .tensor("blk.0.weight", &[64, 3], 2, vec![7; 2 * 3 * 18])
        .floats("last.weight", &[1], &[4.0])
}

#[test]
fn a_sound_header_says_all() {
    for version in [2, 3] {
        for piece in [1, 7, 1 << 20] {
            let file = File { version, ..sound() };
            let header = read(&file.source().in_pieces_of(piece)).unwrap();
            let metadata = &header.metadata;
            assert_eq!(metadata.file(), "memory/tiny.gguf");
            assert_eq!(metadata.text("general.architecture").unwrap(), Some("llama"));
            assert_eq!(metadata.size("llama.block_count", 9).unwrap(), Some(2));
            assert_eq!(metadata.number("llama.rope.freq_base").unwrap(), Some(1e5));
            assert_eq!(metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap().join(","), "a,,\u{2581}b");
            assert_eq!(metadata.get("u8"), Some(&Value::Unsigned(200)));
            assert_eq!(metadata.get("i8"), Some(&Value::Signed(-56)));
            assert_eq!(metadata.get("u16"), Some(&Value::Unsigned(513)));
            assert_eq!(metadata.get("i16"), Some(&Value::Signed(-1)));
            assert_eq!(metadata.get("i32"), Some(&Value::Signed(-5)));
            assert_eq!(metadata.flag("flag").unwrap(), Some(true));
            assert_eq!(metadata.get("u64"), Some(&Value::Unsigned(1 << 40)));
            assert_eq!(metadata.get("i64"), Some(&Value::Signed(i64::MIN)));
            assert_eq!(metadata.get("f64"), Some(&Value::Float(0.1)));
            assert_eq!(metadata.get("flags"), Some(&Value::List(List::Flags(vec![true, false, true]))));
            assert_eq!(metadata.floats("scores").unwrap(), Some(vec![1.5, -2.0]));
            assert!(
                matches!(metadata.get("nested"), Some(Value::List(List::Lists(lists))) if lists[0].len() == 1)
            );
            assert_eq!(metadata.iter().count(), file.keys.len());

            let tensors: Vec<_> =
                header.tensors.iter().map(|t| (t.name.as_str(), t.kind, t.shape.as_slice(), t.len)).collect();
            let expected: [(&str, TensorType, &[u64], u64); 3] = [
                ("norm.weight", TensorType::F32, &[3], 12),
                ("blk.0.weight", TensorType::Q4_0, &[3, 64], 108),
                ("last.weight", TensorType::F32, &[1], 4),
            ];
            assert_eq!(tensors, expected);
            assert_eq!(header.tensors[1].padding, 20);
            assert_eq!(header.file_len, file.bytes().len() as u64);
        }
    }
}

/// Tensors may be listed in another order than they lie; an alignment may be stated.
#[test]
fn tensors_come_in_the_order_of_their_bytes() {
    let mut file = File { alignment: 64, ..sound() }.u32("general.alignment", 64);
    assert_eq!(read(&file.source()).unwrap().file_len, file.bytes().len() as u64);
    for (tensor, place) in file.tensors.iter_mut().zip([0, 64, 192]) {
        tensor.offset = Some(place);
    }
    let in_order = file.header();
    file.tensors.rotate_left(1);
    let turned = file.header();
    assert_ne!(in_order, turned);
    let names = |header: Vec<u8>| {
        let bytes = [header, vec![0; 300]].concat();
        read_bytes(bytes).unwrap().tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(in_order), names(turned));
}

#[track_caller]
fn refused(bytes: Vec<u8>, code: &str, words: &[&str]) {
    let error = read_bytes(bytes).expect_err("the header should have been refused");
    assert_eq!(error.code(), code, "{error}");
    for word in words.iter().chain(&["tiny.gguf"]) {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sound().bytes();
    for len in 0..bytes.len() {
        let error = read_bytes(bytes[..len].to_vec()).expect_err("truncated");
        assert_eq!(error.code(), "invalid_file", "{len}: {error}");
    }
}

#[test]
fn other_files_and_versions() {
    refused(b"<!DOCTYPE html>".to_vec(), "fetch_failed", &["web page"]);
    refused(b"version https://git-lfs.github.com/spec/v1".to_vec(), "invalid_file", &["git lfs pull"]);
    refused(b"not a GGUF file".to_vec(), "invalid_file", &["does not begin"]);
    refused(File { version: 1, ..sound() }.bytes(), "unsupported", &["version 1"]);
    refused(File { version: 4, ..sound() }.bytes(), "unsupported", &["version 4"]);
    refused(File { version: 3 << 24, ..sound() }.bytes(), "unsupported", &["big-endian"]);
}

/// A claim is refused or fails when the bytes do not come; nothing is allocated for it.
#[test]
fn huge_counts() {
    let mut bytes = sound().bytes();
    bytes[8..16].copy_from_slice(&(1u64 << 60).to_le_bytes());
    refused(bytes, "invalid_file", &["number of tensors"]);
    let mut bytes = sound().bytes();
    bytes[16..24].copy_from_slice(&(1u64 << 60).to_le_bytes());
    refused(bytes, "invalid_file", &["number of keys"]);

    for len in [1 << 60, u64::MAX, 100_000_000] {
        for (kind, words) in
            [(0, "larger than"), (12, "larger than"), (7, "truncated"), (8, "truncated"), (9, "truncated")]
        {
            refused(
                File::default().key("key", list(kind, len, &[])).bytes(),
                "invalid_file",
                &["key", words],
            );
        }
        let huge = len.to_le_bytes().to_vec();
        refused(File::default().key("key", typed(8, &huge)).bytes(), "invalid_file", &["key", "larger"]);
        let words = if len > 1 << 32 { "absurd" } else { "truncated" };
        refused(sound().tensor("t", &[len, len, 4], 0, vec![]).bytes(), "invalid_file", &[words]);
    }
    let mut bytes = File::default().u32("a", 0).bytes();
    bytes[24..32].copy_from_slice(&(1u64 << 62).to_le_bytes());
    refused(bytes, "invalid_file", &["key"]);
    // Long, and all of it there.
    let giant = vec![0u8; 65 << 20];
    refused(
        File::default().key("key", list(0, giant.len() as u64, &giant)).bytes(),
        "invalid_file",
        &["larger than"],
    );
}

#[test]
fn wrong_values() {
    refused(File::default().key("key", typed(13, &[])).bytes(), "invalid_file", &["key", "value type 13"]);
    refused(
        File::default().key("key", list(99, 1, &[0; 8])).bytes(),
        "invalid_file",
        &["key", "value type 99"],
    );
    refused(File::default().key("key", typed(7, &[2])).bytes(), "invalid_file", &["key", "flag"]);
    refused(File::default().key("key", list(7, 1, &[9])).bytes(), "invalid_file", &["key", "flag"]);
    let bad_text = [&2u64.to_le_bytes()[..], &[0xc3, 0x28]].concat();
    refused(File::default().key("key", typed(8, &bad_text)).bytes(), "invalid_file", &["key", "UTF-8"]);
    refused(sound().u32("flag", 1).bytes(), "invalid_file", &["flag", "twice"]);
    let deep =
        (0..5).fold(vec![0; 8], |inner, _| [&9u32.to_le_bytes()[..], &1u64.to_le_bytes(), &inner].concat());
    refused(File::default().key("key", typed(9, &deep)).bytes(), "invalid_file", &["key", "deep"]);
    for alignment in [0, 3, 48, 1 << 30] {
        refused(sound().u32("general.alignment", alignment).bytes(), "invalid_file", &["general.alignment"]);
    }
    refused(sound().text("general.alignment", "32").bytes(), "invalid_file", &["general.alignment"]);
}

#[test]
fn wrong_tensors() {
    let with = |change: &dyn Fn(&mut File)| {
        let mut file = sound();
        change(&mut file);
        file.bytes()
    };
    let tensor = "blk.0.weight";
    refused(with(&|f| f.tensors[1].dims = vec![63, 3]), "invalid_file", &[tensor, "63 columns", "Q4_0"]);
    refused(with(&|f| f.tensors[1].dims = vec![]), "invalid_file", &[tensor, "0 dimensions"]);
    refused(with(&|f| f.tensors[1].dims = vec![32; 5]), "invalid_file", &[tensor, "5 dimensions"]);
    refused(with(&|f| f.tensors[1].dims = vec![64, 0]), "invalid_file", &[tensor, "absurd"]);
    refused(with(&|f| f.tensors[1].dims = vec![1 << 62, 32]), "invalid_file", &[tensor, "absurd"]);
    refused(with(&|f| f.tensors[1].dims = vec![1 << 62]), "invalid_file", &["overlaps"]);
    refused(with(&|f| f.tensors[1].kind = 19), "unsupported", &[tensor, "IQ1_S", "19"]);
    refused(with(&|f| f.tensors[1].kind = 4), "unsupported", &[tensor, "Q4_2"]);
    refused(with(&|f| f.tensors[1].kind = 1234), "unsupported", &[tensor, "unknown", "1234"]);
    refused(with(&|f| f.tensors[1].offset = Some(33)), "invalid_file", &[tensor, "multiple of 32"]);
    refused(with(&|f| f.tensors[1].offset = Some(0)), "invalid_file", &["overlaps"]);
    refused(with(&|f| f.tensors[1].offset = Some(64)), "invalid_file", &[tensor, "hole"]);
    refused(with(&|f| f.tensors[0].offset = Some(32)), "invalid_file", &["hole"]);
    refused(with(&|f| f.tensors[2].offset = Some(u64::MAX - 31)), "invalid_file", &["last.weight", "hole"]);
    refused(with(&|f| f.tensors[2].name = tensor.to_owned()), "invalid_file", &[tensor, "twice"]);
    refused(with(&|f| f.tensors[2].bytes = vec![]), "invalid_file", &["size", "truncated"]);
}

proptest! {
    /// Whatever bytes are changed: a header or an error, and no panic.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0usize..10_000, any::<u8>()), 1..8), cut in 0usize..10_000) {
        let mut bytes = sound().bytes();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if cut < bytes.len() {
            bytes.truncate(cut);
        }
        if let Ok(header) = read_bytes(bytes.clone()) {
            prop_assert!(header.file_len <= bytes.len() as u64);
        }
    }

    /// The same with whole fields, which reach further than single bytes do.
    #[test]
    fn changed_fields(at in 0usize..10_000, value in prop_oneof![any::<u64>(), 0u64..64, Just(u64::MAX), Just(1 << 60)], wide: bool) {
        let mut bytes = sound().bytes();
        let at = at % bytes.len();
        let field = value.to_le_bytes();
        let len = if wide { 8 } else { 4 }.min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&field[..len]);
        if let Ok(header) = read_bytes(bytes.clone()) {
            prop_assert!(header.file_len <= bytes.len() as u64);
        }
    }
}

/// A name that is a list's text must not be taken for a header.
#[test]
fn nothing_but_a_header_is_a_file_too() {
    let file = File::default().text("general.architecture", "llama");
    let header = read(&file.source()).unwrap();
    assert_eq!((header.tensors.len(), header.file_len), (0, file.bytes().len() as u64));
    assert_eq!(text("ab").len(), 10);
}
