//! Control tokens as text, which no public function shows.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::container::gguf::{Header, Metadata};
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::memory::MemorySource;
use crate::tokenizer::Tokenizer;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/gguf_tokenizers");
    std::fs::read(folder.join(name)).unwrap()
}

fn metadata(name: &str) -> Metadata {
    let source = MemorySource::new().with(name, fixture(name));
    pollster::block_on(Header::of_file(&source, name, &Cancel::default())).unwrap().unwrap().metadata
}

#[test]
fn control_tokens_as_text_are_cut_like_text_and_user_defined_ones_are_still_found() {
    let expected: Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    for (file, key) in [("bpe.gguf", "smollm"), ("llama.gguf", "llama"), ("gemma.gguf", "gemma")] {
        let metadata = metadata(file);
        let tokens = metadata.strings(super::TOKENS).unwrap().unwrap().len();
        let mut tokenizer = Tokenizer::from_gguf(&metadata, tokens).unwrap();
        tokenizer.pipeline.set_encode_special_tokens(true);
        let rows = expected[key].as_array().unwrap().iter().filter(|row| row.get("as_text").is_some());
        for row in rows.clone() {
            let ids = tokenizer.encode(row["text"].as_str().unwrap(), true).unwrap();
            assert_eq!(serde_json::json!(ids), row["as_text"], "{file} {}", row["text"]);
        }
        assert!(rows.count() >= 2);
    }
}
