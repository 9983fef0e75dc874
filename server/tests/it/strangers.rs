//! Whoever has no key holds nothing: not a connection, not the time of whoever has one, not the health checks.
//!
//! The clients here are hostile on purpose, so their time is real: what they wait for is the server's own limit.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Client, read_answer};
use crate::process::{Process, Setup, until};
use crate::stage::{Keys, batch, click};

/// What a test waits for at the longest where the service promises two or three seconds, on a machine that does other things.
const SOON: Duration = Duration::from_secs(12);

struct Target {
    server: Process,
    keys: Keys,
    _dir: tempfile::TempDir,
}

impl Target {
    fn start(more: &[(&str, &str)]) -> Target {
        let dir = tempfile::tempdir().unwrap();
        let variables: Vec<(&str, &str)> =
            [("SHOAL_HTTP_HEADER_TIMEOUT_MS", "1500")].into_iter().chain(more.iter().copied()).collect();
        let setup = Setup { dir: dir.path(), variables: &variables };
        let keys = Keys::create(&setup.data_dir());
        Target { server: setup.serve(), keys, _dir: dir }
    }

    fn client(&self) -> Client {
        self.server.client
    }

    /// Events are taken and health is answered on new connections; how long the slowest took.
    fn serves(&self, id: &str) -> Duration {
        let start = Instant::now();
        let taken = self.client().events(&self.keys.app, &batch("DE", vec![click(id, "u", "a")]));
        assert_eq!(taken["rejected"], 0, "{taken}");
        let events = start.elapsed();
        self.client().ask("GET", "/healthz", &[], b"").unwrap().expect(200);
        events.max(start.elapsed() - events)
    }
}

/// Sends as `feed` says until the server closes; how long it took.
fn closes(
    mut stream: TcpStream,
    mut feed: impl FnMut(&mut TcpStream) -> std::io::Result<()> + Send,
) -> Duration {
    let start = Instant::now();
    let mut reader = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(move || {
            let mut bytes = Vec::new();
            let ended = reader.read_to_end(&mut bytes);
            assert!(
                ended.as_ref().map_or_else(|e| e.kind() != ErrorKind::WouldBlock, |_| true),
                "open for a minute: {ended:?}"
            );
            start.elapsed()
        });
        while start.elapsed() < Duration::from_secs(70) && !read.is_finished() && feed(&mut stream).is_ok() {}
        read.join().unwrap()
    })
}

#[test]
fn a_refusal_ends_the_connection_whatever_goes_on_being_sent() {
    let target = Target::start(&[]);
    let wrong = "authorization: Bearer ing00.nothing\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let long = "content-length: 1000000000\r\n\r\n";
    let quickly = |stream: &mut TcpStream| {
        stream
            .write_all(b"400\r\n")
            .and_then(|()| stream.write_all(&[b'x'; 1024]))
            .and_then(|()| stream.write_all(b"\r\n"))
    };
    let slowly = |stream: &mut TcpStream| {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(b"1\r\nx\r\n")
    };
    let never = |_: &mut TcpStream| {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    };
    type Feed<'a> = &'a (dyn Fn(&mut TcpStream) -> std::io::Result<()> + Sync);
    let feeds: [(&str, Feed); 3] = [("quickly", &quickly), ("slowly", &slowly), ("never", &never)];
    std::thread::scope(|scope| {
        for (line, key) in [
            ("POST /v1/events", ""),
            ("POST /v1/events", wrong),
            ("POST /v1/batch", wrong),
            ("POST /api/1/envelope/", ""),
            ("POST /v1/consents", ""),
            ("POST /v1/sql", ""),
            ("POST /nowhere", ""),
            ("GET /healthz", ""),
        ] {
            for body in [chunked, long] {
                for (how, feed) in feeds {
                    let client = target.client();
                    scope.spawn(move || {
                        let mut stream = client.connect().unwrap();
                        stream
                            .write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n{key}{body}").as_bytes())
                            .unwrap();
                        let took = closes(stream, feed);
                        assert!(took < SOON, "{line}, {how}, {body:.20}: {took:?}");
                    });
                }
            }
        }
    });
    // The refusal itself comes before the end, with the word that the connection ends.
    let mut stream = target.client().connect().unwrap();
    stream
        .write_all(format!("POST /v1/events HTTP/1.1\r\nhost: x\r\n{chunked}1\r\nx\r\n").as_bytes())
        .unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    target.serves("after");
}

/// Stops whoever holds on, also when the test fails: its scope would wait for them for ever.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sockets that a hostile client keeps open, feeding each, and opening another for each that is closed.
fn hold(client: Client, head: &str, many: usize, stop: &AtomicBool, closed: &AtomicUsize) {
    let open = || {
        let mut stream = client.connect()?;
        stream.write_all(head.as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    let mut held: Vec<TcpStream> = Vec::new();
    let mut bytes = [0; 4096];
    while !stop.load(Ordering::SeqCst) {
        held.extend((held.len()..many).filter_map(|_| open().ok()));
        let before = held.len();
        held.retain_mut(|stream| {
            let is_open = |done: std::io::Result<usize>| match done {
                Ok(count) => count > 0,
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            };
            is_open(stream.write(b"1\r\nx\r\n")) && is_open(stream.read(&mut bytes))
        });
        closed.fetch_add(before - held.len(), Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn strangers_who_hold_on_keep_nobody_with_a_key_out() {
    let target = Target::start(&[
        ("SHOAL_HTTP_CONNECTIONS_MAX", "200"),
        ("SHOAL_HTTP_STRANGERS_PER_ADDRESS_MAX", "10000"),
    ]);
    let (stop, closed) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Somebody who was there before, and keeps the connection.
    let mut kept = target.client().connect().unwrap();
    let request = keep_alive(&target.keys.app, &batch("DE", vec![click("kept", "u", "a")]).to_string());
    kept.write_all(&request).unwrap();
    read_answer(&mut kept).unwrap().expect(200);
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| hold(target.client(), head, 150, &stop, &closed));
        }
        let _stops = Stops(&stop);
        until("connections that are closed", || (closed.load(Ordering::SeqCst) > 600).then_some(()));
        let slowest = (0..20).map(|number| target.serves(&format!("n{number}"))).max().unwrap();
        kept.write_all(&request).unwrap();
        let answer = read_answer(&mut kept);
        stop.store(true, Ordering::SeqCst);
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        answer.unwrap().expect(200);
    });
    assert!(!target.server.log().contains("panicked"), "{}", target.server.log());
    assert!(target.server.terminate().success());
}

/// A client whose key comes late, and asks before as browsers do, while others come and are answered without one.
#[test]
fn a_client_whose_key_is_on_its_way_keeps_its_seat() {
    let target = Target::start(&[
        ("SHOAL_HTTP_CONNECTIONS_MAX", "8"),
        ("SHOAL_HTTP_STRANGERS_PER_ADDRESS_MAX", "10000"),
        ("SHOAL_HTTP_HEADER_TIMEOUT_MS", "60000"),
    ]);
    let ask = |head: &str, status: u16| {
        let mut stream = target.client().connect().unwrap();
        stream.write_all(format!("{head} HTTP/1.1\r\nhost: x\r\norigin: https://app.test\r\naccess-control-request-method: POST\r\n\r\n").as_bytes()).unwrap();
        read_answer(&mut stream).unwrap().expect(status);
        stream
    };
    let may_i = || ask("OPTIONS /v1/events", 204);
    let _before = (may_i(), may_i(), may_i());
    let mut client = may_i();
    // More than there are seats, each answered without a key, and then some who are not answered.
    let answered: Vec<TcpStream> = (0..20).map(|_| ask("GET /healthz", 200)).collect();
    let silent = (may_i(), may_i(), may_i(), may_i());
    let request = keep_alive(&target.keys.app, &batch("DE", vec![click("1", "u", "a")]).to_string());
    client.write_all(&request).unwrap();
    read_answer(&mut client).unwrap().expect(200);
    drop((answered, silent));
    assert!(target.server.terminate().success());
}

/// A request after which the connection stays.
fn keep_alive(key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

#[test]
fn when_every_seat_is_taken_by_somebody_with_a_key_health_is_answered_all_the_same() {
    let target = Target::start(&[("SHOAL_HTTP_CONNECTIONS_MAX", "8")]);
    let request = keep_alive(&target.keys.app, &batch("DE", vec![click("1", "u", "a")]).to_string());
    let mut seats: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = target.client().connect().unwrap();
            stream.write_all(&request).unwrap();
            read_answer(&mut stream).unwrap().expect(200);
            stream
        })
        .collect();
    let refused = target.client().ask("GET", "/v1/tables", &[], b"").unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
    for path in ["/healthz", "/readyz"] {
        target.client().ask("GET", path, &[], b"").unwrap().expect(200);
    }
    let last = seats.last_mut().unwrap();
    last.write_all(&request).unwrap();
    read_answer(last).unwrap().expect(200);
    drop(seats);
    until("room", || {
        (target.client().ask("GET", "/v1/tables", &[], b"").unwrap().status == 401).then_some(())
    });
}

#[test]
fn three_hundred_slow_clients_are_let_go_and_keep_nobody_waiting() {
    let target = Target::start(&[]);
    let head = b"POST /v1/events HTTP/1.1\r\nhost: shoal.test\r\nx-slow: ";
    let whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut clients: Vec<(TcpStream, usize)> = (0..300)
        .map(|number| {
            let mut stream = target.client().connect().unwrap();
            if number % 3 == 0 {
                // The first request is whole, and the second one is slow.
                stream.write_all(whole).unwrap();
                read_answer(&mut stream).unwrap().expect(200);
            }
            (stream, 0)
        })
        .collect();
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    while !clients.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "{} are still open", clients.len());
        // A byte for each, until the server has closed.
        clients.retain_mut(|(stream, at)| {
            let byte = head.get(*at).copied().unwrap_or(b'a');
            *at += 1;
            stream.write_all(&[byte]).is_ok()
        });
        slowest = slowest.max(target.serves(&format!("n{:?}", start.elapsed())));
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(target.server.terminate().success());
}

#[test]
fn bodies_of_strangers_keep_no_body_of_anybody_with_a_key_out() {
    // A Segment SDK may have its key in the body, so that the body is read before anybody knows whose it is.
    let target = Target::start(&[
        ("SHOAL_HTTP_BODIES_BYTES_MAX", "8000000"),
        ("SHOAL_INGEST_BODY_BYTES_MAX", "1000000"),
    ]);
    let head = "POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 900060\r\n\r\n";
    let part = [head.as_bytes(), &[b'x'; 900_000]].concat();
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        let mut stream = target.client().connect().unwrap();
        // Whoever finds no room is refused in the middle of it.
        let _ = stream.write_all(&part);
        held.push(stream);
    }
    let many = (0..300).map(|at| click(&format!("k{at}"), "u", "a")).collect();
    let taken = target.client().events(&target.keys.app, &batch("DE", many));
    assert_eq!(taken["rejected"], 0, "{taken}");
    // Quiet bodies go, and then there is room for whoever has the key in the body.
    let start = Instant::now();
    for mut stream in held {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let track = r#"{"type":"track","event":"app_open","userId":"u","messageId":"1"}"#;
    let body = format!(r#"{{"writeKey":"{}","batch":[{track}]}}"#, target.keys.app);
    let json = [("content-type", "application/json")];
    target.client().ask("POST", "/v1/batch", &json, body.as_bytes()).unwrap().expect(200);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_let_go() {
    let target = Target::start(&[]);
    let mut stream = target.client().connect().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let page = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n";
    until("the end of the connection", || match stream.write(&page.repeat(20)) {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        Err(_) => Some(()),
    });
    target.serves("after");
}

#[test]
fn wrong_keys_are_slowed_and_a_valid_key_from_the_same_address_never_is() {
    let target = Target::start(&[]);
    let timed = |ask: &dyn Fn()| {
        let start = Instant::now();
        ask();
        start.elapsed()
    };
    let wrong = || timed(&|| drop(target.client().post("/v1/events", "ing00.wrong", "{}").expect(401)));
    let (slowest, valid) = std::thread::scope(|scope| {
        let many: Vec<_> = (0..60).map(|_| scope.spawn(wrong)).collect();
        let valid = (0..5).map(|number| target.serves(&format!("v{number}"))).min().unwrap();
        (many.into_iter().map(|one| one.join().unwrap()).max().unwrap(), valid)
    });
    assert!(slowest >= Duration::from_millis(1900), "{slowest:?}");
    assert!(valid < slowest / 2, "{valid:?} with a valid key, {slowest:?} with a wrong one");
}
