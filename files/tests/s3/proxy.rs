//! A proxy between a client and a store, which does what networks and busy stores do.
//!
//! Each request has a connection of its own to the store, and its answer is read to the end before anything is done with it. A client
//! that does not wait for it leaves a request on its way, which `Proxy::settle` waits for.
//!
//! Invariant: what the proxy does to a request is decided when it arrives, by its number, so that a seed makes the same faults as far
//! as the client sends the same requests. Not here: what is a fault when (`faults`).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What is done to a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    /// Forwarded, and answered.
    Pass,
    /// Forwarded, and the connection is closed without an answer.
    LoseAnswer,
    /// Forwarded, and the connection is closed in the middle of the answer.
    CutAnswer,
    /// Forwarded, and answered with this status and code.
    AnswerAfter(u16, &'static str),
    /// Forwarded once the client has given up.
    Late,
    /// Not forwarded, and answered with this status and code.
    AnswerBefore(u16, &'static str),
    /// Not forwarded, and the connection is closed with bytes that nobody read, which resets it.
    Reset,
    /// Not forwarded, and never answered, while the proxy runs.
    Hang,
    /// Not forwarded: a refusal that repeats the whole request.
    Repeat(u16),
    /// Not forwarded: this body.
    Body(String),
}

/// What decides about a request: its number, its method, and its path with the query.
type Decide = dyn FnMut(usize, &str, &str) -> Deed + Send;

/// A proxy that runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

/// The method of a request to the proxy itself.
const SETTLE: &str = "SETTLE";
/// A client that connects sends its request at once.
const HEAD_MAX: Duration = Duration::from_millis(500);

struct Shared {
    store: u16,
    /// Connections that are not done with.
    busy: Mutex<usize>,
    done: Condvar,
    is_ended: AtomicBool,
    seen: Mutex<Vec<String>>,
    decide: Mutex<Box<Decide>>,
}

impl Proxy {
    /// Before the store on this port; without one, no deed may need one.
    pub(crate) fn start(store: u16, decide: impl FnMut(usize, &str, &str) -> Deed + Send + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            store,
            busy: Mutex::new(0),
            done: Condvar::new(),
            is_ended: AtomicBool::new(false),
            seen: Mutex::default(),
            decide: Mutex::new(Box::new(decide)),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if of_thread.is_ended.load(Ordering::Relaxed) {
                    break;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&of_thread));
                *shared.busy.lock().unwrap() += 1;
                std::thread::spawn(move || {
                    shared.serve(client);
                    *shared.busy.lock().unwrap() -= 1;
                    shared.done.notify_all();
                });
            }
        });
        Proxy { port, shared }
    }

    /// Waits until no request is on its way any more, also of clients that have given up. Connections are accepted in their order, so
    /// those of before are known when this one is.
    pub(crate) fn settle(&self) {
        let mut own = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        own.write_all(format!("{SETTLE} / HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        own.read_to_end(&mut Vec::new()).unwrap();
        let busy = self.shared.busy.lock().unwrap();
        drop(self.shared.done.wait_while(busy, |busy| *busy > 0).unwrap());
    }

    /// Method, path and query of each request so far, and forgets them.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
        let _wake = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    /// One request; whoever comes on the same connection again finds it closed.
    fn serve(&self, mut client: TcpStream) {
        client.set_read_timeout(Some(HEAD_MAX)).unwrap();
        let Some((head, mut body)) = head(&mut client) else { return };
        client.set_read_timeout(None).unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method == SETTLE {
            return;
        }
        let deed = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(format!("{method} {path}"));
            let number = seen.len() - 1;
            (self.decide.lock().unwrap())(number, method, path)
        };
        if deed == Deed::Reset {
            return;
        }
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let read = body.len();
        body.resize(length, 0);
        if client.read_exact(&mut body[read..]).is_err() {
            return;
        }
        if deed == Deed::Late {
            // Nothing more comes but the end.
            let _end = client.read(&mut [0; 1]);
        }
        let is_not_forwarded =
            matches!(deed, Deed::AnswerBefore(..) | Deed::Hang | Deed::Repeat(_) | Deed::Body(_));
        let answered = if is_not_forwarded { Vec::new() } else { self.forward(&head, &body) };
        let answer = match deed {
            Deed::Pass => answered,
            Deed::CutAnswer => answered[..answered.len() / 2].to_vec(),
            Deed::AnswerAfter(status, code) | Deed::AnswerBefore(status, code) => {
                answer(status, &format!("<Error><Code>{code}</Code><Message>by the proxy</Message></Error>"))
            }
            Deed::Repeat(status) => {
                answer(status, &format!("<Error><Code>AccessDenied</Code>{head}</Error>"))
            }
            Deed::Body(body) => answer(200, &body),
            Deed::Hang => return self.hang(),
            Deed::LoseAnswer | Deed::Late | Deed::Reset => return,
        };
        // The client may be gone.
        let _lost = client.write_all(&answer);
        let _lost = client.shutdown(Shutdown::Write);
    }

    fn forward(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let ask = || {
            let mut store = TcpStream::connect(("127.0.0.1", self.store))?;
            let head = head.trim_end_matches("\r\n");
            store.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes())?;
            store.write_all(body)?;
            let mut answer = Vec::new();
            store.read_to_end(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        ask().unwrap_or_default()
    }

    fn hang(&self) {
        while !self.is_ended.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// The head of a request with its last empty line, and what came of the body with it.
fn head(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).unwrap(), body));
        }
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let head = format!("content-length: {}\r\nconnection: close", body.len());
    format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n{body}").into_bytes()
}
