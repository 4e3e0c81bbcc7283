// attention: output[t] = softmax(query[t] . keys * SCALE) . values for each head, causal, for many tokens at once.
//
// Shapes: query and output [tokens, 4 * OUTPUT_QUADS] f32; cache and heads as in attention/thread.wgsl. HEAD_DIM is a
// multiple of 8.
// Work: a workgroup computes ROWS queries that share a key/value head: x over those heads, y over tokens and the
// HEADS_PER_KV heads of each. It goes through the positions in tiles of TILE, whose keys and values lie in workgroup
// memory as they do in the cache; LANES threads share a query, first the positions of the tile, then the octets of the
// values. Scores are never stored beyond a tile: a running maximum keeps the sums in range (FlashAttention, arXiv
// 2205.14135).
// Needs: nothing

const THREADS: u32 = ROWS * LANES;
const OCTETS: u32 = HEAD_DIM / 8u;
const QUADS: u32 = 2u * OCTETS;
// Rows do not all begin in the same bank.
const STRIDE: u32 = OCTETS + 1u;
const QUERY_STRIDE: u32 = QUADS + 1u;
const SCORE_STRIDE: u32 = TILE + 1u;
// Positions and octets of values of a thread.
const EACH: u32 = TILE / LANES;
const OWN: u32 = (OCTETS + LANES - 1u) / LANES;
const HIDDEN: f32 = -3.4e38;
// Above it, so that what is hidden weighs nothing even before the first score.
const LOWEST: f32 = -3.3e38;

@group(0) @binding(6) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec4<f32>>;

var<workgroup> queries: array<vec4<f32>, ROWS * QUERY_STRIDE>;
var<workgroup> keys: array<Octet, TILE * STRIDE>;
var<workgroup> values: array<Octet, TILE * STRIDE>;
var<workgroup> scores: array<f32, ROWS * SCORE_STRIDE>;

// Where row `row` of all queries of a key/value head begins, in quads.
fn head_of(kv_head: u32, row: u32) -> u32 {
    let head = kv_head * HEADS_PER_KV + row % HEADS_PER_KV;
    return row / HEADS_PER_KV * OUTPUT_QUADS + head * QUADS;
}

fn stage_queries(thread: u32, kv_head: u32, first: u32) {
    let last = batch.rows * HEADS_PER_KV - 1u;
    for (var i = thread; i < ROWS * QUADS; i += THREADS) {
        let row = min(first + i / QUADS, last);
        queries[i / QUADS * QUERY_STRIDE + i % QUADS] = query[head_of(kv_head, row) + i % QUADS] * SCALE;
    }
}

fn stage_positions(thread: u32, kv_head: u32, first: u32, end: u32) {
    let width = KV_WIDTH / 8u;
    for (var i = thread; i < TILE * OCTETS; i += THREADS) {
        let place = i / OCTETS * STRIDE + i % OCTETS;
        let octet = 2u * slot(min(first + i / OCTETS, end - 1u)) * width + kv_head * OCTETS + i % OCTETS;
        keys[place] = load_octet(octet);
        values[place] = load_octet(octet + width);
    }
}

// Whether a query at `position`, which sees what lies between `oldest` and itself, sees `other`.
fn is_seen(other: u32, oldest: u32, position: u32) -> bool {
    return other >= oldest && other <= position;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let kv_head = workgroup.x;
    let first_row = workgroup.y * ROWS;
    let rows = batch.rows * HEADS_PER_KV;
    // The end of what the last query of the workgroup sees, and what this thread's does.
    let end = batch.position + min(first_row + ROWS - 1u, rows - 1u) / HEADS_PER_KV + 1u;
    let row = thread / LANES;
    let lane = thread % LANES;
    let position = batch.position + (first_row + row) / HEADS_PER_KV;
    let oldest = first_seen(position);

    stage_queries(thread, kv_head, first_row);
    // Sums so far, as if the largest score so far were zero.
    var low: array<vec4<f32>, OWN>;
    var high: array<vec4<f32>, OWN>;
    var weight = 0.0;
    var largest = LOWEST;
    // Tiles begin at multiples of TILE, so that a query's sums do not depend on who shares its workgroup.
    let start = first_seen(batch.position + first_row / HEADS_PER_KV) / TILE * TILE;
    for (var first = start; first < end; first += TILE) {
        workgroupBarrier();
        stage_positions(thread, kv_head, first, end);
        workgroupBarrier();
        var dots = array<f32, EACH>();
        for (var i = 0u; i < OCTETS; i++) {
            let query_low = queries[row * QUERY_STRIDE + 2u * i];
            let query_high = queries[row * QUERY_STRIDE + 2u * i + 1u];
            for (var e = 0u; e < EACH; e++) {
                let octet = keys[(lane + e * LANES) * STRIDE + i];
                dots[e] += dot(query_low, octet_low(octet)) + dot(query_high, octet_high(octet));
            }
        }
        for (var e = 0u; e < EACH; e++) {
            let place = lane + e * LANES;
            scores[row * SCORE_STRIDE + place] = select(HIDDEN, dots[e], is_seen(first + place, oldest, position));
        }
        workgroupBarrier();
        var tile_largest = largest;
        for (var i = 0u; i < TILE; i++) {
            tile_largest = max(tile_largest, scores[row * SCORE_STRIDE + i]);
        }
        let shrink = exp(largest - tile_largest);
        largest = tile_largest;
        weight *= shrink;
        for (var o = 0u; o < OWN; o++) {
            low[o] *= shrink;
            high[o] *= shrink;
        }
        for (var i = 0u; i < TILE; i++) {
            let w = exp(scores[row * SCORE_STRIDE + i] - largest);
            weight += w;
            for (var o = 0u; o < OWN; o++) {
                let octet = values[i * STRIDE + min(lane + o * LANES, OCTETS - 1u)];
                low[o] += w * octet_low(octet);
                high[o] += w * octet_high(octet);
            }
        }
    }
    if first_row + row >= rows {
        return;
    }
    let place = head_of(kv_head, first_row + row);
    for (var o = 0u; o < OWN; o++) {
        let octet = lane + o * LANES;
        if octet < OCTETS {
            output[place + 2u * octet] = low[o] / weight;
            output[place + 2u * octet + 1u] = high[o] / weight;
        }
    }
}
