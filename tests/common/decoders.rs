//! What the decoders of each family compute, on small shapes, whatever their configurations look like: made from Llama's by hand,
//! so that backends are tested on every kind of block without a checkpoint.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use mobilellm::model::config::Config;
use mobilellm::model::decoder::{
    ActivationFunction, AttentionSpec, BlockSpec, DecoderSpec, LongRotary, Mixer, Norms, QueryKeyNorm,
    Rotary, Temperature, Window,
};

/// The sliding window of those that have one: small, so that a short text goes beyond it.
pub const WINDOW: usize = 6;

/// The chunks of the one that has chunks.
pub const CHUNK: usize = 8;

/// Positions of a short text of the one that turns long ones in another way.
pub const SHORT: usize = 40;

/// Each family's name, and its decoder in a shape like that of `base`, a Llama of four blocks.
pub fn families(base: &Config) -> Vec<(&'static str, Config)> {
    let family = |name, change: fn(&mut Config)| {
        let mut config = base.clone();
        change(&mut config);
        (name, config)
    };
    vec![
        family("llama", |_| {}),
        family("qwen2", |config| blocks(config, |_, block| block.biases.qkv = [true; 3])),
        family("qwen2 with windows", |config| {
            blocks(config, |_, block| block.biases.qkv = [true; 3]);
            attention(config, |index, attention| {
                attention.window = if index < 2 { Window::Full } else { Window::Sliding(WINDOW) };
            });
        }),
        family("qwen3", |config| {
            attention(config, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Heads));
        }),
        family("smollm3", |config| {
            attention(config, |index, attention| {
                attention.rotary = (index % 4 != 3).then_some(0);
            });
        }),
        family("granite", |config| {
            config.decoder.embedding_scale = 12.0;
            config.decoder.logit_scale = 1.0 / 6.0;
            blocks(config, |_, block| block.residual_scale = 0.22);
            attention(config, |_, attention| attention.scale = 0.1);
        }),
        family("olmo2", |config| {
            blocks(config, |_, block| block.norms = Norms::After);
            attention(config, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Rows));
        }),
        family("gemma3", gemma3),
        family("mistral", |config| {
            attention(config, |_, attention| attention.window = Window::Sliding(WINDOW));
        }),
        family("phi3", |config| {
            let rotary = &mut config.decoder.rotary[0];
            let pairs = rotary.frequencies.len();
            // Three quarters of a head are turned.
            rotary.frequencies[pairs * 3 / 4..].fill(0.0);
            rotary.attention_factor = 1.19;
            let frequencies = rotary.frequencies.iter().map(|frequency| frequency / 3.0).collect();
            rotary.long = Some(LongRotary { max_short_positions: SHORT, frequencies });
        }),
        family("llama4", |config| {
            attention(config, |index, attention| {
                if index % 4 == 3 {
                    attention.rotary = None;
                    attention.temperature = Some(Temperature { floor_scale: 10.0, attention_scale: 0.1 });
                } else {
                    attention.query_key_norm = Some(QueryKeyNorm::HeadsAfterRotation);
                    attention.window = Window::Chunked(CHUNK);
                }
            });
        }),
        family("lfm2", |config| {
            attention(config, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Heads));
            blocks(config, |index, block| {
                if index % 2 == 0 {
                    block.mixer = Mixer::ShortConvolution { kernel_size: 3 };
                }
            });
        }),
        family("shared layers with windows", |config| {
            blocks(config, |index, block| {
                block.runs = 2;
                block.shared_kv = index % 2 == 0;
            });
            attention(config, |_, attention| attention.window = Window::Sliding(WINDOW));
        }),
    ]
}

fn gemma3(config: &mut Config) {
    config.decoder.embedding_scale = (config.hidden_size as f32).sqrt();
    config.decoder.logit_softcap = Some(3.0);
    let local = Rotary {
        frequencies: config.decoder.rotary[0].frequencies.iter().map(|frequency| frequency.sqrt()).collect(),
        attention_factor: 1.0,
        long: None,
    };
    config.decoder.rotary.push(local);
    blocks(config, |_, block| {
        block.norms = Norms::Both;
        block.activation = ActivationFunction::GeluTanh;
    });
    attention(config, |index, attention| {
        attention.query_key_norm = Some(QueryKeyNorm::Heads);
        attention.scale = 0.3;
        if index != 2 {
            attention.window = Window::Sliding(WINDOW);
            attention.rotary = Some(1);
        }
    });
}

fn blocks(config: &mut Config, change: impl Fn(usize, &mut BlockSpec)) {
    let DecoderSpec { blocks, .. } = &mut config.decoder;
    blocks.iter_mut().enumerate().for_each(|(index, block)| change(index, block));
}

fn attention(config: &mut Config, change: impl Fn(usize, &mut AttentionSpec)) {
    blocks(config, |index, block| {
        if let Mixer::Attention(attention) = &mut block.mixer {
            change(index, attention);
        }
    });
}
