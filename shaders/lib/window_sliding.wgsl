// Which positions a token sees: its own and the WINDOW - 1 before it. Same interface as window_full.wgsl.
// Needs: nothing

fn first_seen(position: u32) -> u32 {
    return position - min(position, WINDOW - 1u);
}
