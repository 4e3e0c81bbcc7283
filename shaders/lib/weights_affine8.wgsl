// Weights in affine 8-bit integers, the MLX layout: `w = scale * q + bias` with a scale and a bias for every
// GROUP_SIZE columns of a row; four values a word, the lowest column in the lowest bits, 16 a chunk.
// Same interface as weights_f32.wgsl. A chunk never spans two groups, so scale and bias are applied once a
// chunk: scale * (q . x) + bias * (sum of x), which saves an operation a weight.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 4u;
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
    return vec4<f32>((vec4(chunk.words[i]) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u));
}

fn weigh(chunk: Chunk, product: f32, sum: f32) -> f32 {
    return chunk.scale_bias.x * product + chunk.scale_bias.y * sum;
}

fn weigh_quad(chunk: Chunk, stored: vec4<f32>) -> vec4<f32> {
    return chunk.scale_bias.x * stored + chunk.scale_bias.y;
}
