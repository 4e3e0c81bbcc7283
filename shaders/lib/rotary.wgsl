// Rotary position embedding of a pair. The table holds (cos, sin) of position * frequency for each of the
// HEAD_DIM / 2 frequencies, computed in f64 on the host: WGSL's own sine and cosine promise too little.
// Needs: nothing

@group(0) @binding(9) var<storage, read> rotary: array<vec2<f32>>;

// Turns the neighbours at rows `row` and `row + 1` of a stack of heads, for a token at `position`.
fn rotate(position: u32, row: u32, pair: vec2<f32>) -> vec2<f32> {
    let turn = rotary[position * (HEAD_DIM / 2u) + (row % HEAD_DIM) / 2u];
    return vec2(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
}
