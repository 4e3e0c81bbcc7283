//! Models for the page: which are offered, how they get onto this machine, and what `--model` names.

mod catalog;
mod choice;
mod fetch;
mod served;

use anyhow::Result;

use crate::workspace;

pub(crate) use fetch::digest;
pub(crate) use served::{Mount, Served};

use catalog::Catalog;
use choice::Choice;
use fetch::Fetcher;

/// Which model, and what the user has agreed to.
#[derive(clap::Args, Clone, Default)]
#[group(skip)]
pub(crate) struct ModelOptions {
    /// The model: a name in models/catalog.json, `builtin`, a name on the Hugging Face hub (organisation/name,
    /// organisation/name/file.gguf, `organisation/name:Q4_K_M`), a model folder, or a GGUF file [default: the catalog's]
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// I have read and accept the licence of the model, where it asks for that
    #[arg(long)]
    pub(crate) accept_license: bool,
}

/// What to fetch.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct FetchOptions {
    /// A name in models/catalog.json or on the Hugging Face hub; without one, the catalog is listed
    model: Option<String>,
    /// I have read and accept the licence of the model, where it asks for that
    #[arg(long)]
    accept_license: bool,
}

/// Fetches a model into `target/models`, or lists the catalog.
pub(crate) fn fetch(options: &FetchOptions) -> Result<()> {
    let catalog = Catalog::read(&workspace::path("models"))?;
    let Some(model) = &options.model else {
        print!("{catalog}");
        return Ok(());
    };
    let choice = Choice::parse(model, &catalog)?;
    let served = served::provide(&choice, &Fetcher::new(options.accept_license))?;
    println!("{}", served.path().display());
    Ok(())
}

/// The model that the options name, or the catalog's default, with the flags of the command line for the sampling that
/// the catalog recommends for it; greedy where it recommends nothing.
pub(crate) fn with_sampling(options: &ModelOptions) -> Result<(Served, Vec<String>)> {
    let served = prepare(options)?()?;
    let catalog = Catalog::read(&workspace::path("models"))?;
    let model = served.id.as_deref().and_then(|id| catalog.find(id));
    let sampling = model.and_then(|model| model.sampling.as_ref());
    Ok((served.clone(), sampling.map(catalog::Sampling::flags).unwrap_or_default()))
}

/// Finds out what the options mean, at once, so that a typing mistake does not wait for a build. The returned function
/// gets the model; it may take as long as a download.
pub(crate) fn prepare(options: &ModelOptions) -> Result<impl FnOnce() -> Result<Served> + Send + 'static> {
    let catalog = Catalog::read(&workspace::path("models"))?;
    let choice = options.model.as_deref().map(|model| Choice::parse(model, &catalog)).transpose()?;
    let fetcher = Fetcher::new(options.accept_license);
    Ok(move || match choice {
        Some(choice) => served::provide(&choice, &fetcher),
        None => served::provide_default(&catalog, &fetcher),
    })
}
