// rotate_and_cache: as in rotate_and_cache/thread.wgsl.
//
// Shapes: as in lib/heads.wgsl.
// Work: one workgroup of THREADS threads a head of a token: x over heads, y over tokens. Where a norm covers a whole row,
// each of its heads sums the row: one launch, because that costs less than a second one. A row has the same bits in every
// batch.
// Needs: nothing

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = workgroup.x;
    let token = workgroup.y;
    let span = span_of(head);
    var squares = 0.0;
    for (var i = thread; i < span.pairs; i += THREADS) {
        squares += squares_of(token, span.first + i);
    }
    let scale = norm_scale(sum_workgroup(thread, squares), span);
    for (var i = thread; i < HEAD_PAIRS; i += THREADS) {
        finish_pair(token, head, i, scale);
    }
}
