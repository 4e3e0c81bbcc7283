// Weights in half precision: 8 values a chunk, two a word, the lower column in the lower half.
// Completes floats.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 2u;

// The stored values of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    return vec4(unpack2x16float(chunk.words[2u * i]), unpack2x16float(chunk.words[2u * i + 1u]));
}
