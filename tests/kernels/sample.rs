//! The choice of a token on the GPU against its twin, on logits that nothing divides: ties, no numbers, penalties, cuts.

use mobilellm::backend::cpu::sample::{Adjustment, IN_PROMPT, gumbel, sample};
use mobilellm::backend::gpu::Tier;
use mobilellm::generate::sampler::{Sampler, SamplerOptions};
use mobilellm::model::network::{Network, Slot};
use pollster::block_on;

use crate::support::{Bench, Random, Shape, Twins, code, devices};

/// Noise is a logarithm of a logarithm: what an accurate one may differ by.
const NOISE: f32 = 1e-3;

/// A network of no calls, whose logits are what a test writes, and where they are chosen from.
fn bench(gpu: &mobilellm::backend::gpu::Gpu, vocab: usize, max_positions: usize) -> Bench {
    let network = Network { ops: Vec::new(), config: Shape { vocab, ..Shape::default() }.config() };
    let twins = Twins::new(gpu, &network);
    Bench::new(network, twins.gpu, max_positions)
}

fn options() -> Vec<SamplerOptions> {
    let none = SamplerOptions { seed: 5, ..SamplerOptions::default() };
    let warm = SamplerOptions { temperature: 0.8, ..none.clone() };
    vec![
        none.clone(),
        SamplerOptions { repetition_penalty: 1.3, ..none.clone() },
        SamplerOptions { frequency_penalty: 0.4, presence_penalty: 0.3, ..none },
        warm.clone(),
        SamplerOptions { temperature: 0.05, ..warm.clone() },
        SamplerOptions { temperature: 3.0, ..warm.clone() },
        SamplerOptions { top_k: 1, ..warm.clone() },
        SamplerOptions { top_k: 40, ..warm.clone() },
        SamplerOptions { top_p: 0.0, ..warm.clone() },
        SamplerOptions { top_p: 0.9, ..warm.clone() },
        SamplerOptions { top_p: 0.999, temperature: 2.0, ..warm.clone() },
        SamplerOptions { min_p: 0.1, ..warm.clone() },
        SamplerOptions { top_k: 2000, top_p: 0.95, temperature: 5.0, ..warm.clone() },
        SamplerOptions { top_k: 20, top_p: 0.8, min_p: 0.01, ..warm.clone() },
        SamplerOptions {
            repetition_penalty: 1.1,
            frequency_penalty: 0.5,
            presence_penalty: 0.5,
            top_p: 0.95,
            logit_bias: [(0, 3.0), (3, -100.0)].into(),
            seed: 1 << 40,
            ..warm
        },
    ]
}

/// Logits between -8 and 8 in steps that make ties, with everything in between that is no such number.
fn logits(random: &mut Random, vocab: usize) -> Vec<f32> {
    let mut logits: Vec<f32> = (0..vocab).map(|_| (random.value() * 64.0).round() / 8.0).collect();
    for (index, odd) in [f32::NAN, f32::NEG_INFINITY, -f32::NAN].into_iter().enumerate() {
        if vocab > 10 {
            logits[7 * index % vocab] = odd;
        }
    }
    logits
}

#[test]
fn tokens_equal_the_twins() {
    for gpu in devices("tokens_equal_the_twins") {
        for vocab in [1, 7, 97, 1025, 5003] {
            let mut bench = bench(&gpu, vocab, 64);
            let mut random = Random::new(vocab as u64);
            for options in options() {
                let prompt = [3 % vocab as u32, 5 % vocab as u32];
                let mut sampler = Sampler::new(&options, &prompt, vocab).unwrap();
                bench.state.truncate(0);
                bench.state.set_sampling(sampler.sampling(), sampler.adjustments()).unwrap();
                for step in 0..8 {
                    let logits = logits(&mut random, vocab);
                    bench.state.write_slot(Slot::Logits, &logits).unwrap();
                    // The first by the host's word, the others because the device itself went on.
                    if step == 0 { bench.state.choose(&[0], 0, false) } else { bench.state.extend(1) }
                        .unwrap();
                    let got = block_on(bench.state.chosen()).unwrap();
                    let twin = sample(&logits, sampler.adjustments(), sampler.sampling(), step).unwrap();
                    let what = format!("{:?}, {vocab} tokens, step {step}, {options:?}", gpu.info().tier);
                    assert_eq!(got.len(), 1, "{what}");
                    assert_alike(&what, &logits, &sampler, step, got[0], twin);
                    sampler.record(got[0]);
                }
            }
        }
    }
}

/// The same token, or one whose noisy score is the same but for the accuracy of a logarithm.
fn assert_alike(what: &str, logits: &[f32], sampler: &Sampler, step: u32, got: u32, twin: u32) {
    if got == twin {
        return;
    }
    let sampling = sampler.sampling();
    let noisy = |token: u32| {
        let bias = sampler.adjustments().get(token as usize).map_or(0.0, |adjustment| adjustment.bias);
        (logits[token as usize] + bias) * sampling.inverse_temperature + gumbel(sampling.seed, step, token)
    };
    let close = sampling.inverse_temperature > 0.0 && sampling.adjusted == 0;
    assert!(
        close && (noisy(got) - noisy(twin)).abs() < NOISE,
        "{what}: {got} with {}, not {twin} with {}",
        noisy(got),
        noisy(twin)
    );
}

/// Gemma's: the widest vocabulary that is common.
const WIDE: usize = 262_144;

#[test]
fn a_wide_vocabulary_is_chosen_from_as_its_twin_does() {
    for gpu in devices("a_wide_vocabulary_is_chosen_from_as_its_twin_does") {
        let mut bench = bench(&gpu, WIDE, 16);
        let logits = logits(&mut Random::new(9), WIDE);
        bench.state.write_slot(Slot::Logits, &logits).unwrap();
        let greedy = SamplerOptions { seed: 5, ..SamplerOptions::default() };
        let warm = SamplerOptions { temperature: 0.9, ..greedy.clone() };
        let cut = SamplerOptions { top_k: 64, top_p: 0.95, ..warm.clone() };
        for options in [greedy, warm, cut] {
            let sampler = Sampler::new(&options, &[1], WIDE).unwrap();
            bench.state.truncate(0);
            let set = bench.state.set_sampling(sampler.sampling(), sampler.adjustments());
            // A search goes through the vocabulary, which no single thread of such an adapter does to its end.
            if gpu.info().tier == Tier::Software && gpu.info().short_loops && sampler.sampling().is_cut() {
                assert_eq!(code(set), "limit_exceeded");
                continue;
            }
            set.unwrap();
            bench.state.choose(&[0], 0, false).unwrap();
            let got = block_on(bench.state.chosen()).unwrap();
            let twin = sample(&logits, sampler.adjustments(), sampler.sampling(), 0).unwrap();
            let what = format!("{:?}, {options:?}", gpu.info().tier);
            assert_alike(&what, &logits, &sampler, 0, got[0], twin);
        }
    }
}

#[test]
fn several_passes_a_submit_choose_what_single_ones_do() {
    for gpu in devices("several_passes_a_submit_choose_what_single_ones_do") {
        let vocab = 331;
        let mut bench = bench(&gpu, vocab, 256);
        let logits = logits(&mut Random::new(2), vocab);
        bench.state.write_slot(Slot::Logits, &logits).unwrap();
        let options = SamplerOptions {
            temperature: 1.0,
            frequency_penalty: 1.0,
            repetition_penalty: 1.2,
            top_p: 0.9,
            ..SamplerOptions::default()
        };
        let mut sampler = Sampler::new(&options, &[1, 2], vocab).unwrap();
        let expected: Vec<u32> = (0..150).map(|_| sampler.sample(&logits).unwrap().token).collect();
        let sampler = Sampler::new(&options, &[1, 2], vocab).unwrap();
        let mut run = |depth: usize| {
            bench.state.truncate(0);
            bench.state.set_sampling(sampler.sampling(), sampler.adjustments()).unwrap();
            bench.state.choose(&[1, 2], 0, false).unwrap();
            let mut tokens = Vec::new();
            // Two in flight, across the border of the ring, and what is chosen counts.
            while tokens.len() < 150 {
                let count = depth.min(150 - tokens.len() - bench.state.pending());
                if count > 0 {
                    bench.state.extend(count).unwrap();
                }
                tokens.extend(block_on(bench.state.chosen()).unwrap());
            }
            assert_eq!((bench.state.len(), bench.state.in_flight()), (151, 0));
            tokens
        };
        assert_eq!(run(1), expected);
        assert_eq!(run(16), expected);
        assert_eq!(run(23), expected);
    }
}

#[test]
fn nothing_to_choose_from_is_no_token() {
    for gpu in devices("nothing_to_choose_from_is_no_token") {
        for options in options() {
            let mut bench = bench(&gpu, 50, 8);
            bench.state.write_slot(Slot::Logits, &[f32::NAN; 50]).unwrap();
            let sampler = Sampler::new(&options, &[1], 50).unwrap();
            bench.state.set_sampling(sampler.sampling(), sampler.adjustments()).unwrap();
            bench.state.choose(&[0], 0, false).unwrap();
            let got = block_on(bench.state.chosen()).unwrap();
            assert!(got[0] >= 50, "{:?} chose {got:?}", gpu.info().tier);
        }
    }
}

#[test]
fn no_room_is_an_error_and_what_is_abandoned_leaves_nothing() {
    for gpu in devices("no_room_is_an_error_and_what_is_abandoned_leaves_nothing") {
        let mut bench = bench(&gpu, 50, 8);
        bench.state.choose(&[0, 1, 2], 0, false).unwrap();
        bench.state.extend(5).unwrap();
        assert_eq!(bench.state.room(), 0);
        assert_eq!(bench.state.extend(1).unwrap_err().code(), "invalid_request");
        bench.state.truncate(0);
        assert_eq!((bench.state.len(), bench.state.in_flight(), bench.state.room()), (0, 0, 8));
        for _ in 0..10 {
            bench.state.choose(&[0], 0, false).unwrap();
            bench.state.extend(2).unwrap();
            bench.state.truncate(0);
        }
    }
}

#[test]
fn a_token_of_the_prompt_counts_as_seen_but_not_as_generated() {
    let options =
        SamplerOptions { repetition_penalty: 2.0, frequency_penalty: 1.0, ..SamplerOptions::default() };
    let mut sampler = Sampler::new(&options, &[1], 3).unwrap();
    assert_eq!(sampler.adjustments()[1], Adjustment { seen: IN_PROMPT, bias: 0.0 });
    sampler.record(1);
    assert_eq!(sampler.adjustments()[1].seen, IN_PROMPT + 1);
}
