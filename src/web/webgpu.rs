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
    adapter().await.err()
}

/// What the browser says of the adapter: its description, or its maker and architecture.
pub(super) async fn adapter_name() -> Option<String> {
    let info = get(&adapter().await.ok()?, "info");
    let word = |name: &str| get(&info, name).as_string().filter(|word| !word.is_empty());
    word("description").or_else(|| {
        let words: Vec<_> = ["vendor", "architecture", "device"].into_iter().filter_map(word).collect();
        (!words.is_empty()).then(|| words.join(" "))
    })
}

async fn adapter() -> Result<JsValue, String> {
    let global = js_sys::global();
    let gpu = get(&get(&global, "navigator"), "gpu");
    if gpu.is_undefined() {
        let secure = get(&global, "isSecureContext").is_truthy();
        return Err(if secure {
            "this browser has no WebGPU (navigator.gpu is absent)".to_owned()
        } else {
            "WebGPU works only on https:// pages and on localhost, and this page is neither".to_owned()
        });
    }
    match within(request_adapter(&gpu), PATIENCE).await {
        None => Err("WebGPU did not answer within 10 seconds".to_owned()),
        Some(Err(thrown)) => Err(format!("WebGPU refused to start: {}", message(&thrown))),
        Some(Ok(adapter)) if adapter.is_null() || adapter.is_undefined() => {
            Err("WebGPU found no graphics adapter: the driver is missing or on the browser's block list"
                .to_owned())
        }
        Some(Ok(adapter)) => Ok(adapter),
    }
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
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
