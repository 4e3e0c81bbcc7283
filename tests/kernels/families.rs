//! Whole networks of every family's kind: the GPU's logits against the CPU's, beyond windows and rings, in pieces and one by
//! one, after a part was forgotten, and chosen on the device.

use std::rc::Rc;

use mobilellm::backend::gpu::{Gpu, GpuOptions, GpuState, Tier};
use mobilellm::backend::{Products, Wanted, cpu};
use mobilellm::model::config::Config;
use mobilellm::model::matrix::{Affine, Format, ScaleFormat};
use mobilellm::model::network::{CacheSpec, MatrixId, Network};
use pollster::block_on;

use crate::decoders::{SHORT, WINDOW, families};
use crate::support::{Random, Shape, Twins, assert_close, code, devices};

/// The tolerances of the project: f32 weights, and those whose caches are f16.
const F32: f32 = 1e-3;
const F16: f32 = 1e-2;

/// What a network of f32 reaches, whose sums are in another order.
const CLOSE: f32 = 5e-5;

/// Nothing that tiles divide; heads that many threads can share.
const BASE: Shape = Shape {
    hidden: 45,
    ffn: 61,
    layers: 4,
    heads: 4,
    kv_heads: 2,
    head_dim: 16,
    vocab: 97,
    extra: r#", "tie_word_embeddings": true"#,
};

/// Those that between them have every kernel that Llama does not have: for what takes long.
const UNLIKE: [&str; 4] = ["olmo2", "gemma3", "llama4", "lfm2"];

/// Heads of any even width are one thread's.
const ODD: Shape = Shape { heads: 5, kv_heads: 1, head_dim: 10, ..BASE };

fn states(gpu: &Gpu, config: Config, format: Format, positions: usize) -> (cpu::CpuState, GpuState) {
    let network = Rc::new(Network::new(config));
    let twins = Twins::random(gpu, &network, 11, |_, _| format);
    let cpu = cpu::CpuState::new(network.clone(), Rc::new(twins.cpu), positions, Products::Fast).unwrap();
    let gpu = GpuState::new(network, Rc::new(twins.gpu), positions, Products::Fast).unwrap();
    (cpu, gpu)
}

fn tokens(n: usize, vocab: usize) -> Vec<u32> {
    let mut random = Random::new(13);
    (0..n).map(|_| random.token(vocab)).collect()
}

fn on_cpu(state: &mut cpu::CpuState, tokens: &[u32]) -> Vec<f32> {
    state.truncate(0);
    state.expect(tokens.len());
    let most = state.max_batch();
    tokens.chunks(most).flat_map(|chunk| state.forward(chunk, Wanted::All).unwrap()).collect()
}

/// Feeds tokens in batches of at most `batch`.
fn on_gpu(state: &mut GpuState, tokens: &[u32], batch: usize) -> Vec<f32> {
    tokens.chunks(batch).flat_map(|chunk| block_on(state.forward(chunk, Wanted::All)).unwrap()).collect()
}

#[test]
fn logits_of_every_family_equal_the_cpus() {
    for gpu in devices("logits_of_every_family_equal_the_cpus") {
        for (shape, format, tolerance) in
            [(BASE, Format::F32, CLOSE), (BASE, Format::F16, F16), (ODD, Format::F32, CLOSE)]
        {
            let is_base = shape.head_dim == BASE.head_dim && format == Format::F32;
            for (name, config) in families(&shape.config()) {
                if !is_base && !UNLIKE.contains(&name) {
                    continue;
                }
                let (mut cpu, mut state) = states(&gpu, config, format, 64);
                // Beyond every window, and in the fifth chunk.
                let tokens = tokens(37, shape.vocab);
                let expected = on_cpu(&mut cpu, &tokens);
                for batch in [1, 5, state.max_logit_rows()] {
                    state.truncate(0);
                    let got = on_gpu(&mut state, &tokens, batch);
                    let what = format!(
                        "{name}, heads of {}, {format:?}, in {batch}s, {:?}",
                        shape.head_dim,
                        gpu.info().tier
                    );
                    assert_close(&what, &got, &expected, tolerance);
                }
            }
        }
    }
}

/// As wide as Gemma's, in as many parts as bindings of 128 MiB would need of its real embedding; quantised, as it is kept.
#[test]
fn a_wide_vocabulary_in_parts_takes_little_memory() {
    const VOCAB: usize = 262_144;
    for tier in Tier::ALL {
        let options = GpuOptions {
            tier: Some(*tier),
            max_part_bytes: Some(4 << 20),
            skip_self_test: true,
            ..GpuOptions::default()
        };
        let Ok(gpu) = block_on(Gpu::open(options)) else {
            println!("skipped: gpu: a_wide_vocabulary_in_parts_takes_little_memory on tier {}", tier.name());
            continue;
        };
        let shape = Shape { hidden: 32, vocab: VOCAB, layers: 4, ..BASE };
        let (_, config) = families(&shape.config()).into_iter().find(|(name, _)| *name == "gemma3").unwrap();
        let network = Rc::new(Network::new(config));
        let q8 = Format::Affine(Affine { bits: 8, group_size: 32, scales: ScaleFormat::F16 });
        let twins =
            Twins::random(
                &gpu,
                &network,
                11,
                |id, _| {
                    if id == MatrixId::Embedding { q8 } else { Format::F32 }
                },
            );
        assert_eq!(twins.gpu.layouts()[&MatrixId::Embedding].parts.len(), 2);
        let mut cpu = cpu::CpuState::new(network.clone(), Rc::new(twins.cpu), 32, Products::Exact).unwrap();
        let mut state = GpuState::new(network, Rc::new(twins.gpu), 32, Products::Fast).unwrap();
        // Not 64 rows of a megabyte; but every guess has one.
        assert_eq!(state.max_logit_rows(), 16);
        let tokens = [1, 262_143, 131_072, 131_071, 200_000];
        let expected = on_cpu(&mut cpu, &tokens);
        assert_close("a wide vocabulary", &on_gpu(&mut state, &tokens, 5), &expected, F16);
        state.truncate(0);
        let last = block_on(state.forward(&tokens, Wanted::Last)).unwrap();
        assert_close("its last row", &last, &expected[4 * VOCAB..], F16);
    }
}

/// Rings go round more than once; a prompt comes in pieces of every size, and what follows it one by one.
#[test]
fn a_text_longer_than_its_rings_is_what_the_cpu_makes_of_it() {
    for gpu in devices("a_text_longer_than_its_rings_is_what_the_cpu_makes_of_it") {
        for (name, config) in families(&BASE.config()) {
            if !UNLIKE[1..].contains(&name) {
                continue;
            }
            let (mut cpu, mut state) = states(&gpu, config.clone(), Format::F32, 2048);
            let is_ring = |cache: &CacheSpec| cache.window().len().is_some();
            let ring = config.decoder.caches().iter().position(is_ring).unwrap();
            let capacity = state.cache_capacity(ring).unwrap();
            let prompt = 2 * capacity + 13;
            let tokens = tokens(prompt + 20, BASE.vocab);
            let expected = on_cpu(&mut cpu, &tokens);
            for piece in [state.max_batch(), 100.min(state.max_batch())] {
                state.truncate(0);
                for piece in tokens[..prompt].chunks(piece) {
                    state.prefill(piece).unwrap();
                    block_on(state.chosen()).unwrap();
                }
                let got = on_gpu(&mut state, &tokens[prompt..], 1);
                let what = format!("{name}, in {piece}s, {:?}", gpu.info().tier);
                assert_close(&what, &got, &expected[prompt * BASE.vocab..], CLOSE);
            }
        }
    }
}

#[test]
fn a_window_takes_no_more_memory_than_it_needs() {
    for gpu in devices("a_window_takes_no_more_memory_than_it_needs") {
        for (name, config) in families(&BASE.config()) {
            let (_, state) = states(&gpu, config.clone(), Format::F32, 4096);
            for (index, cache) in config.decoder.caches().into_iter().enumerate() {
                let capacity = state.cache_capacity(index).unwrap();
                match cache.window().len() {
                    None => assert_eq!(capacity, 4096, "{name}"),
                    // Two batches that may be in flight.
                    Some(len) => assert!(capacity <= len + 512 + 64, "{name}: {capacity}"),
                }
            }
        }
    }
}

#[test]
fn what_is_left_after_forgetting_continues_like_a_fresh_text() {
    for gpu in devices("what_is_left_after_forgetting_continues_like_a_fresh_text") {
        for (name, config) in families(&BASE.config()) {
            // Which length it has would matter too.
            if config.decoder.max_short_positions().is_some() {
                continue;
            }
            let has_window = config.decoder.caches().iter().any(|cache| cache.window().len().is_some());
            let (_, mut state) = states(&gpu, config, Format::F32, 2048);
            let tokens = tokens(2000, BASE.vocab);
            let fresh = on_gpu(&mut state, &tokens[..60], 16);
            // A little is always there.
            assert_eq!(state.truncate(47), 47, "{name}");
            let again = on_gpu(&mut state, &tokens[47..60], 13);
            assert_close(name, &again, &fresh[47 * BASE.vocab..], F32);
            // What a ring has lost is never taken for what it was.
            for piece in tokens[60..].chunks(state.max_batch().min(200)) {
                state.prefill(piece).unwrap();
                block_on(state.chosen()).unwrap();
            }
            assert_eq!(state.truncate(2000 - WINDOW), 2000 - WINDOW, "{name}");
            assert_eq!(state.truncate(50), if has_window { 0 } else { 50 }, "{name}");
            let from = state.len();
            let again = on_gpu(&mut state, &tokens[from..60], 16);
            assert_close(name, &again, &fresh[from * BASE.vocab..], F32);
        }
    }
}

/// Work that was submitted and given up is never taken for the text.
#[test]
fn pieces_that_were_given_up_leave_no_trace() {
    for gpu in devices("pieces_that_were_given_up_leave_no_trace") {
        for (name, config) in families(&BASE.config()) {
            // Which length it has would matter too.
            if config.decoder.max_short_positions().is_some() {
                continue;
            }
            let (_, mut state) = states(&gpu, config, Format::F32, 2048);
            let tokens = tokens(38, BASE.vocab);
            let fresh = on_gpu(&mut state, &tokens, 16);
            state.truncate(0);
            on_gpu(&mut state, &tokens[..30], 16);
            let piece = vec![5; state.max_batch()];
            state.prefill(&piece).unwrap();
            state.prefill(&piece).unwrap();
            assert_eq!(state.truncate(30), 30, "{name}, {:?}", gpu.info().tier);
            let again = on_gpu(&mut state, &tokens[30..], 8);
            assert_close(name, &again, &fresh[30 * BASE.vocab..], F32);
        }
    }
}

/// Guesses are checked in batches, so a row must have the same bits in a batch as alone.
#[test]
fn a_row_has_the_same_bits_alone_and_among_few() {
    for gpu in devices("a_row_has_the_same_bits_alone_and_among_few") {
        for shape in [BASE, ODD] {
            for (name, config) in families(&shape.config()) {
                if !UNLIKE.contains(&name) {
                    continue;
                }
                let (_, mut state) = states(&gpu, config, Format::F16, 64);
                let tokens = tokens(32, shape.vocab);
                let alone = on_gpu(&mut state, &tokens, 1);
                for batch in [3, state.exact_rows().min(9)] {
                    state.truncate(0);
                    let among = on_gpu(&mut state, &tokens, batch);
                    let differ = alone.iter().zip(&among).position(|(a, b)| a.to_bits() != b.to_bits());
                    assert_eq!(differ, None, "{name}, in {batch}s, {:?}", gpu.info().tier);
                }
            }
        }
    }
}

#[test]
fn tokens_chosen_on_the_device_are_those_of_its_logits() {
    for gpu in devices("tokens_chosen_on_the_device_are_those_of_its_logits") {
        for (name, config) in families(&BASE.config()) {
            let (_, mut state) = states(&gpu, config, Format::F32, 64);
            let best = |logits: &[f32]| {
                let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                best.map(|(token, _)| token as u32).unwrap()
            };
            let prompt = tokens(7, BASE.vocab);
            let mut expected = vec![best(&block_on(state.forward(&prompt, Wanted::Last)).unwrap())];
            for _ in 0..20 {
                let last = *expected.last().unwrap();
                expected.push(best(&block_on(state.forward(&[last], Wanted::Last)).unwrap()));
            }
            state.truncate(0);
            state.choose(&prompt, 0, false).unwrap();
            let mut got = block_on(state.chosen()).unwrap();
            while got.len() < expected.len() {
                state.extend(5).unwrap();
                got.extend(block_on(state.chosen()).unwrap());
            }
            assert_eq!(got, expected, "{name}, {:?}", gpu.info().tier);
        }
    }
}

#[test]
fn a_text_that_becomes_long_is_turned_anew() {
    for gpu in devices("a_text_that_becomes_long_is_turned_anew") {
        let all = families(&BASE.config());
        let (_, config) = all.into_iter().find(|(name, _)| *name == "phi3").unwrap();
        let (mut cpu, mut state) = states(&gpu, config, Format::F32, 128);
        let tokens = tokens(SHORT + 10, BASE.vocab);
        on_gpu(&mut state, &tokens[..SHORT], 16);
        // It does not go on with half of it turned in one way.
        assert_eq!(code(block_on(state.forward(&tokens[SHORT..], Wanted::Last))), "invalid_request");
        assert_eq!(code(state.prefill(&tokens[SHORT..])), "invalid_request");
        assert_eq!(code(state.extend(1)), "invalid_request");
        assert_eq!(state.expect(SHORT + 10), 0);
        let got = on_gpu(&mut state, &tokens, 16);
        assert_close("a long text", &got, &on_cpu(&mut cpu, &tokens), CLOSE);
        assert_eq!(state.expect(SHORT), 0);
        let got = on_gpu(&mut state, &tokens[..SHORT], 16);
        assert_close("a short text", &got, &on_cpu(&mut cpu, &tokens[..SHORT]), CLOSE);
    }
}
