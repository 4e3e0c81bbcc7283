// What one forward pass runs on: written by the host before the pass and, between the tokens of a submit that decodes
// several, by the kernel that chooses them.
// Needs: nothing

struct Batch {
    // Tokens already in the caches; the batch's first token is at this position.
    position: u32,
    // Tokens in the batch, at most MAX_BATCH.
    rows: u32,
    // First row of the batch whose logits are wanted.
    first_wanted: u32,
    // Tokens of the generation chosen so far.
    step: u32,
    // Token ids, four to a vector because uniforms are laid out in 16-byte units.
    tokens: array<vec4<u32>, MAX_BATCH / 4>,
}
