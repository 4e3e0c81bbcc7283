//! The engine, for the worker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use js_sys::{Function, Object, Reflect};
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;
use web_sys::File;
use web_time::Instant;

use super::errors::{message, to_js};
use super::event_loop::Yielder;
use super::fetch::{FetchSource, ReadAhead};
use super::files::FilesSource;
use super::log;
use super::request::{Prepared, Request};
use super::webgpu;
use mobilellm::backend::gpu;
use mobilellm::checkpoint::load::Progress;
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::Source;
use mobilellm::checkpoint::source::gguf::Wanted;
use mobilellm::engine::{Engine, Info, LoadOptions};
use mobilellm::generate::sampler::Logprob;
use mobilellm::generate::session::{Event, FinishReason, Generation, Session, Timings, TokenEvent, Usage};
use mobilellm::measure::fidelity::{self, Comparison, Fidelity};
use mobilellm::{Error, Result};

/// Minimum time between two progress reports: a person cannot see faster changes.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// A loaded checkpoint and its only session.
#[wasm_bindgen]
pub struct WebEngine {
    engine: Engine,
    name: String,
    /// `None` while a generation uses it.
    session: RefCell<Option<Session>>,
}

/// The options of `Engine.load`, in the form that `npm/js/engine.js` sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadSettings {
    backend: String,
    weights: String,
    tier: Option<String>,
    int8_tiles: Option<bool>,
    max_context: Option<usize>,
    ignore_config_fields: Vec<String>,
    stall_timeout: u32,
}

/// The options of `engine.fidelity`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FidelitySettings {
    text: Option<String>,
    chunk: Option<usize>,
}

/// `engine.info()`.
#[derive(Serialize)]
struct NamedInfo<'a> {
    model: &'a str,
    #[serde(flatten)]
    info: &'a Info,
}

#[wasm_bindgen]
impl WebEngine {
    /// Loads a checkpoint. `ahead` fetches its files if they are on a server; `report` is called with the progress.
    pub async fn load(
        source: JsValue,
        ahead: ReadAhead,
        settings: JsValue,
        report: Function,
    ) -> Result<WebEngine, JsValue> {
        log::start();
        let settings: LoadSettings = from_js("options", settings)?;
        let name = text_field(&source, "name");
        let patience = Duration::from_millis(settings.stall_timeout.into());
        let source = open_source(&source, ahead, patience)?;
        load(source.as_ref(), settings, name, &report).await.map_err(|error| to_js(&error))
    }

    /// Facts about the model and the backend.
    pub fn info(&self) -> Result<JsValue, JsValue> {
        into_js(&NamedInfo { model: &self.name, info: self.engine.info() })
    }

    /// The token ids of a text, with the special tokens that the model expects.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, JsValue> {
        self.engine.text_prompt(text).map_err(|error| to_js(&error))
    }

    /// The text of token ids, without special tokens.
    pub fn detokenize(&self, ids: &[u32]) -> Result<String, JsValue> {
        let text = self.engine.tokenizer().and_then(|tokenizer| tokenizer.decode(ids, true));
        text.map_err(|error| to_js(&error))
    }

    /// Answers a request. `report` is called with an event for every piece. The promise resolves to the finish reason, the
    /// usage and the timings.
    pub async fn generate(
        &self,
        request: JsValue,
        canceller: &Canceller,
        report: Function,
    ) -> Result<JsValue, JsValue> {
        let request: Request = from_js("request", request)?;
        let end = self.run(request, &canceller.cancel, &report).await.map_err(|error| to_js(&error))?;
        into_js(&end)
    }

    /// Compares the predictions with those of the same weights multiplied in f32. `report` is called with the progress.
    pub async fn fidelity(
        &self,
        settings: JsValue,
        canceller: &Canceller,
        report: Function,
    ) -> Result<JsValue, JsValue> {
        let settings: FidelitySettings = from_js("options", settings)?;
        let measured = self.compare(settings, &canceller.cancel, &report).await;
        into_js(&measured.map_err(|error| to_js(&error))?)
    }
}

impl WebEngine {
    async fn compare(
        &self,
        settings: FidelitySettings,
        cancel: &Cancel,
        report: &Function,
    ) -> Result<Fidelity> {
        cancel.check()?;
        let yielder = Yielder::new().map_err(|thrown| internal(&thrown))?;
        let text = settings.text.as_deref().unwrap_or(fidelity::TEXT);
        let chunk = settings.chunk.unwrap_or(fidelity::CHUNK).min(self.engine.info().max_context);
        let mut comparison = Comparison::with_exact_products(&self.engine, text, chunk)?;
        while let Some(progress) = comparison.next().await? {
            let progress = into_js(&progress).map_err(|thrown| internal(&thrown))?;
            report.call1(&JsValue::NULL, &progress).map_err(|thrown| internal(&thrown))?;
            yielder.yield_if_due().await.map_err(|thrown| internal(&thrown))?;
            cancel.check()?;
        }
        Ok(comparison.report())
    }

    async fn run(&self, request: Request, cancel: &Cancel, report: &Function) -> Result<End> {
        let request = request.prepare(&self.engine)?;
        let kept = self.session.borrow_mut().take();
        let mut session = kept.map_or_else(|| self.engine.session(), Ok)?;
        let end = self.pump(&mut session, request, cancel, report).await;
        // Also after an error: the caches are valid, and the next request may reuse them.
        self.session.replace(Some(session));
        end
    }

    /// Runs a generation to its end. Between events it lets the worker receive messages.
    async fn pump(
        &self,
        session: &mut Session,
        request: Prepared,
        cancel: &Cancel,
        report: &Function,
    ) -> Result<End> {
        cancel.check()?;
        let yielder = Yielder::new().map_err(|thrown| internal(&thrown))?;
        let mut generation: Generation<'_> = session.start(&request.prompt, request.options)?;
        if request.is_chat {
            generation = generation.as_answer();
        }
        while let Some(event) = generation.next().await? {
            let piece = match event {
                Event::Done { finish_reason, usage, timings } => {
                    return Ok(End { finish_reason, usage, timings });
                }
                Event::Prefill { done, total } => Piece::Prefill { done, total },
                Event::Token(token) => self.token(token),
            };
            let piece = into_js(&piece).map_err(|thrown| internal(&thrown))?;
            report.call1(&JsValue::NULL, &piece).map_err(|thrown| internal(&thrown))?;
            yielder.yield_if_due().await.map_err(|thrown| internal(&thrown))?;
            cancel.check()?;
        }
        Err(Error::internal("a generation ended without a finish reason"))
    }

    fn token(&self, TokenEvent { token, text, logprob, alternatives }: TokenEvent) -> Piece {
        let logprob = logprob.map(|logprob| NamedLogprob {
            top: alternatives.iter().map(|Logprob { token, logprob }| self.named(*token, *logprob)).collect(),
            chosen: self.named(token, logprob),
        });
        Piece::Token { id: token, text, logprob }
    }

    fn named(&self, id: u32, logprob: f32) -> Named {
        let tokenizer = self.engine.tokenizer().ok();
        let bytes = tokenizer.and_then(|tokenizer| tokenizer.token_bytes(id)).unwrap_or_default();
        Named { id, token: String::from_utf8_lossy(bytes).into_owned(), bytes: bytes.to_vec(), logprob }
    }
}

/// An event for a piece of an answer.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece {
    Prefill { done: usize, total: usize },
    Token { id: u32, text: String, logprob: Option<NamedLogprob> },
}

/// The log-probability of a token, and those of the most likely tokens.
#[derive(Serialize)]
struct NamedLogprob {
    #[serde(flatten)]
    chosen: Named,
    top: Vec<Named>,
}

/// A token with its text. `bytes` is exact also if the token is a part of a character.
#[derive(Serialize)]
struct Named {
    id: u32,
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
}

/// The result at the end of an answer.
#[derive(Serialize)]
struct End {
    finish_reason: FinishReason,
    usage: Usage,
    timings: Timings,
}

/// Stops a generation or a comparison.
#[wasm_bindgen]
#[derive(Default)]
pub struct Canceller {
    cancel: Cancel,
}

#[wasm_bindgen]
impl Canceller {
    /// A canceller that is not cancelled yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the work at its next check of the flag.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

async fn load(
    source: &dyn Source,
    settings: LoadSettings,
    name: String,
    report: &Function,
) -> Result<WebEngine> {
    let mut progress = throttled(report);
    let options = LoadOptions {
        backend: settings.backend.parse()?,
        gpu: gpu_options(settings.tier.as_deref(), settings.int8_tiles)?,
        device: None,
        weights: settings.weights.parse()?,
        max_context: settings.max_context,
        ignore_config_fields: settings.ignore_config_fields,
        // Every call of the package needs a tokenizer.
        needs_text: true,
        progress: Some(&mut progress),
        cancel: Cancel::default(),
    };
    let engine = Engine::load(source, options).await?;
    Ok(WebEngine { engine, name, session: RefCell::new(None) })
}

/// GPU options: the requested kernels, and the functions that a browser needs.
pub(super) fn gpu_options(tier: Option<&str>, int8_tiles: Option<bool>) -> Result<gpu::GpuOptions> {
    Ok(gpu::GpuOptions {
        tier: tier.map(str::parse).transpose()?,
        int8_tiles,
        ask_host: Some(webgpu::ask),
        compile_ahead: Some(webgpu::compile_ahead),
        ..gpu::GpuOptions::default()
    })
}

/// Passes progress on, at most once in [`PROGRESS_INTERVAL`], and always the last report.
fn throttled(report: &Function) -> impl FnMut(Progress) + '_ {
    let mut last: Option<Instant> = None;
    move |progress: Progress| {
        let complete = Some(progress.bytes) == progress.total_bytes;
        if !complete && last.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        last = Some(Instant::now());
        let object = Object::new();
        for (name, value) in [
            ("loaded", progress.bytes as f64),
            ("total", progress.total_bytes.unwrap_or(0) as f64),
            ("tensors", progress.tensors as f64),
            ("totalTensors", progress.total_tensors as f64),
        ] {
            // Setting a property of an object that was just made cannot fail.
            let _ = Reflect::set(&object, &name.into(), &value.into());
        }
        // An error in the progress callback must not stop the load.
        let _ = report.call1(&JsValue::NULL, &object);
    }
}

/// Opens `{ kind: "url", url }` or `{ kind: "files", files: { name: File } }`, the forms that `npm/js/source.js` makes.
fn open_source(source: &JsValue, ahead: ReadAhead, patience: Duration) -> Result<Box<dyn Source>, JsValue> {
    let url = text_field(source, "url");
    if !url.is_empty() {
        let wanted = match (text_field(source, "gguf"), text_field(source, "quantization")) {
            (file, _) if !file.is_empty() => Some(Wanted::File(file)),
            (_, quantization) if !quantization.is_empty() => {
                Some(Wanted::Quantization { listing: text_field(source, "listing"), quantization })
            }
            _ => None,
        };
        return Ok(Box::new(FetchSource::new(&url, patience, ahead, wanted)));
    }
    let files: Object = Reflect::get(source, &"files".into())?.dyn_into()?;
    let mut by_name = BTreeMap::new();
    for entry in Object::entries(&files) {
        let entry: js_sys::Array = entry.unchecked_into();
        by_name.insert(entry.get(0).as_string().unwrap_or_default(), entry.get(1).dyn_into::<File>()?);
    }
    Ok(Box::new(FilesSource::new(text_field(source, "name"), by_name)))
}

fn text_field(object: &JsValue, name: &str) -> String {
    Reflect::get(object, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

pub(super) fn from_js<T: serde::de::DeserializeOwned>(name: &str, value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| to_js(&Error::request(name, error)))
}

/// Converts to plain objects and arrays, as in JSON.
pub(super) fn into_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    Ok(value.serialize(&Serializer::json_compatible())?)
}

/// The error for a failure that cannot happen in a browser that follows the standards.
fn internal(thrown: &JsValue) -> Error {
    Error::internal(format!("a browser function failed that should never fail: {}", message(thrown)))
}
