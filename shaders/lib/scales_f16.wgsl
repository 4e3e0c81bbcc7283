// Scale and bias of a quantisation group in f16, one word a group: the scale in the lower half.
// Needs: nothing

@group(0) @binding(3) var<storage, read> scales: array<u32>;

fn scale_bias(group_index: u32) -> vec2<f32> {
    return unpack2x16float(scales[group_index]);
}
