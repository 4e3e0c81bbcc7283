//! The measurement of [`mobilellm::measure::bench`], for the worker.

#![expect(unreachable_pub, reason = "wasm-bindgen exports only what is pub")]

use js_sys::{Function, Reflect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasm_bindgen::prelude::*;

use super::engine::{from_js, gpu_options, into_js};
use super::errors::to_js;
use super::log;
use mobilellm::backend::gpu::Tier;
use mobilellm::measure::bench::{
    BenchOptions, Machine, Report, Shape, Stage, Study, Synthetic, run, studies,
};
use mobilellm::{Error, Result};

/// The settings of `benchmark`, in the form that `npm/js/benchmark.js` sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    /// `"mobilellm-125m"`, `"12x768"`, or all sizes.
    shape: Value,
    backend: String,
    weights: String,
    tier: Option<String>,
    int8_tiles: Option<bool>,
    prefill: Vec<usize>,
    decode: usize,
    context: usize,
    repeats: usize,
    limit: f64,
}

/// The choices that a page can offer.
#[derive(Serialize)]
struct Choices {
    shapes: Vec<ShapeWithSize>,
    studies: Vec<Study>,
    /// Tiers of GPU kernels, the highest first.
    tiers: Vec<Tier>,
}

/// A shape and its number of parameters.
#[derive(Serialize)]
struct ShapeWithSize {
    #[serde(flatten)]
    shape: Shape,
    parameters: u64,
}

/// The shapes of the family, the studies that compare them, and the tiers of GPU kernels.
#[wasm_bindgen(js_name = benchmarkChoices)]
pub fn benchmark_choices() -> Result<JsValue, JsValue> {
    let shapes = Shape::family().into_iter();
    let shapes = shapes.map(|shape| ShapeWithSize { parameters: shape.num_parameters(), shape }).collect();
    let tiers = Tier::ALL.iter().copied().rev().collect();
    into_js(&Choices { shapes, studies: studies(), tiers })
}

/// Measures one shape. `report` is called with the current stage.
#[wasm_bindgen]
pub async fn benchmark(settings: JsValue, report: Function) -> Result<JsValue, JsValue> {
    log::start();
    let settings: Settings = from_js("options", settings)?;
    let report = measure(settings, &report).await.map_err(|error| to_js(&error))?;
    into_js(&report)
}

async fn measure(settings: Settings, observe: &Function) -> Result<Report> {
    let weights = settings.weights.parse()?;
    let shape = match settings.shape {
        Value::String(name) => Shape::parse(&name)?,
        sizes => serde_json::from_value(sizes).map_err(|error| Error::request("shape", error))?,
    };
    let options = BenchOptions {
        backend: settings.backend.parse()?,
        gpu: gpu_options(settings.tier.as_deref(), settings.int8_tiles)?,
        weights,
        prefill: settings.prefill,
        decode: settings.decode,
        context: settings.context,
        repeats: settings.repeats,
        limit_s: settings.limit,
        machine: machine(),
    };
    let mut tell = |stage: Stage| {
        if let Ok(stage) = into_js(&stage) {
            // An error in the progress callback must not lose the result.
            let _ = observe.call1(&JsValue::NULL, &stage);
        }
    };
    let source = Synthetic::new(&shape, weights)?;
    run(&shape.name, &source, &options, &mut tell).await
}

/// The browser's description of the machine.
fn machine() -> Machine {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or(JsValue::UNDEFINED);
    let get = |name: &str| Reflect::get(&navigator, &name.into()).unwrap_or(JsValue::UNDEFINED);
    Machine {
        name: get("userAgent").as_string().unwrap_or_default(),
        system: get("platform").as_string().unwrap_or_default(),
        threads: get("hardwareConcurrency").as_f64().unwrap_or(1.0) as usize,
    }
}
