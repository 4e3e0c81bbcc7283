//! Time: letting the worker look at its messages, and noticing when nothing happens.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;
use web_time::Instant;

/// How long work may go on before messages are looked at; below what a person notices, well above what a turn of
/// the event loop costs.
const SLICE: Duration = Duration::from_millis(12);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
}

/// Gives way to the event loop when enough time has passed, so that a cancel message gets through.
pub(super) struct Breather {
    channel: MessageChannel,
    last: Cell<Instant>,
}

impl Breather {
    /// Starts to count.
    pub(super) fn new() -> Result<Self, JsValue> {
        Ok(Self { channel: MessageChannel::new()?, last: Cell::new(Instant::now()) })
    }

    /// Waits for one turn of the event loop if the slice is used up.
    ///
    /// A promise alone would not do: promises resolve before messages are looked at. A timer would wait for 4 ms.
    pub(super) async fn breathe(&self) -> Result<(), JsValue> {
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

impl Drop for Breather {
    fn drop(&mut self) {
        // An open port would be kept alive by its handler.
        self.channel.port1().close();
    }
}

/// Waits for a promise, but not for ever: `None` once `limit` has passed.
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
