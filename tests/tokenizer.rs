//! Text to tokens and back, compared with what Hugging Face's tokenizers and SentencePiece make of the same text.

#![allow(clippy::unwrap_used)]

#[path = "common/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};

use mobilellm::Error;
use mobilellm::tokenizer::{Detokenizer, Tokenizer, TokenizerFiles};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::shared;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures")
}

fn read_files(folder: &Path) -> TokenizerFiles {
    let mut files = TokenizerFiles::default();
    for name in TokenizerFiles::NAMES {
        *files.slot(name).unwrap() = std::fs::read(folder.join(name)).ok();
    }
    files
}

fn load(folder: &Path, vocab_size: usize) -> Tokenizer {
    Tokenizer::load(&read_files(folder), vocab_size).unwrap()
}

fn fixture(name: &str) -> Tokenizer {
    let vocab_size = if name == "sentencepiece" { 1000 } else { 605 };
    load(&fixtures().join(name), vocab_size)
}

fn stream(detokenizer: Detokenizer, ids: &[u32]) -> String {
    let mut detokenizer = detokenizer;
    let mut text: String = ids.iter().filter_map(|id| detokenizer.push(*id)).collect();
    text.extend(detokenizer.finish());
    text
}

/// Compares with every row of an expectation; says all that differ.
fn compare(tokenizer: &Tokenizer, expected: &Path) {
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let rows = expected["strings"].as_array().unwrap();
    assert!(rows.len() > 300, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        if let Some(text) = row["text"].as_str() {
            let got = tokenizer.encode(text, true).unwrap();
            if got != ids {
                wrong.push(format!("encode {text:?}: {got:?}, not {ids:?}"));
            }
        }
        // SentencePiece's own text, where the slow tokenizer's differs for the worse.
        let text = row.get("decoded_by_sentencepiece").unwrap_or(&row["decoded_skip_special"]);
        let got = tokenizer.decode(&ids, true).unwrap();
        if got != *text {
            wrong.push(format!("decode {ids:?}: {got:?}, not {text}"));
        }
        assert_eq!(stream(tokenizer.detokenizer(), &ids), got, "streamed {ids:?}");
        if row.get("decoded_by_sentencepiece").is_none()
            && tokenizer.decode(&ids, false).unwrap() != row["decoded"]
        {
            wrong.push(format!("decode with special tokens: {ids:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn sentencepiece_is_the_slow_llama_tokenizer() {
    compare(&fixture("sentencepiece"), &fixtures().join("sentencepiece/expected.json"));
}

#[test]
fn other_sentencepiece_models_are_as_sentencepiece_has_them() {
    for name in ["user_defined", "unused", "char_map", "no_prefix"] {
        let path = fixtures().join("sentencepiece_variants").join(name);
        let files = TokenizerFiles {
            tokenizer_model: Some(std::fs::read(path.with_extension("model")).unwrap()),
            ..TokenizerFiles::default()
        };
        let tokenizer = Tokenizer::load(&files, 600).unwrap();
        let expected = std::fs::read(path.with_extension("json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let rows = expected["strings"].as_array().unwrap();
        assert!(rows.len() > 200, "{} rows", rows.len());
        for row in rows {
            let ids = tokenizer.encode(row["text"].as_str().unwrap(), false).unwrap();
            assert_eq!(json!(ids), row["ids"], "{name} {}", row["text"]);
            if let Some(text) = row.get("decoded") {
                assert_eq!(&json!(tokenizer.decode(&ids, true).unwrap()), text, "{name} {}", row["text"]);
            }
        }
    }
}

#[test]
fn the_familys_own_tokenizer_is_the_slow_llama_tokenizer() {
    let Some(folder) = shared("mobilellm-configs/125M") else { return };
    let tokenizer = load(&folder, 32000);
    compare(&tokenizer, &fixtures().join("expected_mobilellm.json"));
    assert_eq!((tokenizer.bos_token_id(), tokenizer.eos_token_ids()), (Some(1), &[2][..]));
    assert_eq!(tokenizer.kind(), "SentencePiece BPE");
}

#[test]
fn byte_level_is_what_tokenizers_makes() {
    for name in ["byte_level", "byte_level_split"] {
        compare(&fixture(name), &fixtures().join(name).join("expected.json"));
    }
}

#[test]
fn a_llama_tokenizer_json_with_byte_fallback() {
    let Some(folder) = shared("stories260k") else { return };
    let tokenizer = load(&folder, 512);
    let ids = tokenizer.encode("Once upon a time", true).unwrap();
    assert_eq!(ids, [1, 403, 407, 261, 378]);
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "Once upon a time");
    let emoji = tokenizer.encode("🦙", false).unwrap();
    assert_eq!(tokenizer.decode(&emoji, true).unwrap(), "🦙");
    assert_eq!(tokenizer.token(403).as_deref(), Some("▁Once"));
    assert_eq!(tokenizer.token_bytes(403), Some(&b" Once"[..]));
}

#[test]
fn a_continuation_keeps_the_space_between_words() {
    let tokenizer = fixture("sentencepiece");
    let (prompt, word) = (tokenizer.encode("Once", true).unwrap(), tokenizer.encode("upon", false).unwrap());
    assert_eq!(stream(tokenizer.detokenizer(), &word), "upon");
    assert_eq!(stream(tokenizer.detokenizer().after(&prompt), &word), " upon");
    assert_eq!(stream(tokenizer.detokenizer().after(&[1]), &word), "upon", "<s> is no text");
}

#[test]
fn half_a_character_is_held_back() {
    let tokenizer = fixture("sentencepiece");
    let byte = |byte: u8| tokenizer.token_id(&format!("<0x{byte:02X}>")).unwrap();
    let mut detokenizer = tokenizer.detokenizer();
    let pushed: Vec<Option<String>> = "🦙".bytes().map(|b| detokenizer.push(byte(b))).collect();
    assert_eq!(pushed, [None, None, None, Some("🦙".to_owned())]);
    assert_eq!(detokenizer.push(byte(0xE2)), None);
    assert_eq!(detokenizer.push(byte(0x82)), None);
    assert_eq!(detokenizer.push(byte(b'A')).as_deref(), Some("\u{FFFD}\u{FFFD}A"), "now it is certain");
    assert_eq!(detokenizer.push(byte(0xF0)), None);
    assert_eq!(detokenizer.push(1), None, "a special token is no text");
    assert_eq!(detokenizer.finish().as_deref(), Some("\u{FFFD}"));
}

#[test]
fn ids_beyond_the_vocabulary_are_errors_or_nothing() {
    let tokenizer = load(&fixtures().join("byte_level"), 509);
    assert!(matches!(tokenizer.decode(&[1, 509], true), Err(Error::Request { .. })));
    assert_eq!(tokenizer.decode(&[42, 505], true).unwrap(), "H", "the padding of the vocabulary has no text");
    for id in [505, 509, u32::MAX] {
        assert_eq!((tokenizer.token(id), tokenizer.token_bytes(id)), (None, None));
        assert_eq!(tokenizer.detokenizer().push(id), None);
    }
}

#[test]
fn a_vocabulary_larger_than_the_networks_is_refused() {
    for (name, vocab_size) in
        [("sentencepiece", 999), ("byte_level", 499), ("byte_level_split", 10), ("byte_level", 0)]
    {
        let error = Tokenizer::load(&read_files(&fixtures().join(name)), vocab_size).unwrap_err();
        assert_eq!(error.code(), "invalid_file", "{name}");
        assert!(error.to_string().contains(&vocab_size.to_string()), "{error}");
    }
}

#[test]
fn an_added_token_beyond_the_vocabulary_is_left_out() {
    let mut files = read_files(&fixtures().join("sentencepiece"));
    let with_pad = |id: u32| {
        json!({"added_tokens_decoder": {id.to_string(): {"content": "[PAD]", "special": true, "lstrip": false,
            "rstrip": false, "normalized": false, "single_word": false}}, "pad_token": "[PAD]"})
    };
    files.tokenizer_config = Some(with_pad(1000).to_string().into_bytes());
    let widened = Tokenizer::load(&files, 1001).unwrap();
    assert_eq!(widened.encode("[PAD]", true).unwrap(), [1, 1000]);
    let narrow = Tokenizer::load(&files, 1000).unwrap();
    assert!(narrow.encode("[PAD]", true).unwrap().len() > 2, "the text is ordinary now");
    assert_eq!(narrow.token(1000), None);
    // An id that leaves a gap cannot be where `tokenizers` puts the token.
    files.tokenizer_config = Some(with_pad(1005).to_string().into_bytes());
    assert!(matches!(Tokenizer::load(&files, 1010), Err(Error::Invalid { .. })));
}

#[test]
fn a_post_processor_with_an_unknown_token_is_refused() {
    let mut files = read_files(&fixtures().join("byte_level_split"));
    let json = String::from_utf8(files.tokenizer_json.take().unwrap()).unwrap();
    let mut json: Value = serde_json::from_str(&json).unwrap();
    *json.pointer_mut("/post_processor/processors/1/special_tokens/<|begin_of_text|>/ids").unwrap() =
        json!([4000]);
    files.tokenizer_json = Some(json.to_string().into_bytes());
    let error = Tokenizer::load(&files, 605).unwrap_err();
    assert!(error.to_string().contains("4000"), "{error}");
}

#[test]
fn settings_decide_what_is_put_around_a_text() {
    let mut files = read_files(&fixtures().join("sentencepiece"));
    for (bos, eos, expected) in [
        (true, true, &[1, 300, 2][..]),
        (false, true, &[300, 2]),
        (false, false, &[300]),
        (true, false, &[1, 300]),
    ] {
        files.tokenizer_config =
            Some(json!({"add_bos_token": bos, "add_eos_token": eos}).to_string().into_bytes());
        let tokenizer = Tokenizer::load(&files, 1000).unwrap();
        assert_eq!(tokenizer.encode("I", true).unwrap(), expected);
        assert_eq!(tokenizer.encode("I", false).unwrap(), [300]);
    }
    files.tokenizer_config = None;
    files.special_tokens_map = None;
    let bare = Tokenizer::load(&files, 1000).unwrap();
    assert_eq!(bare.encode("I</s>", true).unwrap(), [1, 300, 2], "LlamaTokenizer's defaults");
    assert_eq!(bare.eos_token_ids(), [2]);
}

#[test]
fn a_newer_llama_puts_one_space_before_everything() {
    let mut files = read_files(&fixtures().join("sentencepiece"));
    let config = String::from_utf8(files.tokenizer_config.take().unwrap()).unwrap();
    let config = config.replace(r#""legacy": true"#, r#""legacy": false"#);
    files.tokenizer_config = Some(config.into_bytes());
    let tokenizer = Tokenizer::load(&files, 1000).unwrap();
    // Of transformers 4.57.6 with legacy=False.
    let expected: [(&str, &[u32]); 8] = [
        ("", &[1]),
        (" ", &[1, 289]),
        (" Hello", &[1, 749, 335, 384, 753]),
        ("▁Hello", &[1, 749, 335, 384, 753]),
        ("<s></s>", &[1, 1, 2]),
        ("<s> </s>", &[1, 1, 749, 2]),
        ("<s>Hello", &[1, 1, 780, 384, 753]),
        ("Hello\n</s>\n", &[1, 335, 384, 753, 13, 2, 13]),
    ];
    for (text, ids) in expected {
        assert_eq!(tokenizer.encode(text, true).unwrap(), ids, "{text:?}");
    }
}

#[test]
fn ends_come_from_all_files() {
    let tokenizer = load(&fixtures().join("checkpoints/chat"), 509);
    assert!(tokenizer.eos_token_ids().len() > 1, "{:?}", tokenizer.eos_token_ids());
    let mut files = read_files(&fixtures().join("byte_level"));
    files.generation_config = Some(br#"{"eos_token_id": [0, 2, 99999]}"#.to_vec());
    let tokenizer = Tokenizer::load(&files, 500).unwrap();
    assert_eq!(tokenizer.eos_token_ids(), [0, 2], "an end that no token is cannot come up");
    assert_eq!(tokenizer.special_ids().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn broken_files_are_typed_errors() {
    let whole = read_files(&fixtures().join("byte_level"));
    let with =
        |json: &str| TokenizerFiles { tokenizer_json: Some(json.as_bytes().to_vec()), ..Default::default() };
    let cases = [
        (TokenizerFiles::default(), "missing_file"),
        (with(""), "invalid_file"),
        (with("<!DOCTYPE html>"), "invalid_file"),
        (with("{}"), "invalid_file"),
        (with(&format!(r#"{{"decoder": {}"#, "[".repeat(100_000))), "invalid_file"),
        (with(r#"{"decoder": {"type": "WordPiece"}, "model": {}}"#), "unsupported"),
        (with(r#"{"model": {"type": "Huffman"}}"#), "unsupported"),
        (with(r#"{"model": {"type": "BPE", "vocab": {}, "merges": []}}"#), "invalid_file"),
        (with(r#"{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}"#), "invalid_file"),
        (with(r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a a"]}}"#), "invalid_file"),
        (with(r#"{"model": {"type": "BPE", "vocab": {"a": 4294967295}, "merges": []}}"#), "invalid_file"),
        (
            with(
                r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"], "continuing_subword_prefix": "aa"}}"#,
            ),
            "invalid_file",
        ),
        (TokenizerFiles { tokenizer_config: Some(b"[]".to_vec()), ..whole.clone() }, "invalid_file"),
        (
            TokenizerFiles { tokenizer_config: Some(br#"{"eos_token": 3}"#.to_vec()), ..whole.clone() },
            "invalid_file",
        ),
        (TokenizerFiles { chat_template: Some(vec![0xFF]), ..whole }, "invalid_file"),
        (TokenizerFiles { tokenizer_model: Some(Vec::new()), ..Default::default() }, "unsupported"),
        (TokenizerFiles { tokenizer_model: Some(vec![0xFF; 40]), ..Default::default() }, "invalid_file"),
    ];
    for (files, code) in cases {
        let error = Tokenizer::load(&files, 1000).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn parts_that_make_the_library_panic_are_refused_by_name() {
    let replace = json!({"type": "Replace", "pattern": {"Regex": "a*"}, "content": "x"});
    for (field, part, name) in [
        ("normalizer", json!({"type": "Precompiled"}), "Precompiled"),
        ("normalizer", json!({"type": "Sequence", "normalizers": [replace]}), "Replace"),
        // Without a type that the library knows, the fields decide what a part is.
        ("normalizer", json!({"type": [], "pattern": {"String": ""}, "content": "x"}), "Replace"),
        ("pre_tokenizer", json!([{"length": 0}]), "FixedLength"),
    ] {
        let mut files = read_files(&fixtures().join("byte_level"));
        let mut json: Value = serde_json::from_slice(files.tokenizer_json.as_ref().unwrap()).unwrap();
        json[field] = part;
        files.tokenizer_json = Some(json.to_string().into_bytes());
        let error = Tokenizer::load(&files, 1000).unwrap_err();
        assert!(error.to_string().contains(&format!("its {name}")), "{error}");
    }
}

#[test]
fn very_long_texts_come_through() {
    for name in ["sentencepiece", "byte_level", "byte_level_split"] {
        let tokenizer = fixture(name);
        for unit in ["a", " ", "\n", "ab ", "é", "<s>"] {
            let text = unit.repeat(300_000 / unit.len());
            let ids = tokenizer.encode(&text, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text, "{name} {unit:?}");
        }
    }
}

/// Text that has broken tokenizers before, more often than chance would have it.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        2 => " {1,20}",
        1 => "[ \t\r\n]{1,6}",
        1 => "\\PC{1,4}",
        1 => Just("<s>".to_owned()),
        1 => Just("▁".to_owned()),
        1 => Just("<0x0A>".to_owned()),
        1 => Just("👩‍👩‍👧e\u{301}日本".to_owned()),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Pointers to all values of a tokenizer.json, of the vocabulary and the merges only to some.
fn places(json: &Value) -> Vec<String> {
    fn collect(value: &Value, pointer: &str, places: &mut Vec<String>) {
        if !pointer.is_empty() {
            places.push(pointer.to_owned());
        }
        let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(fields) => {
                fields
                    .iter()
                    .take(12)
                    .for_each(|(key, value)| collect(value, &format!("{pointer}/{}", escape(key)), places));
            }
            Value::Array(items) => {
                (0..)
                    .zip(items)
                    .take(8)
                    .for_each(|(i, item): (usize, _)| collect(item, &format!("{pointer}/{i}"), places));
            }
            _ => {}
        }
    }
    let mut places = Vec::new();
    collect(json, "", &mut places);
    places
}

proptest! {
    #[test]
    fn texts_survive_the_round_trip(text in text()) {
        for name in ["byte_level", "byte_level_split"] {
            let tokenizer = fixture(name);
            let ids = tokenizer.encode(&text, false).unwrap();
            prop_assert_eq!(&tokenizer.decode(&ids, false).unwrap(), &text);
        }
        // SentencePiece reads the sign for a space as a space, and stretches after special tokens get a dummy space.
        let text = text.replace('▁', " ").replace("<s>", "");
        let tokenizer = fixture("sentencepiece");
        let ids = tokenizer.encode(&text, true).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    }

    #[test]
    fn streaming_is_decoding(ids in proptest::collection::vec(prop_oneof![0u32..1000, 3u32..259, 0u32..3], 0..60)) {
        for name in ["sentencepiece", "byte_level", "byte_level_split"] {
            let tokenizer = fixture(name);
            let ids: Vec<u32> = ids.iter().map(|id| id % 500).collect();
            prop_assert_eq!(stream(tokenizer.detokenizer(), &ids), tokenizer.decode(&ids, true).unwrap());
            // A prompt and its continuation are the text of both.
            let (prompt, rest) = ids.split_at(ids.len() / 2);
            let prompt_text = tokenizer.decode(prompt, true).unwrap();
            if !prompt_text.contains(char::REPLACEMENT_CHARACTER) {
                let joined = prompt_text + &stream(tokenizer.detokenizer().after(prompt), rest);
                prop_assert_eq!(joined, tokenizer.decode(&ids, true).unwrap());
            }
        }
    }

    #[test]
    fn settings_that_contradict_each_other_never_panic(
        name in prop::sample::select(vec!["byte_level", "byte_level_split"]),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
        text in text(),
    ) {
        let mut files = read_files(&fixtures().join(name));
        let mut json: Value = serde_json::from_slice(files.tokenizer_json.as_ref().unwrap()).unwrap();
        for (place, value) in changes {
            let places = places(&json);
            let values = [
                json!(null), json!(true), json!(0), json!(-1), json!(1), json!(1e300), json!(u32::MAX), json!(""), json!("a"),
                json!("Ġ"), json!("(?:a|a)*b"), json!("("), json!([]), json!({}), json!(["a", "a"]), json!({"String": ""}),
                json!({"type": "Sequence", "normalizers": [], "pretokenizers": [], "processors": [], "decoders": []}),
                json!({"type": "Replace", "pattern": {"String": ""}, "content": "x"}),
                json!({"type": "Replace", "pattern": {"Regex": "a*"}, "content": "x"}),
                json!({"type": "FixedLength", "length": 0}), json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
                json!({"type": "Metaspace", "replacement": "a", "prepend_scheme": "always", "split": true}),
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
                json!({"type": "BertProcessing", "sep": ["a", 5000], "cls": ["b", 1]}),
                json!({"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0], ["b", -1.0]]}),
                json!({"type": "WordLevel", "unk_token": "?", "vocab": {"a": 3}}),
                json!({"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 0,
                    "vocab": {"a": 3}}),
            ];
            *json.pointer_mut(&places[place.index(places.len())]).unwrap() = value.get(&values).clone();
        }
        files.tokenizer_json = Some(json.to_string().into_bytes());
        if let Ok(tokenizer) = Tokenizer::load(&files, 1000)
            && let Ok(ids) = tokenizer.encode(&text, true)
        {
            prop_assert!(ids.iter().all(|id| *id < 1000));
            prop_assert!(tokenizer.decode(&ids, false).is_ok());
        }
    }

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec!["sentencepiece", "byte_level", "byte_level_split"]),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        text in text(),
    ) {
        let mut files = read_files(&fixtures().join(name));
        let file = if name == "sentencepiece" { &mut files.tokenizer_model } else { &mut files.tokenizer_json };
        let bytes = file.as_mut().unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(tokenizer) = Tokenizer::load(&files, 1000)
            && let Ok(ids) = tokenizer.encode(&text, true)
        {
            prop_assert!(ids.iter().all(|id| *id < 1000));
            prop_assert!(tokenizer.decode(&ids, false).is_ok());
        }
    }
}
