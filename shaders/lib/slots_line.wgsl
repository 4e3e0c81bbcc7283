// Where a position lies in a cache that holds all of them. Same interface as slots_ring.wgsl.
// Needs: nothing

fn slot(position: u32) -> u32 {
    return position;
}
