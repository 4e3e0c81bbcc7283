// Epilogue of a projection: the products, times BRANCH_SCALE, are added to the slot's values (the residual stream).
// Output [tokens, 2 * OUTPUT_PAIRS]; rows beyond NUM_ROWS are padding and stay zero.
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

fn finish(token: u32, row: u32, products: vec2<f32>) {
    let second = select(0.0, products.y, row + 1u < NUM_ROWS);
    output[token * OUTPUT_PAIRS + row / 2u] += BRANCH_SCALE * vec2(products.x, second);
}
