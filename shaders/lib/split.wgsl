// Attention over a long context in SPLITS parts, so that a few heads keep a whole GPU busy: which positions belong to
// which. A part has whole tiles of SPLIT_TILE positions; a short context is a single part.
// Needs: nothing

// Positions of a split, of `visible` in all.
fn split_span(visible: u32) -> u32 {
    let tiles = (visible + SPLIT_TILE - 1u) / SPLIT_TILE;
    return (tiles + SPLITS - 1u) / SPLITS * SPLIT_TILE;
}

// Splits that have any.
fn split_count(visible: u32) -> u32 {
    let span = split_span(visible);
    return (visible + span - 1u) / span;
}
