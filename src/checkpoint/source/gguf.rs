//! Which file of a folder is the model, where models lie in GGUF files.

use std::cell::OnceCell;

use serde_json::Value;

use super::ByteStream;
use crate::error::{Error, Result};

/// No description of a repository is larger: 16 MiB.
const LISTING_LIMIT: usize = 16 << 20;

/// What the names of GGUF files end with.
const ENDING: &str = ".gguf";

/// Whether a name is that of a GGUF file.
pub fn is_file(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// A GGUF file that a user asked a server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By its name in the folder.
    File(String),
    /// The one of a quantisation, such as `Q4_K_M`, among those that the hub lists.
    Quantization {
        /// Where the hub describes the repository.
        listing: String,
        /// What its name ends with.
        quantization: String,
    },
}

/// The file that was asked for. Of a quantisation alone the hub's description of the repository says which file it is: `open`
/// fetches it from its address, and `found` keeps the answer.
///
/// # Errors
/// [`Error::Missing`] where there is no such repository, those of `open`, and those of the answer: [`Error::Fetch`], [`Error::Request`].
pub async fn find(
    wanted: Option<&Wanted>,
    found: &OnceCell<String>,
    open: impl AsyncFnOnce(&str) -> Result<Option<Box<dyn ByteStream>>>,
) -> Result<Option<String>> {
    let (listing, quantization) = match wanted {
        None => return Ok(None),
        Some(Wanted::File(file)) => return Ok(Some(file.clone())),
        Some(Wanted::Quantization { listing, quantization }) => (listing, quantization),
    };
    if let Some(file) = found.get() {
        return Ok(Some(file.clone()));
    }
    let absent = || Error::missing(listing, "There is no such repository: check its name");
    let mut stream = open(listing).await?.ok_or_else(absent)?;
    let mut json = Vec::new();
    while let Some(piece) = stream.next().await? {
        json.extend(piece);
        if json.len() > LISTING_LIMIT {
            return Err(Error::fetch(listing, "the answer is absurdly long", "Name the file itself"));
        }
    }
    let file = hub_listing(listing, &json, quantization)?;
    Ok(Some(found.get_or_init(|| file).clone()))
}

/// The file of a quantisation in the hub's description of a repository, which came from `address`.
///
/// # Errors
/// [`Error::Fetch`] where it is no such description, [`Error::Request`] as [`by_quantization`].
fn hub_listing(address: &str, json: &[u8], quantization: &str) -> Result<String> {
    let listing: Value = serde_json::from_slice(json).unwrap_or_default();
    let Some(siblings) = listing.get("siblings").and_then(Value::as_array) else {
        let problem = "the answer is not the hub's description of a repository";
        return Err(Error::fetch(
            address,
            problem,
            "Name the file itself, such as owner/repository/file.gguf",
        ));
    };
    let names = siblings.iter().filter_map(|file| file.get("rfilename")?.as_str());
    // The names become part of an address.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let names =
        names.filter(|name| name.chars().all(plain) && !name.starts_with('/') && !name.contains(".."));
    by_quantization(address, quantization, names)
}

/// The file of a list of a folder's files: `None` where the folder holds no such file, or is a checkpoint of another format.
///
/// # Errors
/// [`Error::Request`] where there are several.
pub fn choose<'a>(location: &str, files: impl IntoIterator<Item = &'a str>) -> Result<Option<String>> {
    let files: Vec<&str> = files.into_iter().collect();
    if files.iter().any(|file| file.ends_with(".safetensors")) {
        return Ok(None);
    }
    let models = models(&files);
    match models.as_slice() {
        [] => Ok(None),
        [model] => Ok(Some((*model).to_owned())),
        several => Err(Error::request(
            "model",
            format!(
                "{location} holds {} models: {}. Name one of these files",
                several.len(),
                several.join(", ")
            ),
        )),
    }
}

/// The file of a list whose quantisation is called `wanted`, such as `Q4_K_M`.
///
/// # Errors
/// [`Error::Request`] where none is, or several are.
pub fn by_quantization<'a>(
    location: &str,
    wanted: &str,
    files: impl IntoIterator<Item = &'a str>,
) -> Result<String> {
    let files: Vec<&str> = files.into_iter().collect();
    let models = models(&files);
    let fitting: Vec<&str> = models.iter().copied().filter(|file| is_quantization(file, wanted)).collect();
    let found = match fitting.as_slice() {
        [model] => return Ok((*model).to_owned()),
        [] => format!("no file of {wanted}"),
        several => format!("several files of {wanted}: {}", several.join(", ")),
    };
    let all = if models.is_empty() { "no GGUF file".to_owned() } else { models.join(", ") };
    Err(Error::request("model", format!("{location} has {found}. It has {all}")))
}

/// The GGUF files that are models, of split ones the first part alone, sorted.
fn models<'a>(files: &[&'a str]) -> Vec<&'a str> {
    let is_model = |file: &&&str| is_file(file) && !file.contains("mmproj") && !file.starts_with("imatrix");
    let is_first = |file: &&&str| Part::of(file).is_none_or(|part| part.index == 1);
    let mut models: Vec<&str> = files.iter().filter(is_model).filter(is_first).copied().collect();
    models.sort_unstable();
    models
}

/// Whether the name without its ending, or without its part, ends with the quantisation, behind a dot, a dash or an underscore.
fn is_quantization(file: &str, wanted: &str) -> bool {
    let name = Part::of(file).map_or_else(|| file.trim_end_matches(ENDING).to_owned(), |part| part.prefix);
    let Some(at) = name.len().checked_sub(wanted.len()).filter(|at| name.is_char_boundary(*at)) else {
        return false;
    };
    let (before, end) = name.split_at(at);
    let is_whole = before.is_empty() || before.ends_with(['.', '-', '_', '/']);
    is_whole && end.eq_ignore_ascii_case(wanted)
}

/// A part of a split model: `prefix-00001-of-00003.gguf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What stands before the numbers.
    prefix: String,
    /// From 1 on.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Part {
    /// What a file's name says; `None` where it is a whole model.
    pub fn of(file: &str) -> Option<Self> {
        let (rest, count) = file.strip_suffix(ENDING)?.rsplit_once("-of-")?;
        let (prefix, index) = rest.rsplit_once('-')?;
        let number = |digits: &str| {
            let plain = digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if plain { digits.parse::<usize>().ok() } else { None }
        };
        let (index, count) = (number(index)?, number(count)?);
        (1..=count).contains(&index).then(|| Self { prefix: prefix.to_owned(), index, count })
    }

    /// The names of all parts, in order.
    pub fn all(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|index| format!("{}-{index:05}-of-{:05}.gguf", self.prefix, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_model_is_chosen() {
        let chosen = |files: &[&str]| choose("folder", files.iter().copied());
        assert_eq!(chosen(&["README.md"]).unwrap(), None);
        assert_eq!(chosen(&["a.gguf", "model.safetensors"]).unwrap(), None);
        assert_eq!(chosen(&["config.json", "mmproj-a.gguf", "a.gguf"]).unwrap().unwrap(), "a.gguf");
        let parts = ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"];
        assert_eq!(chosen(&parts).unwrap().unwrap(), "m-00001-of-00002.gguf");
        let error = chosen(&["b.gguf", "a.gguf"]).unwrap_err().to_string();
        assert!(error.contains("folder") && error.contains("a.gguf, b.gguf"), "{error}");
    }

    #[test]
    fn quantisations_are_whole_words() {
        let files =
            ["m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m.q8_0.gguf", "m-IQ4_K_M.gguf", "m-F16-00001-of-00002.gguf"];
        let found = |wanted: &str| by_quantization("repo", wanted, files);
        assert_eq!(found("Q4_K_M").unwrap(), "m-Q4_K_M.gguf");
        assert_eq!(found("Q8_0").unwrap(), "m.q8_0.gguf");
        assert_eq!(found("f16").unwrap(), "m-F16-00001-of-00002.gguf");
        for wanted in ["Q4", "M", "Q5_K_M", "\u{20ac}"] {
            let error = found(wanted).unwrap_err().to_string();
            assert!(error.contains("m-Q4_K_S.gguf"), "{error}");
        }
    }

    #[test]
    fn parts_have_numbers_of_five_digits() {
        let part = Part::of("a-b-00002-of-00003.gguf").unwrap();
        assert_eq!((part.index, part.count), (2, 3));
        assert_eq!(part.all().last().unwrap(), "a-b-00003-of-00003.gguf");
        for name in
            ["a.gguf", "a-1-of-2.gguf", "a-00003-of-00002.gguf", "a-00000-of-00002.gguf", "a-00001-of-00002"]
        {
            assert_eq!(Part::of(name), None, "{name}");
        }
    }
}
