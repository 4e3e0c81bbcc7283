// matmul: finish(weights . input[t] + bias) for each token t. Each token is computed separately, so that its result has the same
// bits in every batch.
//
// Shapes: weights [num_rows, 4 * QUADS_PER_CHUNK * ROW_CHUNKS] in any weight format; input [tokens, 4 * INPUT_QUADS] f32,
// zero beyond the matrix's columns.
// Work: x over rows, y over tokens. A group of LANES neighbouring threads computes PAIRS pairs of neighbouring rows. Each thread
// computes every LANES-th chunk, so that the threads load consecutive words. A workgroup has THREADS / LANES groups. Threads
// share only the sums at the end, and a thread without a chunk loads one too. So no load waits for other work, and a launch
// waits for memory once; copying the input to workgroup memory first would make it wait twice.
// Needs: nothing

const TURNS: u32 = (ROW_CHUNKS + LANES - 1u) / LANES;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = 2u * PAIRS * (workgroup.x * (THREADS / LANES) + thread / LANES);
    let token = workgroup.y;
    let lane = thread % LANES;
    // Threads after the end of the matrix compute the last row, because all threads must take part in the sums.
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
