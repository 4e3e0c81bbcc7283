// Epilogue of a projection whose rows alternate between gate and up: silu(gate) * up, one value a pair of rows.
// Output [tokens, 2 * OUTPUT_PAIRS]. silu(g) = g / (1 + exp(-g)).
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<f32>;

fn finish(token: u32, row: u32, products: vec2<f32>) {
    let silu = products.x / (1.0 + exp(-products.x));
    output[token * 2u * OUTPUT_PAIRS + row / 2u] = silu * products.y;
}
