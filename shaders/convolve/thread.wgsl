// convolve: output[t] = C * (sum over taps k of weight[k] * s[t - KERNEL_SIZE + 1 + k]) with s = B * x, channel by
// channel: a causal convolution over this token and the few before it, with a gate on either side.
//
// Shapes: input [tokens, INPUT_STRIDE] f32: HIDDEN_SIZE values each of gate B, gate C and x; output [tokens,
// OUTPUT_STRIDE]; taps [HIDDEN_SIZE, KERNEL_SIZE], the oldest first; cache [CAPACITY, HIDDEN_SIZE] f32, s of the last
// positions.
// Work: one thread a channel of a token: x over channels, y over tokens. It puts its own s into the cache. Those of the
// same batch it makes again from the input, those before it reads from the cache, so that no thread waits for another;
// the cache has room for a batch beside what the batch reads.
// Needs: nothing

@group(0) @binding(6) var<storage, read> input: array<f32>;
@group(0) @binding(7) var<storage, read_write> output: array<f32>;
@group(0) @binding(8) var<storage, read_write> cache: array<f32>;
@group(0) @binding(15) var<storage, read> taps: array<f32>;

// s of a token of the batch.
fn gated(token: u32, channel: u32) -> f32 {
    let place = token * INPUT_STRIDE + channel;
    return input[place] * input[place + 2u * HIDDEN_SIZE];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    let token = id.y;
    if channel >= HIDDEN_SIZE || token >= batch.rows {
        return;
    }
    let position = batch.position + token;
    var sum = 0.0;
    for (var k = 0u; k < KERNEL_SIZE; k++) {
        let back = KERNEL_SIZE - 1u - k;
        var s = 0.0;
        if back <= token {
            s = gated(token - back, channel);
        } else if back <= position {
            s = cache[slot(position - back) * HIDDEN_SIZE + channel];
        }
        sum += taps[channel * KERNEL_SIZE + k] * s;
    }
    cache[slot(position) * HIDDEN_SIZE + channel] = gated(token, channel);
    output[token * OUTPUT_STRIDE + channel] = input[token * INPUT_STRIDE + HIDDEN_SIZE + channel] * sum;
}
