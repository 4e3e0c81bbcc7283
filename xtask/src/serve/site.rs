//! Which file a URL path names.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use crate::models::{Mount, Served};
use crate::workspace;

/// The folders behind the URLs.
pub(super) struct Site {
    page: PathBuf,
    package: PathBuf,
    models: PathBuf,
    /// The model with which the page starts.
    served: Served,
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
    /// The page with the committed models, and `served` as the model with which it starts.
    pub(super) fn new(served: Served) -> Self {
        let (page, package) = (workspace::path("www"), workspace::package());
        Self { page, package, models: workspace::path("models"), served }
    }

    /// Looks up the path of a URL, still percent-encoded and without a query.
    pub(super) fn find(&self, url_path: &str) -> Found {
        let Some(segments) = segments(url_path) else { return Found::Nothing };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let file = match segments.as_slice() {
            [] => self.page.join("index.html"),
            ["models", "default.json"] => {
                return Found::Json(self.served.default_json(&self.served.opened()));
            }
            ["models", name, rest @ ..] if *name == self.served.name && !rest.is_empty() => {
                match mounted(&self.served.mount, rest) {
                    Some(file) => file,
                    None => return Found::Nothing,
                }
            }
            ["models", rest @ ..] => join(&self.models, rest),
            ["pkg", rest @ ..] => join(&self.package, rest),
            rest => join(&self.page, rest),
        };
        if file.is_file() { Found::File(file) } else { Found::Nothing }
    }
}

fn mounted(mount: &Mount, segments: &[&str]) -> Option<PathBuf> {
    match (mount, segments) {
        (Mount::Folder(folder), segments) => Some(join(folder, segments)),
        (Mount::Files(files), [name]) => {
            files.iter().find(|file| file.file_name().is_some_and(|known| known == *name)).cloned()
        }
        _ => None,
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

    use super::{Found, Served, Site, segments};

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
        let served = Served::folder(root.join("mine"));
        Site { page, package, models, served }
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
    fn the_served_model_has_its_place_beside_the_committed_ones() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut site = site(root);
        fs::create_dir(root.join("mine")).unwrap();
        fs::write(root.join("mine/config.json"), "{}").unwrap();
        assert_eq!(site.find("/models/mine/config.json"), Found::File(root.join("mine/config.json")));
        let found = site.find("/models/default.json");
        assert_eq!(found, Found::Json(r#"{"id":null,"source":"models/mine/"}"#.to_owned()));

        // Of a file's folder only the file is served.
        fs::write(root.join("mine/a.gguf"), "").unwrap();
        site.served = Served::file(root.join("mine/a.gguf")).unwrap();
        assert_eq!(site.find("/models/a/a.gguf"), Found::File(root.join("mine/a.gguf")));
        assert_eq!(site.find("/models/a/config.json"), Found::Nothing);
        assert_eq!(site.find("/models/a/b/a.gguf"), Found::Nothing);
    }
}
