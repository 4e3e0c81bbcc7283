// matmul: finish(weights . input[t] + bias) for each token t of a batch, multiplied in 8-bit integers.
//
// Shapes: as in matmul/thread.wgsl; weights are affine.
// Work: a workgroup computes a tile of 64 rows by 32 tokens: x over rows, y over tokens, in SLICES of the columns as
// matmul/tiled.wgsl does. The 16 by 4 threads of a slice hold 4 neighbouring rows by 8 tokens each in registers. In steps of
// 32 columns weights and inputs lie in workgroup memory, four columns a word.
//
// A token's inputs are rounded in half steps of 16 columns, to whole multiples of a 127th of the largest: x ~ scale * x8. The
// products take the place of those of the rounded inputs, all of them: a step never spans two quantisation groups, so that
// with w = s * (q + offset) + b they are s * sum(scale * sum(q * x8)) + (b + s * offset) * sum(scale * sum(x8)), the outer sums
// over the halves. The inner sums are exact.
// Needs: packed_4x8_integer_dot_product

const SLICES: u32 = 4u;
// Threads that stage four rows.
const LANES: u32 = 4u;

// Of each slice, words of four columns: [word][quad of rows], and [half of the step][token] with the half's four words.
var<workgroup> weight_tile: array<vec4<u32>, SLICES * TILE_QUADS * ROW_QUADS>;
var<workgroup> input_tile: array<vec4<u32>, SLICES * 2u * TOKENS>;
// Scales and biases of rows; of the halves of tokens their scales, and the sums of what they were rounded to.
var<workgroup> row_scales: array<vec4<f32>, SLICES * ROW_QUADS>;
var<workgroup> row_biases: array<vec4<f32>, SLICES * ROW_QUADS>;
var<workgroup> token_scales: array<f32, SLICES * 2u * TOKENS>;
var<workgroup> token_sums: array<f32, SLICES * 2u * TOKENS>;

// A thread stages four rows of eight columns; beyond the last step inputs are zero, so that any weights will do.
fn stage_weights(thread: u32, slice: u32, first_row: u32, step: u32) {
    let lane = thread % LANES;
    let rows = thread / LANES;
    let q = min(step, STEPS - 1u) * TILE_QUADS + 2u * lane;
    let tile = slice * TILE_QUADS * ROW_QUADS + rows;
    var words: array<vec2<u32>, 4>;
    var scale: vec4<f32>;
    var bias: vec4<f32>;
    for (var r = 0u; r < 4u; r++) {
        let chunk = load_chunk(min(first_row + 4u * rows + r, part.num_rows - 1u), q / QUADS_PER_CHUNK);
        words[r] = eight_weights(chunk, q % QUADS_PER_CHUNK / 2u);
        scale[r] = weigh(chunk, 1.0, 0.0);
        bias[r] = weigh(chunk, zero_offset(), 1.0);
    }
    weight_tile[tile + 2u * lane * ROW_QUADS] = vec4(words[0].x, words[1].x, words[2].x, words[3].x);
    weight_tile[tile + (2u * lane + 1u) * ROW_QUADS] = vec4(words[0].y, words[1].y, words[2].y, words[3].y);
    if lane == 0u {
        row_scales[slice * ROW_QUADS + rows] = scale;
        row_biases[slice * ROW_QUADS + rows] = bias;
    }
}

fn round_quad(x: vec4<f32>, inverse: f32) -> vec4<i32> {
    return vec4<i32>(round(x * inverse));
}

// A thread stages half a step of one token.
fn stage_input(thread: u32, slice: u32, first_token: u32, step: u32) {
    let token = thread % TOKENS;
    let half = thread / TOKENS;
    let first = step * TILE_QUADS + 4u * half;
    var quads: array<vec4<f32>, 4>;
    var most = vec4(0.0);
    for (var q = 0u; q < 4u; q++) {
        quads[q] = read_input(first_token + token, first + q);
        most = max(most, abs(quads[q]));
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
    let place = slice * 2u * TOKENS + thread;
    input_tile[place] = vec4(low, high);
    token_scales[place] = largest / 127.0;
    token_sums[place] = largest / 127.0 * f32(sum);
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

@compute @workgroup_size(SLICES * SLICE_THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_row = workgroup.x * ROWS;
    let first_token = workgroup.y * TOKENS;
    let slice = local / SLICE_THREADS;
    let thread = local % SLICE_THREADS;
    let rows = thread % ROW_QUADS;
    let line = thread / ROW_QUADS * THREAD_TOKENS;

    // One vector of four rows for each token.
    var products: array<vec4<f32>, THREAD_TOKENS>;
    for (var first = 0u; first < STEPS; first += SLICES) {
        workgroupBarrier();
        stage_weights(thread, slice, first_row, first + slice);
        stage_input(thread, slice, first_token, first + slice);
        workgroupBarrier();
        var halves = array<vec4<f32>, THREAD_TOKENS>();
        for (var half = 0u; half < 2u; half++) {
            let weights = (slice * TILE_QUADS + 4u * half) * ROW_QUADS + rows;
            let a = weight_tile[weights];
            let b = weight_tile[weights + ROW_QUADS];
            let c = weight_tile[weights + 2u * ROW_QUADS];
            let d = weight_tile[weights + 3u * ROW_QUADS];
            for (var t = 0u; t < THREAD_TOKENS; t++) {
                let place = (2u * slice + half) * TOKENS + line + t;
                let x = input_tile[place];
                let whole = four_rows(a, x.x) + four_rows(b, x.y) + four_rows(c, x.z) + four_rows(d, x.w);
                halves[t] += token_scales[place] * vec4<f32>(whole);
            }
        }
        let scale = row_scales[slice * ROW_QUADS + rows];
        let bias = row_biases[slice * ROW_QUADS + rows];
        let tokens = 2u * slice * TOKENS + line;
        for (var t = 0u; t < THREAD_TOKENS; t++) {
            let sum = token_sums[tokens + t] + token_sums[tokens + TOKENS + t];
            products[t] += scale * halves[t] + sum * bias;
        }
    }

    // Token by token the slices put down their part, and one of them adds up.
    for (var t = 0u; t < THREAD_TOKENS; t++) {
        workgroupBarrier();
        weight_tile[local] = bitcast<vec4<u32>>(products[t]);
        workgroupBarrier();
        if slice == t % SLICES {
            var sum = vec4(0.0);
            for (var s = 0u; s < SLICES; s++) {
                sum += bitcast<vec4<f32>>(weight_tile[s * SLICE_THREADS + thread]);
            }
            finish_four(first_token + line + t, first_row + 4u * rows, sum);
        }
    }
}
