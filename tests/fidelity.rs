//! Compares the fast arithmetic with the same weights multiplied in f32, on a checkpoint with outliers as in trained
//! models: one channel of the residual stream and one of the feed-forward activation are thousands of times larger than
//! the others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use half::bf16;
use mobilellm::backend::Products;
use mobilellm::backend::gpu::{self, Tier};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};
use mobilellm::measure::fidelity::{Comparison, Fidelity};

use common::tiny::Tiny;

/// Tokens in the text: more than one chunk, so that both states begin a second time.
const TOKENS: usize = 90;

/// Width of the feed-forward activation: so large that the values that share a scale with the outlier are a small part.
const FFN: usize = 1024;

/// A tiny checkpoint with a channel of large values and small weights, as in trained models.
fn with_outliers() -> Tiny {
    let mut tiny = Tiny::with_ffn(FFN);
    // Channel 3 of the residual stream is the same for all tokens. From it the first block computes channel 7 of the
    // feed-forward activation: thousands, at every token.
    map(&mut tiny, "model.embed_tokens.weight", |i, w| if i % 64 == 3 { 0.25 } else { w });
    map(
        &mut tiny,
        "model.layers.0.post_attention_layernorm.weight",
        |i, w| if i == 3 { 2.0 } else { 8.0 * w },
    );
    for part in ["gate_proj", "up_proj"] {
        let row = |i, w| match (i / 64, i % 64) {
            (7, 3) => 25.0,
            (7, _) => 0.0,
            _ => w,
        };
        map(&mut tiny, &format!("model.layers.0.mlp.{part}.weight"), row);
    }
    // The down projection makes the values small again, except in channel 5, which the following norms make small.
    let down = |i, w| match (i / FFN, i % FFN) {
        (5, 7) => 0.1,
        (_, 7) => 1e-3 * w,
        _ => w,
    };
    map(&mut tiny, "model.layers.0.mlp.down_proj.weight", down);
    for (norm, gain) in
        [("layers.1.input_layernorm", 60.0), ("layers.1.post_attention_layernorm", 60.0), ("norm", 40.0)]
    {
        map(&mut tiny, &format!("model.{norm}.weight"), |i, w| if i == 5 { 0.01 } else { gain * w });
    }
    tiny
}

/// Changes the values of a tensor. `change` gets the index and the value.
fn map(tiny: &mut Tiny, tensor: &str, change: impl Fn(usize, f32) -> f32) {
    for (index, bytes) in tiny.tensor(tensor).bytes.chunks_exact_mut(2).enumerate() {
        let value = bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        bytes.copy_from_slice(&bf16::from_f32(change(index, value)).to_le_bytes());
    }
}

fn measure(options: LoadOptions<'_>) -> Fidelity {
    pollster::block_on(async {
        let engine = Engine::load(&with_outliers().source(), options).await.unwrap();
        let tokens: Vec<u32> = (0..TOKENS as u32).map(|i| i * 17 % 51).collect();
        let run = engine.state_with(64, Products::Fast).unwrap();
        let exact = engine.state_with(64, Products::Exact).unwrap();
        let mut comparison =
            Comparison::new(run, exact, tokens.chunks(64).map(<[u32]>::to_vec).collect()).unwrap();
        let mut last = 0;
        while let Some(progress) = comparison.next().await.unwrap() {
            assert!(progress.done > last && progress.total == TOKENS);
            last = progress.done;
        }
        assert_eq!(last, TOKENS);
        comparison.report()
    })
}

fn assert_faithful(what: &str, fidelity: &Fidelity) {
    println!("{what}: {fidelity:?}");
    assert_eq!(fidelity.positions, TOKENS);
    assert!(fidelity.mean_kl <= 0.005, "{what}: {fidelity:?}");
}

#[test]
fn products_of_integers_keep_a_model_with_outliers() {
    for weights in [WeightFormat::Q8, WeightFormat::Q4] {
        let options = LoadOptions { backend: BackendChoice::Cpu, weights, ..LoadOptions::default() };
        let fidelity = measure(options);
        assert_faithful(&format!("CPU, {weights}"), &fidelity);
        // Three of the ninety positions: some of them are near ties.
        assert!(fidelity.mean_kl <= 0.0005 && fidelity.top1_agreement >= 0.96, "{fidelity:?}");
        // The run must really round: a comparison of f32 with f32 would prove nothing.
        assert!(fidelity.logit_error > 1e-6, "{fidelity:?}");
    }
}

#[test]
fn every_tier_keeps_a_model_with_outliers() {
    for tier in Tier::ALL.iter().copied() {
        for int8_tiles in [false, true] {
            let gpu = gpu::GpuOptions {
                tier: Some(tier),
                int8_tiles: Some(int8_tiles && tier != Tier::Software),
                skip_self_test: true,
                ..gpu::GpuOptions::default()
            };
            if let Err(error) = pollster::block_on(gpu::Gpu::open(gpu)) {
                println!("skipped: gpu: {} with integers {int8_tiles}: {error}", tier.name());
                continue;
            }
            for weights in [WeightFormat::Q8, WeightFormat::Q4] {
                let options =
                    LoadOptions { backend: BackendChoice::Gpu, gpu, weights, ..LoadOptions::default() };
                assert_faithful(&format!("{tier:?}, integers: {int8_tiles}, {weights}"), &measure(options));
            }
        }
    }
}
