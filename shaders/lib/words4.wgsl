// A chunk of affine integers is read four words at a time. Completes affine_chunk.wgsl or weights_affine.wgsl.
// Needs: nothing

alias Words = vec4<u32>;
const NUM_WORDS: u32 = 4u;
