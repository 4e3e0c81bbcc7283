// sample, second half: chooses the token of a row from the best tokens of its slices. If top-k, top-p or min-p removes tokens,
// it reads the row itself.
//
// Shapes: bests as in sample/slices.wgsl; chosen [RING], the token of step i at i % RING. If ADVANCES, the token becomes the
// next batch, so that the next pass needs nothing from the host.
// Work: one workgroup of THREADS threads per row (y). The limit is the smallest distance from the best score within which there
// are enough tokens or enough probability. It is searched digit by digit: first a histogram over the first DIGIT_BITS bits of
// all distances, then over the next bits of the distances with the found beginning, and so on until all STEP_BITS bits are
// known. When at least eight bits are known, the tokens up to the limit are copied to workgroup memory, if there are at most
// FEW. Their order does not matter, because sums of whole numbers are the same in every order.
// STEPS, STEP_BITS and TOP_P_SLACK are explained in cpu::sample.
// Needs: nothing

const BINS: u32 = 1u << DIGIT_BITS;
const GROUPS: u32 = 1u << (DIGIT_BITS / 2u);

struct Candidate {
    token: u32,
    steps: u32,
}

@group(0) @binding(0) var<storage, read_write> batch: Batch;
@group(0) @binding(11) var<storage, read_write> adjustments: array<Adjustment>;
@group(0) @binding(12) var<storage, read> bests: array<Best>;
@group(0) @binding(7) var<storage, read_write> chosen: array<u32>;

var<workgroup> found: array<Best, THREADS>;
// A sum is high * 4096 + low, so that it can hold millions of likelihoods of 24 bits.
var<workgroup> high: array<atomic<u32>, BINS>;
var<workgroup> low: array<atomic<u32>, BINS>;
var<workgroup> group_sums: array<vec2<u32>, GROUPS>;
var<workgroup> few: array<Candidate, FEW>;
var<workgroup> few_count: atomic<u32>;
// The number of copied tokens, which thread 0 reads for all threads.
var<workgroup> shared_count: u32;

fn best_of_all(thread: u32, best: Best) -> Best {
    workgroupBarrier();
    found[thread] = best;
    for (var reach = THREADS / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if thread < reach {
            found[thread] = better(found[thread], found[thread + reach]);
        }
    }
    workgroupBarrier();
    return found[0];
}

// Distance from the best score, rounded to the nearest step; NO_TOKEN for a token that is never chosen.
fn steps_from(largest: f32, score: f32) -> u32 {
    let distance = (largest - score) * (sampling.inverse_temperature * STEPS) + 0.5;
    return select(u32(min(distance, f32(LAST_STEP))), NO_TOKEN, score == NEVER);
}

// Token i of the whole row, or of the copied tokens if is_few.
fn member(row: u32, largest: f32, is_few: bool, i: u32) -> Candidate {
    if is_few {
        return few[i];
    }
    return Candidate(i, steps_from(largest, score(row, i)));
}

fn likelihood(steps: u32) -> u32 {
    return u32(exp(-f32(steps) / STEPS) * ONE + 0.5);
}

fn amount(sum: vec2<u32>) -> f32 {
    return f32(sum.x) * 4096.0 + f32(sum.y);
}

fn clear(thread: u32) {
    workgroupBarrier();
    for (var bin = thread; bin < BINS; bin += THREADS) {
        atomicStore(&high[bin], 0u);
        atomicStore(&low[bin], 0u);
    }
    workgroupBarrier();
}

// Adds a token to a bin: its likelihood, or 1.
fn count_in(bin: u32, steps: u32, by_likelihood: bool) {
    if by_likelihood {
        let one = likelihood(steps);
        atomicAdd(&high[bin], one >> 12u);
        atomicAdd(&low[bin], one & 4095u);
    } else {
        atomicAdd(&low[bin], 1u);
    }
}

fn sum_groups(thread: u32) {
    workgroupBarrier();
    for (var group = thread; group < GROUPS; group += THREADS) {
        var sum = vec2(0u);
        for (var bin = group * BINS / GROUPS; bin < (group + 1u) * BINS / GROUPS; bin++) {
            sum += vec2(atomicLoad(&high[bin]), atomicLoad(&low[bin]));
        }
        group_sums[group] = sum;
    }
    workgroupBarrier();
}

struct Place {
    bin: u32,
    // The sum of all bins before it.
    before: vec2<u32>,
}

// The first bin at which `before` plus all bins up to and including this one reach `enough`, or the last bin.
fn find(before: vec2<u32>, enough: f32) -> Place {
    var sum = before;
    var group = 0u;
    for (; group < GROUPS - 1u && amount(sum + group_sums[group]) < enough; group++) {
        sum += group_sums[group];
    }
    var bin = group * BINS / GROUPS;
    for (; bin < (group + 1u) * BINS / GROUPS - 1u; bin++) {
        let next = sum + vec2(atomicLoad(&high[bin]), atomicLoad(&low[bin]));
        if amount(next) >= enough {
            break;
        }
        sum = next;
    }
    return Place(bin, sum);
}

// Copies the tokens of a row with a distance up to `end`, and returns their number; NO_TOKEN if there are more than FEW.
fn copy_candidates(thread: u32, row: u32, largest: f32, end: u32) -> u32 {
    workgroupBarrier();
    if thread == 0u {
        atomicStore(&few_count, 0u);
    }
    workgroupBarrier();
    for (var token = thread; token < VOCAB_SIZE; token += THREADS) {
        let candidate = member(row, largest, false, token);
        if candidate.steps <= end {
            let place = atomicAdd(&few_count, 1u);
            if place < FEW {
                few[place] = candidate;
            }
        }
    }
    workgroupBarrier();
    if thread == 0u {
        shared_count = atomicLoad(&few_count);
    }
    let count = workgroupUniformLoad(&shared_count);
    return select(count, NO_TOKEN, count > FEW);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.y;
    var best = Best(NEVER, NO_TOKEN);
    for (var slice = thread; slice < SLICES; slice += THREADS) {
        best = better(best, bests[row * SLICES + slice]);
    }
    best = best_of_all(thread, best);

    let step = batch.step + row;
    let by_rank = sampling.top_k > 0u;
    let by_share = sampling.top_p < 1.0;
    if sampling.inverse_temperature > 0.0 && (by_rank || by_share || sampling.max_steps < LAST_STEP) {
        let largest = best.score;
        var is_few = false;
        var count = VOCAB_SIZE;
        var end = LAST_STEP;
        // First top-k, then top-p among the tokens that top-k keeps.
        for (var search = 0u; search < 2u; search++) {
            let by_likelihood = search == 1u;
            if !select(by_rank, by_share, by_likelihood) {
                continue;
            }
            var enough = f32(sampling.top_k);
            var before = vec2(0u);
            var prefix = 0u;
            for (var known = 0u; known < STEP_BITS; known += DIGIT_BITS) {
                let shift = STEP_BITS - DIGIT_BITS - known;
                clear(thread);
                for (var i = thread; i < count; i += THREADS) {
                    let steps = member(row, largest, is_few, i).steps;
                    if steps <= end && steps >> (shift + DIGIT_BITS) == prefix {
                        count_in((steps >> shift) & (BINS - 1u), steps, by_likelihood);
                    }
                }
                sum_groups(thread);
                if known == 0u && by_likelihood {
                    var total = vec2(0u);
                    for (var group = 0u; group < GROUPS; group++) {
                        total += group_sums[group];
                    }
                    enough = sampling.top_p * TOP_P_SLACK * amount(total);
                }
                let place = find(before, enough);
                before = place.before;
                prefix = (prefix << DIGIT_BITS) | place.bin;
                if known < 8u && known + DIGIT_BITS >= 8u && !is_few {
                    let copied = copy_candidates(thread, row, largest, min(end, ((prefix + 1u) << shift) - 1u));
                    is_few = copied != NO_TOKEN;
                    count = select(VOCAB_SIZE, copied, is_few);
                }
            }
            end = min(end, prefix);
        }
        end = min(end, sampling.max_steps);
        var mine = Best(NEVER, NO_TOKEN);
        for (var i = thread; i < count; i += THREADS) {
            let candidate = member(row, largest, is_few, i);
            if candidate.steps <= end {
                let x = noisy(score(row, candidate.token), candidate.token, step, mine.score);
                mine = better(mine, Best(x, candidate.token));
            }
        }
        best = best_of_all(thread, mine);
    }
    if thread == 0u {
        chosen[step % RING] = best.token;
        if ADVANCES {
            advance(best.token);
        }
    }
}

// Makes the token the next batch.
fn advance(token: u32) {
    if sampling.adjusted != 0u && token < VOCAB_SIZE {
        adjustments[token].seen += 1u;
    }
    batch.position += batch.rows;
    batch.rows = 1u;
    batch.first_wanted = 0u;
    batch.step += 1u;
    batch.tokens[0].x = token;
}
