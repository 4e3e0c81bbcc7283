// Reading a key/value cache in f32 eight values at a time; the layout is that of cache_write_f32.wgsl. Heads are whole
// octets wide. Same interface as cache_octets_f16.wgsl.
// Needs: nothing

@group(0) @binding(8) var<storage, read> cache: array<vec4<f32>>;

struct Octet {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn load_octet(octet: u32) -> Octet {
    return Octet(cache[2u * octet], cache[2u * octet + 1u]);
}

fn octet_low(octet: Octet) -> vec4<f32> {
    return octet.low;
}

fn octet_high(octet: Octet) -> vec4<f32> {
    return octet.high;
}
