//! The JavaScript interface. Only this crate contains code for browsers.
//!
//! It runs in a dedicated worker (`npm/js/worker.js`). The worker passes a source and requests to it and gets events,
//! and the modules in `npm/js/` turn the events into the format of OpenAI's API. This crate only translates: bytes from
//! `fetch` and from picked files into a [`mobilellm::Source`], options into those of the engine, events and errors into
//! objects.

// On other targets this crate is empty.
#![cfg(target_arch = "wasm32")]

mod bench;
mod engine;
mod errors;
mod event_loop;
mod fetch;
mod files;
mod log;
mod request;
mod stream;
mod webgpu;
