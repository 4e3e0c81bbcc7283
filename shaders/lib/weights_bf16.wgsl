// Weights in bfloat16: 8 values a chunk, two a word, the lower column in the lower half.
// bfloat16 is the upper half of an f32, so decoding is a shift or a mask.
// Completes floats.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 2u;

// The stored values of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    let low = chunk.words[2u * i];
    let high = chunk.words[2u * i + 1u];
    return bitcast<vec4<f32>>(vec4(low << 16u, low & 0xffff0000u, high << 16u, high & 0xffff0000u));
}
