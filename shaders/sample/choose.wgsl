// sample, second half: the token of a row, from the bests of its slices and, where tokens are cut, the row itself.
//
// Shapes: bests as in sample/slices.wgsl; chosen [RING], the token of step i at i % RING. Where ADVANCES, the token
// becomes the next batch: the next pass needs nothing from the host.
// Work: one workgroup of THREADS threads a row (y). A cut is the smallest distance from the best within which
// enough tokens or probability lie. It is found digit by digit: a histogram over the first DIGIT_BITS bits of all
// distances, then over the next of those that begin alike, and so on to the last of STEP_BITS. Once eight or more are known
// the tokens that still matter are put aside where they are no more than FEW, in any order, because whole numbers add
// up the same in every order.
// STEPS, STEP_BITS and TOP_P_SLACK are those of cpu::sample, which says what they mean.
// Needs: nothing

const BINS: u32 = 1u << DIGIT_BITS;
const GROUPS: u32 = 1u << (DIGIT_BITS / 2u);

struct Few {
    token: u32,
    steps: u32,
}

@group(0) @binding(0) var<storage, read_write> batch: Batch;
@group(0) @binding(11) var<storage, read_write> adjustments: array<Adjustment>;
@group(0) @binding(12) var<storage, read> bests: array<Best>;
@group(0) @binding(7) var<storage, read_write> chosen: array<u32>;

var<workgroup> found: array<Best, THREADS>;
// An amount is high * 4096 + low, so that millions of likelihoods of 24 bits can be summed.
var<workgroup> high: array<atomic<u32>, BINS>;
var<workgroup> low: array<atomic<u32>, BINS>;
var<workgroup> group_sums: array<vec2<u32>, GROUPS>;
var<workgroup> few: array<Few, FEW>;
var<workgroup> few_count: atomic<u32>;
// What thread 0 tells the others.
var<workgroup> told: u32;

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

// Distance from the best, rounded to the nearest step; NO_TOKEN for a token that is never chosen.
fn steps_from(largest: f32, score: f32) -> u32 {
    let distance = (largest - score) * (sampling.inverse_temperature * STEPS) + 0.5;
    return select(u32(min(distance, f32(LAST_STEP))), NO_TOKEN, score == NEVER);
}

// Token i of those that still matter: of the whole row, or of those put aside.
fn member(row: u32, largest: f32, is_few: bool, i: u32) -> Few {
    if is_few {
        return few[i];
    }
    return Few(i, steps_from(largest, score(row, i)));
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

// Adds one token to a bin: its likelihood, or simply itself.
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
    // What lies before it.
    before: vec2<u32>,
}

// The first bin at whose end `before` and the bins up to it make `enough`, or the last.
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

// Puts aside the tokens of a row up to `end`, and says how many; NO_TOKEN where they are too many for that.
fn put_aside(thread: u32, row: u32, largest: f32, end: u32) -> u32 {
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
        told = atomicLoad(&few_count);
    }
    let count = workgroupUniformLoad(&told);
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
        // Top-k first, then top-p among what it left.
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
                    let aside = put_aside(thread, row, largest, min(end, ((prefix + 1u) << shift) - 1u));
                    is_few = aside != NO_TOKEN;
                    count = select(VOCAB_SIZE, aside, is_few);
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
