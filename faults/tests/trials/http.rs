//! A plain HTTP/1.1 client that keeps its connection, and that sends exactly the bytes that a trial means.
//!
//! Invariants: nothing waits for longer than [`PATIENCE`]; a connection on which something went wrong is not used
//! again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// The longest time without an answer that is no hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }

    /// The head as it came.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// The code of a refusal; empty when it has none.
    pub(crate) fn code(&self) -> String {
        let told: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        told["code"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A client of the service at an address.
pub(crate) struct Client {
    addr: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    /// One without a connection yet.
    pub(crate) fn new(addr: SocketAddr) -> Client {
        Client { addr, stream: None }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.addr, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a request, on the connection of before if there is one.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: shoal.test\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        // The server may answer and close before it has read everything: what counts is its answer.
        let written = stream.write_all(&bytes);
        let answer = read_answer(&mut stream).map_err(|e| written.err().unwrap_or(e))?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.stream = (!closes && answer.status < 400).then_some(stream);
        Ok(answer)
    }

    /// Posts JSON with a key.
    pub(crate) fn post(&mut self, path: &str, key: &str, body: &Value) -> io::Result<Answer> {
        let key = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", key.as_str())];
        self.ask("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Gets a path without a key.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, &[], b"")
    }
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
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
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
    if (100..200).contains(&status) {
        return parse(rest, ended);
    }
    if answer.header("transfer-encoding").is_some() {
        answer.body = joined(rest)?;
        return Some(answer);
    }
    let length = answer.header("content-length").and_then(|v| v.parse::<usize>().ok());
    match length.or((status == 204).then_some(0)) {
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
