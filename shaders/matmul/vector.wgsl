// matmul: finish(weights . input[t] + bias) for each token t, each computed as if it were alone: in a batch of several it
// has the same bits.
//
// Shapes: weights [num_rows, 4 * QUADS_PER_CHUNK * ROW_CHUNKS] in any weight format; input [tokens, 4 * INPUT_QUADS] f32,
// zero beyond the matrix's columns.
// Work: x over rows, y over tokens. LANES neighbouring threads compute PAIRS pairs of neighbouring rows, each every
// LANES-th chunk of them, so that they load consecutive words; a workgroup has THREADS / LANES such groups. Nothing is
// shared but the sums at the end, and lanes without a chunk load one all the same: so no load waits for anything, and a
// launch costs one trip to memory, where staging the input would cost two.
// Needs: nothing

const TURNS: u32 = (ROW_CHUNKS + LANES - 1u) / LANES;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = 2u * PAIRS * (workgroup.x * (THREADS / LANES) + thread / LANES);
    let token = workgroup.y;
    let lane = thread % LANES;
    // Threads beyond the matrix go along with the last row, because everybody must take part in sums.
    let last = part.num_rows - 1u;

    var products: array<vec2<f32>, PAIRS>;
    for (var turn = 0u; turn < TURNS; turn++) {
        let c = lane + turn * LANES;
        var x = input_chunk(token, c);
        var sum = 0.0;
        for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
            sum += dot(x[i], vec4(1.0));
        }
        for (var pair = 0u; pair < PAIRS; pair++) {
            let chunk_a = load_chunk(min(first + 2u * pair, last), min(c, ROW_CHUNKS - 1u));
            let chunk_b = load_chunk(min(first + 2u * pair + 1u, last), min(c, ROW_CHUNKS - 1u));
            var dots = vec2(0.0);
            for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
                dots += vec2(dot(quad(chunk_a, i), x[i]), dot(quad(chunk_b, i), x[i]));
            }
            products[pair] += vec2(weigh(chunk_a, dots.x, sum), weigh(chunk_b, dots.y, sum));
        }
    }
    for (var pair = 0u; pair < PAIRS; pair++) {
        let both = sum_products(thread, products[pair]);
        let row = first + 2u * pair;
        if lane == pair && row < part.num_rows {
            finish(token, part.first_row + row, add_bias(part.first_row + row, both));
        }
    }
}
