// attention: output[t] = softmax(query[t] . keys * SCALE) . values for each head, causal: token t of the batch sees
// the positions from first_seen to its own.
//
// Shapes: query and output [tokens, 2 * OUTPUT_PAIRS] f32, head after head of HEAD_DIM; the cache as described in
// cache_*.wgsl. Query head h reads key/value head h / HEADS_PER_KV.
// Work: one thread a head of a token: x over heads, y over tokens. It goes through the positions once, keeping
// a running maximum, so no scores are stored (online softmax, arXiv 1805.02867). No barriers, any even
// HEAD_DIM: for software adapters and odd shapes.
// Needs: nothing

const HEAD_PAIRS: u32 = HEAD_DIM / 2u;

@group(0) @binding(6) var<storage, read> query: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> output: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= NUM_HEADS || id.y >= batch.rows {
        return;
    }
    let head = id.y * OUTPUT_PAIRS + id.x * HEAD_PAIRS;
    var q: array<vec2<f32>, HEAD_PAIRS>;
    for (var i = 0u; i < HEAD_PAIRS; i++) {
        q[i] = query[head + i] * SCALE;
    }

    // Sums so far, as if the largest score so far were zero.
    var values: array<vec2<f32>, HEAD_PAIRS>;
    var weights = 0.0;
    var largest = -3.4e38;
    let kv_head = id.x / HEADS_PER_KV * HEAD_PAIRS;
    let last = batch.position + id.y;
    for (var position = first_seen(last); position <= last; position++) {
        let key = slot(position) * KV_WIDTH + kv_head;
        var score = 0.0;
        for (var i = 0u; i < HEAD_PAIRS; i++) {
            score += dot(q[i], cache_pair(key + i));
        }
        if score > largest {
            let shrink = exp(largest - score);
            weights *= shrink;
            for (var i = 0u; i < HEAD_PAIRS; i++) {
                values[i] *= shrink;
            }
            largest = score;
        }
        let weight = exp(score - largest);
        weights += weight;
        let value = key + KV_WIDTH / 2u;
        for (var i = 0u; i < HEAD_PAIRS; i++) {
            values[i] += weight * cache_pair(value + i);
        }
    }
    for (var i = 0u; i < HEAD_PAIRS; i++) {
        output[head + i] = values[i] / weights;
    }
}
