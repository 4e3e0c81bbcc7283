// Weights in affine integers, completed by a weights_affine*.wgsl: `w = scale * q + bias`, with a scale and a bias for every
// GROUP_SIZE columns of a row. Same interface as floats.wgsl. A chunk never spans two groups, so scale and bias are applied
// once a chunk: scale * (q . x) + bias * (sum of x), which saves an operation a weight.
// Needs: nothing

const CHUNKS_PER_GROUP: u32 = GROUP_SIZE / (4u * QUADS_PER_CHUNK);
const ROW_GROUPS: u32 = ROW_CHUNKS / CHUNKS_PER_GROUP;

fn weigh(chunk: Chunk, product: f32, sum: f32) -> f32 {
    return chunk.scale_bias.x * product + chunk.scale_bias.y * sum;
}

fn weigh_quad(chunk: Chunk, stored: vec4<f32>) -> vec4<f32> {
    return chunk.scale_bias.x * stored + chunk.scale_bias.y;
}
