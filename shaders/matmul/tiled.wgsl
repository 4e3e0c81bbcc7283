// matmul: finish(weights . input[t] + bias) for each token t of a batch.
//
// Shapes: as in matmul/thread.wgsl.
// Work: a workgroup computes a tile of 32 rows by 32 tokens: x over rows, y over tokens. Its threads form SLICES slices, and each
// slice computes every SLICES-th step of 32 columns, because one slice alone would wait for memory at every step. At the end the
// sums of the slices are added. Each of the 8 by 8 threads of a slice holds 4 rows (two pairs of neighbours) by 4 tokens in
// registers. The weights (decoded once) and inputs of a step are in workgroup memory as quads of columns.
// Needs: nothing

const SLICES: u32 = 2u;
const SLICE_THREADS: u32 = 64u;
const TILE: u32 = 32u;
const TILE_QUADS: u32 = 8u;
const TILE_CHUNKS: u32 = TILE_QUADS / QUADS_PER_CHUNK;
const STEPS: u32 = (ROW_CHUNKS + TILE_CHUNKS - 1u) / TILE_CHUNKS;

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// For each slice: weights [quad][even rows, then odd rows] and inputs [quad][token].
var<workgroup> weight_tile: array<vec4<f32>, SLICES * TILE * TILE_QUADS>;
var<workgroup> input_tile: array<vec4<f32>, SLICES * TILE * TILE_QUADS>;

fn stage_weights(thread: u32, tile: u32, first_row: u32, step: u32) {
    for (var i = thread; i < TILE * TILE_CHUNKS; i += SLICE_THREADS) {
        let row = i / TILE_CHUNKS;
        let c = step * TILE_CHUNKS + i % TILE_CHUNKS;
        let place = tile + i % TILE_CHUNKS * QUADS_PER_CHUNK * TILE + row % 2u * (TILE / 2u) + row / 2u;
        let inside = first_row + row < part.num_rows && c < ROW_CHUNKS;
        let chunk = load_chunk(min(first_row + row, part.num_rows - 1u), min(c, ROW_CHUNKS - 1u));
        for (var q = 0u; q < QUADS_PER_CHUNK; q++) {
            weight_tile[place + q * TILE] = select(vec4(0.0), weigh_quad(chunk, quad(chunk, q)), inside);
        }
    }
}

fn stage_input(thread: u32, tile: u32, first_token: u32, step: u32) {
    for (var i = thread; i < TILE * TILE_QUADS; i += SLICE_THREADS) {
        let token = first_token + i / TILE_QUADS;
        let q = step * TILE_QUADS + i % TILE_QUADS;
        var x = vec4(0.0);
        if token < batch.rows && q < INPUT_QUADS {
            x = input[token * INPUT_QUADS + q];
        }
        input_tile[tile + i % TILE_QUADS * TILE + i / TILE_QUADS] = x;
    }
}

@compute @workgroup_size(SLICES * SLICE_THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_row = workgroup.x * TILE;
    let first_token = workgroup.y * TILE;
    let slice = local / SLICE_THREADS;
    let thread = local % SLICE_THREADS;
    let tile = slice * TILE * TILE_QUADS;
    // The rows of this thread are 2 * column, 2 * column + 1, and the two rows 16 after them.
    let column = thread % 8u;
    let line = thread / 8u;

    // One vector of four rows for each token.
    var products: array<vec4<f32>, 4>;
    for (var first = 0u; first < STEPS; first += SLICES) {
        workgroupBarrier();
        stage_weights(thread, tile, first_row, first + slice);
        stage_input(thread, tile, first_token, first + slice);
        workgroupBarrier();
        for (var q = 0u; q < TILE_QUADS; q++) {
            let weights = tile + q * TILE + column;
            let a = weight_tile[weights];
            let b = weight_tile[weights + TILE / 2u];
            let c = weight_tile[weights + 8u];
            let d = weight_tile[weights + TILE / 2u + 8u];
            for (var t = 0u; t < 4u; t++) {
                let x = input_tile[tile + q * TILE + line + 8u * t];
                products[t] += vec4(dot(a, x), dot(b, x), dot(c, x), dot(d, x));
            }
        }
    }

    // Each slice adds the sums for its share of the tokens, and finishes them.
    workgroupBarrier();
    for (var t = 0u; t < 4u; t++) {
        weight_tile[(slice * 4u + t) * SLICE_THREADS + thread] = products[t];
    }
    workgroupBarrier();
    for (var t = slice; t < 4u; t += SLICES) {
        var sum = vec4(0.0);
        for (var s = 0u; s < SLICES; s++) {
            sum += weight_tile[(s * 4u + t) * SLICE_THREADS + thread];
        }
        let token = first_token + line + 8u * t;
        for (var pair = 0u; pair < 2u; pair++) {
            let row = first_row + 2u * column + 16u * pair;
            if token < batch.rows && row < part.num_rows {
                let both = select(sum.xy, sum.zw, pair == 1u);
                finish(token, part.first_row + row, add_bias(part.first_row + row, both));
            }
        }
    }
}
