// Where a position lies in a cache that holds only the last CAPACITY of them: a new one takes the place of the oldest.
// Needs: nothing

fn slot(position: u32) -> u32 {
    return position % CAPACITY;
}
