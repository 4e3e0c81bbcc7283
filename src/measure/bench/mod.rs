//! How fast a network runs on this device: the measurement behind `mobilellm bench`, `cargo xtask bench` and the bench
//! page.
//!
//! A [`Shape`] says what is measured. Nothing is downloaded, because [`Synthetic`] makes random weights of any shape.
//! As in normal use, the weights go through the loader and the tokens through a [`crate::generate::session::Session`].
//! The limits of the device are measured too, so that a [`Report`] can say which share of them was reached.

mod measure;
mod report;
mod shape;
mod synthetic;

pub use measure::{BenchOptions, Stage, run};
pub use report::{Bound, Decode, KernelTable, Load, Machine, PerToken, Prefill, Report};
pub use shape::{Shape, Study, studies};
pub use synthetic::Synthetic;
