// Epilogue of a query projection: rotary embedding, then the slot. Output [tokens, 2 * OUTPUT_PAIRS]. The
// matrix may go on with key and value rows, which are not asked for: rows from NUM_ROWS on are left out.
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

fn finish(token: u32, row: u32, products: vec2<f32>) {
    if row < NUM_ROWS {
        output[token * OUTPUT_PAIRS + row / 2u] = rotate(batch.position + token, row, products);
    }
}
