// Queries as they are. Same interface as temperature.wgsl.
// Needs: nothing

fn temperature(position: u32) -> f32 {
    return 1.0;
}
