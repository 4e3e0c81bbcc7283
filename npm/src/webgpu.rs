//! Finds out whether this browser has WebGPU, and if not, why. Also does what wgpu cannot do in browsers.

use std::any::Any;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::errors::message;
use super::event_loop::within;
use mobilellm::backend::gpu::shader::{Access, Binding};
use mobilellm::backend::gpu::{Compiling, Hints};
use mobilellm::{Error, Result};

#[wasm_bindgen(module = "/src/webgpu.js")]
extern "C" {
    #[wasm_bindgen(js_name = askForSubgroups)]
    fn ask_for_subgroups();
    #[wasm_bindgen(js_name = compileAhead)]
    fn js_compile_ahead(device: &JsValue, label: &str, code: &str, types: &Array) -> Promise;
}

/// Maximum time to wait for an adapter, because some in-app browsers offer WebGPU but never answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// [`mobilellm::backend::gpu::AskHost`] for a browser. From now on, new devices have subgroups if their adapters do.
pub(super) fn ask() -> LocalBoxFuture<'static, Result<Hints>> {
    async {
        let adapter = adapter().await.map_err(|reason| Error::device(reason, "Use backend: \"cpu\""))?;
        ask_for_subgroups();
        Ok(Hints {
            adapter: name_of(&adapter),
            subgroups: has(&get(&adapter, "features"), "subgroups"),
            packed_dot: has_packed_dot(),
        })
    }
    .boxed_local()
}

/// The name of an adapter: its description, or its vendor and architecture.
fn name_of(adapter: &JsValue) -> String {
    let info = get(adapter, "info");
    let word = |name: &str| get(&info, name).as_string().filter(|word| !word.is_empty());
    word("description").unwrap_or_else(|| {
        ["vendor", "architecture", "device"].into_iter().filter_map(word).collect::<Vec<_>>().join(" ")
    })
}

/// Whether WGSL has `dot4I8Packed` and the related functions.
fn has_packed_dot() -> bool {
    let gpu = get(&get(&js_sys::global(), "navigator"), "gpu");
    has(&get(&gpu, "wgslLanguageFeatures"), "packed_4x8_integer_dot_product")
}

/// Whether a `Set`, or an object like a `Set`, has `name`.
fn has(set: &JsValue, name: &str) -> bool {
    let has: Result<Function, _> = get(set, "has").dyn_into();
    has.is_ok_and(|has| has.call1(set, &name.into()).is_ok_and(|has| has.is_truthy()))
}

/// [`mobilellm::backend::gpu::CompileAhead`] for a browser.
pub(super) fn compile_ahead(
    device: &wgpu::Device,
    name: &str,
    wgsl: &str,
    bindings: &[(Binding, Access)],
) -> Compiling {
    let Some(device) = device.as_webgpu() else { return ready(Box::new(()) as Box<dyn Any>).boxed_local() };
    let types = bindings.iter().map(|(binding, access)| {
        let access = match access {
            Access::Uniform => "uniform",
            Access::Read => "read-only-storage",
            Access::ReadWrite => "storage",
        };
        Array::of2(&binding.number().into(), &access.into())
    });
    // The browser compiles it even if the promise is not awaited.
    let pipeline = js_compile_ahead(device, name, wgsl, &types.collect());
    async move { Box::new(JsFuture::from(pipeline).await) as Box<dyn Any> }.boxed_local()
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
