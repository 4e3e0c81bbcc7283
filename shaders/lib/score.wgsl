// From a logit to the score that a token is chosen by; twin: cpu::sample::adjusted. And the noise that is added to it.
// NEVER, LAST_STEP, IN_PROMPT, MAX_NOISE, ONE and SERIES_BELOW are those of cpu::sample, which says what they mean.
// Needs: nothing

struct Sampling {
    // 1 / temperature; 0 takes the best.
    inverse_temperature: f32,
    // Tokens that top-k keeps; 0 keeps all.
    top_k: u32,
    // Share of the probability that top-p keeps; 1 keeps all.
    top_p: f32,
    // Steps from the best that min-p keeps; LAST_STEP keeps all.
    max_steps: u32,
    // What the noise of all steps has in common.
    seed: u32,
    // 1 where adjustments count.
    adjusted: u32,
    // Multiply negative and positive scores of tokens seen.
    repetition: f32,
    inverse_repetition: f32,
    // Subtracted for each time that a token was generated, and where it was generated at all.
    frequency: f32,
    presence: f32,
}

struct Adjustment {
    // How often the token was generated, plus IN_PROMPT.
    seen: u32,
    // Added to its score.
    bias: f32,
}

// No token.
const NO_TOKEN: u32 = 0xffffffffu;

@group(0) @binding(10) var<uniform> sampling: Sampling;

// [tokens, LOGITS_STRIDE], of which VOCAB_SIZE count. As bits, because a compiler may assume that no f32 is NaN.
@group(0) @binding(6) var<storage, read> logits: array<u32>;

fn score(row: u32, token: u32) -> f32 {
    let bits = logits[row * LOGITS_STRIDE + token];
    let magnitude = bits & 0x7fffffffu;
    if magnitude > 0x7f800000u || bits == 0xff800000u {
        return NEVER;
    }
    var x = -NEVER;
    if magnitude < 0x7f800000u {
        x = bitcast<f32>(bits);
    }
    if sampling.adjusted != 0u {
        let adjustment = adjustments[token];
        if adjustment.seen != 0u {
            x *= select(sampling.repetition, sampling.inverse_repetition, x > 0.0);
        }
        let count = adjustment.seen & ~IN_PROMPT;
        if count > 0u {
            x -= sampling.frequency * f32(count) + sampling.presence;
        }
        x = clamp(x + adjustment.bias, NEVER, -NEVER);
    }
    return x;
}

// The better of two tokens: the higher score, the lower id among equals.
struct Best {
    score: f32,
    token: u32,
}

fn better(a: Best, b: Best) -> Best {
    if b.score > a.score || (b.score == a.score && b.token < a.token) {
        return b;
    }
    return a;
}

// A score with its noise; not worth the noise where that cannot lift it to `so_far`.
fn noisy(score: f32, token: u32, step: u32, so_far: f32) -> f32 {
    let scaled = score * sampling.inverse_temperature;
    if score == NEVER || scaled + MAX_NOISE < so_far {
        return NEVER;
    }
    return scaled + gumbel(step, token);
}

// Standard Gumbel noise; see cpu::sample::gumbel for why the series.
fn gumbel(step: u32, token: u32) -> f32 {
    let bits = hash(hash(sampling.seed ^ step) ^ token);
    let v = (f32(bits >> 8u) + 0.5) / ONE;
    var waiting = v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * (1.0 / 5.0 + v / 6.0)))));
    if v >= SERIES_BELOW {
        waiting = -log(1.0 - v);
    }
    return -log(waiting);
}

fn hash(x: u32) -> u32 {
    let state = x * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}
