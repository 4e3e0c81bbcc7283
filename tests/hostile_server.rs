//! Loads from a web server with typical faults: each fault gives an error that names it, and none hangs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use common::tiny::{Tiny, file};
use common::{RecordingSink, load, load_error};
use mobilellm::Error;
use mobilellm::checkpoint::load::{Checkpoint, WeightFormat};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::http::HttpSource;
use mobilellm::engine::text_files;
use serde_json::Value;

/// How the server answers a request for the weights. Some of the answers are correct.
#[derive(Clone, Copy)]
enum Fault {
    None,
    NotFound,
    ServerError,
    SignIn,
    HtmlAsBinary,
    Html,
    NoContent,
    Redirect,
    RedirectForever,
    NeverAnswer,
    StallInTheMiddle,
    CloseEarly,
    CloseEarlyWithoutLength,
    LengthTooLong,
    LengthTooShort,
    Chunked,
    Drip,
    Garbage,
}

/// Starts a server on a free port. It runs until the test process ends.
fn serve(fault: Fault) -> HttpSource {
    serve_with_patience(fault, Duration::from_millis(300))
}

fn serve_with_patience(fault: Fault, patience: Duration) -> HttpSource {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/model", listener.local_addr().unwrap());
    let tiny = Tiny::new();
    let files = Arc::new((tiny.config_json(), file(&Value::Object(tiny.header()).to_string(), &tiny.data())));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = files.clone();
            // A client may close the connection early; that is no failure of the server.
            std::thread::spawn(move || drop(answer(stream, fault, &files.0, &files.1)));
        }
    });
    HttpSource::new(&address, patience).unwrap()
}

fn answer(mut stream: TcpStream, fault: Fault, config: &[u8], weights: &[u8]) -> std::io::Result<()> {
    let mut request = String::new();
    let mut lines = BufReader::new(stream.try_clone()?);
    lines.read_line(&mut request)?;
    let mut header = String::new();
    while lines.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let ok = |stream: &mut TcpStream, len: usize| {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n"
        )
    };
    let status = |stream: &mut TcpStream, line: &str| {
        write!(stream, "HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    };
    if path.ends_with("config.json") {
        ok(&mut stream, config.len())?;
        return stream.write_all(config);
    }
    if path.ends_with("/moved.bin") {
        ok(&mut stream, weights.len())?;
        return stream.write_all(weights);
    }
    if !path.ends_with("/model.safetensors") {
        return status(&mut stream, "404 Not Found");
    }
    let page = b"<!DOCTYPE html><html><title>Sign in</title></html>";
    let half = weights.len() / 2;
    match fault {
        Fault::None => {
            ok(&mut stream, weights.len())?;
            stream.write_all(weights)
        }
        Fault::NotFound => status(&mut stream, "404 Not Found"),
        Fault::ServerError => status(&mut stream, "503 Service Unavailable"),
        Fault::SignIn => status(&mut stream, "401 Unauthorized"),
        Fault::HtmlAsBinary => {
            ok(&mut stream, page.len())?;
            stream.write_all(page)
        }
        Fault::NoContent => status(&mut stream, "204 No Content"),
        Fault::Html => {
            let len = page.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len}\r\n\r\n"
            )?;
            stream.write_all(page)
        }
        Fault::Redirect => status(&mut stream, "302 Found\r\nlocation: /cdn/moved.bin"),
        Fault::RedirectForever => status(&mut stream, "302 Found\r\nlocation: /again/model.safetensors"),
        Fault::NeverAnswer => {
            std::thread::sleep(Duration::from_mins(1));
            Ok(())
        }
        Fault::StallInTheMiddle => {
            ok(&mut stream, weights.len())?;
            stream.write_all(&weights[..half])?;
            std::thread::sleep(Duration::from_mins(1));
            Ok(())
        }
        Fault::CloseEarly => {
            ok(&mut stream, weights.len())?;
            stream.write_all(&weights[..half])
        }
        Fault::CloseEarlyWithoutLength => {
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            stream.write_all(&weights[..half])
        }
        Fault::LengthTooLong => {
            ok(&mut stream, weights.len() + 1000)?;
            stream.write_all(weights)
        }
        Fault::LengthTooShort => {
            ok(&mut stream, weights.len() - 1000)?;
            stream.write_all(weights)
        }
        Fault::Chunked => {
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")?;
            for chunk in weights.chunks(997) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        Fault::Drip => {
            ok(&mut stream, weights.len())?;
            for drop in weights.chunks(weights.len() / 20) {
                stream.write_all(drop)?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Fault::Garbage => stream.write_all(b"\x00\x01 this is no HTTP\r\n\r\n"),
    }
}

/// The weights, loaded from memory.
fn expected() -> RecordingSink {
    load(&Tiny::new().source(), WeightFormat::Auto).unwrap().1
}

#[test]
fn slow_servers_are_read_to_the_end() {
    let expected = expected();
    for fault in [Fault::None, Fault::Redirect, Fault::Chunked, Fault::Drip] {
        let (_, sink, _) = load(&serve(fault), WeightFormat::Auto).unwrap();
        assert_eq!(sink.matrices, expected.matrices);
    }
}

#[test]
fn every_fault_has_its_message() {
    for (fault, code, words) in [
        (Fault::NotFound, "missing_file", "model.safetensors is missing"),
        (Fault::ServerError, "fetch_failed", "503"),
        (Fault::SignIn, "fetch_failed", "HF_TOKEN"),
        (Fault::HtmlAsBinary, "fetch_failed", "web page"),
        (Fault::Html, "fetch_failed", "web page"),
        (Fault::NoContent, "fetch_failed", "204"),
        (Fault::RedirectForever, "fetch_failed", "redirects without an end"),
        (Fault::NeverAnswer, "fetch_failed", "stopped answering"),
        (Fault::StallInTheMiddle, "fetch_failed", "stopped answering"),
        (Fault::CloseEarly, "fetch_failed", "cannot read"),
        (Fault::CloseEarlyWithoutLength, "invalid_file", "truncated"),
        (Fault::LengthTooLong, "fetch_failed", "cannot read"),
        (Fault::LengthTooShort, "invalid_file", "truncated"),
        (Fault::Garbage, "fetch_failed", "cannot read"),
    ] {
        let error = load_error(&serve(fault));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("http://127.0.0.1"), "it should say where: {error}");
    }
}

/// A cancel takes effect at once, also if the load may wait for the server for an hour.
#[test]
fn a_load_that_waits_for_a_silent_server_can_be_cancelled() {
    for fault in [Fault::NeverAnswer, Fault::StallInTheMiddle] {
        let source = serve_with_patience(fault, Duration::from_hours(1));
        let cancel = Cancel::default();
        let canceller = cancel.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            canceller.cancel();
        });
        let result = pollster::block_on(async {
            let checkpoint = Checkpoint::open(&source, &cancel).await?;
            checkpoint.load(WeightFormat::Auto, &mut RecordingSink::default(), &mut |_| {}).await
        });
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    }
}

#[test]
fn a_server_that_does_not_run_is_an_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = HttpSource::new(&format!("http://127.0.0.1:{port}/x"), Duration::from_millis(300)).unwrap();
    assert_eq!(load_error(&source).code(), "fetch_failed");
}

#[test]
fn a_cancelled_load_stops_and_the_next_one_works() {
    let source = serve(Fault::Drip);
    let cancel = Cancel::default();
    let result = pollster::block_on(async {
        let checkpoint = Checkpoint::open(&source, &cancel).await?;
        let mut sink = RecordingSink::default();
        checkpoint
            .load(WeightFormat::Auto, &mut sink, &mut |p| {
                if p.tensors == 3 {
                    cancel.cancel();
                }
            })
            .await
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    let (_, sink, _) = load(&source, WeightFormat::Auto).unwrap();
    assert_eq!(sink.matrices, expected().matrices);
}

/// A server of a whole folder that answers for what is not there, and for JSON, in its own way.
fn serve_folder(absent: &'static str, kind: &'static str) -> HttpSource {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let n = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let tiny = Tiny::new();
            let weights = file(&Value::Object(tiny.header()).to_string(), &tiny.data());
            let body = match path {
                "/config.json" => tiny.config_json(),
                "/model.safetensors" => weights,
                "/generation_config.json" => br#"{"eos_token_id": 7}"#.to_vec(),
                "/chat_template.jinja" => b"<|im_start|>{{ messages[0].content }}".to_vec(),
                _ => {
                    let _ = stream.write_all(absent.as_bytes());
                    continue;
                }
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\n{kind}content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    HttpSource::new(&address, Duration::from_secs(5)).unwrap()
}

#[test]
fn an_absent_file_is_absent_however_the_server_says_so() {
    let page = "<!DOCTYPE html>\n<html><body></body></html>";
    let answer = |head: &str, body: &str| -> &'static str {
        let len = body.len();
        format!("HTTP/1.1 {head}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}").leak()
    };
    for absent in [
        answer("404 Not Found", ""),
        answer("410 Gone", ""),
        answer("403 Forbidden", "<Error/>"),
        answer("200 OK", page),
        answer("200 OK\r\ncontent-type: text/html", page),
        answer("200 OK\r\ncontent-type: application/json", page),
        answer("200 OK\r\ncontent-type: application/octet-stream", page),
        answer("200 OK", ""),
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    ] {
        for kind in ["", "content-type: text/html\r\n", "content-type: text/plain\r\n"] {
            let source = serve_folder(absent, kind);
            let files = pollster::block_on(text_files(&source, &Cancel::default())).unwrap();
            assert!(files.tokenizer_config.is_none() && files.special_tokens_map.is_none(), "{absent}");
            // JSON is JSON whatever the server calls it, and a template may begin like a tag.
            assert_eq!(files.generation_config.as_deref(), Some(&br#"{"eos_token_id": 7}"#[..]), "{absent}");
            assert!(files.chat_template.is_some_and(|template| template.starts_with(b"<|im_start|>")));
            load(&source, WeightFormat::Auto).unwrap();
        }
    }
}
