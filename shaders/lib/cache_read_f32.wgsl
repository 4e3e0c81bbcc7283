// Reading a key/value cache in f32; the layout is that of cache_write_f32.wgsl.
// Needs: nothing

@group(0) @binding(8) var<storage, read> cache: array<vec2<f32>>;

fn cache_pair(pair: u32) -> vec2<f32> {
    return cache[pair];
}
