// Reading a key/value cache in packed f16; the layout is that of cache_write_f16.wgsl.
// Needs: nothing

@group(0) @binding(8) var<storage, read> cache: array<u32>;

fn cache_pair(pair: u32) -> vec2<f32> {
    return unpack2x16float(cache[pair]);
}
