//! The JavaScript surface: everything that knows of browsers, and nothing else does.
//!
//! It runs in a dedicated worker (`npm/worker.js`), which hands it a source and requests and gets events back;
//! the modules in `npm/` make OpenAI's shapes of them. This module only translates: bytes from `fetch` and from
//! picked files into [`crate::checkpoint::source`], options into the engine's, events and errors into objects.

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
