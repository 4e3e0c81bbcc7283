// Epilogue of the joint query, key and value projection. Rows below QUERY_WIDTH are queries: rotated, to the
// output [tokens, 2 * OUTPUT_PAIRS]. The next KV_WIDTH are keys: rotated, to the cache. The rest are values, to
// the cache. A cache row (see cache_*.wgsl) has keys and values in this same order.
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

fn finish(token: u32, row: u32, products: vec2<f32>) {
    let position = batch.position + token;
    if row < QUERY_WIDTH {
        output[token * OUTPUT_PAIRS + row / 2u] = rotate(position, row, products);
        return;
    }
    let pair = slot(position) * KV_WIDTH + (row - QUERY_WIDTH) / 2u;
    if row < QUERY_WIDTH + KV_WIDTH {
        cache_store(pair, rotate(position, row, products));
    } else {
        cache_store(pair, products);
    }
}
