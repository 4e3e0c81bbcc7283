// Eight columns of affine 4-bit weights as signed bytes, completing weights_affine4.wgsl: the stored integers, less none
// (0 to 15). The even columns make the first word and the odd ones the second, as two masks leave them; the inputs that
// they meet are put in the same order.

const MIDDLE: f32 = 0.0;

// Columns 8 * i to 8 * i + 7 of the chunk.
fn eight_weights(chunk: Chunk, i: u32) -> vec2<u32> {
    let word = chunk.words[i];
    return vec2(word, word >> 4u) & vec2(0x0f0f0f0fu);
}

fn eight_inputs(low: vec4<i32>, high: vec4<i32>) -> vec2<u32> {
    return vec2(pack4xI8(vec4(low.xz, high.xz)), pack4xI8(vec4(low.yw, high.yw)));
}
