//! The measurement itself.

use web_time::Instant;

use super::report::{Bound, Decode, KernelTable, Load, Machine, PerToken, Prefill, Report};
use super::shape::Shape;
use crate::backend::State;
use crate::backend::Wanted;
use crate::backend::gpu::profile::{Ceiling, Counts};
use crate::backend::gpu::{self};
use crate::checkpoint::load::{Progress, WeightFormat};
use crate::checkpoint::source::Source;
use crate::engine::{BackendChoice, Engine, LoadOptions};
use crate::error::{Error, Result};
use crate::generate::session::{Event, GenerateOptions, Session};
use crate::generate::speculate::Speculation;
use crate::model::network::{CacheSpec, MatrixId, Op};

/// Tokens of a short prompt.
const SHORT_PROMPT: usize = 16;

/// Minimum number of tokens to decode, so that the time per token can be computed.
const MIN_DECODE: usize = 4;

/// Seconds. The clock of a browser ticks every 0.1 ms. A run shorter than `MIN_RUN_S` cannot be timed alone; runs that
/// together take `MIN_TOTAL_S` can.
const MIN_RUN_S: f64 = 1e-3;
const MIN_TOTAL_S: f64 = 2e-2;

/// Maximum number of runs of a short measurement.
const MAX_REPEATS: f64 = 100.0;

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Where to compute.
    pub backend: BackendChoice,
    /// Which kind of GPU, and which tier of its kernels.
    pub gpu: gpu::GpuOptions,
    /// Number format of the weights in memory.
    pub weights: WeightFormat,
    /// Prompt lengths to measure, in tokens.
    pub prefill: Vec<usize>,
    /// Tokens to decode.
    pub decode: usize,
    /// Length of the long context for decode, in tokens. A short context is measured too.
    pub context: usize,
    /// Number of runs of each measurement; the report has the medians.
    pub repeats: usize,
    /// Time limit of one run in seconds. If a run would take longer, its prompt is left out or fewer tokens are
    /// decoded.
    pub limit_s: f64,
    /// Description of the machine, for the report.
    pub machine: Machine,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            backend: BackendChoice::Auto,
            gpu: gpu::GpuOptions::default(),
            weights: WeightFormat::Q4,
            prefill: vec![128, 512, 1024],
            decode: 128,
            context: 1024,
            repeats: 3,
            limit_s: 20.0,
            machine: Machine::default(),
        }
    }
}

/// The progress of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Stage {
    /// `load`, `prefill`, `decode`, `kernels` or `ceiling`.
    pub name: &'static str,
    /// The length of the prompt or context in tokens, if the stage has one.
    pub tokens: usize,
    /// From 0 to 1, over all stages.
    pub done: f64,
}

/// Loads a checkpoint and measures what the options say.
///
/// # Errors
/// All errors of loading and generating.
pub async fn run(
    name: &str,
    source: &dyn Source,
    options: &BenchOptions,
    observe: &mut dyn FnMut(Stage),
) -> Result<Report> {
    let start = Instant::now();
    let mut opened = None;
    let mut progress = |progress: Progress| {
        opened.get_or_insert_with(|| elapsed_ms(start));
        let share = progress.total_bytes.map_or(0.0, |total| progress.bytes as f64 / total.max(1) as f64);
        observe(Stage { name: "load", tokens: 0, done: 0.2 * share });
    };
    let load_options = LoadOptions {
        backend: options.backend,
        gpu: gpu::GpuOptions { timestamps: true, ..options.gpu },
        weights: options.weights,
        progress: Some(&mut progress),
        ..LoadOptions::default()
    };
    let engine = Engine::load(source, load_options).await?;
    let loaded = elapsed_ms(start);
    let init_ms = opened.unwrap_or(loaded);

    let session = engine.session()?;
    let prepare_ms = elapsed_ms(start) - loaded;
    let mut bench = Bench { engine: &engine, session, options, observe, left_out: Vec::new() };
    let first = bench.turn(SHORT_PROMPT, 1).await?;
    let load =
        Load { init_ms, load_ms: loaded - init_ms, prepare_ms, first_token_ms: first.first_token_s * 1e3 };

    let prefill = bench.prefill().await?;
    let decode = bench.decode(&prefill).await?;
    bench.stage("ceiling", 0, 0.85);
    let ceiling = match engine.gpu() {
        Some(gpu) => Some(gpu.ceiling().await?),
        None => None,
    };
    let kernels = bench.kernels(&prefill, &decode).await?;
    let left_out = bench.left_out;
    let info = engine.info();
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: options.machine.clone(),
        shape: Shape::of_config(name, &engine.network().config),
        source: info.source.clone(),
        parameters: info.parameters,
        weights: options.weights.name(),
        weight_bytes: info.weight_bytes,
        backend: info.backend,
        adapter: info.adapter.clone(),
        fallback_reason: info.fallback_reason.clone(),
        load,
        prefill,
        decode: decode.into_iter().map(|decode| with_bound(decode, ceiling.as_ref())).collect(),
        kernels,
        ceiling,
        left_out,
    })
}

/// One prompt and the tokens that were decoded after it.
struct Turn {
    first_token_s: f64,
    /// Seconds from the first token to the last.
    decode_s: f64,
    /// What the device was asked to do, from the prompt to the last token.
    counts: Counts,
    tokens: usize,
}

impl Turn {
    fn s_per_token(&self) -> f64 {
        self.decode_s / steps(self.tokens)
    }
}

struct Bench<'a> {
    engine: &'a Engine,
    session: Session,
    options: &'a BenchOptions,
    observe: &'a mut dyn FnMut(Stage),
    left_out: Vec<String>,
}

impl Bench<'_> {
    fn stage(&mut self, name: &'static str, tokens: usize, done: f64) {
        (self.observe)(Stage { name, tokens, done });
    }

    /// Runs a prompt of `prompt` tokens that shares no beginning with the previous one, and decodes `tokens` tokens.
    async fn turn(&mut self, prompt: usize, tokens: usize) -> Result<Turn> {
        let prompt = self.tokens(prompt);
        let counts = || self.engine.gpu().map(gpu::Gpu::counts).unwrap_or_default();
        self.session.clear();
        let options = GenerateOptions {
            max_tokens: Some(tokens),
            ignore_eos: true,
            // Random weights repeat themselves more than any real text, so guesses would look too good.
            speculation: Speculation::Off,
            ..GenerateOptions::default()
        };
        let (start, start_counts) = (Instant::now(), counts());
        let mut generation = self.session.start(&prompt, options)?;
        let mut first = None;
        let mut last = start;
        let mut written = 0;
        while let Some(event) = generation.next().await? {
            match event {
                Event::Token(_) => {
                    written += 1;
                    last = Instant::now();
                    first.get_or_insert(last);
                }
                Event::Prefill { .. } => {}
                Event::Done { .. } => break,
            }
        }
        let first = first.ok_or_else(|| Error::request("decode", "no token was generated"))?;
        Ok(Turn {
            first_token_s: (first - start).as_secs_f64(),
            decode_s: (last - first).as_secs_f64(),
            counts: counts().since(start_counts),
            tokens: written,
        })
    }

    /// Random token ids, the same in every run.
    fn tokens(&self, count: usize) -> Vec<u32> {
        let vocab_size = self.engine.info().vocab_size as u32;
        (0..count as u32).map(|index| index.wrapping_mul(2_654_435_761) % vocab_size).collect()
    }

    async fn prefill(&mut self) -> Result<Vec<Prefill>> {
        let mut lengths = self.options.prefill.clone();
        lengths.sort_unstable();
        lengths.dedup();
        let mut s_per_token = self.turn(SHORT_PROMPT, 1).await?.first_token_s / SHORT_PROMPT as f64;
        let mut measured = Vec::new();
        for (index, tokens) in lengths.iter().copied().enumerate() {
            self.stage("prefill", tokens, 0.2 + 0.35 * index as f64 / lengths.len() as f64);
            if !self.fits("prefill", tokens, tokens, s_per_token) {
                continue;
            }
            let mut seconds = Vec::new();
            for _ in 0..self.repeats(s_per_token * tokens as f64) {
                seconds.push(self.turn(tokens, 1).await?.first_token_s);
            }
            let runs = seconds.len();
            let seconds = typical(seconds);
            s_per_token = seconds / tokens as f64;
            measured.push(Prefill { tokens, ms: seconds * 1e3, tokens_per_s: 1.0 / s_per_token, runs });
        }
        Ok(measured)
    }

    /// Measures decode at the short context and at the long one.
    async fn decode(&mut self, prefill: &[Prefill]) -> Result<Vec<Decode>> {
        // A warm-up: the first run after a change of kernels is slower.
        let mut s_per_token = self.turn(SHORT_PROMPT, MIN_DECODE).await?.s_per_token();
        let s_per_prompt_token = prefill.last().map_or(s_per_token, |prefill| 1.0 / prefill.tokens_per_s);
        let mut measured = Vec::new();
        for (index, context) in [SHORT_PROMPT, self.options.context].into_iter().enumerate() {
            self.stage("decode", context, 0.55 + 0.15 * index as f64);
            if (index > 0 && context <= SHORT_PROMPT)
                || !self.fits("decode", context, context + MIN_DECODE, s_per_prompt_token)
            {
                continue;
            }
            let affordable = (self.options.limit_s / s_per_token.max(1e-9)) as usize;
            let room = self.engine.info().max_context - context;
            let tokens = self.options.decode.min(affordable).min(room).max(MIN_DECODE);
            let expected = s_per_token * tokens as f64 + s_per_prompt_token * context as f64;
            let mut turns = Vec::new();
            for _ in 0..self.repeats(expected) {
                turns.push(self.turn(context, tokens).await?);
            }
            let runs = turns.len();
            s_per_token = typical(turns.iter().map(|turn| turn.decode_s).collect()) / steps(tokens);
            let (weight_bytes, cache_bytes) = self.bytes_per_token(context + tokens / 2);
            let per_token = self.per_token(context, turns.last()).await?;
            measured.push(Decode {
                context,
                tokens,
                ms_per_token: s_per_token * 1e3,
                tokens_per_s: 1.0 / s_per_token,
                runs,
                weight_bytes,
                cache_bytes,
                per_token,
                bound: None,
            });
        }
        Ok(measured)
    }

    /// GPU work per token: the counts of `turn` minus those of a turn with one token. The difference is exact also if
    /// work was submitted ahead.
    async fn per_token(&mut self, context: usize, turn: Option<&Turn>) -> Result<Option<PerToken>> {
        let (Some(_), Some(turn)) = (self.engine.gpu(), turn) else { return Ok(None) };
        let one = self.turn(context, 1).await?;
        Ok(Some(PerToken::of(turn.counts.since(one.counts), turn.tokens.saturating_sub(1))))
    }

    /// Whether `tokens` tokens fit into the context and into the time limit. If not, the report gets the reason.
    fn fits(&mut self, what: &str, length: usize, tokens: usize, s_per_token: f64) -> bool {
        let expected = s_per_token * length as f64;
        let why = if tokens >= self.engine.info().max_context {
            format!("the context holds {} tokens", self.engine.info().max_context)
        } else if expected > self.options.limit_s {
            format!("it would take about {expected:.0} s, the limit is {} s", self.options.limit_s)
        } else {
            return true;
        };
        self.left_out.push(format!("{what} at {length}: {why}"));
        false
    }

    /// Number of runs of a measurement that takes `seconds` once: the requested number, more if a run is too short for
    /// the clock, fewer if the runs would exceed the time limit.
    fn repeats(&self, seconds: f64) -> usize {
        let for_the_clock = (MIN_TOTAL_S / seconds.max(1e-9)).ceil().min(MAX_REPEATS) as usize;
        let within_limit = (self.options.limit_s / seconds.max(1e-9)) as usize;
        within_limit.clamp(1, self.options.repeats.max(for_the_clock).max(1))
    }

    /// Bytes of weights that each token reads, and bytes of keys and values that it reads after `context` tokens.
    fn bytes_per_token(&self, context: usize) -> (u64, u64) {
        let network = self.engine.network();
        let size = |(_, rows, cols): &(MatrixId, usize, usize)| *rows as f64 * *cols as f64;
        let stored = network.matrices();
        let runs = network.ops.iter().filter_map(|op| match op {
            Op::Project { weight, .. } => stored.iter().find(|(id, ..)| id == weight),
            _ => None,
        });
        let share = runs.map(size).sum::<f64>() / stored.iter().map(size).sum::<f64>();
        let weight_bytes = self.engine.info().weight_bytes as f64 * share;
        let seen = |cache: &CacheSpec| match cache {
            CacheSpec::KeyValue { window } => {
                2 * network.config.kv_width() * window.len().map_or(context, |len| len.min(context))
            }
            CacheSpec::Convolution { kernel_size } => kernel_size * network.config.hidden_size,
        };
        let values: usize = network.caches().iter().map(seen).sum();
        let exact = self.engine.gpu().is_none() || self.options.weights == WeightFormat::F32;
        (weight_bytes as u64, (values * if exact { 4 } else { 2 }) as u64)
    }

    /// The time of each kernel, in decode and in prefill.
    async fn kernels(&mut self, prefill: &[Prefill], decode: &[Decode]) -> Result<Vec<KernelTable>> {
        if self.engine.gpu().is_none() {
            return Ok(Vec::new());
        }
        let mut state = self.engine.state()?;
        let mut wanted: Vec<_> = decode.iter().map(|decode| (1, decode.context)).collect();
        if let Some(prefill) = prefill.last() {
            let rows = state.max_batch().min(prefill.tokens);
            wanted.push((rows, prefill.tokens - rows));
        }
        let mut tables = Vec::new();
        for (rows, context) in wanted {
            self.stage("kernels", context, 0.9);
            self.fill(&mut state, context).await?;
            let Some(state) = state.device() else { continue };
            let kernels = state.kernel_times(rows).await?;
            tables.push(KernelTable { rows, context, us: kernels.iter().map(|time| time.us).sum(), kernels });
        }
        Ok(tables)
    }

    /// Fills a state with `context` tokens.
    async fn fill(&self, state: &mut State, context: usize) -> Result<()> {
        state.truncate(context);
        state.expect(context);
        let tokens = self.tokens(context);
        while state.len() < context {
            let end = context.min(state.len() + state.max_batch());
            let batch = &tokens[state.len()..end];
            let wanted = if end == context { Wanted::Last } else { Wanted::None };
            state.forward(batch, wanted).await?;
        }
        Ok(())
    }
}

/// Adds the limits of the device to a decode result.
fn with_bound(decode: Decode, ceiling: Option<&Ceiling>) -> Decode {
    let bound = ceiling.zip(decode.per_token).map(|(ceiling, per_token)| {
        let launch_ms = per_token.dispatches * ceiling.dispatch_us * 1e-3;
        let bytes = (decode.weight_bytes + decode.cache_bytes) as f64;
        let memory_ms = bytes / ceiling.copy_bytes_per_s.max(1.0) * 1e3;
        Bound { launch_ms, memory_ms, reached: launch_ms.max(memory_ms) / decode.ms_per_token }
    });
    Decode { bound, ..decode }
}

/// Number of passes for `tokens` tokens after the first one.
fn steps(tokens: usize) -> f64 {
    tokens.saturating_sub(1).max(1) as f64
}

/// Seconds of a typical run: the median, or the mean if single runs are too short for the clock.
fn typical(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    if median < MIN_RUN_S { seconds.iter().sum::<f64>() / seconds.len() as f64 } else { median }
}

fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::{BackendChoice, BenchOptions, Report, Shape, Stage, gpu, run};
    use crate::measure::bench::Synthetic;

    fn measure(backend: BackendChoice, options: BenchOptions) -> (Report, Vec<Stage>) {
        let shape = Shape { vocab_size: 97, ..Shape::of(2, 64) };
        let options = BenchOptions {
            backend,
            gpu: gpu::GpuOptions { skip_self_test: true, ..gpu::GpuOptions::default() },
            prefill: vec![40, 8],
            decode: 6,
            context: 24,
            repeats: 2,
            ..options
        };
        let source = Synthetic::new(&shape, options.weights).unwrap();
        let mut stages = Vec::new();
        let mut observe = |stage| stages.push(stage);
        let report = pollster::block_on(run(&shape.name, &source, &options, &mut observe)).unwrap();
        (report, stages)
    }

    #[test]
    fn a_report_has_the_requested_measurements() {
        let (report, stages) = measure(BackendChoice::Cpu, BenchOptions::default());
        assert_eq!(report.prefill.iter().map(|prefill| prefill.tokens).collect::<Vec<_>>(), [8, 40]);
        assert_eq!(report.decode.iter().map(|decode| decode.context).collect::<Vec<_>>(), [16, 24]);
        assert!(report.decode.iter().all(|decode| decode.tokens == 6 && decode.tokens_per_s > 0.0));
        assert_eq!(report.left_out, Vec::<String>::new());
        assert!(report.ceiling.is_none() && report.kernels.is_empty());
        assert!(stages.windows(2).all(|pair| pair[0].done <= pair[1].done), "{stages:?}");
        // With tied embeddings each token reads every weight exactly once.
        assert_eq!(report.decode[0].weight_bytes, report.weight_bytes);
    }

    #[test]
    fn a_coarse_clock_does_not_make_anything_infinitely_fast() {
        assert_eq!(super::typical(vec![0.0, 0.0, 0.75]), 0.25);
        assert_eq!(super::typical(vec![3.0, 1.0, 5.0]), 3.0);
    }

    #[test]
    fn measurements_that_are_too_long_are_left_out_and_named() {
        let (report, _) =
            measure(BackendChoice::Cpu, BenchOptions { limit_s: 1e-9, ..BenchOptions::default() });
        assert!(report.prefill.is_empty() && report.decode.len() < 2);
        assert!(report.left_out[0].starts_with("prefill at 8: it would take"), "{:?}", report.left_out);
    }

    #[test]
    fn all_kernels_of_a_pass_are_timed() {
        let available =
            gpu::Gpu::open(gpu::GpuOptions { skip_self_test: true, ..gpu::GpuOptions::default() });
        if let Err(error) = pollster::block_on(available) {
            println!("skipped: gpu: {error}");
            return;
        }
        let (report, _) = measure(BackendChoice::Gpu, BenchOptions::default());
        let ceiling = report.ceiling.unwrap();
        assert!(ceiling.copy_bytes_per_s > 0.0 && ceiling.round_trip_us > 0.0, "{ceiling:?}");
        let tables: Vec<_> = report.kernels.iter().map(|table| (table.rows, table.context)).collect();
        assert_eq!(tables[..2], [(1, 16), (1, 24)]);
        for (table, decode) in report.kernels.iter().zip(&report.decode) {
            let timed: usize = table.kernels.iter().map(|time| time.dispatches).sum();
            let per_token = decode.per_token.unwrap();
            assert!(timed >= 5 * 2 + 2, "{timed} kernels");
            assert!((per_token.dispatches - timed as f64).abs() < 2.0, "{per_token:?}, {timed} kernels");
            assert!(decode.bound.unwrap().reached > 0.0);
        }
    }
}
