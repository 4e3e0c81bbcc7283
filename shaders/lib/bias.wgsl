// Adds the projection's bias to the products of rows `row` and `row + 1`. A last odd row has no neighbour; the
// vector is padded with zeros to whole pairs.
// Needs: nothing

@group(0) @binding(5) var<storage, read> bias: array<vec2<f32>>;

fn add_bias(row: u32, products: vec2<f32>) -> vec2<f32> {
    return products + bias[row / 2u];
}
