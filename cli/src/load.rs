//! Finding a checkpoint by what the user typed, and loading it with a progress bar.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mobilellm::checkpoint::load::Progress;
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::Source;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::checkpoint::source::http::{HttpSource, PATIENCE, is_hub_name};
use mobilellm::checkpoint::source::pieces::{self, PiecedSource};
use mobilellm::engine::{Engine, LoadOptions, load_tokenizer};
use mobilellm::tokenizer::Tokenizer;

use crate::flags::ModelFlags;

/// An engine, and how long it took.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) load_ms: f64,
}

/// Whether this is a URL, or a name on the hub.
pub(crate) fn is_remote(model: &str) -> bool {
    is_address(model) || is_on_hub(model)
}

fn is_address(model: &str) -> bool {
    model.starts_with("http://") || model.starts_with("https://")
}

fn is_on_hub(model: &str) -> bool {
    !Path::new(model).exists() && is_hub_name(model)
}

/// The source for a folder, an http(s) URL, or a repository name on the hub.
pub(crate) fn source(model: &str) -> Result<Box<dyn Source>> {
    if is_on_hub(model) && !is_address(model) {
        // A typing mistake must not cause a download without a notice.
        eprintln!("There is no folder {model} here. Looking for it on the Hugging Face hub.");
    }
    let in_pieces = pieces::is_manifest(model);
    if is_remote(model) {
        let folder = HttpSource::new(model, PATIENCE)?;
        return Ok(if in_pieces { Box::new(PiecedSource::new(folder)) } else { Box::new(folder) });
    }
    if in_pieces {
        let folder = Path::new(model).parent().unwrap_or(Path::new("."));
        return Ok(Box::new(PiecedSource::new(DirectorySource::new(folder)?)));
    }
    Ok(Box::new(DirectorySource::new(model)?))
}

/// Loads the model that the flags name. With `needs_text`, a checkpoint without a tokenizer is an error at once.
pub(crate) async fn engine(flags: &ModelFlags, needs_text: bool) -> Result<Loaded> {
    let options = LoadOptions {
        backend: flags.backend.backend,
        weights: flags.weights,
        gpu: flags.backend.gpu(),
        max_context: flags.context,
        ignore_config_fields: flags.ignore_config_field.clone(),
        needs_text,
        ..LoadOptions::default()
    };
    with_progress(&flags.model, flags.quiet, options).await
}

/// Loads a checkpoint with a progress bar.
pub(crate) async fn with_progress(model: &str, quiet: bool, options: LoadOptions<'_>) -> Result<Loaded> {
    let source = source(model)?;
    let bar = progress_bar(quiet);
    let start = Instant::now();
    let mut progress = |progress| show(&bar, &progress);
    let engine =
        Engine::load(source.as_ref(), LoadOptions { progress: Some(&mut progress), ..options }).await;
    bar.finish_and_clear();
    Ok(Loaded { engine: engine?, load_ms: start.elapsed().as_secs_f64() * 1e3 })
}

/// Loads only the tokenizer.
pub(crate) async fn tokenizer(model: &str) -> Result<Tokenizer> {
    Ok(load_tokenizer(source(model)?.as_ref(), &Cancel::default()).await?)
}

/// A bar on standard error, so that piped output stays clean.
pub(crate) fn progress_bar(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Shows bytes, speed, remaining time and tensors.
pub(crate) fn show(bar: &ProgressBar, progress: &Progress) {
    if let (Some(total), None) = (progress.total_bytes, bar.length()) {
        let style = "{spinner} {bar:30} {bytes} of {total_bytes} at {bytes_per_sec}, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(total);
    }
    bar.set_position(progress.bytes);
    bar.set_message(format!("tensor {} of {}", progress.tensors, progress.total_tensors));
}
