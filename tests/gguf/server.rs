//! Files on a server: by their address, by their name on the hub, by their quantisation.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::source::http::HttpSource;

use super::whole::tiny;
use crate::common::{load, load_error};

/// A server that knows these paths. It runs until the test process ends.
fn serve(files: &[(&str, Vec<u8>)]) -> String {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match files.get(path) {
                Some(bytes) => ("200 OK", bytes.as_slice()),
                None => ("404 Not Found", &b""[..]),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // A client may close the connection early; that is no failure of the server.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    address
}

fn listing(names: &[&str]) -> Vec<u8> {
    let siblings: Vec<_> = names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
    serde_json::json!({ "id": "org/model", "siblings": siblings }).to_string().into_bytes()
}

#[test]
fn a_file_is_read_by_its_address_and_by_its_names_on_the_hub() {
    let names = ["README.md", "a-Q8_0.gguf", "sub/a-F32.gguf", "../../a-EVIL.gguf"];
    let server = serve(&[
        ("/api/models/org/model/revision/main", listing(&names)),
        ("/org/model/resolve/main/sub/a-F32.gguf", tiny().bytes()),
        ("/api/models/org/broken/revision/main", b"<html>".to_vec()),
    ]);
    let hub = |name: &str| HttpSource::with_hub(name, Duration::from_secs(5), &server).unwrap();
    let address = format!("{server}/org/model/resolve/main/sub/a-F32.gguf");
    for name in [address.as_str(), "org/model/sub/a-F32.gguf", "org/model:F32", "org/model:f32@main"] {
        let (config, ..) = load(&hub(name), WeightFormat::Stored).unwrap();
        assert_eq!(config.vocab_size, 8, "{name}");
    }
    for (name, code, words) in [
        ("org/model:Q4_K_M", "invalid_request", "no file of Q4_K_M"),
        ("org/model:EVIL", "invalid_request", "no file of EVIL"),
        ("org/model:Q8_0", "missing_file", "a-Q8_0.gguf"),
        ("org/model/b.gguf", "missing_file", "b.gguf"),
        ("org/absent:F32", "missing_file", "org/absent"),
        ("org/broken:F32", "fetch_failed", "description of a repository"),
        ("org/model", "missing_file", "owner/repository:Q4_K_M"),
    ] {
        let error = load_error(&hub(name));
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}
