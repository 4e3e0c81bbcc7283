//! As much HTTP/1.1 as the server needs: one request and one answer a connection.
//!
//! Connections are not kept open: on one machine a new one costs nothing, and none can wait behind another.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Request line and headers together may not be longer.
const HEAD_LIMIT: u64 = 64 << 10;

/// A client that says nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client asks for. Bodies are not read.
pub(super) struct Request {
    /// In capitals.
    pub(super) method: String,
    /// Path and query, still percent-encoded.
    pub(super) target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads a request; `None` where it is not one.
    pub(super) fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Self::parse(BufReader::new(stream.take(HEAD_LIMIT)))
    }

    fn parse(mut reader: impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let [method, target, version] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Ok(None);
        };
        if !version.starts_with("HTTP/1.") {
            return Ok(None);
        }
        let mut request = Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new() };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line.trim_end().is_empty() {
                return Ok(Some(request));
            }
            let Some((name, value)) = line.split_once(':') else { return Ok(None) };
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The value of a header; names are in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer of known length.
pub(super) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Box<dyn Read>,
    length: u64,
}

impl Response {
    /// `body` has to yield `length` bytes.
    pub(super) fn new(status: u16, body: Box<dyn Read>, length: u64) -> Self {
        Self { status, headers: Vec::new(), body, length }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends head and, unless the client wants only the head, body.
    pub(super) fn write(self, mut stream: &TcpStream, head_only: bool) -> io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.status != 304 {
            head.extend(["Content-Length: ", &self.length.to_string(), "\r\n"]);
        }
        head.push_str("Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        if !head_only && self.status != 304 {
            io::copy(&mut self.body.take(self.length), &mut stream)?;
        }
        stream.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_request_has_a_line_and_headers() {
        let request = Request::parse(&b"GET /a?b HTTP/1.1\r\nHost: x\r\nRANGE:  bytes=0-1 \r\n\r\n"[..])
            .unwrap()
            .unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/a?b"));
        assert_eq!(request.header("range"), Some("bytes=0-1"));
        assert_eq!(request.header("etag"), None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "GET / HTTP/1.1\r\nno\r\n\r\n",
        ] {
            assert!(Request::parse(text.as_bytes()).unwrap().is_none(), "{text:?}");
        }
    }
}
