// Scale and bias of a quantisation group in f32, two words a group.
// Needs: nothing

@group(0) @binding(3) var<storage, read> scales: array<vec2<f32>>;

fn scale_bias(group_index: u32) -> vec2<f32> {
    return scales[group_index];
}
