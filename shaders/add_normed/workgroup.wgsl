// add_normed: output[t] += BRANCH_SCALE * input[t] / sqrt(mean(input[t]^2) + EPSILON) * weight.
//
// Shapes: as in add_normed/thread.wgsl.
// Work: one workgroup of THREADS threads a token, which share its quads.
// Needs: nothing

@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.x * STRIDE_QUADS;
    var squares = 0.0;
    for (var i = thread; i < STRIDE_QUADS; i += THREADS) {
        squares += dot(input[row + i], input[row + i]);
    }
    let scale = BRANCH_SCALE * inverseSqrt(sum_workgroup(thread, squares) / f32(COLS) + EPSILON);
    for (var i = thread; i < STRIDE_QUADS; i += THREADS) {
        output[row + i] += input[row + i] * scale * norm_weight[i];
    }
}
