//! The JavaScript surface: everything that knows of browsers, and nothing else does.
//!
//! It runs in a dedicated worker (`npm/js/worker.js`), which hands it a source and requests and gets events back;
//! the modules in `npm/js/` make OpenAI's shapes of them. This crate only translates: bytes from `fetch` and from
//! picked files into a [`mobilellm::Source`], options into the engine's, events and errors into objects.

// There is nothing in it for other targets.
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
