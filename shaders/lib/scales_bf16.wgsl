// Scale and bias of a quantisation group in bfloat16, one word a group: the scale in the lower half.
// Needs: nothing

@group(0) @binding(3) var<storage, read> scales: array<u32>;

fn scale_bias(group_index: u32) -> vec2<f32> {
    let word = scales[group_index];
    return bitcast<vec2<f32>>(vec2(word << 16u, word & 0xffff0000u));
}
