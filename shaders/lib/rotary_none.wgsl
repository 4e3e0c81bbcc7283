// No rotation: a layer without positions. Same interface as rotary.wgsl.
// Needs: nothing

fn rotate(position: u32, row: u32, pair: vec2<f32>) -> vec2<f32> {
    return pair;
}
