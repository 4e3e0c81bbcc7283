//! Turns errors and panics into JavaScript values.

use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

use mobilellm::Error;

/// An `Error` object with the stable `code` of [`Error::code`].
pub(super) fn to_js(error: &Error) -> JsValue {
    let object = js_sys::Error::new(&error.to_string());
    object.set_name("MobileLLMError");
    // Setting a property of an object that was just made cannot fail.
    let _ = Reflect::set(&object, &"code".into(), &error.code().into());
    object.into()
}

/// The message of a thrown value.
pub(super) fn message(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => thrown.as_string().unwrap_or_else(|| format!("{thrown:?}")),
    }
}

/// Calls `report` with the message of a panic. The trap that follows makes the worker unusable.
#[expect(unreachable_pub, reason = "JavaScript reaches it")]
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(report: Function) {
    let report = SingleThreaded(report);
    std::panic::set_hook(Box::new(move |panic| {
        let report = &report;
        // If the report fails, there is no other way to report.
        let _ = report.0.call1(&JsValue::NULL, &panic.to_string().into());
        console_error_panic_hook::hook(panic);
    }));
}

/// Wraps a function for the panic hook, which requires thread safety.
struct SingleThreaded(Function);

// SAFETY: the module is built without threads (no atomics), so only one thread exists.
#[cfg(not(target_feature = "atomics"))]
unsafe impl Send for SingleThreaded {}
// SAFETY: as above.
#[cfg(not(target_feature = "atomics"))]
unsafe impl Sync for SingleThreaded {}
