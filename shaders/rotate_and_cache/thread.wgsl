// rotate_and_cache: queries and keys are normed, if they have a norm, and rotated; queries go to a slot, keys and values to
// the cache. For projections whose epilogue cannot do it, because a norm needs a whole head.
//
// Shapes: as in lib/heads.wgsl.
// Work: one thread a head of a token: x over heads, y over tokens. It sums the squares of its norm by itself, of a whole
// row if need be. No barriers, for software adapters.
// Needs: nothing

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= ALL_HEADS || id.y >= batch.rows {
        return;
    }
    let span = span_of(id.x);
    var squares = 0.0;
    for (var i = 0u; i < span.pairs; i++) {
        squares += squares_of(id.y, span.first + i);
    }
    let scale = norm_scale(squares, span);
    for (var i = 0u; i < HEAD_PAIRS; i++) {
        finish_pair(id.y, id.x, i, scale);
    }
}
