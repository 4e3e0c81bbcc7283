//! Opening a device that is trusted: it has computed what the CPU does, or was given kernels that ask less of it.

use super::device::{Gpu, GpuOptions, highest_tier};
use super::loops;
use super::self_test::self_test;
use crate::error::{Error, Result};

impl Gpu {
    /// Opens the adapter that the options ask for, and checks that it computes what the CPU does: drivers have
    /// bugs that nothing else reveals. Where it does not, a lower tier is used.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no adapter, it gives no device, or it computes wrong numbers on every tier;
    /// [`Error::Request`] for a tier or for tiles of integers that the adapter cannot have.
    pub async fn open(options: GpuOptions) -> Result<Self> {
        let mut gpu = Self::connect(options).await?;
        gpu.prove(options).await?;
        Ok(gpu)
    }

    /// Checks a device that nobody else uses yet, and chooses its kernels.
    pub(crate) async fn prove(&mut self, options: GpuOptions) -> Result<()> {
        if self.info().software && loops::are_cut_short(self).await? {
            self.avoid_long_loops(options);
        }
        // While the self-test computes, or is compiled itself.
        self.compile_tiles_ahead(options);
        while !options.skip_self_test
            && let Err(error) = self_test(self).await
        {
            self.step_down(&error)?;
        }
        self.choose_tiles(options).await
    }

    /// Where many threads share a task, none has a long loop.
    fn avoid_long_loops(&mut self, options: GpuOptions) {
        if let Some(info) = self.info_mut() {
            info.short_loops = true;
            if options.tier.is_none() {
                // A CPU computes in single precision at least as fast as in half.
                info.tier = highest_tier(info.subgroup_size, false);
            }
        }
    }

    /// After a failed self-test: to the next lower tier, if it was not for a lost device.
    fn step_down(&mut self, error: &Error) -> Result<()> {
        let tier = self.info().tier;
        let degraded = format!("tier {} failed its self-test: {error}", tier.name());
        tracing::warn!("{degraded}");
        let hopeless = || Error::device(&degraded, "Use the CPU backend, or update the driver");
        let lower = tier.lower().ok_or_else(hopeless)?;
        let info = self.info_mut().ok_or_else(hopeless)?;
        info.tier = lower;
        info.degraded = Some(degraded);
        self.forgive();
        Ok(())
    }
}
