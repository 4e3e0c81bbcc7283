// Eight columns of affine 8-bit weights as signed bytes, completing weights_affine8.wgsl: the stored integers, less MIDDLE
// (-128 to 127). Same interface as int8_affine4.wgsl; columns stay in their order.

const MIDDLE: f32 = 128.0;

// Columns 8 * i to 8 * i + 7 of the chunk.
fn eight_weights(chunk: Chunk, i: u32) -> vec2<u32> {
    return vec2(chunk.words[2u * i], chunk.words[2u * i + 1u]) ^ vec2(0x80808080u);
}

fn eight_inputs(low: vec4<i32>, high: vec4<i32>) -> vec2<u32> {
    return vec2(pack4xI8(low), pack4xI8(high));
}
