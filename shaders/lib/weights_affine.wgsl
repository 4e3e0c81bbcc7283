// Weights in affine integers of 4 or 8 bits, whichever the bound part has; the layouts are those of weights_affine4.wgsl and
// weights_affine8.wgsl, 32 columns a chunk, or 16 where groups are no longer. For kernels that unpack a weight for many uses, or that nobody is in a
// hurry for: a model that has matrices of both needs half as many of them. Completes affine.wgsl,
// is completed by words4.wgsl or words2.wgsl.
// Needs: nothing

const QUADS_PER_CHUNK: u32 = 2u * NUM_WORDS;

// Rows of ROW_CHUNKS chunks, each of one vector for 4 bits and two for 8.
@group(0) @binding(2) var<storage, read> weights: array<Words>;

struct Chunk {
    // Of 4-bit integers there is only the first half.
    first_half: Words,
    second_half: Words,
    scale_bias: vec2<f32>,
}

fn is_wide() -> bool {
    return part.bits == 8u;
}

fn load_chunk(row: u32, chunk: u32) -> Chunk {
    let wide = u32(is_wide());
    let place = (row * ROW_CHUNKS + chunk) << wide;
    let scale_bias = scale_bias(row * ROW_GROUPS + chunk / CHUNKS_PER_GROUP);
    return Chunk(weights[place], weights[place + wide], scale_bias);
}

// Word `i` of those that four columns each take in 8 bits.
fn wide_word(chunk: Chunk, i: u32) -> u32 {
    return select(chunk.first_half[i % NUM_WORDS], chunk.second_half[i % NUM_WORDS], i >= NUM_WORDS);
}

// The stored integers of columns 4 * i to 4 * i + 3 of the chunk.
fn quad(chunk: Chunk, i: u32) -> vec4<f32> {
    let narrow = chunk.first_half[i / 2u] >> (16u * (i % 2u));
    let word = select(narrow, wide_word(chunk, i), is_wide());
    return vec4<f32>((vec4(word) >> (vec4(0u, 1u, 2u, 3u) * part.bits)) & vec4((1u << part.bits) - 1u));
}
