//! Opens a device and compares its results with the CPU. If they differ, it gets kernels of a lower tier.

use super::device::{Gpu, GpuOptions, highest_tier};
use super::loops;
use super::self_test::self_test;
use crate::error::{Error, Result};

impl Gpu {
    /// Opens the adapter that the options ask for, and compares its results with the CPU, because drivers have bugs
    /// that nothing else reveals. If the results differ, a lower tier is used.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no adapter, if it opens no device, or if it computes wrong numbers on every tier;
    /// [`Error::Request`] for a tier or for integer tiles that the adapter does not support.
    pub async fn open(options: GpuOptions) -> Result<Self> {
        let mut gpu = Self::connect(options).await?;
        gpu.choose_kernels(options).await?;
        Ok(gpu)
    }

    /// Tests a device that is not shared yet, and chooses its kernels.
    pub(crate) async fn choose_kernels(&mut self, options: GpuOptions) -> Result<()> {
        if self.info().software && loops::are_left_early(self).await? {
            self.avoid_long_loops(options);
        }
        // They compile while the self-test compiles and runs.
        self.compile_tiles_ahead(options);
        while !options.skip_self_test
            && let Err(error) = self_test(self).await
        {
            self.step_down(&error)?;
        }
        self.choose_tiles(options).await
    }

    /// Changes the tier if the adapter leaves long loops early: in higher tiers many threads share a task, so no thread
    /// has a long loop.
    fn avoid_long_loops(&mut self, options: GpuOptions) {
        if let Some(info) = self.info_mut() {
            info.short_loops = true;
            if options.tier.is_none() {
                // The adapter emulates a GPU, and a CPU is at least as fast in single precision as in half.
                info.tier = highest_tier(info.subgroup_size, false);
            }
        }
    }

    /// Changes to the next lower tier after a failed self-test, unless the device was lost.
    fn step_down(&mut self, error: &Error) -> Result<()> {
        let tier = self.info().tier;
        let degraded = format!("tier {} failed its self-test: {error}", tier.name());
        tracing::warn!("{degraded}");
        let no_tier_works = || Error::device(&degraded, "Use the CPU backend, or update the driver");
        let lower = tier.lower().ok_or_else(no_tier_works)?;
        let info = self.info_mut().ok_or_else(no_tier_works)?;
        info.tier = lower;
        info.degraded = Some(degraded);
        self.clear_fault();
        Ok(())
    }
}
