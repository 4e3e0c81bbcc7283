// Weights in affine 8-bit integers, the MLX layout: `w = scale * q + bias` with a scale and a bias for every
// GROUP_SIZE columns of a row; four values a word, the lowest column in the lowest bits, 16 a chunk.
// Completes affine_chunk.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = NUM_WORDS;

// The stored integers of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    return vec4<f32>((vec4(chunk.words[i]) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u));
}
