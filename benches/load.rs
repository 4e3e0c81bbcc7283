//! How long a checkpoint takes to load, and how much memory the load needs besides the weights.
//!
//! `cargo bench --bench load` writes a checkpoint of MobileLLM-125M's shape with random bf16 weights to
//! `target/bench/mobilellm-125m`, unless it is there, and prints one JSON line for each weight format.
//! `cargo bench --bench load -- FOLDER` loads another checkpoint.

#![allow(clippy::unwrap_used, reason = "an error should end the benchmark")]

#[path = "../tests/common/counting.rs"]
mod counting;

use std::fs::{File, create_dir_all, read_to_string, write};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::load::names::{Field, Module, Name};
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};
use mobilellm::model::config::Config;
use serde_json::{Map, Value, json};

const CONFIG: &str = r#"{
  "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
  "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 32000, "rms_norm_eps": 1e-5,
  "rope_theta": 10000.0, "max_position_embeddings": 2048, "tie_word_embeddings": true
}"#;

/// A small tokenizer and a chat template, so that the page can load the folder too.
const TEXT_FILES: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"];

fn main() {
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = chosen.map_or_else(random_checkpoint, PathBuf::from);
    // A warm-up, so that the file is in the cache of the system for all formats.
    measure(&folder, WeightFormat::Auto);
    for format in WeightFormat::ALL {
        println!("{}", measure(&folder, format));
    }
}

fn measure(folder: &Path, weights: WeightFormat) -> Value {
    let before = counting::in_use();
    counting::start_peak();
    let start = Instant::now();
    let source = DirectorySource::new(folder).unwrap();
    let options = LoadOptions { backend: BackendChoice::Cpu, weights, ..LoadOptions::default() };
    let engine = pollster::block_on(Engine::load(&source, options)).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let (at_rest, peak) = (counting::in_use() - before, counting::peak() - before);
    let megabytes = |bytes: usize| (bytes as f64 / 1e5).round() / 10.0;
    json!({
        "weights": weights.name(),
        "parameters": engine.info().parameters,
        "load_s": (seconds * 1e3).round() / 1e3,
        "weights_mb": megabytes(engine.info().weight_bytes as usize),
        "at_rest_mb": megabytes(at_rest),
        "peak_mb": megabytes(peak),
        "extra_mb": megabytes(peak - at_rest),
    })
}

/// The folder of the random checkpoint. It is written if it does not exist.
fn random_checkpoint() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/bench/mobilellm-125m");
    // Written last, so that an interrupted checkpoint is written again.
    let config = folder.join("config.json");
    if read_to_string(&config).is_ok_and(|text| text == CONFIG) {
        return folder;
    }
    create_dir_all(&folder).unwrap();
    let fixture = root.join("tests/reference/fixtures/checkpoints/chat");
    for file in TEXT_FILES {
        std::fs::copy(fixture.join(file), folder.join(file)).unwrap();
    }
    write_weights(&folder.join("model.safetensors"), &Config::parse(CONFIG.as_bytes()).unwrap());
    write(config, CONFIG).unwrap();
    folder
}

fn write_weights(path: &Path, config: &Config) {
    let mut header = Map::new();
    let mut end = 0;
    for module in Module::all(config) {
        let (rows, cols) = module.shape(config);
        let shape = if module.vector().is_some() { json!([cols]) } else { json!([rows, cols]) };
        let begin = end;
        end += rows * cols * 2;
        let name = Name { module, field: Field::Weight }.path(config);
        header.insert(name, json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut state = 1u32;
    for _ in 0..end / 2 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) / 8.0;
        file.write_all(&half::bf16::from_f32(value).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}
