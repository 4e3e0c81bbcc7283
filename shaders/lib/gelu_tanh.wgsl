// The activation of a gate: GELU in its tanh form, g / 2 * (1 + tanh(z)) with z = sqrt(2 / pi) * (g + 0.044715 * g^3).
// It is the same as g / (1 + exp(-2 * z)), which needs no tanh: WGSL allows that one an error of 1e-5, and drivers make
// NaN of large arguments. Same interface as silu.wgsl.
// Needs: nothing

fn activate(gate: f32) -> f32 {
    return gate / (1.0 + exp_of(-1.5957691216 * (gate + 0.044715 * gate * gate * gate)));
}

// A shut gate lets a little through, and a norm of the branch makes it large again. So the error of exp matters, which WGSL
// allows to grow with the argument: only what remains after whole powers of two is passed to it.
fn exp_of(x: f32) -> f32 {
    let bounded = clamp(x, -87.0, 88.0);
    let power = round(bounded * 1.44269504);
    let rest = (bounded - power * 0.693359375) + power * 2.12194440e-4;
    return ldexp(exp(rest), i32(power));
}
