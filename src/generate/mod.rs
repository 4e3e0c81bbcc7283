//! From tokens to tokens: prompts are run, tokens are chosen, text comes out.

mod decode;
pub mod generation_config;
mod pace;
pub mod sampler;
pub mod session;
pub mod speculate;
pub mod stop;
