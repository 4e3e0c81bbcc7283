// The input of a vector product from the splits that attention/split.wgsl left: each counts by its share of the
// weights. Every workgroup combines for itself, because a dispatch in between would cost more. Same interface as
// input_plain.wgsl.

// [tokens, SPLITS, 4 * INPUT_QUADS] and [tokens, SPLITS, NUM_HEADS].
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read> stats: array<vec2<f32>>;

var<workgroup> split_stats: array<vec2<f32>, SPLITS * NUM_HEADS>;
var<workgroup> shares: array<f32, SPLITS * NUM_HEADS>;

fn prepare_input(thread: u32, token: u32) {
    let splits = split_count(batch.position + token + 1u);
    for (var i = thread; i < splits * NUM_HEADS; i += THREADS) {
        split_stats[i] = stats[token * SPLITS * NUM_HEADS + i];
    }
    workgroupBarrier();
    for (var i = thread; i < splits * NUM_HEADS; i += THREADS) {
        let head = i % NUM_HEADS;
        var largest = -3.4e38;
        for (var split = 0u; split < splits; split++) {
            largest = max(largest, split_stats[split * NUM_HEADS + head].x);
        }
        var weight = 0.0;
        for (var split = 0u; split < splits; split++) {
            let other = split_stats[split * NUM_HEADS + head];
            weight += exp(other.x - largest) * other.y;
        }
        shares[i] = exp(split_stats[i].x - largest) / weight;
    }
    workgroupBarrier();
}

// The share of a split in column `column`; columns beyond the heads are zero anyway.
fn share(split: u32, column: u32) -> f32 {
    return shares[split * NUM_HEADS + min(column / HEAD_DIM, NUM_HEADS - 1u)];
}

fn input_quad(token: u32, i: u32) -> vec4<f32> {
    let splits = split_count(batch.position + token + 1u);
    var sum = vec4(0.0);
    for (var split = 0u; split < splits; split++) {
        var weights = vec4(share(split, 4u * i));
        if HEAD_DIM % 4u != 0u {
            weights = vec4(weights.x, share(split, 4u * i + 1u), share(split, 4u * i + 2u), share(split, 4u * i + 3u));
        }
        sum += weights * input[(token * SPLITS + split) * INPUT_QUADS + i];
    }
    return sum;
}
