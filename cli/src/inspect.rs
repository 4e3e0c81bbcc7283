//! `mobilellm inspect`: facts about a checkpoint, from its configuration and the headers of its files. It reads no weights.

use anyhow::Result;
use indicatif::HumanBytes;
use mobilellm::checkpoint::load::inspect::Inspection;
use mobilellm::checkpoint::source::Cancel;

use crate::flags::Inspect;
use crate::load;
use crate::output::line;

pub(crate) fn run(flags: &Inspect) -> Result<()> {
    let source = load::source(&flags.model)?;
    let inspection = pollster::block_on(Inspection::of(source.as_ref(), &Cancel::default()))?;
    if flags.json {
        line(serde_json::to_string_pretty(&inspection)?)?;
    } else {
        line(table(&inspection))?;
    }
    Ok(())
}

/// One line per fact.
fn table(i: &Inspection) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(format!("{name:<16} {value}"));
    let runs = if i.layer_sharing { ", each run twice (layer sharing)" } else { "" };
    let tied = if i.tied_embeddings { "tied to the output" } else { "not tied to the output" };
    fact("checkpoint", i.location.clone());
    fact("architecture", format!("{}, {} layers{runs}", i.model_type, i.num_hidden_layers));
    if i.mixers.len() > 1 || !i.mixers.contains_key("full attention") {
        let kinds: Vec<_> = i.mixers.iter().map(|(mixer, layers)| format!("{layers} with {mixer}")).collect();
        fact("layers", kinds.join(", "));
    }
    fact("hidden", format!("{}, feed-forward {}", i.hidden_size, i.intermediate_size));
    fact("heads", format!("{} of width {}, {} key/value heads", i.num_heads, i.head_dim, i.num_kv_heads));
    fact("vocabulary", format!("{} tokens, embedding {tied}", i.vocab_size));
    fact("context", format!("{} positions", i.max_position_embeddings));
    fact("rotary", format!("theta {}, scaling {}", i.rope_theta, i.rope_scaling));
    let p = &i.parameters;
    fact("parameters", format!("{} (embedding {}, each layer {})", p.total, p.embedding, p.per_layer));
    for (dtype, stored) in &i.dtypes {
        fact(dtype, format!("{} tensors, {}", stored.tensors, HumanBytes(stored.bytes)));
    }
    fact("quantization", i.quantization.clone().unwrap_or_else(|| "none".to_owned()));
    fact("weights", format!("{} in {} file(s)", HumanBytes(i.bytes), i.files.len()));
    fact("in memory", format!("{}, held as stored", HumanBytes(i.memory_bytes)));
    fact("cache", format!("{} per token in f16", HumanBytes(i.kv_bytes_per_token as u64)));
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    fact("tokenizer", or_none(&i.tokenizer));
    let begin = i.bos_token_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    fact("special tokens", format!("begin {begin}, end {:?}", i.eos_token_ids));
    fact("chat template", or_none(&i.chat_template));
    for tensor in &i.surplus {
        fact("not used", tensor.clone());
    }
    facts.join("\n")
}
