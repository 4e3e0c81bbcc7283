//! x
use crate::flags::Inspect;
use anyhow::Result;
pub(crate) fn run(_flags: &Inspect) -> Result<()> {
    anyhow::bail!("soon")
}
