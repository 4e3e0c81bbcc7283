// matmul: finish(weights . input[t] + bias) for each token t.
//
// Shapes: weights [num_rows, 4 * QUADS_PER_CHUNK * ROW_CHUNKS] in any weight format; input
// [tokens, 4 * INPUT_QUADS] f32, zero beyond the matrix's columns.
// Work: one thread computes a pair of neighbouring rows for TOKENS tokens: x over pairs, y over groups of tokens.
// There are no barriers and no workgroup memory, because they are slow on software adapters. Each weight is decoded once for
// all TOKENS tokens.
// Needs: nothing

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = 2u * id.x;
    if row >= part.num_rows {
        return;
    }
    // If the number of rows is odd, the last row is its own neighbour.
    let neighbour = min(row + 1u, part.num_rows - 1u);
    let first = id.y * TOKENS;
    let source = (first + select(0u, batch.first_wanted, WANTED_ROWS)) * INPUT_QUADS;

    var products: array<vec2<f32>, TOKENS>;
    for (var c = 0u; c < ROW_CHUNKS; c++) {
        let chunk_a = load_chunk(row, c);
        let chunk_b = load_chunk(neighbour, c);
        // For each token its dot products with both rows, and the sum of its inputs. The explicit initialiser is necessary:
        // without it, Chromium on SwiftShader keeps the values of the previous iteration.
        var dots = array<vec3<f32>, TOKENS>();
        for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
            let a = quad(chunk_a, i);
            let b = quad(chunk_b, i);
            for (var t = 0u; t < TOKENS; t++) {
                let x = input[source + t * INPUT_QUADS + c * QUADS_PER_CHUNK + i];
                dots[t] += vec3(dot(a, x), dot(b, x), dot(x, vec4(1.0)));
            }
        }
        for (var t = 0u; t < TOKENS; t++) {
            let d = dots[t];
            products[t] += vec2(weigh(chunk_a, d.x, d.z), weigh(chunk_b, d.y, d.z));
        }
    }
    for (var t = 0u; t < TOKENS; t++) {
        if first + t < batch.rows {
            finish(first + t, part.first_row + row, add_bias(part.first_row + row, products[t]));
        }
    }
}
