// What the tiles of halves and of integers have in common: their size, what they read, and where their products go.
// Needs: nothing

// Rows and tokens of a workgroup, and the tokens that a thread of a slice has.
const ROWS: u32 = 64u;
const ROW_QUADS: u32 = ROWS / 4u;
const TOKENS: u32 = 32u;
const THREAD_TOKENS: u32 = 8u;
const TILE_QUADS: u32 = 8u;
const TILE_CHUNKS: u32 = TILE_QUADS / QUADS_PER_CHUNK;
// Threads of a slice of the columns, and steps of TILE_QUADS that all slices take together.
const SLICE_THREADS: u32 = 64u;
const STEPS: u32 = (ROW_CHUNKS + TILE_CHUNKS - 1u) / TILE_CHUNKS;

@group(0) @binding(6) var<storage, read> input: array<vec4<f32>>;

// Values 4 * q to 4 * q + 3 of a token; zero beyond the batch and beyond the columns.
fn read_input(token: u32, q: u32) -> vec4<f32> {
    if token < batch.rows && q < INPUT_QUADS {
        return input[token * INPUT_QUADS + q];
    }
    return vec4(0.0);
}

// Four neighbouring rows of a token, where there are so many.
fn finish_four(token: u32, row: u32, products: vec4<f32>) {
    if token < batch.rows && row < part.num_rows {
        finish(token, part.first_row + row, add_bias(part.first_row + row, products.xy));
    }
    if token < batch.rows && row + 2u < part.num_rows {
        finish(token, part.first_row + row + 2u, add_bias(part.first_row + row + 2u, products.zw));
    }
}
