// The activation of a gate: GELU in its tanh form, g / 2 * (1 + tanh(z)) with z = sqrt(2 / pi) * (g + 0.044715 * g^3).
// It is the same as g / (1 + exp(-2 * z)), which needs no tanh: WGSL allows that one an error of 1e-5, and drivers make
// NaN of large arguments. Same interface as silu.wgsl.
// Needs: nothing

fn activate(gate: f32) -> f32 {
    return gate / (1.0 + exp(-1.5957691216 * (gate + 0.044715 * gate * gate * gate)));
}
