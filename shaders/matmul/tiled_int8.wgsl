// matmul: finish(weights . input[t] + bias) for each token t of a batch, multiplied in 8-bit integers.
//
// Shapes: as in matmul/thread.wgsl; weights are affine.
// Work: a workgroup computes a tile of 64 rows by 32 tokens: x over rows, y over tokens. Its 16 by 4 threads hold 4
// neighbouring rows by 8 tokens each in registers. In steps of 32 columns weights and inputs lie in workgroup memory, four
// columns a word.
//
// A token's inputs are rounded step by step, to whole multiples of a 127th of the largest: x ~ scale * x8. A step never
// spans two quantisation groups, so that with w = s * (q + MIDDLE) + b its products are
// scale * (s * sum(q * x8) + (b + s * MIDDLE) * sum(x8)). Both sums are exact.

const ROWS: u32 = 64u;
const ROW_QUADS: u32 = ROWS / 4u;
const TOKENS: u32 = 32u;
const THREAD_TOKENS: u32 = 8u;
const TILE_QUADS: u32 = 8u;
const TILE_CHUNKS: u32 = TILE_QUADS / QUADS_PER_CHUNK;
const THREADS: u32 = 64u;
// Threads that stage four rows.
const LANES: u32 = 4u;

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// Words of four columns: [word][quad of rows], and [half of the step][token] with the half's four words.
var<workgroup> weight_tile: array<vec4<u32>, TILE_QUADS * ROW_QUADS>;
var<workgroup> input_tile: array<vec4<u32>, 2u * TOKENS>;
// Scales and biases of rows; scales of tokens, and the sums of what their halves were rounded to.
var<workgroup> row_scales: array<vec4<f32>, ROW_QUADS>;
var<workgroup> row_biases: array<vec4<f32>, ROW_QUADS>;
var<workgroup> token_scales: array<f32, TOKENS>;
var<workgroup> token_sums: array<i32, 2u * TOKENS>;

// A thread stages four rows of eight columns.
fn stage_weights(thread: u32, first_row: u32, step: u32) {
    let lane = thread % LANES;
    let rows = thread / LANES;
    let q = step * TILE_QUADS + 2u * lane;
    var words: array<vec2<u32>, 4>;
    var scale: vec4<f32>;
    var bias: vec4<f32>;
    for (var r = 0u; r < 4u; r++) {
        let chunk = load_chunk(min(first_row + 4u * rows + r, part.num_rows - 1u), q / QUADS_PER_CHUNK);
        words[r] = eight_weights(chunk, q % QUADS_PER_CHUNK / 2u);
        scale[r] = weigh(chunk, 1.0, 0.0);
        bias[r] = weigh(chunk, MIDDLE, 1.0);
    }
    weight_tile[2u * lane * ROW_QUADS + rows] = vec4(words[0].x, words[1].x, words[2].x, words[3].x);
    weight_tile[(2u * lane + 1u) * ROW_QUADS + rows] = vec4(words[0].y, words[1].y, words[2].y, words[3].y);
    if lane == 0u {
        row_scales[rows] = scale;
        row_biases[rows] = bias;
    }
}

fn read_input(token: u32, q: u32) -> vec4<f32> {
    if token < batch.rows && q < INPUT_QUADS {
        return input[token * INPUT_QUADS + q];
    }
    return vec4(0.0);
}

fn round_quad(x: vec4<f32>, inverse: f32) -> vec4<i32> {
    return vec4<i32>(round(x * inverse));
}

// A thread stages half a step of one token, and looks at the other half too, for the largest value.
fn stage_input(thread: u32, first_token: u32, step: u32) {
    let token = thread % TOKENS;
    let half = thread / TOKENS;
    let first = step * TILE_QUADS + 4u * half;
    let other = step * TILE_QUADS + 4u * (1u - half);
    var quads: array<vec4<f32>, 4>;
    var most = vec4(0.0);
    for (var q = 0u; q < 4u; q++) {
        quads[q] = read_input(first_token + token, first + q);
        most = max(most, max(abs(quads[q]), abs(read_input(first_token + token, other + q))));
    }
    let largest = max(max(most.x, most.y), max(most.z, most.w));
    // A denormal's inverse is infinite; all such values are as good as zero.
    let inverse = select(0.0, 127.0 / largest, largest > 1.17549435e-38);
    let low = eight_inputs(round_quad(quads[0], inverse), round_quad(quads[1], inverse));
    let high = eight_inputs(round_quad(quads[2], inverse), round_quad(quads[3], inverse));
    var sum = 0;
    for (var i = 0u; i < 2u; i++) {
        sum += dot4I8Packed(low[i], 0x01010101u) + dot4I8Packed(high[i], 0x01010101u);
    }
    input_tile[thread] = vec4(low, high);
    token_sums[thread] = sum;
    if half == 0u {
        token_scales[token] = largest / 127.0;
    }
}

// Products of a word of four rows with one of a token.
fn four_rows(weights: vec4<u32>, x: u32) -> vec4<i32> {
    return vec4(
        dot4I8Packed(weights.x, x),
        dot4I8Packed(weights.y, x),
        dot4I8Packed(weights.z, x),
        dot4I8Packed(weights.w, x),
    );
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = workgroup.x * ROWS;
    let first_token = workgroup.y * TOKENS;
    let rows = thread % ROW_QUADS;
    let line = thread / ROW_QUADS * THREAD_TOKENS;

    // One vector of four rows for each token.
    var products: array<vec4<f32>, THREAD_TOKENS>;
    for (var step = 0u; step * TILE_CHUNKS < ROW_CHUNKS; step++) {
        workgroupBarrier();
        stage_weights(thread, first_row, step);
        stage_input(thread, first_token, step);
        workgroupBarrier();
        var whole = array<vec4<i32>, THREAD_TOKENS>();
        for (var half = 0u; half < 2u; half++) {
            let weights = 4u * half * ROW_QUADS + rows;
            let a = weight_tile[weights];
            let b = weight_tile[weights + ROW_QUADS];
            let c = weight_tile[weights + 2u * ROW_QUADS];
            let d = weight_tile[weights + 3u * ROW_QUADS];
            for (var t = 0u; t < THREAD_TOKENS; t++) {
                let x = input_tile[half * TOKENS + line + t];
                whole[t] += four_rows(a, x.x) + four_rows(b, x.y) + four_rows(c, x.z) + four_rows(d, x.w);
            }
        }
        for (var t = 0u; t < THREAD_TOKENS; t++) {
            let sum = f32(token_sums[line + t] + token_sums[TOKENS + line + t]);
            let weighed = row_scales[rows] * vec4<f32>(whole[t]) + sum * row_biases[rows];
            products[t] += token_scales[line + t] * weighed;
        }
    }
    for (var t = 0u; t < THREAD_TOKENS; t++) {
        let token = first_token + line + t;
        for (var pair = 0u; pair < 2u; pair++) {
            let row = first_row + 4u * rows + 2u * pair;
            if token < batch.rows && row < part.num_rows {
                let both = select(products[t].xy, products[t].zw, pair == 1u);
                finish(token, part.first_row + row, add_bias(part.first_row + row, both));
            }
        }
    }
}
