// What queries are multiplied with, so that attention stays sharp over long contexts: it grows with the logarithm of
// the position, in steps of FLOOR_SCALE positions.
// Needs: nothing

fn temperature(position: u32) -> f32 {
    let place = f32(position + 1u);
    // Division may be off by a bit, which must not take a step too few or too many.
    var steps = floor(place / FLOOR_SCALE);
    steps += select(0.0, 1.0, (steps + 1.0) * FLOOR_SCALE <= place);
    steps -= select(0.0, 1.0, steps * FLOOR_SCALE > place);
    return 1.0 + TEMPERATURE_SCALE * log(1.0 + steps);
}
