// What the kernels rotate_and_cache/*.wgsl have in common: the heads of a row of query, key and value products, and what
// becomes of a pair of them.
//
// qkv [tokens, 2 * QKV_PAIRS]: NUM_HEADS heads of queries, NUM_KV_HEADS of keys, as many of values, HEAD_DIM each; query
// [tokens, 2 * QUERY_STRIDE_PAIRS]; the cache as described in cache_write_*.wgsl. Where IS_NORMED, queries and keys are
// divided by the root mean square of their head - of the whole row of queries or of keys where BY_ROWS - and multiplied
// with a weight: before they are rotated, or after that where ROTATED_FIRST.
// Needs: nothing

const HEAD_PAIRS: u32 = HEAD_DIM / 2u;
const QUERY_PAIRS: u32 = NUM_HEADS * HEAD_PAIRS;
const FIRST_VALUE_HEAD: u32 = NUM_HEADS + NUM_KV_HEADS;
const ALL_HEADS: u32 = FIRST_VALUE_HEAD + NUM_KV_HEADS;

@group(0) @binding(6) var<storage, read> qkv: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> query: array<vec2<f32>>;

// Pairs of a row that one norm covers.
struct Span {
    first: u32,
    pairs: u32,
}

// Those of the norm that head `head` is part of; none for a value.
fn span_of(head: u32) -> Span {
    if !IS_NORMED || head >= FIRST_VALUE_HEAD {
        return Span(0u, 0u);
    }
    if !BY_ROWS {
        return Span(head * HEAD_PAIRS, HEAD_PAIRS);
    }
    if head < NUM_HEADS {
        return Span(0u, QUERY_PAIRS);
    }
    return Span(QUERY_PAIRS, NUM_KV_HEADS * HEAD_PAIRS);
}

// Pair `pair` of a row as the norm sees it.
fn unnormed(token: u32, pair: u32) -> vec2<f32> {
    let values = qkv[token * QKV_PAIRS + pair];
    if ROTATED_FIRST {
        return rotate(batch.position + token, 2u * pair, values);
    }
    return values;
}

// What pair `pair` adds to the squares that its norm is made from.
fn squares_of(token: u32, pair: u32) -> f32 {
    let values = unnormed(token, pair);
    return dot(values, values);
}

fn norm_scale(squares: f32, span: Span) -> f32 {
    return inverseSqrt(squares / f32(2u * span.pairs) + EPSILON);
}

// Brings pair `i` of head `head` to where it belongs; `scale` is that of its norm.
fn finish_pair(token: u32, head: u32, i: u32, scale: f32) {
    let position = batch.position + token;
    let pair = head * HEAD_PAIRS + i;
    var values: vec2<f32>;
    if head >= FIRST_VALUE_HEAD {
        values = qkv[token * QKV_PAIRS + pair];
    } else {
        values = unnormed(token, pair);
        if IS_NORMED {
            values *= scale * head_weight(head, i);
        }
        if !ROTATED_FIRST {
            values = rotate(position, 2u * pair, values);
        }
    }
    if head < NUM_HEADS {
        query[token * QUERY_STRIDE_PAIRS + pair] = temperature(position) * values;
    } else {
        cache_store(slot(position) * KV_WIDTH + pair - QUERY_PAIRS, values);
    }
}
