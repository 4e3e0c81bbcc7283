// A chunk of affine integers is read two words at a time, for groups of 16 columns: a chunk never spans two. Completes
// affine_chunk.wgsl or weights_affine.wgsl.
// Needs: nothing

alias Words = vec2<u32>;
const NUM_WORDS: u32 = 2u;
