// The input of a vector product after RMSNorm, which every workgroup computes for itself: the row is short, and a
// dispatch of its own would cost more than all of them together. Same interface as input_plain.wgsl.

@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

var<private> norm_scale: f32;

fn input_row(token: u32) -> u32 {
    return (token + select(0u, batch.first_wanted, WANTED_ROWS)) * INPUT_QUADS;
}

fn prepare_input(thread: u32, token: u32) {
    var squares = 0.0;
    for (var i = thread; i < INPUT_QUADS; i += THREADS) {
        let x = input[input_row(token) + i];
        squares += dot(x, x);
    }
    norm_scale = inverseSqrt(sum_workgroup(thread, squares) / f32(NORM_COLS) + EPSILON);
}

fn input_quad(token: u32, i: u32) -> vec4<f32> {
    return input[input_row(token) + i] * norm_scale * norm_weight[i];
}
