// Eight columns of affine weights as signed bytes, completing weights_affine.wgsl: integers of 4 bits as they are stored (0
// to 15), those of 8 bits less their middle (-128 to 127). The even columns make the first word and the odd ones the
// second, as two masks leave them of 4 bits; the inputs that they meet are put in the same order.
// Needs: packed_4x8_integer_dot_product

// What was subtracted from the stored integers.
fn zero_offset() -> f32 {
    return select(0.0, 128.0, is_wide());
}

// Columns 8 * i to 8 * i + 7 of the chunk.
fn eight_weights(chunk: Chunk, i: u32) -> vec2<u32> {
    if is_wide() {
        let low = unpack4xU8(wide_word(chunk, 2u * i));
        let high = unpack4xU8(wide_word(chunk, 2u * i + 1u));
        return vec2(pack4xU8(vec4(low.xz, high.xz)), pack4xU8(vec4(low.yw, high.yw))) ^ vec2(0x80808080u);
    }
    let word = chunk.first_half[i];
    return vec2(word, word >> 4u) & vec2(0x0f0f0f0fu);
}

fn eight_inputs(low: vec4<i32>, high: vec4<i32>) -> vec2<u32> {
    return vec2(pack4xI8(vec4(low.xz, high.xz)), pack4xI8(vec4(low.yw, high.yw)));
}
