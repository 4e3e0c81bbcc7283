// matmul: finish(weights . input[t] + bias) for each token t of a batch, multiplied in 8-bit integers.
//
// Shapes: as in matmul/thread.wgsl; weights are affine.
// Work: a workgroup computes a tile of 64 rows by 32 tokens: x over rows, y over tokens, in SLICES of the columns as
// matmul/tiled.wgsl does. Each of the 16 by 4 threads of a slice holds 4 neighbouring rows by 8 tokens in registers. The weights
// and inputs of a step of 32 columns are in workgroup memory, four columns per word.
//
// The inputs of a token are rounded in groups of eight columns, to whole multiples of 1/127 of the largest: x ~ scale * x8, with
// a scale of 8 bits that is rounded up. All later computations use only the rounded inputs. A step, or half of a step if groups
// have 16 columns, lies within one quantisation group, so with w = s * (q + offset) + b the sum of its products is
// s * sum(scale * sum(q * x8)) + (b + s * offset) * sum(scale * sum(x8)). The outer sums are over the four quarters of the step.
// The inner sums are exact.
// Needs: packed_4x8_integer_dot_product

// Quantisation groups in a step.
const STEP_GROUPS: u32 = 1u + 16u / GROUP_SIZE;
// With twice the scales there is no room for four.
const SLICES: u32 = 4u / STEP_GROUPS;
// Threads that together copy four rows to workgroup memory.
const LANES: u32 = 4u;
// The lanes and halves of a step of each group.
const GROUP_LANES: u32 = LANES / STEP_GROUPS;
const GROUP_HALVES: u32 = 2u / STEP_GROUPS;

// For each slice, in words of four columns: weights [word][quad of rows], and inputs [half of the step][token], four words each.
var<workgroup> weight_tile: array<vec4<u32>, SLICES * TILE_QUADS * ROW_QUADS>;
var<workgroup> input_tile: array<vec4<u32>, SLICES * 2u * TOKENS>;
// Scales and biases of the rows. For each half of a token: the scales of its two quarters, and the sum of its rounded inputs.
var<workgroup> row_scales: array<vec4<f32>, SLICES * STEP_GROUPS * ROW_QUADS>;
var<workgroup> row_biases: array<vec4<f32>, SLICES * STEP_GROUPS * ROW_QUADS>;
var<workgroup> token_scales: array<u32, SLICES * 2u * TOKENS>;
var<workgroup> token_sums: array<f32, SLICES * 2u * TOKENS>;

// Each thread copies four rows of eight columns to workgroup memory. After the last step the inputs are zero, so any weights are
// correct.
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
    if lane % GROUP_LANES == 0u {
        let place = (slice * STEP_GROUPS + lane / GROUP_LANES) * ROW_QUADS + rows;
        row_scales[place] = scale;
        row_biases[place] = bias;
    }
}

fn round_quad(x: vec4<f32>, inverse: f32) -> vec4<i32> {
    return vec4<i32>(round(x * inverse));
}

// The scale of eight inputs, without the lower half of its bits, so that two scales fit into a word.
fn scale_of(low: vec4<f32>, high: vec4<f32>) -> f32 {
    let most = max(abs(low), abs(high));
    let largest = max(max(most.x, most.y), max(most.z, most.w));
    return bitcast<f32>((bitcast<u32>(largest / 127.0) + 0xffffu) & 0xffff0000u);
}

// Zero for denormal scales, because their inverse would be infinite. Such inputs are almost zero.
fn inverse_of(scale: f32) -> f32 {
    return select(0.0, 1.0 / scale, scale > 1.17549435e-38);
}

fn sum_of(eight: vec2<u32>) -> f32 {
    return f32(dot4I8Packed(eight.x, 0x01010101u) + dot4I8Packed(eight.y, 0x01010101u));
}

// Each thread copies half a step of one token to workgroup memory.
fn stage_input(thread: u32, slice: u32, first_token: u32, step: u32) {
    let token = thread % TOKENS;
    let half = thread / TOKENS;
    let first = step * TILE_QUADS + 4u * half;
    var quads: array<vec4<f32>, 4>;
    for (var q = 0u; q < 4u; q++) {
        quads[q] = read_input(first_token + token, first + q);
    }
    let scales = vec2(scale_of(quads[0], quads[1]), scale_of(quads[2], quads[3]));
    let inverses = vec2(inverse_of(scales.x), inverse_of(scales.y));
    let low = eight_inputs(round_quad(quads[0], inverses.x), round_quad(quads[1], inverses.x));
    let high = eight_inputs(round_quad(quads[2], inverses.y), round_quad(quads[3], inverses.y));
    let place = slice * 2u * TOKENS + thread;
    input_tile[place] = vec4(low, high);
    token_scales[place] = (bitcast<u32>(scales.x) >> 16u) | bitcast<u32>(scales.y);
    token_sums[place] = scales.x * sum_of(low) + scales.y * sum_of(high);
}

// Dot products of one word of each of four rows with a word of a token.
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
        for (var group = 0u; group < STEP_GROUPS; group++) {
            var halves = array<vec4<f32>, THREAD_TOKENS>();
            let first_half = group * GROUP_HALVES;
            for (var half = first_half; half < first_half + GROUP_HALVES; half++) {
                let weights = (slice * TILE_QUADS + 4u * half) * ROW_QUADS + rows;
                let a = weight_tile[weights];
                let b = weight_tile[weights + ROW_QUADS];
                let c = weight_tile[weights + 2u * ROW_QUADS];
                let d = weight_tile[weights + 3u * ROW_QUADS];
                for (var t = 0u; t < THREAD_TOKENS; t++) {
                    let place = (2u * slice + half) * TOKENS + line + t;
                    let x = input_tile[place];
                    let scales = token_scales[place];
                    halves[t] += bitcast<f32>(scales << 16u) * vec4<f32>(four_rows(a, x.x) + four_rows(b, x.y));
                    halves[t] += bitcast<f32>(scales & 0xffff0000u) * vec4<f32>(four_rows(c, x.z) + four_rows(d, x.w));
                }
            }
            let scale = row_scales[(slice * STEP_GROUPS + group) * ROW_QUADS + rows];
            let bias = row_biases[(slice * STEP_GROUPS + group) * ROW_QUADS + rows];
            let tokens = (2u * slice + first_half) * TOKENS + line;
            for (var t = 0u; t < THREAD_TOKENS; t++) {
                var sum = token_sums[tokens + t];
                if GROUP_HALVES == 2u {
                    sum += token_sums[tokens + TOKENS + t];
                }
                products[t] += scale * halves[t] + sum * bias;
            }
        }
    }

    // For each token the slices write their sums to workgroup memory, and one slice adds them.
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
