// A matrix that is larger than a binding may be lies in several buffers, split between rows. This says which
// rows of the matrix the bound buffers hold. `first_row` is even, so that no pair of rows is torn apart.
// Needs: nothing

struct Part {
    first_row: u32,
    num_rows: u32,
    // Of a stored integer, where weights are such.
    bits: u32,
}

@group(0) @binding(1) var<uniform> part: Part;
