// Weights of the norms of queries and of keys, as long as one norm covers: a head, or the row where BY_ROWS.
// Completes heads.wgsl.
// Needs: nothing

@group(0) @binding(4) var<storage, read> query_norm: array<vec2<f32>>;
@group(0) @binding(14) var<storage, read> key_norm: array<vec2<f32>>;

// That of pair `i` of head `head`, a query or a key.
fn head_weight(head: u32, i: u32) -> vec2<f32> {
    if head < NUM_HEADS {
        return query_norm[select(0u, head * HEAD_PAIRS, BY_ROWS) + i];
    }
    return key_norm[select(0u, (head - NUM_HEADS) * HEAD_PAIRS, BY_ROWS) + i];
}
