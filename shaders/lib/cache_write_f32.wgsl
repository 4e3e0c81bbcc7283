// Writing a key/value cache in f32. A position's row is its keys, then its values, head after head: KV_WIDTH
// pairs of neighbours.
// Needs: nothing

@group(0) @binding(8) var<storage, read_write> cache: array<vec2<f32>>;

fn cache_store(pair: u32, values: vec2<f32>) {
    cache[pair] = values;
}
