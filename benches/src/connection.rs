//! One keep-alive HTTP/1.1 connection: sends a body, reads the answer, counts what was accepted or, with a shipped key, taken.
//!
//! A hand-written client of a page, since a general one costs more processor time than the server it measures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What one request came to.
pub(crate) enum Answer {
    /// 2xx, and the number of events the server says it accepted. With a shipped key that is what it took.
    Accepted(u64),
    /// 429, 503 or 507: refused for overload.
    Overload,
    /// Any other status.
    Failed(u16),
}

/// A connection that reconnects when the server closed it.
pub(crate) struct Connection {
    address: String,
    head: String,
    stream: Option<TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(address: &str, key: &str) -> Connection {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: "
        );
        Connection { address: address.to_owned(), head, stream: None, answer: Vec::with_capacity(16 << 10) }
    }

    /// Sends one body and reads its answer.
    pub(crate) fn post(&mut self, body: &[u8]) -> std::io::Result<Answer> {
        let answer = self.exchange(body);
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    fn exchange(&mut self, body: &[u8]) -> std::io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                stream
            }
        };
        let head = format!("{}{}\r\n\r\n", self.head, body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.answer.clear();
        let mut chunk = [0_u8; 16 << 10];
        let (status, start, length) = loop {
            let read = read_some(&mut stream, &mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(&chunk[..read]);
            if let Some(head) = parse_head(&self.answer) {
                break head;
            }
        };
        while self.answer.len() < start + length {
            let read = read_some(&mut stream, &mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.answer.extend_from_slice(&chunk[..read]);
        }
        self.stream = Some(stream);
        Ok(match status {
            200..=299 => Answer::Accepted(accepted(&self.answer[start..])),
            429 | 503 | 507 => Answer::Overload,
            other => Answer::Failed(other),
        })
    }

    /// The last answer's text, for an error message about our own synthetic traffic.
    pub(crate) fn last_answer(&self) -> String {
        String::from_utf8_lossy(&self.answer).chars().take(600).collect()
    }
}

/// Reads what there is; a process that was stopped and goes on reads again (signal(7): a socket with a timeout does not).
fn read_some(stream: &mut TcpStream, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Status, where the body starts, and its length; none while the head is incomplete.
fn parse_head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("content-length")))
        .and_then(|(_, v)| v.trim().parse().ok())
        .unwrap_or(0);
    Some((status, end + 4, length))
}

/// What a server key is told was accepted, or a shipped key was taken.
fn accepted(body: &[u8]) -> u64 {
    let found = number_after(body, b"\"accepted\":").or_else(|| number_after(body, b"\"taken\":"));
    found.unwrap_or(0)
}

fn number_after(text: &[u8], name: &[u8]) -> Option<u64> {
    let at = text.windows(name.len()).position(|w| w == name)? + name.len();
    let digits: String = text[at..]
        .iter()
        .map(|b| *b as char)
        .skip_while(|c| *c == ' ')
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_length_and_count() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"received\":100,\"accepted\":97}";
        let (status, start, length) = parse_head(answer).expect("whole");
        assert_eq!((status, length, answer.len() - start), (200, 30, 30));
        assert_eq!(accepted(&answer[start..]), 97);
        assert_eq!(accepted(b"{\"received\":100,\"taken\":99,\"rejected\":1}"), 99);
        assert_eq!(accepted(b"{}"), 0);
        assert!(parse_head(&answer[..30]).is_none());
    }
}
