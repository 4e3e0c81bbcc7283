//! The files that are made from the tables of options in the library.

use anyhow::Result;

use crate::process;

/// Writes them. The test that compares them with the table does it, so that this crate need not be built with the library.
pub(crate) fn options() -> Result<()> {
    let mut test = process::cargo(&["test", "--quiet", "--package", "mobilellm", "--test", "options"]);
    process::run(test.env("UPDATE", "1"))
}
