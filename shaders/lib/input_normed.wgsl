// The input of a vector product after RMSNorm. The threads that share a row of weights see every value once, so their
// squares are summed on the way, and the scale that they give is applied to the products. Same interface as
// input_plain.wgsl.
// Needs: nothing

@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// Of the chunks that this thread asked for.
var<private> squares: f32;

fn input_chunk(token: u32, c: u32) -> array<vec4<f32>, QUADS_PER_CHUNK> {
    let row = (token + select(0u, batch.first_wanted, WANTED_ROWS)) * INPUT_QUADS;
    var normed: array<vec4<f32>, QUADS_PER_CHUNK>;
    for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
        let quad = c * QUADS_PER_CHUNK + i;
        let x = select(vec4(0.0), input[row + quad], c < ROW_CHUNKS);
        squares += dot(x, x);
        normed[i] = x * norm_weight[quad];
    }
    return normed;
}

fn sum_products(thread: u32, products: vec2<f32>) -> vec2<f32> {
    let sums = sum_lanes(thread, vec3(products, squares));
    return sums.xy * inverseSqrt(sums.z / f32(NORM_COLS) + EPSILON);
}
