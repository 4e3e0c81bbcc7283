// The activation of a gate: silu(g) = g / (1 + exp(-g)).
// Needs: nothing

fn activate(gate: f32) -> f32 {
    return gate / (1.0 + exp(-gate));
}
