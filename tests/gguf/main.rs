//! GGUF files: what they hold, and how they may be wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/engines.rs"]
mod engines;
mod header;
mod models;
mod quantize;
mod server;
mod whole;
