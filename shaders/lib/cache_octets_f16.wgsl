// Reading a key/value cache in packed f16 eight values at a time; the layout is that of cache_write_f16.wgsl. Heads are
// whole octets wide.
// Needs: nothing

@group(0) @binding(8) var<storage, read> cache: array<vec4<u32>>;

// As it lies, so that one that waits to be used takes few registers.
alias Octet = vec4<u32>;

fn load_octet(octet: u32) -> Octet {
    return cache[octet];
}

fn octet_low(octet: Octet) -> vec4<f32> {
    return vec4(unpack2x16float(octet.x), unpack2x16float(octet.y));
}

fn octet_high(octet: Octet) -> vec4<f32> {
    return vec4(unpack2x16float(octet.z), unpack2x16float(octet.w));
}
