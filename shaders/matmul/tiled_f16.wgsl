// matmul: finish(weights . input[t] + bias) for each token t of a batch, multiplied in f16.
//
// Shapes: as in matmul/thread.wgsl.
// Work: a workgroup computes a tile of 64 rows by 32 tokens: x over rows, y over tokens. Its 16 by 4 threads hold 4
// neighbouring rows by 8 tokens each in registers. In steps of 32 columns weights and inputs lie in workgroup memory.
//
// f16 has 11 bits and ends at 65504. What a step multiplies therefore lies in a range that does not depend on the model:
// a token's inputs are divided by a power of two, so that the largest of the step is below 2 (or 4, where it is above
// 2^127); so are the weights of a row, where they are floats; integers of 8 bits lie, less MIDDLE, between -128 and 127.
// So the 32 products of a step sum to at most 32 * 128 * 4 = 16384. Across steps sums are f32: no rounding piles up.

const ROWS: u32 = 64u;
const ROW_QUADS: u32 = ROWS / 4u;
const TOKENS: u32 = 32u;
const THREAD_TOKENS: u32 = 8u;
const TILE_QUADS: u32 = 8u;
const TILE_CHUNKS: u32 = TILE_QUADS / QUADS_PER_CHUNK;
const THREADS: u32 = 64u;
// Neighbouring threads that share the largest value of 32 columns, no more than the smallest subgroup has.
const LANES: u32 = 4u;

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// [column][quad of rows] and [quad of columns][token].
var<workgroup> weight_tile: array<vec4<f16>, 4u * TILE_QUADS * ROW_QUADS>;
var<workgroup> input_tile: array<vec4<f16>, TILE_QUADS * TOKENS>;
// What takes a step's products back to weights and inputs: of each row a scale and a bias, of each token a scale and the
// sum of its inputs.
var<workgroup> row_scales: array<vec4<f32>, ROW_QUADS>;
var<workgroup> row_biases: array<vec4<f32>, ROW_QUADS>;
var<workgroup> token_scales: array<vec2<f32>, TOKENS>;

// The power of two that is left of positive values without their fractions, at most 2^126 so that it has an inverse.
// Zero for zero, and for what is so small that it is as good as zero.
fn power_of_two(values: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(values) & vec4(0x7f800000u), vec4(253u << 23u)));
}

// One divided by such powers; 2^127 for zero.
fn inverse(powers: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4(254u << 23u) - bitcast<vec4<u32>>(powers));
}

fn largest_of_lanes(value: vec4<f32>) -> vec4<f32> {
    var largest = value;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        largest = max(largest, subgroupShuffleXor(largest, reach));
    }
    return largest;
}

// A thread stages four rows of eight columns.
fn stage_weights(thread: u32, first_row: u32, step: u32) {
    let lane = thread % LANES;
    let rows = thread / LANES;
    let q = step * TILE_QUADS + 2u * lane;
    // Beyond the last chunk inputs are zero, so that any weights will do.
    let c = min(q / QUADS_PER_CHUNK, ROW_CHUNKS - 1u);
    var low: mat4x4<f32>;
    var high: mat4x4<f32>;
    var scale: vec4<f32>;
    var bias: vec4<f32>;
    for (var r = 0u; r < 4u; r++) {
        let chunk = load_chunk(min(first_row + 4u * rows + r, part.num_rows - 1u), c);
        low[r] = quad(chunk, q % QUADS_PER_CHUNK) - MIDDLE;
        high[r] = quad(chunk, q % QUADS_PER_CHUNK + 1u) - MIDDLE;
        scale[r] = weigh(chunk, 1.0, 0.0);
        bias[r] = weigh(chunk, MIDDLE, 1.0);
    }
    low = transpose(low);
    high = transpose(high);
    if FLOAT_WEIGHTS {
        var largest = vec4(0.0);
        for (var col = 0u; col < 4u; col++) {
            largest = max(largest, max(abs(low[col]), abs(high[col])));
        }
        scale = power_of_two(largest_of_lanes(largest));
        for (var col = 0u; col < 4u; col++) {
            low[col] *= inverse(scale);
            high[col] *= inverse(scale);
        }
    }
    for (var col = 0u; col < 4u; col++) {
        weight_tile[(8u * lane + col) * ROW_QUADS + rows] = vec4<f16>(low[col]);
        weight_tile[(8u * lane + 4u + col) * ROW_QUADS + rows] = vec4<f16>(high[col]);
    }
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

// A thread stages eight columns of two tokens.
fn stage_input(thread: u32, first_token: u32, step: u32) {
    let lane = thread % LANES;
    for (var first = 0u; first < TOKENS; first += THREADS / LANES) {
        let token = first + thread / LANES;
        let low = read_input(first_token + token, step * TILE_QUADS + lane);
        let high = read_input(first_token + token, step * TILE_QUADS + LANES + lane);
        let quads = max(abs(low), abs(high));
        let pairs = max(quads.xy, quads.zw);
        let scale = power_of_two(largest_of_lanes(vec4(max(pairs.x, pairs.y))));
        let low_half = vec4<f16>(low * inverse(scale));
        let high_half = vec4<f16>(high * inverse(scale));
        input_tile[lane * TOKENS + token] = low_half;
        input_tile[(LANES + lane) * TOKENS + token] = high_half;
        // Of what is multiplied, not of what it was rounded from.
        var sum = dot(vec4<f32>(low_half) + vec4<f32>(high_half), vec4(1.0));
        for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
            sum += subgroupShuffleXor(sum, reach);
        }
        if lane == 0u {
            token_scales[token] = scale.x * vec2(1.0, sum);
        }
    }
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
        var halves = array<vec4<f16>, THREAD_TOKENS>();
        for (var q = 0u; q < TILE_QUADS; q++) {
            let weights = 4u * q * ROW_QUADS + rows;
            let a = weight_tile[weights];
            let b = weight_tile[weights + ROW_QUADS];
            let c = weight_tile[weights + 2u * ROW_QUADS];
            let d = weight_tile[weights + 3u * ROW_QUADS];
            for (var t = 0u; t < THREAD_TOKENS; t++) {
                let x = input_tile[q * TOKENS + line + t];
                halves[t] = fma(a, vec4(x.x), fma(b, vec4(x.y), fma(c, vec4(x.z), fma(d, vec4(x.w), halves[t]))));
            }
        }
        for (var t = 0u; t < THREAD_TOKENS; t++) {
            let x = token_scales[line + t];
            products[t] += x.x * row_scales[rows] * vec4<f32>(halves[t]) + x.y * row_biases[rows];
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
