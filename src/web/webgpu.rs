//! Whether this browser has WebGPU, and if not, why.

use std::time::Duration;

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;

use super::errors::message;
use super::event_loop::within;

/// Some in-app browsers offer WebGPU and then never answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reason why there is no WebGPU, in words for a person; `None` where an adapter answers.
pub(super) async fn why_missing() -> Option<String> {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED);
    let global = js_sys::global();
    let gpu = get(&get(&global, "navigator"), "gpu");
    if gpu.is_undefined() {
        let secure = get(&global, "isSecureContext").is_truthy();
        return Some(if secure {
            "this browser has no WebGPU (navigator.gpu is absent)".to_owned()
        } else {
            "WebGPU works only on https:// pages and on localhost, and this page is neither".to_owned()
        });
    }
    match within(request_adapter(&gpu), PATIENCE).await {
        None => Some("WebGPU did not answer within 10 seconds".to_owned()),
        Some(Err(thrown)) => Some(format!("WebGPU refused to start: {}", message(&thrown))),
        Some(Ok(adapter)) if adapter.is_null() || adapter.is_undefined() => Some(
            "WebGPU found no graphics adapter: the driver is missing or on the browser's block list"
                .to_owned(),
        ),
        Some(Ok(_)) => None,
    }
}

fn request_adapter(gpu: &JsValue) -> Promise {
    let call = || -> Result<JsValue, JsValue> {
        let method: Function = Reflect::get(gpu, &"requestAdapter".into())?.dyn_into()?;
        method.call0(gpu)
    };
    match call() {
        Ok(promise) => Promise::resolve(&promise),
        Err(thrown) => Promise::reject(&thrown),
    }
}
