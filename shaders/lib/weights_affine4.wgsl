// Weights in affine 4-bit integers, the MLX layout: `w = scale * q + bias` with a scale and a bias for every
// GROUP_SIZE columns of a row; eight values a word, the lowest column in the lowest bits, 32 a chunk.
// Same interface as weights_f32.wgsl. A chunk never spans two groups, so scale and bias are applied once a
// chunk: scale * (q . x) + bias * (sum of x), which saves an operation a weight.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 8u;
const CHUNKS_PER_GROUP: u32 = GROUP_SIZE / (4u * QUADS_PER_CHUNK);
const ROW_GROUPS: u32 = ROW_CHUNKS / CHUNKS_PER_GROUP;

// Rows of ROW_CHUNKS chunks.
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;

struct Chunk {
    words: vec4<u32>,
    scale_bias: vec2<f32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(weights[row * ROW_CHUNKS + chunk], scale_bias(row * ROW_GROUPS + chunk / CHUNKS_PER_GROUP));
}

// The stored integers of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    let word = chunk.words[i / 2u] >> (16u * (i % 2u));
    return vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
}

fn weigh(chunk: Chunk, product: f32, sum: f32) -> f32 {
    return chunk.scale_bias.x * product + chunk.scale_bias.y * sum;
}

fn weigh_quad(chunk: Chunk, stored: vec4<f32>) -> vec4<f32> {
    return chunk.scale_bias.x * stored + chunk.scale_bias.y;
}
