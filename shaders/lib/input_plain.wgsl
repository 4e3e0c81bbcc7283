// The input of a vector product as it lies. Same interface as input_normed.wgsl.

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// All threads of a workgroup call this together before they ask for quads.
fn prepare_input(thread: u32, token: u32) {}

// Values 4 * i to 4 * i + 3 of a row of the batch.
fn input_quad(token: u32, i: u32) -> vec4<f32> {
    return input[(token + select(0u, batch.first_wanted, WANTED_ROWS)) * INPUT_QUADS + i];
}
