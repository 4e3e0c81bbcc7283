// Weights in affine 4-bit integers, the MLX layout: `w = scale * q + bias` with a scale and a bias for every
// GROUP_SIZE columns of a row; eight values a word, the lowest column in the lowest bits, 32 a chunk, or 16 where groups are no longer.
// Completes affine_chunk.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 2u * NUM_WORDS;

// The stored integers of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    let word = chunk.words[i / 2u] >> (16u * (i % 2u));
    return vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
}
