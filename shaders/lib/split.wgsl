// Attention over many positions in SPLITS parts, so that a few heads keep a whole GPU busy: which positions belong to
// which. A part has whole tiles of SPLIT_TILE positions; few positions are a single part.
// Needs: nothing

// Positions of a split, of `seen` in all.
fn split_span(seen: u32) -> u32 {
    let tiles = (seen + SPLIT_TILE - 1u) / SPLIT_TILE;
    return (tiles + SPLITS - 1u) / SPLITS * SPLIT_TILE;
}

// Splits that have any.
fn split_count(seen: u32) -> u32 {
    let span = split_span(seen);
    return (seen + span - 1u) / span;
}
