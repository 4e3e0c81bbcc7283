//! Tokenizers of GGUF files, compared with those from which the files were made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/gguf.rs"]
mod gguf;

use std::path::{Path, PathBuf};

use gguf::{File, list};
use mobilellm::Error;
use mobilellm::checkpoint::container::gguf::{Header, List, Metadata, Value as Stored};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::tokenizer::Tokenizer;
use proptest::prelude::*;
use serde_json::Value;

fn read(file: &Path) -> Metadata {
    let source = DirectorySource::new(file.parent().unwrap()).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let header = pollster::block_on(Header::of_file(&source, name, &Cancel::default()));
    header.unwrap().expect("the file is there").metadata
}

fn tokenizer(metadata: &Metadata) -> Result<Tokenizer, Error> {
    let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    Tokenizer::from_gguf(metadata, tokens.len())
}

/// Compares with texts and their ids; says all that differ.
fn compare(tokenizer: &Tokenizer, rows: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows.as_array().unwrap() {
        let text = row["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        let got = tokenizer.encode(text, true).unwrap();
        if got != ids {
            let at = got.iter().zip(&ids).take_while(|(got, id)| got == id).count();
            let some = |ids: &[u32]| ids.iter().skip(at).take(20).copied().collect::<Vec<_>>();
            let text: String = text.chars().take(200).collect();
            wrong.push(format!("{text:?} from token {at} on: {:?}, not {:?}", some(&got), some(&ids)));
        }
        if let Some(text) = row.get("decoded")
            && tokenizer.decode(&ids, true).unwrap() != *text
        {
            wrong.push(format!("decode {ids:?}: {:?}, not {text}", tokenizer.decode(&ids, true).unwrap()));
        }
    }
    wrong
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/gguf_tokenizers").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap()
}

/// The same metadata with another value under a key; `None` takes the key away.
fn with(metadata: &Metadata, key: &str, value: Option<Stored>) -> Metadata {
    let mut changed = Metadata::new(metadata.file());
    for (other, value) in metadata.iter().filter(|(other, _)| *other != key) {
        changed.insert(other, value.clone()).unwrap();
    }
    if let Some(value) = value {
        changed.insert(key, value).unwrap();
    }
    changed
}

fn with_text(metadata: &Metadata, key: &str, text: &str) -> Metadata {
    with(metadata, key, Some(Stored::Text(text.to_owned())))
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_name_of_a_pre_tokenizer_cuts_as_the_models_own_tokenizer() {
    let metadata = read(&fixture("bpe.gguf"));
    let expected = expected();
    let mut wrong = Vec::new();
    for (name, rows) in expected.as_object().unwrap() {
        if matches!(name.as_str(), "llama" | "gemma") {
            continue;
        }
        let metadata = with_text(&metadata, "tokenizer.ggml.pre", name);
        let differ = compare(&tokenizer(&metadata).unwrap(), rows);
        wrong.extend(differ.into_iter().map(|line| format!("{name}: {line}")));
    }
    assert_none(&wrong);
}

#[test]
fn names_that_mean_the_same() {
    let metadata = read(&fixture("bpe.gguf"));
    let text = "I'LL pay 12345 for the tower's capital,  e\u{301}!\n\n";
    let ids = |name: &str| {
        tokenizer(&with_text(&metadata, "tokenizer.ggml.pre", name)).unwrap().encode(text, true).unwrap()
    };
    for (name, same) in [
        ("phi-2", "gpt-2"),
        ("refact", "smollm"),
        ("starcoder", "smollm"),
        ("llama3", "llama-bpe"),
        ("llama-v3", "llama-bpe"),
        ("lfm2", "llama-bpe"),
        ("smaug-bpe", "llama-bpe"),
        ("llama4", "gpt-4o"),
    ] {
        assert_eq!(ids(name), ids(same), "{name}");
    }
}

#[test]
fn pieces_merge_by_their_scores_or_by_a_list_of_merges() {
    for name in ["llama.gguf", "llama_merges.gguf"] {
        let tokenizer = tokenizer(&read(&fixture(name))).unwrap();
        assert_eq!(tokenizer.kind(), "SentencePiece BPE");
        assert_none(&compare(&tokenizer, &expected()["llama"]));
    }
}

#[test]
fn gemmas_spaces_newlines_and_tabs() {
    let tokenizer = tokenizer(&read(&fixture("gemma.gguf"))).unwrap();
    assert_none(&compare(&tokenizer, &expected()["gemma"]));
    let text = "  two  spaces\n\n\t\tx ";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text, true).unwrap(), true).unwrap(), text);
}

#[test]
fn phi_3s_control_tokens_take_the_space_behind_them() {
    let llama = read(&fixture("llama.gguf"));
    let phi3 = with_text(&llama, "general.architecture", "phi3");
    let ids = |metadata: &Metadata, text: &str| tokenizer(metadata).unwrap().encode(text, true).unwrap();
    assert_eq!(ids(&phi3, "<|end|>\n <|im_end|> Hi"), ids(&llama, "<|end|><|im_end|>Hi"));
    assert_eq!(ids(&phi3, "<s> Hi <tool> you"), ids(&llama, "<s> Hi <tool> you"));
    assert_ne!(ids(&llama, "<|end|>\nHi"), ids(&llama, "<|end|>Hi"));
}

/// Folders of files NAME.gguf (or NAME-00001-of-0000N.gguf) beside NAME.texts.json.
#[test]
fn files_of_other_software() {
    let Some(folder) = std::env::var_os("MOBILELLM_GGUF_TEXTS") else {
        println!("skipped: MOBILELLM_GGUF_TEXTS names no folder");
        return;
    };
    let mut texts: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".texts.json"))
        .collect();
    texts.sort();
    assert!(!texts.is_empty());
    let mut wrong = Vec::new();
    for expected in texts {
        let name = expected.to_str().unwrap().strip_suffix(".texts.json").unwrap();
        let file = ["", "-00001-of-00002", "-00001-of-00003"]
            .iter()
            .map(|part| PathBuf::from(format!("{name}{part}.gguf")))
            .find(|path| path.exists())
            .unwrap();
        let metadata = read(&file);
        let start = std::time::Instant::now();
        let tokenizer = tokenizer(&metadata).unwrap();
        println!("{name}: {:?}, ends {:?}", start.elapsed(), tokenizer.eos_token_ids());
        let start = std::time::Instant::now();
        let expected: Value = serde_json::from_slice(&std::fs::read(&expected).unwrap()).unwrap();
        let differ = compare(&tokenizer, &expected["texts"]);
        if let Some(template) = expected.get("chat_template") {
            assert_eq!(tokenizer.chat_template(None).unwrap(), template);
        }
        println!("   compared in {:?}", start.elapsed());
        if !differ.is_empty() {
            wrong.push(format!("{name}: {} differ:\n{}", differ.len(), differ.join("\n")));
        }
    }
    assert_none(&wrong);
}

/// A sound file of the kind, and wrong values for its keys: the error names the file and the key, and says what is wrong.
#[test]
fn wrong_metadata_are_typed_errors() {
    let texts =
        |texts: &[&str]| Some(Stored::List(List::Texts(texts.iter().map(|t| (*t).to_owned()).collect())));
    let bpe = "bpe.gguf";
    let llama = "llama.gguf";
    let id = |id: u64| Some(Stored::Unsigned(id));
    let cases: Vec<(&str, &str, Option<Stored>, &str)> = vec![
        (bpe, "tokenizer.ggml.tokens", None, "missing"),
        (bpe, "tokenizer.ggml.tokens", texts(&[]), "empty"),
        (bpe, "tokenizer.ggml.tokens", texts(&["a", "b"]), "2 tokens"),
        (bpe, "tokenizer.ggml.tokens", id(3), "list of strings"),
        (bpe, "tokenizer.ggml.token_type", None, "missing"),
        (bpe, "tokenizer.ggml.token_type", texts(&["1"]), "whole numbers"),
        (bpe, "tokenizer.ggml.merges", None, "missing"),
        (bpe, "tokenizer.ggml.merges", texts(&["a b c"]), "not two pieces"),
        (bpe, "tokenizer.ggml.merges", texts(&["ab"]), "not two pieces"),
        (bpe, "tokenizer.ggml.merges", texts(&[" a"]), "not two pieces"),
        (bpe, "tokenizer.ggml.merges", texts(&["a "]), "not two pieces"),
        (bpe, "tokenizer.ggml.merges", texts(&[""]), "not two pieces"),
        (bpe, "tokenizer.ggml.merges", texts(&["q zqz"]), "does not make a token"),
        (bpe, "tokenizer.ggml.merges", texts(&["<|im _start|>"]), "vocabulary"),
        (bpe, "tokenizer.ggml.pre", Some(Stored::Text("qwen9".to_owned())), "\"qwen9\" is not supported"),
        (bpe, "tokenizer.ggml.pre", None, "not supported"),
        (bpe, "tokenizer.ggml.pre", id(1), "a string"),
        (bpe, "tokenizer.ggml.model", Some(Stored::Text("bert".to_owned())), "\"bert\" is not supported"),
        (bpe, "tokenizer.ggml.add_space_prefix", Some(Stored::Flag(true)), "not supported"),
        (bpe, "tokenizer.ggml.add_bos_token", id(1), "true or false"),
        (bpe, "tokenizer.ggml.bos_token_id", id(5000), "no token 5000"),
        (bpe, "tokenizer.ggml.eot_token_id", id(1 << 40), "from 0 to"),
        (bpe, "tokenizer.ggml.eos_token_id", Some(Stored::Signed(-7)), "from 0 to"),
        (bpe, "tokenizer.chat_template", id(1), "a string"),
        (bpe, "tokenizer.chat_template.tool_use", id(1), "a string"),
        (llama, "tokenizer.ggml.scores", None, "no merges"),
        (llama, "tokenizer.ggml.scores", texts(&["a"]), "numbers"),
        (llama, "tokenizer.ggml.precompiled_charsmap", id(1), "not supported"),
        (llama, "tokenizer.ggml.bos_token_id", id(none()), "missing"),
        (llama, "tokenizer.ggml.unknown_token_id", id(99_999), "no token 99999"),
    ];
    for (file, key, value, problem) in cases {
        let sound = read(&fixture(file));
        let num_tokens = sound.strings("tokenizer.ggml.tokens").unwrap().unwrap().len();
        let wrong = with(&sound, key, value);
        let error = Tokenizer::from_gguf(&wrong, num_tokens).unwrap_err();
        let said = error.to_string();
        assert!(["invalid_file", "unsupported"].contains(&error.code()), "{said}");
        assert!(said.contains(file) && said.contains(problem), "{key}: {said}");
        // The two lists must be of one length; either may be the wrong one.
        let key = if said.contains("there are 2 tokens") { "tokenizer.ggml.token_type" } else { key };
        assert!(said.contains(key), "{key}: {said}");
    }
}

/// The format's "no such token".
fn none() -> u64 {
    u64::from(u32::MAX)
}

#[test]
fn wrong_lists_are_typed_errors() {
    let sound = |tokens: &[&str], kinds: &[i32], scores: &[f32]| {
        let kinds_bytes: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_le_bytes()).collect();
        let scores_bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
        let source = File::default()
            .text("tokenizer.ggml.model", "llama")
            .texts("tokenizer.ggml.tokens", tokens)
            .key("tokenizer.ggml.token_type", list(5, kinds.len() as u64, &kinds_bytes))
            .key("tokenizer.ggml.scores", list(6, scores.len() as u64, &scores_bytes))
            .source();
        let header = pollster::block_on(Header::of_file(&source, "tiny.gguf", &Cancel::default()));
        Tokenizer::from_gguf(&header.unwrap().unwrap().metadata, 10)
    };
    let fails = |tokens: &[&str], kinds: &[i32], scores: &[f32]| {
        sound(tokens, kinds, scores).unwrap_err().to_string()
    };
    let tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab"];
    let kinds = [2, 3, 3, 1, 1, 1];
    let scores = [0.0, 0.0, 0.0, -1.0, -2.0, 0.0];
    let tokenizer = sound(&tokens, &kinds, &scores).unwrap();
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [0, 5]);
    assert_eq!((tokenizer.bos_token_id(), tokenizer.eos_token_ids()), (Some(1), &[2][..]));
    let huge = "x".repeat(3 << 20);
    let errors = [
        (fails(&tokens, &kinds[..5], &scores), "token_type", "5 entries"),
        (fails(&tokens, &kinds, &scores[..5]), "scores", "5 entries"),
        (fails(&tokens, &[2, 3, 3, 1, 1, 7], &scores), "token_type", "type 7"),
        (fails(&tokens, &[2, 3, 3, 1, 1, -1], &scores), "token_type", "type -1"),
        (fails(&tokens, &[2, 3, 3, 1, 1, 6], &scores), "tokens", "there is no byte <0x00>"),
        (fails(&tokens, &kinds, &[0.0, 0.0, 0.0, -1.0, f32::NAN, 0.0]), "scores", "token 4"),
        (fails(&tokens, &kinds, &[0.0, 0.0, f32::INFINITY, -1.0, 0.0, 0.0]), "scores", "token 2"),
        (fails(&["<unk>", "<s>", "</s>", "a", "a", "ab"], &kinds, &scores), "tokens", "tokens 3 and 4"),
        (
            fails(&["?", "<s>", "</s>", "a", "b", "ab"], &[3, 3, 3, 1, 1, 1], &scores),
            "unknown_token_id",
            "missing",
        ),
        (fails(&["<unk>", "<s>", "</s>", "", "b", "ab"], &kinds, &scores), "tokens", "empty"),
        (fails(&["<unk>", "<s>", &huge, "a", "b", "ab"], &kinds, &scores), "tokens", "bytes"),
        (fails(&tokens.repeat(2), &kinds.repeat(2), &scores.repeat(2)), "tokens", "12 tokens"),
    ];
    for (said, key, problem) in errors {
        assert!(
            said.contains(&format!("tiny.gguf: tokenizer.ggml.{key}")) && said.contains(problem),
            "{said}"
        );
    }
}

#[test]
fn a_file_without_a_vocabulary_has_no_tokenizer() {
    for model in [None, Some("none"), Some("no_vocab")] {
        let value = model.map(|model| Stored::Text(model.to_owned()));
        let metadata = with(&read(&fixture("bpe.gguf")), "tokenizer.ggml.model", value);
        let error = Tokenizer::from_gguf(&metadata, 100).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    }
}

#[test]
fn what_begins_and_ends_a_text() {
    let metadata = read(&fixture("bpe.gguf"));
    let flag = |metadata: &Metadata, key: &str, flag| with(metadata, key, flag);
    let plain = tokenizer(&metadata).unwrap();
    assert_eq!((plain.bos_token_id(), plain.eos_token_ids()), (Some(0), &[0, 2][..]));
    assert_eq!(plain.encode("a", true).unwrap(), plain.encode("a", false).unwrap());

    // The name of the pre-tokenizer says it where the file does not.
    let unsaid = flag(&metadata, "tokenizer.ggml.add_bos_token", None);
    let bos = |pre: &str| {
        let metadata = with_text(&unsaid, "tokenizer.ggml.pre", pre);
        tokenizer(&metadata).unwrap().encode("a", true).unwrap().len() == 2
    };
    assert!(bos("llama-bpe") && bos("lfm2") && bos("tekken"));
    assert!(!bos("smollm") && !bos("qwen2") && !bos("smaug-bpe") && !bos("dbrx"));

    let both = flag(&metadata, "tokenizer.ggml.add_bos_token", Some(Stored::Flag(true)));
    let both = flag(&both, "tokenizer.ggml.add_eos_token", Some(Stored::Flag(true)));
    let ids = tokenizer(&both).unwrap().encode("a", true).unwrap();
    assert_eq!((ids.len(), ids[0], ids[2]), (3, 0, 2));

    // A token that ends a turn may have any name.
    let named = with(&metadata, "tokenizer.ggml.eot_token_id", Some(Stored::Unsigned(1)));
    assert_eq!(tokenizer(&named).unwrap().eos_token_ids(), [0, 1, 2]);
}

#[test]
fn chat_templates_by_name() {
    let metadata = with_text(&read(&fixture("bpe.gguf")), "tokenizer.chat_template.tool_use", "tools");
    let tokenizer = tokenizer(&metadata).unwrap();
    assert!(tokenizer.chat_template(None).unwrap().contains("im_start"));
    assert_eq!(tokenizer.chat_template(Some("tool_use")).unwrap(), "tools");
    assert!(tokenizer.chat_template(Some("rag")).is_err());
}

#[test]
fn tokens_that_fill_a_gap_are_no_tokens() {
    let metadata = read(&fixture("bpe.gguf"));
    let tokenizer = tokenizer(&metadata).unwrap();
    let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    let last = tokens.len() as u32 - 1;
    assert_eq!((tokens[last as usize].as_str(), tokenizer.token(last)), ("[PAD1]", None));
    assert_eq!((tokenizer.token_id("[PAD1]"), tokenizer.num_tokens()), (None, tokens.len() - 1));
    assert_eq!(tokenizer.decode(&[last, last - 1], false).unwrap(), "<tool>");
    assert!(tokenizer.is_special(1) && !tokenizer.is_special(last - 1));
}

#[test]
fn a_word_without_end_takes_no_quadratic_time() {
    for file in ["bpe.gguf", "llama.gguf", "gemma.gguf"] {
        let tokenizer = tokenizer(&read(&fixture(file))).unwrap();
        for text in ["a", "the", " ", "\n", "1", "東", "!", "aB"] {
            let text = text.repeat(100_000 / text.len());
            let start = std::time::Instant::now();
            let ids = tokenizer.encode(&text, false).unwrap();
            // A quadratic way takes minutes.
            assert!(start.elapsed().as_secs() < 10, "{file} {:?}", &text[..6]);
            assert_eq!(tokenizer.decode(&ids, true).unwrap().len(), text.len());
        }
    }
}

fn wrong_value() -> impl Strategy<Value = Option<Stored>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|value| Some(Stored::Unsigned(value))),
        (0u64..1200).prop_map(|value| Some(Stored::Unsigned(value))),
        any::<i64>().prop_map(|value| Some(Stored::Signed(value))),
        any::<bool>().prop_map(|value| Some(Stored::Flag(value))),
        ".{0,12}".prop_map(|value| Some(Stored::Text(value))),
        proptest::collection::vec("[a-c ]{0,4}", 0..40)
            .prop_map(|texts| Some(Stored::List(List::Texts(texts)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Some keys of a sound file hold something else: an error, or a tokenizer that works.
    #[test]
    fn damaged_metadata_never_panic(
        file in 0usize..4,
        changes in proptest::collection::vec((0usize..100, wrong_value()), 1..4),
        swaps in proptest::collection::vec((0usize..4000, 0usize..4000), 0..3),
    ) {
        let sound = read(&fixture(["bpe.gguf", "llama.gguf", "llama_merges.gguf", "gemma.gguf"][file]));
        let keys: Vec<String> = sound.iter().map(|(key, _)| key.to_owned()).collect();
        let mut metadata = sound;
        for (key, value) in changes {
            metadata = with(&metadata, &keys[key % keys.len()], value);
        }
        for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
            let Some(Stored::List(List::Texts(texts))) = metadata.get(key) else { continue };
            let mut texts = texts.clone();
            for (a, b) in &swaps {
                if !texts.is_empty() {
                    let (a, b) = (a % texts.len(), b % texts.len());
                    texts.swap(a, b);
                }
            }
            metadata = with(&metadata, key, Some(Stored::List(List::Texts(texts))));
        }
        if let Ok(tokenizer) = Tokenizer::from_gguf(&metadata, 1200) {
            let ids = tokenizer.encode("the <tool><|im_end|> 12 é\n\n", true).unwrap();
            prop_assert!(ids.iter().all(|id| *id < 1200));
            tokenizer.decode(&ids, false).unwrap();
        }
    }
}
