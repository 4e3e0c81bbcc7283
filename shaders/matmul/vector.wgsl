// matmul: finish(weights . input[t] + bias) for each token t, each computed as if it were alone: in a batch of several it
// has the same bits.
//
// Shapes: weights [num_rows, 4 * QUADS_PER_CHUNK * ROW_CHUNKS] in any weight format; input [tokens, 4 * INPUT_QUADS] f32,
// zero beyond the matrix's columns.
// Work: x over rows, y over tokens. LANES neighbouring threads compute a pair of neighbouring rows, each every LANES-th chunk of them, so that
// they load consecutive words; a workgroup has THREADS / LANES such pairs. The input lies in workgroup memory, a tile
// at a time where it is long, with the chunks' first quads together, then their second quads: neighbouring
// threads then read neighbouring vectors, which no two banks conflict over.

const TILE_QUADS: u32 = TILE_CHUNKS * QUADS_PER_CHUNK;

var<workgroup> tile: array<vec4<f32>, TILE_QUADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = 2u * (workgroup.x * (THREADS / LANES) + thread / LANES);
    // Threads beyond the matrix go along with the last rows, because barriers need everybody.
    let row_a = min(row, part.num_rows - 1u);
    let row_b = min(row + 1u, part.num_rows - 1u);

    let token = workgroup.y;
    prepare_input(thread, token);
    var products = vec2(0.0);
    for (var first = 0u; first < ROW_CHUNKS; first += TILE_CHUNKS) {
        workgroupBarrier();
        for (var i = thread; i < TILE_QUADS; i += THREADS) {
            let quad = first * QUADS_PER_CHUNK + i;
            var x = vec4(0.0);
            if quad < INPUT_QUADS {
                x = input_quad(token, quad);
            }
            tile[i % QUADS_PER_CHUNK * TILE_CHUNKS + i / QUADS_PER_CHUNK] = x;
        }
        workgroupBarrier();
        let last = min(first + TILE_CHUNKS, ROW_CHUNKS);
        for (var c = first + thread % LANES; c < last; c += LANES) {
            let chunk_a = load_chunk(row_a, c);
            let chunk_b = load_chunk(row_b, c);
            var dots = vec3(0.0);
            for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
                let x = tile[i * TILE_CHUNKS + c - first];
                dots += vec3(dot(quad(chunk_a, i), x), dot(quad(chunk_b, i), x), dot(x, vec4(1.0)));
            }
            products += vec2(weigh(chunk_a, dots.x, dots.z), weigh(chunk_b, dots.y, dots.z));
        }
    }
    products = sum_lanes(thread, products);
    if thread % LANES == 0u && row < part.num_rows {
        finish(token, part.first_row + row, add_bias(part.first_row + row, products));
    }
}
