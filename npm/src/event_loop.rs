//! Lets the worker receive messages during long work, and limits the time to wait for a promise.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;
use web_time::Instant;

/// Maximum time of work without a turn of the event loop: too short for a person to notice, but much longer than a turn
/// takes.
const SLICE: Duration = Duration::from_millis(12);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

/// Yields to the event loop when enough time has passed, so that the worker can receive a cancel message.
pub(super) struct Yielder {
    channel: MessageChannel,
    last: Cell<Instant>,
}

impl Yielder {
    /// Starts the clock.
    pub(super) fn new() -> Result<Self, JsValue> {
        Ok(Self { channel: MessageChannel::new()?, last: Cell::new(Instant::now()) })
    }

    /// Waits for one turn of the event loop if [`SLICE`] has passed since the last one.
    ///
    /// A message channel wakes it up. A resolved promise is not enough, because promises come before messages, and a
    /// timer would wait for at least 4 ms.
    pub(super) async fn yield_if_due(&self) -> Result<(), JsValue> {
        if self.last.get().elapsed() < SLICE {
            return Ok(());
        }
        let turn = Promise::new(&mut |resolve, _| self.channel.port1().set_onmessage(Some(&resolve)));
        self.channel.port2().post_message(&JsValue::NULL)?;
        JsFuture::from(turn).await?;
        self.last.set(Instant::now());
        Ok(())
    }
}

impl Drop for Yielder {
    fn drop(&mut self) {
        // An open port stays alive because of its handler.
        self.channel.port1().close();
    }
}

/// Waits for a promise, at most for `limit`; `None` if the time has passed.
pub(super) async fn within(promise: Promise, limit: Duration) -> Option<Result<JsValue, JsValue>> {
    let timer = Timer::new(limit);
    match select(JsFuture::from(promise), JsFuture::from(timer.promise.clone())).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

struct Timer {
    id: JsValue,
    promise: Promise,
}

impl Timer {
    fn new(limit: Duration) -> Self {
        let mut id = JsValue::UNDEFINED;
        let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        let promise = Promise::new(&mut |resolve, _| id = set_timeout(&resolve, milliseconds));
        Self { id, promise }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}
