// matmul: finish(weights . input[t] + bias) for each token t of a batch, multiplied in f16.
//
// Shapes: as in matmul/thread.wgsl.
// Work: a workgroup computes a tile of 64 rows by 32 tokens: x over rows, y over tokens, in SLICES of the columns as
// matmul/tiled.wgsl does. Each of the 16 by 4 threads of a slice holds 4 neighbouring rows by 8 tokens in registers. The weights
// and inputs of a step of 32 columns are in workgroup memory.
//
// f16 has 11 bits of precision and a maximum of 65504. So the factors of a step are scaled to a range that does not depend on
// the model: the inputs of a token are divided by a power of two, so that the largest of the step is below 2 (or 4, if it is
// above 2^127). The weights of a row are scaled in the same way. Sums of more than eight products are f32, so that rounding
// errors do not accumulate. Stored integers are first converted to the weights, which are around zero. Products of the
// integers themselves, which are far from zero, would have rounding errors that are large compared to the weights.
// Needs: shader-f16, subgroups

const SLICES: u32 = 2u;
// Quads of columns that are summed in f16.
const RUN: u32 = 2u;
// Neighbouring threads that share the largest value of 32 columns; not more than the smallest subgroup has.
const LANES: u32 = 4u;

// For each slice: weights [column][quad of rows] and inputs [quad of columns][token].
var<workgroup> weight_tile: array<vec4<f16>, SLICES * 4u * TILE_QUADS * ROW_QUADS>;
var<workgroup> input_tile: array<vec4<f16>, SLICES * TILE_QUADS * TOKENS>;
// The powers of two by which the weights of rows and the inputs of tokens were divided in this step.
var<workgroup> row_scales: array<vec4<f32>, SLICES * ROW_QUADS>;
var<workgroup> token_scales: array<f32, SLICES * TOKENS>;
var<workgroup> sums: array<vec4<f32>, SLICES * SLICE_THREADS>;

// The largest power of two that is not above a positive value (its exponent bits without the fraction), at most 2^126, so that
// it has an inverse. Zero for zero and for denormal values.
fn power_of_two(values: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(min(bitcast<vec4<u32>>(values) & vec4(0x7f800000u), vec4(253u << 23u)));
}

// One divided by the results of power_of_two; 2^127 for zero.
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

// Each thread copies four rows of eight columns to workgroup memory.
fn stage_weights(thread: u32, slice: u32, first_row: u32, step: u32) {
    let lane = thread % LANES;
    let rows = thread / LANES;
    let q = step * TILE_QUADS + 2u * lane;
    // After the last chunk the inputs are zero, so any weights are correct.
    let c = min(q / QUADS_PER_CHUNK, ROW_CHUNKS - 1u);
    let tile = slice * 4u * TILE_QUADS * ROW_QUADS + rows;
    var low: mat4x4<f32>;
    var high: mat4x4<f32>;
    for (var r = 0u; r < 4u; r++) {
        let chunk = load_chunk(min(first_row + 4u * rows + r, part.num_rows - 1u), c);
        low[r] = weigh_quad(chunk, quad(chunk, q % QUADS_PER_CHUNK));
        high[r] = weigh_quad(chunk, quad(chunk, q % QUADS_PER_CHUNK + 1u));
    }
    low = transpose(low);
    high = transpose(high);
    var largest = vec4(0.0);
    for (var col = 0u; col < 4u; col++) {
        largest = max(largest, max(abs(low[col]), abs(high[col])));
    }
    let scale = power_of_two(largest_of_lanes(largest));
    for (var col = 0u; col < 4u; col++) {
        weight_tile[tile + (8u * lane + col) * ROW_QUADS] = vec4<f16>(low[col] * inverse(scale));
        weight_tile[tile + (8u * lane + 4u + col) * ROW_QUADS] = vec4<f16>(high[col] * inverse(scale));
    }
    if lane == 0u {
        row_scales[slice * ROW_QUADS + rows] = scale;
    }
}

// Each thread copies eight columns of two tokens to workgroup memory.
fn stage_input(thread: u32, slice: u32, first_token: u32, step: u32) {
    let lane = thread % LANES;
    for (var first = 0u; first < TOKENS; first += SLICE_THREADS / LANES) {
        let token = first + thread / LANES;
        let low = read_input(first_token + token, step * TILE_QUADS + lane);
        let high = read_input(first_token + token, step * TILE_QUADS + LANES + lane);
        let quads = max(abs(low), abs(high));
        let pairs = max(quads.xy, quads.zw);
        let scale = power_of_two(largest_of_lanes(vec4(max(pairs.x, pairs.y))));
        input_tile[(slice * TILE_QUADS + lane) * TOKENS + token] = vec4<f16>(low * inverse(scale));
        input_tile[(slice * TILE_QUADS + LANES + lane) * TOKENS + token] = vec4<f16>(high * inverse(scale));
        if lane == 0u {
            token_scales[slice * TOKENS + token] = scale.x;
        }
    }
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
        var whole = array<vec4<f32>, THREAD_TOKENS>();
        for (var first_quad = 0u; first_quad < TILE_QUADS; first_quad += RUN) {
            var halves = array<vec4<f16>, THREAD_TOKENS>();
            for (var q = first_quad; q < first_quad + RUN; q++) {
                let weights = 4u * (slice * TILE_QUADS + q) * ROW_QUADS + rows;
                let a = weight_tile[weights];
                let b = weight_tile[weights + ROW_QUADS];
                let c = weight_tile[weights + 2u * ROW_QUADS];
                let d = weight_tile[weights + 3u * ROW_QUADS];
                for (var t = 0u; t < THREAD_TOKENS; t++) {
                    let x = input_tile[(slice * TILE_QUADS + q) * TOKENS + line + t];
                    halves[t] = fma(a, vec4(x.x), fma(b, vec4(x.y), fma(c, vec4(x.z), fma(d, vec4(x.w), halves[t]))));
                }
            }
            for (var t = 0u; t < THREAD_TOKENS; t++) {
                whole[t] += vec4<f32>(halves[t]);
            }
        }
        let scale = row_scales[slice * ROW_QUADS + rows];
        for (var t = 0u; t < THREAD_TOKENS; t++) {
            products[t] += token_scales[slice * TOKENS + line + t] * scale * whole[t];
        }
    }

    // For each token the slices write their sums to workgroup memory, and one slice adds them.
    for (var t = 0u; t < THREAD_TOKENS; t++) {
        workgroupBarrier();
        sums[local] = products[t];
        workgroupBarrier();
        if slice == t % SLICES {
            var sum = vec4(0.0);
            for (var s = 0u; s < SLICES; s++) {
                sum += sums[s * SLICE_THREADS + thread];
            }
            finish_four(first_token + line + t, first_row + 4u * rows, sum);
        }
    }
}
