// Writing a key/value cache in f16, packed two to a word: core WGSL, no shader-f16. A position's row is its
// keys, then its values, head after head: KV_WIDTH pairs of neighbours.
// Needs: nothing

@group(0) @binding(8) var<storage, read_write> cache: array<u32>;

// Packing a value beyond f16 is undefined in WGSL, so it is clamped.
fn cache_store(pair: u32, values: vec2<f32>) {
    cache[pair] = pack2x16float(clamp(values, vec2(-65504.0), vec2(65504.0)));
}
