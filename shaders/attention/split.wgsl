// attention: softmax(query[t] . keys * SCALE) . values for each head, causal, in splits of the positions: whoever reads
// the result combines them (lib/input_combined.wgsl).
//
// Shapes: query [tokens, 2 * OUTPUT_PAIRS] f32; output [tokens, SPLITS, 2 * OUTPUT_PAIRS], sums of values weighed by
// exp(score - largest score of the split); stats [tokens, SPLITS, NUM_HEADS], that largest score and the sum of the
// weights; cache and heads as in attention/thread.wgsl. HEAD_DIM is even and at most 2 * THREADS.
// Work: one workgroup a split of a head of a token: x over splits and heads, y over tokens. It goes through its positions
// THREADS at a time: first each thread scores one position, then the threads are dealt out over pairs of value columns,
// and as many positions at once as there are threads for (SLICES). A running maximum keeps the sums in range
// (online softmax, arXiv 1805.02867).

const HEAD_PAIRS: u32 = HEAD_DIM / 2u;
const SLICES: u32 = THREADS / HEAD_PAIRS;

@group(0) @binding(6) var<storage, read> query: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read_write> stats: array<vec2<f32>>;

var<workgroup> q: array<vec2<f32>, HEAD_PAIRS>;
var<workgroup> scores: array<f32, THREADS>;
var<workgroup> sums: array<vec2<f32>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = workgroup.y;
    let split = workgroup.x / NUM_HEADS;
    let head = workgroup.x % NUM_HEADS;
    let visible = batch.position + token + 1u;
    let span = split_span(visible);
    let start = split * span;
    // The grid is made for the longest context.
    if start >= visible {
        return;
    }
    let end = min(start + span, visible);
    if thread < HEAD_PAIRS {
        q[thread] = query[token * OUTPUT_PAIRS + head * HEAD_PAIRS + thread] * SCALE;
    }
    let kv_head = head / HEADS_PER_KV * HEAD_PAIRS;
    let column = thread % HEAD_PAIRS;
    let slice = thread / HEAD_PAIRS;

    // This thread's sums, as if the largest score so far were zero.
    var value = vec2(0.0);
    var weight = 0.0;
    var largest = -3.4e38;
    for (var first = start; first < end; first += THREADS) {
        let tile = min(THREADS, end - first);
        workgroupBarrier();
        if thread < tile {
            let key = (first + thread) * KV_WIDTH + kv_head;
            var score = 0.0;
            for (var i = 0u; i < HEAD_PAIRS; i++) {
                score += dot(q[i], cache_pair(key + i));
            }
            scores[thread] = score;
        }
        workgroupBarrier();
        // Everybody looks at all scores: that is cheaper than the barriers of a tree.
        var tile_largest = largest;
        for (var i = 0u; i < tile; i++) {
            tile_largest = max(tile_largest, scores[i]);
        }
        let shrink = exp(largest - tile_largest);
        largest = tile_largest;
        value *= shrink;
        weight *= shrink;
        if slice < SLICES {
            for (var i = slice; i < tile; i += SLICES) {
                let w = exp(scores[i] - largest);
                weight += w;
                value += w * cache_pair((first + i) * KV_WIDTH + KV_WIDTH / 2u + kv_head + column);
            }
        }
    }

    // The slices of a column lie HEAD_PAIRS threads apart; the first adds them up.
    workgroupBarrier();
    sums[thread] = value;
    scores[thread] = weight;
    workgroupBarrier();
    if slice == 0u {
        for (var i = 1u; i < SLICES; i++) {
            value += sums[i * HEAD_PAIRS + thread];
            weight += scores[i * HEAD_PAIRS + thread];
        }
        let place = token * SPLITS + split;
        output[place * OUTPUT_PAIRS + head * HEAD_PAIRS + column] = value;
        if column == 0u {
            stats[place * NUM_HEADS + head] = vec2(largest, weight);
        }
    }
}
