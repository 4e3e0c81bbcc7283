//! Where the time of a pass goes: what each kind of kernel takes.

use serde::Serialize;

pub use super::ceiling::Ceiling;
pub use super::counts::Counts;
use super::state::{Dispatch, GpuState};
use super::stopwatch::{LONG_ENOUGH, Stopwatch};
use crate::backend::Wanted;
use crate::error::Result;

/// Dispatches of a timed pass at most.
const MAX_DISPATCHES: usize = 1 << 14;

/// What all kernels of one kind take in a pass over the network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// The kernel and the matrix it computes, such as `matmul Qkv`.
    pub kernel: String,
    /// How many of them a pass has.
    pub dispatches: usize,
    /// Time on the device of all of them together, in microseconds.
    pub us: f64,
}

impl GpuState {
    /// Times every kind of kernel in a pass over `rows` tokens that follow those in the caches.
    ///
    /// All kernels of a kind - the same projection of every block, so that their weights are as cold as in a real
    /// pass - run one after the other, again and again, and nothing else runs. The state's activations and the
    /// rows of its caches from its length on are overwritten.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the GPU fails.
    pub async fn kernel_times(&self, rows: usize) -> Result<Vec<KernelTime>> {
        let mut kinds: Vec<(String, Vec<&Dispatch>)> = Vec::new();
        for dispatch in self.step(rows) {
            let kind = kind(&dispatch.label);
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, dispatches)) => dispatches.push(dispatch),
                None => kinds.push((kind, vec![dispatch])),
            }
        }
        let stopwatch = Stopwatch::new(self.gpu()).await?;
        let mut times = Vec::with_capacity(kinds.len());
        for (kernel, dispatches) in kinds {
            let run = |pass: &mut wgpu::ComputePass, times: usize| {
                for _ in 0..times {
                    for dispatch in &dispatches {
                        dispatch.record(pass, rows);
                    }
                }
            };
            self.write_batch(&vec![0; rows], Wanted::Last);
            let once = stopwatch.time(|pass| run(pass, 1)).await?;
            // What came before - an idle device, compilation - is in the first time alone.
            let repeats = (LONG_ENOUGH / once.max(1e-6)).ceil() as usize;
            let repeats = repeats.clamp(1, (MAX_DISPATCHES / dispatches.len()).max(1));
            let seconds = stopwatch.time(|pass| run(pass, repeats)).await?;
            times.push(KernelTime {
                kernel,
                dispatches: dispatches.len(),
                us: seconds / repeats as f64 * 1e6,
            });
        }
        Ok(times)
    }
}

/// A label without what tells dispatches of a kind apart: the numbers of blocks and caches.
fn kind(label: &str) -> String {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<_> = label
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| *word != "Block" && !is_number(word))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn kernels_of_all_blocks_are_of_a_kind() {
        assert_eq!(kind("matmul Block(17, Qkv)"), "matmul Qkv");
        assert_eq!(kind("attention 3"), "attention");
        assert_eq!(kind("rms_norm FeedForwardNorm(2)"), "rms_norm FeedForwardNorm");
        assert_eq!(kind("matmul Embedding"), "matmul Embedding");
    }
}
