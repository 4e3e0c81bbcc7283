//! Which file a URL path names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;

use crate::workspace;

/// The folders behind the URLs.
pub(super) struct Site {
    page: PathBuf,
    package: PathBuf,
    models: PathBuf,
    /// A checkpoint that takes the place of the default model.
    model: Option<Model>,
}

struct Model {
    name: String,
    folder: PathBuf,
}

/// What a URL path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file on the disk.
    File(PathBuf),
    /// JSON made on the spot.
    Json(String),
    /// Nothing.
    Nothing,
}

impl Site {
    /// The page with the committed models, or with `model` as its default model.
    pub(super) fn new(model: Option<&Path>) -> Result<Self> {
        let model = model.map(Model::new).transpose()?;
        let (page, package) = (workspace::path("www"), workspace::package());
        Ok(Self { page, package, models: workspace::path("models"), model })
    }

    /// Looks up the path of a URL, still percent-encoded and without a query.
    pub(super) fn find(&self, url_path: &str) -> Found {
        let Some(segments) = segments(url_path) else { return Found::Nothing };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let file = match (segments.as_slice(), &self.model) {
            ([], _) => self.page.join("index.html"),
            (["models", "default.json"], Some(model)) => {
                return Found::Json(serde_json::json!({ "model": model.name }).to_string());
            }
            (["models", name, rest @ ..], Some(model)) if *name == model.name => join(&model.folder, rest),
            (["models", rest @ ..], _) => join(&self.models, rest),
            (["pkg", rest @ ..], _) => join(&self.package, rest),
            (rest, _) => join(&self.page, rest),
        };
        if file.is_file() { Found::File(file) } else { Found::Nothing }
    }
}

impl Model {
    fn new(folder: &Path) -> Result<Self> {
        let folder =
            folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
        anyhow::ensure!(folder.join("config.json").is_file(), "{} has no config.json", folder.display());
        let name = folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        Ok(Self { name: name.into_owned(), folder })
    }
}

/// The decoded segments of a URL path; `None` where one of them could lead out of the folder.
fn segments(url_path: &str) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    for segment in url_path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        let segment = percent_decode_str(segment).decode_utf8().ok()?;
        if segment.starts_with('.') || segment.contains(['/', '\\', ':', '\0']) {
            return None;
        }
        segments.push(segment.into_owned());
    }
    Some(segments)
}

fn join(folder: &Path, segments: &[&str]) -> PathBuf {
    segments.iter().fold(folder.to_owned(), |path, segment| path.join(segment))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Found, Site, segments};

    fn site(root: &std::path::Path) -> Site {
        for (file, text) in [
            ("www/index.html", "page"),
            ("pkg/index.js", "api"),
            ("models/a b/config.json", "{}"),
            ("secret", "no"),
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (page, package, models) = (root.join("www"), root.join("pkg"), root.join("models"));
        Site { page, package, models, model: None }
    }

    #[test]
    fn urls_lead_to_the_page_the_package_and_the_models() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let site = site(root);
        assert_eq!(site.find("/"), Found::File(root.join("www/index.html")));
        assert_eq!(site.find("/index.html"), Found::File(root.join("www/index.html")));
        assert_eq!(site.find("/pkg/index.js"), Found::File(root.join("pkg/index.js")));
        assert_eq!(site.find("/models/a%20b/config.json"), Found::File(root.join("models/a b/config.json")));
        assert_eq!(site.find("/models"), Found::Nothing);
        assert_eq!(site.find("/absent.js"), Found::Nothing);
    }

    #[test]
    fn no_url_leads_out_of_the_folders() {
        let folder = tempfile::tempdir().unwrap();
        let site = site(folder.path());
        for url in
            ["/../secret", "/%2e%2e/secret", "/pkg/..%2f..%2fsecret", "/pkg/..%5csecret", "/%2fetc/passwd"]
        {
            assert_eq!(site.find(url), Found::Nothing, "{url}");
        }
        assert_eq!(segments("/a/%ff"), None);
        assert_eq!(segments("/a/.git"), None);
    }

    #[test]
    fn a_chosen_model_takes_the_place_of_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("mine");
        fs::create_dir(&model).unwrap();
        assert!(Site::new(Some(&model)).is_err());
        fs::write(model.join("config.json"), "{}").unwrap();
        let site = Site::new(Some(&model)).unwrap();
        assert_eq!(site.find("/models/default.json"), Found::Json(r#"{"model":"mine"}"#.to_owned()));
        assert!(matches!(site.find("/models/mine/config.json"), Found::File(_)));
    }
}
