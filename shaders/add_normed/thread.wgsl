// add_normed: output[t] += BRANCH_SCALE * input[t] / sqrt(mean(input[t]^2) + EPSILON) * weight: a branch is normed before
// it is added to the residual stream.
//
// Shapes: input and output [tokens, 4 * STRIDE_QUADS] f32, of which COLS values a row count and the rest is zero;
// weight [4 * STRIDE_QUADS].
// Work: one thread a token, no barriers: as rms_norm/thread.wgsl.
// Needs: nothing

@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rows {
        return;
    }
    let row = id.x * STRIDE_QUADS;
    var squares = 0.0;
    for (var i = row; i < row + STRIDE_QUADS; i++) {
        squares += dot(input[i], input[i]);
    }
    let scale = BRANCH_SCALE * inverseSqrt(squares / f32(COLS) + EPSILON);
    for (var i = 0u; i < STRIDE_QUADS; i++) {
        output[row + i] += input[row + i] * scale * norm_weight[i];
    }
}
