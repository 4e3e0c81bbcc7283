//! Whole networks: the GPU's logits against the CPU's, and against themselves however the tokens are dealt out.

use std::rc::Rc;

use mobilellm::backend::gpu::{Gpu, GpuOptions};
use mobilellm::backend::{Products, Wanted};
use mobilellm::backend::{cpu, gpu};
use mobilellm::model::matrix::{Affine, Format, ScaleFormat};
use mobilellm::model::network::{MatrixId, Network, Op};

use crate::support::{Random, Shape, Twins, assert_close, code, devices, devices_both_ways};

/// The tolerances of the project: f32 weights, and those whose caches are f16.
const F32: f32 = 1e-3;
const F16: f32 = 1e-2;
/// Activations rounded to 8 bits on the way through every projection of a random network, which damps nothing; a trained
/// one is in `tests/default_model.rs`.
const INT8: f32 = 8e-2;

const Q4: Format = Format::Affine(Affine { bits: 4, group_size: 32, scales: ScaleFormat::F16 });

/// Between them: tied and not, GQA of several ratios, odd widths and vocabularies, biases, both kinds of layer sharing.
fn shapes() -> Vec<(&'static str, Shape)> {
    let base =
        Shape { hidden: 64, ffn: 172, layers: 2, heads: 4, kv_heads: 2, head_dim: 16, vocab: 97, extra: "" };
    vec![
        ("untied", base),
        ("tied", Shape { extra: r#", "tie_word_embeddings": true"#, ..base }),
        (
            "one of everything",
            Shape { hidden: 1, ffn: 1, layers: 1, heads: 1, kv_heads: 1, head_dim: 2, vocab: 1, ..base },
        ),
        ("odd", Shape { hidden: 45, ffn: 61, heads: 5, kv_heads: 1, head_dim: 10, ..base }),
        ("biases", Shape { extra: r#", "attention_bias": true, "mlp_bias": true"#, ..base }),
        ("shared layers", Shape { extra: r#", "layer_sharing": true"#, ..base }),
        (
            "shared layers, shared keys",
            Shape { extra: r#", "layer_sharing": true, "layer_sharing_shared_kv": true"#, ..base },
        ),
        ("wide heads", Shape { hidden: 48, heads: 3, kv_heads: 3, head_dim: 64, ..base }),
    ]
}

fn states(gpu: &Gpu, shape: Shape, format: Format) -> (cpu::CpuState, gpu::GpuState) {
    let network = Rc::new(Network::new(shape.config()));
    let twins = Twins::random(gpu, &network, 11, |_: MatrixId, cols| match format {
        Format::Affine(affine) if !cols.is_multiple_of(affine.group_size as usize) => Format::F16,
        format => format,
    });
    let cpu = cpu::CpuState::new(network.clone(), Rc::new(twins.cpu), 64, Products::Fast).unwrap();
    let gpu = gpu::GpuState::new(network, Rc::new(twins.gpu), 64, Products::Fast).unwrap();
    (cpu, gpu)
}

fn tokens(n: usize, vocab: usize) -> Vec<u32> {
    let mut random = Random::new(13);
    (0..n).map(|_| random.token(vocab)).collect()
}

/// Feeds tokens in batches of at most `batch`.
fn run(state: &mut gpu::GpuState, tokens: &[u32], batch: usize) -> Vec<f32> {
    tokens
        .chunks(batch)
        .flat_map(|chunk| pollster::block_on(state.forward(chunk, Wanted::All)).unwrap())
        .collect()
}

#[test]
fn logits_equal_the_cpus() {
    for gpu in devices_both_ways("logits_equal_the_cpus") {
        for (name, shape) in shapes() {
            for (format, tolerance) in
                [(Format::F32, F32), (Format::F16, F16), (Format::Bf16, F16), (Q4, F16)]
            {
                let int8_tiles = gpu.info().int8_tiles;
                let tolerance = match (int8_tiles, format) {
                    (true, Format::Affine(_)) => INT8,
                    // They change nothing for other formats.
                    (true, _) => continue,
                    (false, _) => tolerance,
                };
                let (mut cpu, mut gpu_state) = states(&gpu, shape, format);
                let tokens = tokens(33, shape.vocab);
                let expected: Vec<_> = tokens
                    .chunks(cpu.max_batch())
                    .flat_map(|chunk| cpu.forward(chunk, Wanted::All).unwrap())
                    .collect();
                // One at a time, in odd chunks, and as large as they may be: the same.
                for batch in [1, 5, gpu_state.max_logit_rows()] {
                    gpu_state.truncate(0);
                    let got = run(&mut gpu_state, &tokens, batch);
                    let what = format!(
                        "{name}, {format:?}, in {batch}s, {:?}, integers: {int8_tiles}",
                        gpu.info().tier
                    );
                    assert_close(&what, &got, &expected, tolerance);
                }
            }
        }
    }
}

#[test]
fn only_the_last_row_is_returned_when_asked() {
    for gpu in devices("only_the_last_row_is_returned_when_asked") {
        for (name, shape) in shapes() {
            let (_, mut state) = states(&gpu, shape, Format::F32);
            let tokens = tokens(13, shape.vocab);
            let all = run(&mut state, &tokens, 13);
            state.truncate(0);
            let none = pollster::block_on(state.forward(&tokens[..5], Wanted::None)).unwrap();
            assert!(none.is_empty());
            let last = pollster::block_on(state.forward(&tokens[5..], Wanted::Last)).unwrap();
            assert_close(name, &last, &all[12 * shape.vocab..], F32);
        }
    }
}

#[test]
fn a_truncated_state_continues_like_a_fresh_one() {
    for gpu in devices("a_truncated_state_continues_like_a_fresh_one") {
        let (_, shape) = shapes()[0];
        let (_, mut state) = states(&gpu, shape, Format::F32);
        let tokens = tokens(20, shape.vocab);
        let fresh = run(&mut state, &tokens, 16);
        state.truncate(7);
        run(&mut state, &[1, 2, 3, 4, 5], 5);
        state.truncate(7);
        assert_eq!(state.len(), 7);
        let again = run(&mut state, &tokens[7..], 13);
        assert_close("after the prefix", &again, &fresh[7 * shape.vocab..], F32);
    }
}

#[test]
fn matrices_larger_than_a_binding_are_split() {
    for tier in gpu::Tier::ALL {
        // The largest matrix, 344 rows of 64 f32, then lies in a dozen parts.
        let options = GpuOptions {
            tier: Some(*tier),
            max_part_bytes: Some(32 * 256),
            skip_self_test: true,
            ..GpuOptions::default()
        };
        let Ok(gpu) = pollster::block_on(Gpu::open(options)) else {
            println!("skipped: gpu: matrices_larger_than_a_binding_are_split on tier {}", tier.name());
            continue;
        };
        let (_, shape) = shapes()[1];
        let network = Rc::new(Network::new(shape.config()));
        let twins = Twins::random(&gpu, &network, 11, |_, _| Format::F32);
        assert!(twins.gpu.layouts()[&MatrixId::Embedding].parts.len() > 2);
        let mut cpu = cpu::CpuState::new(network.clone(), Rc::new(twins.cpu), 16, Products::Fast).unwrap();
        let mut state = gpu::GpuState::new(network, Rc::new(twins.gpu), 16, Products::Fast).unwrap();
        let tokens = tokens(9, shape.vocab);
        let expected = cpu.forward(&tokens, Wanted::All).unwrap();
        assert_close("one by one", &run(&mut state, &tokens, 1), &expected, F32);
        state.truncate(0);
        assert_close("at once", &run(&mut state, &tokens, 9), &expected, F32);
    }
}

#[test]
fn bad_batches_are_refused() {
    for gpu in devices("bad_batches_are_refused") {
        let (_, shape) = shapes()[0];
        let (_, mut state) = states(&gpu, shape, Format::F32);
        let mut forward = |tokens: &[u32]| code(pollster::block_on(state.forward(tokens, Wanted::All)));
        assert_eq!(forward(&[]), "invalid_request");
        assert_eq!(forward(&[97]), "invalid_request");
        assert_eq!(forward(&[0; 65]), "invalid_request");
        assert_eq!(forward(&[0]), "none");
    }
}

#[test]
fn contexts_longer_than_loops_run_are_refused() {
    for gpu in devices("contexts_longer_than_loops_run_are_refused") {
        // Heads of whole octets are shared by many threads, but on the software tier; others are one thread's.
        for (head_dim, shared) in [(64, gpu.info().tier != gpu::Tier::Software), (90, false)] {
            let shape = Shape { hidden: 8, heads: 1, kv_heads: 1, head_dim, ..shapes()[0].1 };
            let whole = Network::new(shape.config());
            let weights = Rc::new(gpu::GpuWeights::new(&gpu, &whole));
            let scale = 1.0 / (head_dim as f32).sqrt();
            let network = Rc::new(Network { ops: vec![Op::Attend { cache: 0, scale }], ..whole });
            let mut state = gpu::GpuState::new(network, weights, 4096, Products::Fast).unwrap();
            let mut outcome = "none";
            while outcome == "none" && state.len() < 4096 {
                outcome = code(pollster::block_on(state.forward(&[0; 16], Wanted::None)));
            }
            let expected = if gpu.info().short_loops && !shared { "limit_exceeded" } else { "none" };
            assert_eq!(outcome, expected, "{:?} {head_dim}", gpu.info().tier);
        }
    }
}

#[test]
fn absent_weights_and_limits_are_named() {
    for gpu in devices("absent_weights_and_limits_are_named") {
        let (_, shape) = shapes()[0];
        let network = Rc::new(Network::new(shape.config()));
        let empty = Rc::new(gpu::GpuWeights::new(&gpu, &network));
        assert_eq!(code(gpu::GpuState::new(network.clone(), empty, 16, Products::Fast)), "missing_file");
        let twins = Twins::random(&gpu, &network, 1, |_, _| Format::F32);
        let absurd = usize::MAX >> 12;
        assert_eq!(
            code(gpu::GpuState::new(network, Rc::new(twins.gpu), absurd, Products::Fast)),
            "limit_exceeded"
        );
    }
}

#[test]
fn a_closed_device_is_an_error() {
    for gpu in devices("a_closed_device_is_an_error") {
        let (_, shape) = shapes()[0];
        let (_, mut state) = states(&gpu, shape, Format::F32);
        gpu.close();
        assert_eq!(code(pollster::block_on(state.forward(&[1], Wanted::Last))), "device");
        assert_eq!(state.len(), 0);
    }
}

#[test]
fn every_tier_passes_its_own_test() {
    for tier in gpu::Tier::ALL.iter().copied() {
        // The software tier has no tiles.
        for int8_tiles in [false, true].into_iter().filter(|tiles| !tiles || tier != gpu::Tier::Software) {
            let options =
                GpuOptions { tier: Some(tier), int8_tiles: Some(int8_tiles), ..GpuOptions::default() };
            match pollster::block_on(Gpu::open(options)) {
                Ok(gpu) => {
                    let info = gpu.info();
                    assert_eq!((info.tier, &info.degraded), (tier, &None));
                    assert_eq!(info.int8_tiles, int8_tiles, "{tier:?}");
                }
                Err(error) => {
                    println!("skipped: gpu: every_tier_passes_its_own_test on tier {}: {error}", tier.name());
                }
            }
        }
    }
}

#[test]
fn tiles_of_integers_are_refused_where_there_are_no_tiles_and_never_chosen_unasked_on_a_cpu() {
    let open = |tier, int8_tiles| {
        pollster::block_on(Gpu::open(GpuOptions { tier: Some(tier), int8_tiles, ..GpuOptions::default() }))
    };
    let Ok(gpu) = open(gpu::Tier::Portable, None) else {
        println!("skipped: gpu: tiles_of_integers_are_refused: no adapter");
        return;
    };
    assert!(!gpu.info().software || !gpu.info().int8_tiles);
    let refused = open(gpu::Tier::Software, Some(true));
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("int8_tiles")));
    assert_eq!(code(refused), "invalid_request");
    assert!(!open(gpu::Tier::Software, None).unwrap().info().int8_tiles);
}
