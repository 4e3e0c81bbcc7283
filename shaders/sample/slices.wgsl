// sample, first half: the best token of each slice of a row of logits.
//
// Shapes: bests [rows, SLICES]. If top-k, top-p or min-p is on, or if there is no noise, the best token is the one with the
// best score without noise; otherwise with noise.
// Work: a workgroup of THREADS threads reads a slice of SLICE tokens: x over slices, y over rows.
// Needs: nothing

@group(0) @binding(11) var<storage, read> adjustments: array<Adjustment>;
@group(0) @binding(7) var<storage, read_write> bests: array<Best>;

var<workgroup> found: array<Best, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.y;
    let plain = sampling.inverse_temperature == 0.0 || is_cut();
    let first = workgroup.x * SLICE;
    let end = min(first + SLICE, VOCAB_SIZE);
    var best = Best(NEVER, NO_TOKEN);
    for (var token = first + thread; token < end; token += THREADS) {
        var x = score(row, token);
        if !plain {
            x = noisy(x, token, batch.step + row, best.score);
        }
        if x > best.score {
            best = Best(x, token);
        }
    }
    found[thread] = best;
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if thread < reach {
            found[thread] = better(found[thread], found[thread + reach]);
        }
    }
    if thread == 0u {
        bests[row * SLICES + workgroup.x] = found[0];
    }
}

fn is_cut() -> bool {
    return sampling.top_k > 0u || sampling.top_p < 1.0 || sampling.max_steps < LAST_STEP;
}
