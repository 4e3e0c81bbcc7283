// Sums over neighbouring threads of a workgroup, by exchanging registers inside subgroups. All threads must call
// together. Same interface as reduce_tree.wgsl. LANES is at most SUBGROUP, the size of the smallest subgroup, and
// THREADS a multiple of it. That neighbouring threads share a subgroup is true of every known device but not
// promised by WGSL: the self-test at opening checks it.
// Needs: subgroups

var<workgroup> reduced: array<f32, THREADS / SUBGROUP>;

// The sum over each group of LANES threads, known to all of them.
fn sum_lanes(thread: u32, value: vec3<f32>) -> vec3<f32> {
    var sum = value;
    for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
        sum += subgroupShuffleXor(sum, reach);
    }
    return sum;
}

// The sum over the workgroup, known to all threads.
fn sum_workgroup(thread: u32, value: f32) -> f32 {
    var sum = value;
    for (var reach = SUBGROUP / 2u; reach > 0u; reach /= 2u) {
        sum += subgroupShuffleXor(sum, reach);
    }
    workgroupBarrier();
    if thread % SUBGROUP == 0u {
        reduced[thread / SUBGROUP] = sum;
    }
    workgroupBarrier();
    sum = 0.0;
    for (var i = 0u; i < THREADS / SUBGROUP; i++) {
        sum += reduced[i];
    }
    return sum;
}
