// attention: softmax(query[t] . keys * SCALE) . values for each head, causal, in splits of the positions that it
// sees: whoever reads the result combines them (lib/input_combined.wgsl).
//
// Shapes: query [tokens, 4 * OUTPUT_QUADS] f32; output [tokens, SPLITS, 4 * OUTPUT_QUADS], sums of values weighed by
// exp(score - largest score of the split); stats [tokens, SPLITS, NUM_HEADS], that largest score and the sum of the
// weights; cache and heads as in attention/thread.wgsl. HEAD_DIM is a multiple of 8, and OCTETS at most THREADS.
// Work: one workgroup a split of a head of a token: x over splits and heads, y over tokens. It goes through its
// positions THREADS at a time. First each thread scores one of them; then the threads are dealt out over octets of value
// columns and SLICES of the positions. A slice keeps its own running maximum, so that nobody waits for that of all
// (online softmax, arXiv 1805.02867); the slices are added up at the end. Values are loaded before their weights are known.
// Needs: nothing

const OCTETS: u32 = HEAD_DIM / 8u;
const SLICES: u32 = THREADS / OCTETS;
// Positions of a slice.
const EACH: u32 = (THREADS + SLICES - 1u) / SLICES;
const HIDDEN: f32 = -3.4e38;

@group(0) @binding(6) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read_write> stats: array<vec2<f32>>;

var<workgroup> scores: array<f32, THREADS>;
// Of each slice: the largest score, and the sum of its weights.
var<workgroup> slices: array<vec2<f32>, SLICES>;
// [slice][quad].
var<workgroup> sums: array<vec4<f32>, SLICES * 2u * OCTETS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = workgroup.y;
    let split = workgroup.x / NUM_HEADS;
    let head = workgroup.x % NUM_HEADS;
    let position = batch.position + token;
    let oldest = first_seen(position);
    let seen = position + 1u - oldest;
    let span = split_span(seen);
    // The grid is made for the longest context, or for a whole window.
    if split * span >= seen {
        return;
    }
    let start = oldest + split * span;
    let end = min(start + span, position + 1u);
    let q = token * OUTPUT_QUADS + 2u * head * OCTETS;
    // In octets: a position's keys, its values, and where this head's begin.
    let width = KV_WIDTH / 8u;
    let kv_head = head / HEADS_PER_KV * OCTETS;
    // Threads that are left over go along with the last slice, and are not listened to.
    let slice = min(thread / OCTETS, SLICES - 1u);
    let column = thread % OCTETS;

    // This slice's sums, as if the largest score so far were zero.
    var low = vec4(0.0);
    var high = vec4(0.0);
    var weight = 0.0;
    var largest = HIDDEN;
    for (var first = start; first < end; first += THREADS) {
        let key = 2u * slot(min(first + thread, end - 1u)) * width + kv_head;
        var score = 0.0;
        for (var i = 0u; i < OCTETS; i++) {
            let octet = load_octet(key + i);
            score += dot(query[q + 2u * i], octet_low(octet)) + dot(query[q + 2u * i + 1u], octet_high(octet));
        }
        var values: array<Octet, EACH>;
        for (var i = 0u; i < EACH; i++) {
            let place = slot(min(first + slice + i * SLICES, end - 1u));
            values[i] = load_octet((2u * place + 1u) * width + kv_head + column);
        }
        workgroupBarrier();
        scores[thread] = select(HIDDEN, score * SCALE, first + thread < end);
        workgroupBarrier();
        var own: array<f32, EACH>;
        var tile_largest = largest;
        for (var i = 0u; i < EACH; i++) {
            let place = slice + i * SLICES;
            own[i] = select(HIDDEN, scores[min(place, THREADS - 1u)], place < THREADS);
            tile_largest = max(tile_largest, own[i]);
        }
        let shrink = exp(largest - tile_largest);
        largest = tile_largest;
        low *= shrink;
        high *= shrink;
        weight *= shrink;
        for (var i = 0u; i < EACH; i++) {
            let w = select(0.0, exp(own[i] - largest), own[i] != HIDDEN);
            weight += w;
            low += w * octet_low(values[i]);
            high += w * octet_high(values[i]);
        }
    }

    if thread % OCTETS == 0u && thread / OCTETS < SLICES {
        slices[slice] = vec2(largest, weight);
    }
    workgroupBarrier();
    var all_largest = HIDDEN;
    for (var i = 0u; i < SLICES; i++) {
        all_largest = max(all_largest, slices[i].x);
    }
    if thread / OCTETS < SLICES {
        let shrink = exp(largest - all_largest);
        sums[2u * thread] = low * shrink;
        sums[2u * thread + 1u] = high * shrink;
    }
    workgroupBarrier();
    let place = token * SPLITS + split;
    if thread < 2u * OCTETS {
        var sum = vec4(0.0);
        for (var i = 0u; i < SLICES; i++) {
            sum += sums[i * 2u * OCTETS + thread];
        }
        output[place * OUTPUT_QUADS + 2u * head * OCTETS + thread] = sum;
    }
    if thread == THREADS - 1u {
        var all = 0.0;
        for (var i = 0u; i < SLICES; i++) {
            all += exp(slices[i].x - all_largest) * slices[i].y;
        }
        stats[place * NUM_HEADS + head] = vec2(all_largest, all);
    }
}
