// Epilogue of a projection whose rows alternate between gate and up: activate(gate) * up, one value a pair of rows.
// Output [tokens, 2 * OUTPUT_PAIRS].
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<f32>;

fn finish(token: u32, row: u32, products: vec2<f32>) {
    output[token * 2u * OUTPUT_PAIRS + row / 2u] = activate(products.x) * products.y;
}
