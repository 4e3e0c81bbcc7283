// rms_norm: output[t] = input[t] / sqrt(mean(input[t]^2) + EPSILON) * weight.
//
// Shapes: input and output [tokens, 4 * STRIDE_QUADS] f32, of which COLS values a row count and the rest is zero;
// weight [4 * STRIDE_QUADS].
// Work: one thread a token, no barriers: for software adapters, where a barrier costs more than this
// short loop. The first row read is the first wanted one where only wanted rows are normalised.
// Needs: nothing

@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rows {
        return;
    }
    let source = (id.x + select(0u, batch.first_wanted, WANTED_ROWS)) * STRIDE_QUADS;
    var squares = 0.0;
    for (var i = 0u; i < STRIDE_QUADS; i++) {
        let x = input[source + i];
        squares += dot(x, x);
    }
    let scale = inverseSqrt(squares / f32(COLS) + EPSILON);
    for (var i = 0u; i < STRIDE_QUADS; i++) {
        output[id.x * STRIDE_QUADS + i] = input[source + i] * scale * norm_weight[i];
    }
}
