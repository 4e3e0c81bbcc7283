// Weights in single precision: 4 values a chunk, one a word.
// Completes floats.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 1u;

// The stored values of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(chunk.words);
}
