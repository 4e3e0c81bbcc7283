// A chunk of affine integers that are all of one width, completed by weights_affine4.wgsl or weights_affine8.wgsl; completes
// affine.wgsl, is completed by words4.wgsl or words2.wgsl.
// Needs: nothing

// Rows of ROW_CHUNKS chunks.
@group(0) @binding(2) var<storage, read> weights: array<Words>;

struct Chunk {
    words: Words,
    scale_bias: vec2<f32>,
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    return Chunk(weights[row * ROW_CHUNKS + chunk], scale_bias(row * ROW_GROUPS + chunk / CHUNKS_PER_GROUP));
}
