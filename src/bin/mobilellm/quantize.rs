//! x
use crate::flags::Quantize;
use anyhow::Result;
pub(crate) fn run(_flags: &Quantize) -> Result<()> {
    anyhow::bail!("soon")
}
