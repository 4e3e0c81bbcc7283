// Sums over neighbouring threads of a workgroup, by a tree in workgroup memory. All threads must call together.
// Same interface as reduce_subgroup.wgsl.
// Needs: nothing

var<workgroup> reduced: array<vec3<f32>, THREADS>;

// The sum over each group of LANES threads, known to all of them.
fn sum_lanes(thread: u32, value: vec3<f32>) -> vec3<f32> {
    return sum_tree(thread, value, LANES);
}

// The sum over the workgroup, known to all threads.
fn sum_workgroup(thread: u32, value: f32) -> f32 {
    return sum_tree(thread, vec3(value, 0.0, 0.0), THREADS).x;
}

// `lanes` is a power of two.
fn sum_tree(thread: u32, value: vec3<f32>, lanes: u32) -> vec3<f32> {
    workgroupBarrier();
    reduced[thread] = value;
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if thread % lanes < reach {
            reduced[thread] += reduced[thread + reach];
        }
    }
    workgroupBarrier();
    return reduced[thread / lanes * lanes];
}
