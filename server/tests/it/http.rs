//! A plain HTTP/1.1 client that sends exactly the bytes a test means: odd heads, recorded requests, bodies that stop half-way.
//!
//! Invariants: one connection a request; every answer has been read to its end; nothing waits for longer than a minute.
//! Not here: what to send (the modules of the tests), who answers (`stage.rs`, `process.rs`).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer: status, head as it came, body with its transfer coding removed.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{} and no JSON ({e}): {}", self.status, self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; names in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// This answer, when it has the status.
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// A client of the server at this address.
#[derive(Clone, Copy)]
pub(crate) struct Client(pub(crate) SocketAddr);

impl Client {
    /// Sends these bytes and reads the answer.
    pub(crate) fn send(self, bytes: &[u8]) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        // The server may answer and close before it has read everything: what counts is its answer.
        let written = stream.write_all(bytes);
        read_answer(&mut stream).map_err(|e| written.err().unwrap_or(e))
    }

    /// An open connection.
    pub(crate) fn connect(self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// One request with these headers.
    pub(crate) fn ask(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send(&request(method, path, headers, body))
    }

    /// Posts JSON (or what is said to be) with a key.
    pub(crate) fn post(self, path: &str, key: &str, body: impl AsRef<[u8]>) -> Answer {
        let key = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", key.as_str())];
        self.ask("POST", path, &headers, body.as_ref()).unwrap()
    }

    /// Gets a path with a key.
    pub(crate) fn get(self, path: &str, key: &str) -> Answer {
        let key = format!("Bearer {key}");
        self.ask("GET", path, &[("authorization", key.as_str())], b"").unwrap()
    }

    /// Posts native events, and expects that the request as a whole is taken.
    pub(crate) fn events(self, key: &str, body: &Value) -> Value {
        self.post("/v1/events", key, body.to_string()).expect(200).json()
    }

    /// Asks in SQL, and expects an answer.
    pub(crate) fn sql(self, key: &str, sql: &str) -> Value {
        let question = serde_json::json!({"sql": sql, "precision": "high"});
        self.post("/v1/sql", key, question.to_string()).expect(200).json()
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nhost: shoal.test\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Reads an answer to its end, whether the connection stays open or not.
pub(crate) fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&bytes, false) {
            return Ok(answer);
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            // What a process that was stopped and goes on gets from a socket with a timeout (signal(7)).
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // A server that has answered may reset a connection on which more was sent.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(e) => return Err(e),
        }
    }
    parse(&bytes, true).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no whole answer"))
}

/// The answer in these bytes; none while more must come.
fn parse(bytes: &[u8], ended: bool) -> Option<Answer> {
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head, body: Vec::new() };
    let rest = &bytes[split + 4..];
    if answer.header("transfer-encoding").is_some() {
        answer.body = joined(rest)?;
        return Some(answer);
    }
    // Such an answer has no body, and no length.
    let is_empty = status == 204;
    let length = answer.header("content-length").and_then(|v| v.parse::<usize>().ok());
    let length = length.or(is_empty.then_some(0));
    match length {
        Some(length) if rest.len() >= length => answer.body = rest[..length].to_vec(),
        None if ended => answer.body = rest.to_vec(),
        _ => return None,
    }
    Some(answer)
}

/// The chunks of a body put together; none while the last one is missing.
fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|w| w == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        rest = rest.get(line + 2..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length + 2..)?;
    }
}

/// The bytes compressed with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
