//! Small changes to a tiny checkpoint: the right logits, or an error that says what is wrong.

use std::collections::BTreeMap;

use mobilellm::backend::Wanted;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::source::memory::MemorySource;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::{all_hold, folder, lines};

/// The group of tensors that a name belongs to; those of a group are there only where the case keeps them.
fn group(name: &str) -> Option<&'static str> {
    let ends = |list: &[&str]| list.iter().any(|end| name.ends_with(end));
    match name {
        _ if name.starts_with("lm_head_equal.") => Some("lm_head_equal"),
        _ if name.starts_with("lm_head.") => Some("lm_head"),
        _ if ends(&["o_proj.bias"]) => Some("o_bias"),
        _ if ends(&["q_proj.bias", "k_proj.bias", "v_proj.bias"]) => Some("qkv_bias"),
        _ if ends(&["gate_proj.bias", "up_proj.bias", "down_proj.bias"]) => Some("mlp_bias"),
        _ => None,
    }
}

/// The patterns of the cases are `^` and `^model\.`.
fn renamed(name: String, rules: &Value) -> String {
    rules.as_array().into_iter().flatten().fold(name, |name, rule| {
        let from = rule[0].as_str().unwrap().trim_start_matches('^').replace("\\.", ".");
        match name.strip_prefix(&from) {
            Some(rest) => format!("{}{rest}", rule[1].as_str().unwrap()),
            None => name,
        }
    })
}

fn source(case: &Value) -> MemorySource {
    let tiny = folder().join("tiny");
    let mut config: serde_json::Map<String, Value> =
        serde_json::from_slice(&std::fs::read(tiny.join("config.json")).unwrap()).unwrap();
    for field in case["remove"].as_array().into_iter().flatten() {
        config.remove(field.as_str().unwrap());
    }
    config.extend(case["config"].as_object().cloned().unwrap_or_default());
    let file = format!("{}.safetensors", case["weights"].as_str().unwrap_or("model"));
    let bytes = std::fs::read(tiny.join(file)).unwrap();
    let tensors: BTreeMap<String, TensorView<'_>> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .filter(|(name, _)| {
            let kept = |group| case["keep"].as_array().is_some_and(|keep| keep.contains(&Value::from(group)));
            group(name).is_none_or(kept)
        })
        .map(|(name, view)| (renamed(name.replace("lm_head_equal.", "lm_head."), &case["rename"]), view))
        .collect();
    let mut source = MemorySource::new()
        .with("config.json", serde_json::to_vec(&config).unwrap())
        .with("model.safetensors", safetensors::serialize(tensors, None).unwrap());
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        source = source.with(name, std::fs::read(tiny.join(name)).unwrap());
    }
    match &case["generation_config"] {
        Value::Null => source,
        generation => source.with("generation_config.json", generation.to_string()),
    }
}

fn load(case: &Value) -> mobilellm::Result<Engine> {
    let options =
        LoadOptions { backend: BackendChoice::Cpu, weights: WeightFormat::F32, ..LoadOptions::default() };
    pollster::block_on(Engine::load(&source(case), options))
}

/// What an error should say and does not, or says and should not.
fn misses(error: &str, expect: &Value) -> Option<String> {
    let error = error.to_lowercase();
    let says = |word: &Value| error.contains(&word.as_str().unwrap().to_lowercase());
    let said = |words: &Value| words.as_array().map_or_else(|| says(words), |any| any.iter().any(says));
    let mentions = expect["error_mentions"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(words) = mentions.iter().find(|words| !said(words)) {
        return Some(format!("the error does not say {words}: {error}"));
    }
    let avoids = expect["error_avoids"].as_array().map_or(&[][..], Vec::as_slice);
    avoids.iter().find(|word| says(word)).map(|word| format!("the error says {word}: {error}"))
}

fn logits_differ(engine: &Engine, name: &str) -> Option<String> {
    let tokens: Vec<u32> =
        serde_json::from_slice(&std::fs::read(folder().join("tiny/tokens.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder().join("tiny/expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let expected = expected.tensor(name).unwrap();
    let expected = expected.data().chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
    let actual = pollster::block_on(engine.state().unwrap().forward(&tokens, Wanted::All)).unwrap();
    let largest = expected.clone().fold(0.0f32, |max, value| max.max(value.abs()));
    let worst = actual.iter().zip(expected).fold(0.0f32, |max, (a, e)| max.max((a - e).abs())) / largest;
    (worst > 1e-3).then(|| format!("off by {worst} of the largest logit of {name}"))
}

fn reports_differ(engine: &Engine, expect: &Value) -> Option<String> {
    let report = serde_json::to_value(engine.generation_config()).unwrap();
    let reports = expect["reports"].as_object()?;
    let is = |got: &Value, allowed: &Value| match (got.as_f64(), allowed.as_f64()) {
        (Some(got), Some(allowed)) => (got - allowed).abs() < 1e-6,
        _ => got == allowed,
    };
    let wrong = |(field, allowed): &(&String, &Value)| {
        !allowed.as_array().unwrap().iter().any(|allowed| is(&report[field.as_str()], allowed))
    };
    reports.iter().find(wrong).map(|(field, allowed)| format!("{field} is {}, not {allowed}", report[field]))
}

fn failure(case: &Value) -> Option<String> {
    let expect = &case["expect"];
    match load(case) {
        Err(error) if expect.get("error_mentions").is_some() => misses(&error.to_string(), expect),
        Err(error) => Some(format!("refused: {error}")),
        Ok(engine) => match (expect["logits"].as_str(), expect.get("ok")) {
            (Some(name), _) => logits_differ(&engine, name),
            (None, Some(_)) => reports_differ(&engine, expect),
            (None, None) => Some("accepted without a word".to_owned()),
        },
    }
}

#[test]
fn configurations() {
    let Some(cases) = lines("config.jsonl") else { return };
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| failure(case).map(|wrong| format!("{}: {wrong}", case["id"].as_str().unwrap())))
        .collect();
    all_hold(&failures, cases.len());
}
