// Epilogue of the head: the products, times LOGIT_SCALE and softly kept within LOGIT_CAP where IS_CAPPED, become the
// logits: cap * tanh(x / cap). The tanh is made from exp, because WGSL allows its own an error of 1e-5.
// Output [tokens, 2 * OUTPUT_PAIRS]; rows beyond NUM_ROWS are padding and stay zero.
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

fn cap(logits: vec2<f32>) -> vec2<f32> {
    let shrunk = exp(-2.0 * abs(logits / LOGIT_CAP));
    return LOGIT_CAP * sign(logits) * (1.0 - shrunk) / (1.0 + shrunk);
}

fn finish(token: u32, row: u32, products: vec2<f32>) {
    let second = select(0.0, products.y, row + 1u < NUM_ROWS);
    let logits = LOGIT_SCALE * vec2(products.x, second);
    output[token * OUTPUT_PAIRS + row / 2u] = select(logits, cap(logits), IS_CAPPED);
}
