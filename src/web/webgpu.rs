//! Whether this browser has WebGPU, and if not, why; and what wgpu cannot ask of it.

use std::any::Any;
use std::time::Duration;

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;

use super::errors::message;
use super::event_loop::within;
use crate::gpu::shader::{Access, Binding};

#[wasm_bindgen(module = "/src/web/webgpu.js")]
extern "C" {
    #[wasm_bindgen(js_name = askForSubgroups)]
    fn ask_for_subgroups();
    #[wasm_bindgen(js_name = compileAhead)]
    fn js_compile_ahead(device: &JsValue, label: &str, code: &str, types: &Array) -> Promise;
}

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

/// Whether devices have subgroups; from now on they are asked for.
pub(super) async fn offers_subgroups() -> bool {
    ask_for_subgroups();
    let Ok(adapter) = adapter().await else { return false };
    has(&get(&adapter, "features"), "subgroups")
}

/// Whether WGSL has `dot4I8Packed` and what goes with it.
pub(super) fn has_packed_dot() -> bool {
    let gpu = get(&get(&js_sys::global(), "navigator"), "gpu");
    has(&get(&gpu, "wgslLanguageFeatures"), "packed_4x8_integer_dot_product")
}

/// What a `Set`, or what is like one, says of `name`.
fn has(set: &JsValue, name: &str) -> bool {
    let has: Result<Function, _> = get(set, "has").dyn_into();
    has.is_ok_and(|has| has.call1(set, &name.into()).is_ok_and(|has| has.is_truthy()))
}

/// [`crate::gpu::CompileAhead`] by the browser's own means.
pub(super) fn compile_ahead(
    device: &wgpu::Device,
    name: &str,
    wgsl: &str,
    bindings: &[(Binding, Access)],
) -> Box<dyn Any> {
    let Some(device) = device.as_webgpu() else { return Box::new(()) };
    let types = bindings.iter().map(|(binding, access)| {
        let access = match access {
            Access::Uniform => "uniform",
            Access::Read => "read-only-storage",
            Access::ReadWrite => "storage",
        };
        Array::of2(&binding.number().into(), &access.into())
    });
    Box::new(js_compile_ahead(device, name, wgsl, &types.collect()))
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
