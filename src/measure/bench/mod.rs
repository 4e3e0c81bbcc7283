//! How fast a network runs here: the one measurement behind `mobilellm bench`, `cargo xtask bench` and the bench page.
//!
//! A [`Shape`] says what is measured; nothing is downloaded, because [`Synthetic`] makes random weights of any shape.
//! The weights go through the loader and the tokens through a [`crate::generate::session::Session`], as a user's would; the device is asked
//! beside that what it could do at best, so that a [`Report`] says how much of it was reached.

mod measure;
mod report;
mod shape;
mod synthetic;

pub use measure::{BenchOptions, Stage, run};
pub use report::{Bound, Decode, KernelTable, Load, Machine, PerToken, Prefill, Report};
pub use shape::{Shape, Study, studies};
pub use synthetic::Synthetic;
