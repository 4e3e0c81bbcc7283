// Weights in half precision: 8 values a chunk, two a word, the lower column in the lower half.
// The interface that every weights_*.wgsl has: load a chunk (16 bytes of a row), take it apart four columns
// (a quad) at a time, and turn a dot product of its stored values into one of its weights.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 2u;

// Rows of ROW_CHUNKS chunks.
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;

struct Chunk {
    words: vec4<u32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(weights[row * ROW_CHUNKS + chunk]);
}

// The stored values of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    return vec4(unpack2x16float(chunk.words[2u * i]), unpack2x16float(chunk.words[2u * i + 1u]));
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
