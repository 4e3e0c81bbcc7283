// The input of a vector product as it lies. Same interface as input_normed.wgsl.
// Needs: nothing

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// What chunk `c` of a row of weights is multiplied with; zero beyond the last.
fn input_chunk(token: u32, c: u32) -> array<vec4<f32>, QUADS_PER_CHUNK> {
    let first = (token + select(0u, batch.first_wanted, WANTED_ROWS)) * INPUT_QUADS + c * QUADS_PER_CHUNK;
    var x: array<vec4<f32>, QUADS_PER_CHUNK>;
    for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
        x[i] = select(vec4(0.0), input[first + i], c < ROW_CHUNKS);
    }
    return x;
}

// The products of a pair of rows, from those of each of its LANES threads with the chunks it asked for; they all call
// together.
fn sum_products(thread: u32, products: vec2<f32>) -> vec2<f32> {
    return sum_lanes(thread, vec3(products, 0.0)).xy;
}
