// attention: output[t] = softmax(query[t] . keys * SCALE) . values for each head, causal, for many tokens at once.
//
// Shapes: as in attention/thread.wgsl; HEAD_DIM is even.
// Work: a workgroup computes ROWS queries that share a key/value head: x over those heads, y over tokens and the
// HEADS_PER_KV heads of each. It goes through the positions in tiles of ROWS, whose keys and values lie in workgroup
// memory; LANES threads share a query, first the positions of the tile, then the columns of the values. Scores
// are never stored beyond a tile: a running maximum keeps the sums in range (FlashAttention, arXiv 2205.14135).

const THREADS: u32 = ROWS * LANES;
const TILE: u32 = ROWS;
const HEAD_PAIRS: u32 = HEAD_DIM / 2u;
const QUADS: u32 = (HEAD_DIM + 3u) / 4u;
// Rows of quads do not all begin in the same bank.
const STRIDE: u32 = QUADS + 1u;
const SCORE_STRIDE: u32 = TILE + 1u;
// Positions and quads of values of a thread.
const EACH: u32 = (TILE + LANES - 1u) / LANES;
const OWN: u32 = (QUADS + LANES - 1u) / LANES;
const HIDDEN: f32 = -3.4e38;

@group(0) @binding(6) var<storage, read> query: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

var<workgroup> queries: array<vec4<f32>, ROWS * STRIDE>;
var<workgroup> keys: array<vec4<f32>, TILE * STRIDE>;
var<workgroup> values: array<vec4<f32>, TILE * STRIDE>;
var<workgroup> scores: array<f32, ROWS * SCORE_STRIDE>;

// Quad `i` of a head whose first pair is `pair`; beyond the head it is zero.
fn query_quad(pair: u32, i: u32) -> vec4<f32> {
    let low = query[pair + 2u * i];
    if 2u * i + 1u < HEAD_PAIRS {
        return vec4(low, query[pair + 2u * i + 1u]);
    }
    return vec4(low, 0.0, 0.0);
}

fn cache_quad(pair: u32, i: u32) -> vec4<f32> {
    let low = cache_pair(pair + 2u * i);
    if 2u * i + 1u < HEAD_PAIRS {
        return vec4(low, cache_pair(pair + 2u * i + 1u));
    }
    return vec4(low, 0.0, 0.0);
}

// Where row `row` of all queries of a key/value head begins, in pairs.
fn head_of(kv_head: u32, row: u32) -> u32 {
    let head = kv_head * HEADS_PER_KV + row % HEADS_PER_KV;
    return row / HEADS_PER_KV * OUTPUT_PAIRS + head * HEAD_PAIRS;
}

fn stage_queries(thread: u32, kv_head: u32, first: u32) {
    for (var i = thread; i < ROWS * QUADS; i += THREADS) {
        let row = i / QUADS;
        var x = vec4(0.0);
        if first + row < batch.rows * HEADS_PER_KV {
            x = query_quad(head_of(kv_head, first + row), i % QUADS) * SCALE;
        }
        queries[row * STRIDE + i % QUADS] = x;
    }
}

fn stage_positions(thread: u32, kv_head: u32, first: u32, end: u32) {
    for (var i = thread; i < TILE * QUADS; i += THREADS) {
        let row = i / QUADS;
        var key = vec4(0.0);
        var value = vec4(0.0);
        if first + row < end {
            let pair = (first + row) * KV_WIDTH + kv_head * HEAD_PAIRS;
            key = cache_quad(pair, i % QUADS);
            value = cache_quad(pair + KV_WIDTH / 2u, i % QUADS);
        }
        keys[row * STRIDE + i % QUADS] = key;
        values[row * STRIDE + i % QUADS] = value;
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let kv_head = workgroup.x;
    let first_row = workgroup.y * ROWS;
    let rows = batch.rows * HEADS_PER_KV;
    // What the last query of the workgroup sees, and what this thread's does.
    let end = batch.position + min(first_row + ROWS - 1u, rows - 1u) / HEADS_PER_KV + 1u;
    let row = thread / LANES;
    let lane = thread % LANES;
    let visible = batch.position + (first_row + row) / HEADS_PER_KV + 1u;

    stage_queries(thread, kv_head, first_row);
    // Sums so far, as if the largest score so far were zero. Position 0 is visible to all, so there is one soon.
    var sums: array<vec4<f32>, OWN>;
    var weight = 0.0;
    var largest = HIDDEN;
    for (var first = 0u; first < end; first += TILE) {
        workgroupBarrier();
        stage_positions(thread, kv_head, first, end);
        workgroupBarrier();
        var dots = array<f32, EACH>();
        for (var i = 0u; i < QUADS; i++) {
            let x = queries[row * STRIDE + i];
            for (var e = 0u; e < EACH; e++) {
                dots[e] += dot(x, keys[(lane + e * LANES) % TILE * STRIDE + i]);
            }
        }
        for (var e = 0u; e < EACH; e++) {
            let place = lane + e * LANES;
            if place < TILE {
                scores[row * SCORE_STRIDE + place] = select(HIDDEN, dots[e], first + place < visible);
            }
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
            sums[o] *= shrink;
        }
        for (var i = 0u; i < TILE; i++) {
            let w = exp(scores[row * SCORE_STRIDE + i] - largest);
            weight += w;
            for (var o = 0u; o < OWN; o++) {
                sums[o] += w * values[i * STRIDE + min(lane + o * LANES, QUADS - 1u)];
            }
        }
    }
    if first_row + row >= rows {
        return;
    }
    let place = head_of(kv_head, first_row + row);
    for (var o = 0u; o < OWN; o++) {
        let quad = lane + o * LANES;
        let value = sums[o] / weight;
        if quad < QUADS {
            output[place + 2u * quad] = value.xy;
            if 2u * quad + 1u < HEAD_PAIRS {
                output[place + 2u * quad + 1u] = value.zw;
            }
        }
    }
}
