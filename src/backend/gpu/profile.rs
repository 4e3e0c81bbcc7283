//! The time of each kind of kernel in a pass.

use serde::Serialize;

pub use super::ceiling::Ceiling;
pub use super::counts::Counts;
use super::state::{Dispatch, GpuState};
use super::stopwatch::{LONG_ENOUGH, Stopwatch};
use crate::backend::Wanted;
use crate::error::Result;

/// Maximum number of dispatches in a timed pass.
const MAX_DISPATCHES: usize = 1 << 14;

/// The time of all kernels of one kind in a pass over the network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// The kernel and the matrix it computes, such as `matmul Qkv`.
    pub kernel: String,
    /// Number of these kernels in a pass.
    pub dispatches: usize,
    /// Time of all of them together on the device, in microseconds.
    pub us: f64,
}

impl GpuState {
    /// Measures every kind of kernel in a pass over `rows` tokens that follow the tokens in the caches.
    ///
    /// A kind is, for example, the same projection of every block. All kernels of a kind run one after the other, many
    /// times, and nothing else runs. So their weights are not in the cache of the GPU, as in a real pass. The
    /// measurement overwrites the activations of the state, and the rows of its caches after its last position.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the GPU fails.
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
            // The first time is only an estimate: it includes compilation and waking an idle device.
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

/// The kind of a kernel: its label without the numbers of blocks and caches.
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
    fn kernels_of_all_blocks_have_the_same_kind() {
        assert_eq!(kind("matmul Block(17, Qkv)"), "matmul Qkv");
        assert_eq!(kind("attention 3"), "attention");
        assert_eq!(kind("rms_norm FeedForwardNorm(2)"), "rms_norm FeedForwardNorm");
        assert_eq!(kind("matmul Embedding"), "matmul Embedding");
    }
}
