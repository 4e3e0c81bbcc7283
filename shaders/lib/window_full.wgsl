// Which positions a token sees: all up to its own. Every window_*.wgsl has this interface.
// Needs: nothing

// The first position that the token at `position` sees; the last is its own.
fn first_seen(position: u32) -> u32 {
    return 0u;
}
