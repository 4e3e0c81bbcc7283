// Weights in floats, completed by weights_f32.wgsl, weights_f16.wgsl or weights_bf16.wgsl: what is stored is the weight.
// The interface that every weights_*.wgsl has: load a chunk (16 bytes of a row), take it apart four columns
// (a quad) at a time, and turn a dot product of its stored values into one of its weights.
// Needs: nothing

// Rows of ROW_CHUNKS chunks.
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;

struct Chunk {
    words: vec4<u32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(weights[row * ROW_CHUNKS + chunk]);
}

// The dot product with the chunk's weights, from `product`, that with its stored values, and `sum`, the sum of
// the other factor.
fn weigh(chunk: Chunk, product: f32, sum: f32) -> f32 {
    return product;
}

// The weights of a quad, from its stored values.
fn weigh_quad(chunk: Chunk, stored: vec4<f32>) -> vec4<f32> {
    return stored;
}
