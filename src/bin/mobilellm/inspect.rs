//! `mobilellm inspect`: what a checkpoint is, from its configuration and headers; no weight is read.

use anyhow::Result;
use indicatif::HumanBytes;
use mobilellm::cancel::Cancel;
use mobilellm::checkpoint::inspect::Inspection;

use crate::flags::Inspect;
use crate::load;

pub(crate) fn run(flags: &Inspect) -> Result<()> {
    let source = load::source(&flags.model)?;
    let inspection = pollster::block_on(Inspection::of(source.as_ref(), &Cancel::default()))?;
    if flags.json {
        println!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        print(&inspection);
    }
    Ok(())
}

fn print(i: &Inspection) {
    let line = |name: &str, value: String| println!("{name:<16} {value}");
    let runs = if i.layer_sharing { ", each run twice (layer sharing)" } else { "" };
    let tied = if i.tied_embeddings { "tied to the output" } else { "not tied to the output" };
    line("checkpoint", i.location.clone());
    line("architecture", format!("{}, {} layers{runs}", i.model_type, i.num_hidden_layers));
    line("hidden", format!("{}, feed-forward {}", i.hidden_size, i.intermediate_size));
    line("heads", format!("{} of {}, {} key/value heads", i.num_heads, i.head_dim, i.num_kv_heads));
    line("vocabulary", format!("{} tokens, embedding {tied}", i.vocab_size));
    line("context", format!("{} positions", i.max_position_embeddings));
    line("rotary", format!("theta {}, scaling {}", i.rope_theta, i.rope_scaling));
    let p = &i.parameters;
    line("parameters", format!("{}: embedding {}, each layer {}", p.total, p.embedding, p.per_layer));
    for (dtype, stored) in &i.dtypes {
        line(dtype, format!("{} tensors, {}", stored.tensors, HumanBytes(stored.bytes)));
    }
    line("quantization", i.quantization.clone().unwrap_or_else(|| "none".to_owned()));
    line("weights", format!("{} in {} file(s)", HumanBytes(i.bytes), i.files.len()));
    line("cache", format!("{} a token at half precision", HumanBytes(i.kv_bytes_per_token as u64)));
    line("tokenizer", i.tokenizer.unwrap_or("none").to_owned());
    line("chat template", i.chat_template.unwrap_or("none").to_owned());
    for tensor in &i.surplus {
        line("not used", tensor.clone());
    }
}
