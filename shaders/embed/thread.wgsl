// embed: output[t] = EMBED_SCALE * embedding[token[t]], dequantised.
//
// Shapes: embedding [vocab_size, 4 * COLS_QUADS] in any weight format; output [tokens, 4 * OUTPUT_QUADS] f32.
// Work: one thread per quad of columns of a token: x over quads, y over tokens. If the embedding has several parts, the kernel
// runs once per part, and each run writes only the tokens of its part.
// Needs: nothing

@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = batch.tokens[id.y / 4u][id.y % 4u];
    let row = token - part.first_row;
    if id.x >= COLS_QUADS || token < part.first_row || row >= part.num_rows {
        return;
    }
    let chunk = load_chunk(row, id.x / QUADS_PER_CHUNK);
    output[id.y * OUTPUT_QUADS + id.x] = EMBED_SCALE * weigh_quad(chunk, quad(chunk, id.x % QUADS_PER_CHUNK));
}
