// Which positions a token sees: those of its own chunk of WINDOW positions, up to its own. Same interface as
// window_full.wgsl.
// Needs: nothing

fn first_seen(position: u32) -> u32 {
    return position - position % WINDOW;
}
