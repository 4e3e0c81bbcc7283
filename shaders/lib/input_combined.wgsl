// The input of a vector product from the splits that attention/split.wgsl left: each counts by its share of the
// weights. Everybody combines for himself, because a dispatch in between would cost more. HEAD_DIM is a multiple of 4,
// so that a quad belongs to one head. Same interface as input_plain.wgsl.
// Needs: nothing

// Splits that are loaded before any of them is waited for.
const AT_ONCE: u32 = 4u;

// [tokens, SPLITS, 4 * INPUT_QUADS] and [tokens, SPLITS, NUM_HEADS].
@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read> stats: array<vec2<f32>>;

fn input_chunk(token: u32, c: u32) -> array<vec4<f32>, QUADS_PER_CHUNK> {
    let position = batch.position + token;
    let splits = split_count(position + 1u - first_seen(position));
    var sums = array<vec4<f32>, QUADS_PER_CHUNK>();
    // Of each quad: what the weights come to, and the largest score so far.
    var weights = array<vec2<f32>, QUADS_PER_CHUNK>();
    for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
        weights[i].y = -3.4e38;
    }
    for (var first = 0u; first < splits; first += AT_ONCE) {
        for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
            let quad = c * QUADS_PER_CHUNK + i;
            // Columns beyond the heads are zero, whatever their share.
            let head = min(4u * quad / HEAD_DIM, NUM_HEADS - 1u);
            var stat: array<vec2<f32>, AT_ONCE>;
            var values: array<vec4<f32>, AT_ONCE>;
            var largest = weights[i].y;
            for (var s = 0u; s < AT_ONCE; s++) {
                let place = token * SPLITS + min(first + s, splits - 1u);
                stat[s] = stats[place * NUM_HEADS + head];
                values[s] = input[place * INPUT_QUADS + quad];
                largest = max(largest, stat[s].x);
            }
            let shrink = exp(weights[i].y - largest);
            var weight = weights[i].x * shrink;
            sums[i] *= shrink;
            for (var s = 0u; s < AT_ONCE; s++) {
                let share = select(0.0, exp(stat[s].x - largest), first + s < splits);
                weight += share * stat[s].y;
                sums[i] += share * values[s];
            }
            weights[i] = vec2(weight, largest);
        }
    }
    for (var i = 0u; i < QUADS_PER_CHUNK; i++) {
        sums[i] = select(vec4(0.0), sums[i] / weights[i].x, c < ROW_CHUNKS);
    }
    return sums;
}

fn sum_products(thread: u32, products: vec2<f32>) -> vec2<f32> {
    return sum_lanes(thread, vec3(products, 0.0)).xy;
}
