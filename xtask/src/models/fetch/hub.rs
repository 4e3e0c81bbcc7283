//! The Hugging Face hub.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::download::{Address, Client, Expected};
use crate::models::catalog::{has_extension, is_file_name, is_sha256};

const HUB: &str = "https://huggingface.co";

/// Repositories at an address of their own, which `HF_ENDPOINT` may name.
pub(super) struct Hub {
    client: Client,
    endpoint: String,
    token: Option<String>,
}

/// What the hub says of a repository.
#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// The hub that the environment names, with the user's token.
    pub(super) fn from_environment(client: Client) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        Self { client, endpoint: endpoint.trim_end_matches('/').to_owned(), token: set("HF_TOKEN") }
    }

    #[cfg(test)]
    pub(super) fn at(endpoint: &str) -> Self {
        Self { client: Client::new(), endpoint: endpoint.to_owned(), token: None }
    }

    /// Fetches a file of a repository; its digest is the expected one, else the one that the hub names.
    pub(super) fn file(
        &self,
        repository: &str,
        file: &str,
        to: &Path,
        size: Option<u64>,
        sha256: Option<&str>,
    ) -> Result<()> {
        let address = self.address(&format!("{repository}/resolve/main/{file}"));
        eprintln!("Asking {}", address.url);
        let named = self.named_digest(&address)?;
        if let (Some(expected), Some(named)) = (sha256, &named) {
            ensure!(
                expected == named,
                "{}: it has other bytes (sha256 {named} instead of {expected})",
                address.url
            );
        }
        self.client.file(&address, to, Expected { size, sha256: sha256.or(named.as_deref()) })
    }

    /// The digest that the hub names for a large file.
    fn named_digest(&self, address: &Address) -> Result<Option<String>> {
        let headers = self.client.headers(address)?;
        let etag = headers.as_ref().and_then(|headers| headers.get("x-linked-etag")?.to_str().ok());
        Ok(etag.map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| is_sha256(etag)))
    }

    /// Fetches a model folder.
    pub(super) fn folder(&self, repository: &str, folder: &Path) -> Result<()> {
        let files = self.listing(repository)?;
        for file in model_files(&files).with_context(|| format!("{}/{repository}", self.endpoint))? {
            let to = folder.join(file);
            if !to.is_file() {
                self.file(repository, file, &to, None, None)?;
            }
        }
        Ok(())
    }

    /// The GGUF file of a repository whose name has these letters.
    pub(super) fn quantization(&self, repository: &str, letters: &str) -> Result<String> {
        let files = self.listing(repository)?;
        let ggufs: Vec<_> = files.iter().filter(|file| has_extension(file, "gguf")).collect();
        let has = |file: &str| file.to_ascii_lowercase().contains(&letters.to_ascii_lowercase());
        match &ggufs.iter().filter(|file| has(file)).collect::<Vec<_>>()[..] {
            [file] => Ok((**file).clone()),
            found => bail!(
                "{repository} has {} .gguf files with {letters} in the name; name one as {repository}/FILE: {}",
                found.len(),
                ggufs.iter().map(|file| file.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// The files of a repository, without those in folders.
    fn listing(&self, repository: &str) -> Result<Vec<String>> {
        let address = self.address(&format!("api/models/{repository}"));
        let text = self.client.text(&address)?;
        let text = text.with_context(|| format!("{} has no repository {repository}", self.endpoint))?;
        let listing: Listing = serde_json::from_str(&text)
            .with_context(|| format!("{}: the answer is no list of files", address.url))?;
        let names = listing.siblings.into_iter().map(|sibling| sibling.rfilename);
        Ok(names.filter(|name| is_file_name(name)).collect())
    }

    fn address(&self, path: &str) -> Address {
        let token = self.token.as_ref();
        Address {
            url: format!("{}/{path}", self.endpoint),
            headers: token.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect(),
        }
    }
}

/// Of a repository's files, those of the model folder, small ones first.
fn model_files(files: &[String]) -> Result<Vec<&str>> {
    const SMALL: [&str; 9] = [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ];
    let has = |name: &str| files.iter().any(|file| file == name);
    ensure!(
        has("config.json"),
        "it has no config.json; where it has .gguf files, name one as ORGANISATION/NAME/FILE: {}",
        files
            .iter()
            .map(String::as_str)
            .filter(|file| has_extension(file, "gguf"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut chosen: Vec<_> = SMALL.into_iter().filter(|file| has(file)).collect();
    if has("model.safetensors") {
        chosen.push("model.safetensors");
    } else {
        let is_shard = |file: &&str| file.starts_with("model-") && file.ends_with(".safetensors");
        let shards: Vec<_> = files.iter().map(String::as_str).filter(is_shard).collect();
        ensure!(!shards.is_empty(), "it has no model.safetensors");
        chosen.extend(shards);
    }
    Ok(chosen)
}
