//! Whatever is sent, the service answers with a reason or closes, and lives on: no panic, no 5xx, memory within bounds.
//!
//! `SHOAL_HOSTILE_BODIES` is how many broken bodies each protocol gets (1,000 when it is not set).

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{Client, read_answer};
use crate::marks;
use crate::process::{Process, Setup, until};
use crate::stage::{Keys, NOON_MS, POLICY, World, batch, click};

const LIMITS: [(&str, &str); 6] = [
    ("SHOAL_INGEST_BODY_BYTES_MAX", "262144"),
    ("SHOAL_INGEST_INFLATED_BYTES_MAX", "1048576"),
    ("SHOAL_INGEST_EVENTS_MAX", "500"),
    ("SHOAL_HTTP_HEADER_TIMEOUT_MS", "1000"),
    ("SHOAL_HTTP_BODY_TIMEOUT_MS", "3000"),
    ("SHOAL_HTTP_BODY_RATE_MIN_BYTES_PER_S", "1048576"),
];

/// A generator of numbers that gives the same ones each time (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A valid body with one to four faults.
    fn broken(&mut self, valid: &[u8]) -> Vec<u8> {
        let mut body = valid.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(body.len());
            let end = (at + 1 + self.below(40)).min(body.len());
            match self.below(9) {
                0 => body.truncate(at),
                1 if !body.is_empty() => body[at] ^= 1 << self.below(8),
                2 => drop(body.drain(at..end)),
                3 => {
                    let piece = body[at..end].to_vec();
                    body.splice(at..at, piece);
                }
                4 => drop(
                    body.splice(at..end, [b'[', b'{', b'"', b'\\', 0, 0xff][self.below(6)..].iter().copied()),
                ),
                5 => drop(body.splice(at..at, vec![b"[{\"0 "[self.below(5)]; self.below(200)])),
                6 => drop(body.splice(at..at, b"1e999999".iter().copied())),
                7 => drop(body.splice(at..at, b"\\ud800\\u0000".iter().copied())),
                _ => drop(body.splice(at..at, self.next().to_string().into_bytes())),
            }
        }
        body
    }
}

struct Target {
    server: Process,
    keys: Keys,
    dir: tempfile::TempDir,
}

impl Target {
    fn start() -> Target {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup { dir: dir.path(), variables: &LIMITS };
        let keys = Keys::create(&setup.data_dir());
        Target { server: setup.serve(), keys, dir }
    }

    fn client(&self) -> Client {
        self.server.client
    }

    /// Posts native bytes under an encoding; status and code of the refusal.
    fn refusal(&self, body: &[u8], encoding: &str) -> (u16, String) {
        let key = format!("Bearer {}", self.keys.app);
        let headers = [("authorization", key.as_str()), ("content-encoding", encoding)];
        let answer = self.client().ask("POST", "/v1/events", &headers, body).unwrap();
        let json = answer.json();
        assert!(json["detail"].as_str().is_some_and(|r| !r.is_empty()), "a refusal gives its reason: {json}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{json}");
        assert_eq!(json["status"], answer.status, "{json}");
        let urn = format!("urn:shoal:problem:{}", json["code"].as_str().unwrap());
        assert_eq!(json["type"].as_str(), Some(&*urn), "{json}");
        (answer.status, json["code"].as_str().unwrap().to_owned())
    }

    /// It still takes events, has not panicked, and stops in order.
    fn assert_well(self) {
        let body =
            batch("DE", vec![json!({"event": "click", "user_id": "u", "properties": {"element": "a"}})]);
        assert_eq!(self.client().events(&self.keys.app, &body)["accepted"], 1);
        assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        assert!(self.server.terminate().success());
        drop(self.dir);
    }
}

#[test]
fn broken_bodies_break_nothing() {
    let count: usize = std::env::var("SHOAL_HOSTILE_BODIES").map_or(1000, |text| text.parse().unwrap());
    let target = Target::start();
    let mut native = batch("DE", (0..3).map(|at| click(&format!("m-{at}"), "u", "a")).collect());
    native["sent_at"] = json!(NOON_MS);
    let native = native.to_string().into_bytes();
    let sentry_key = format!("Sentry sentry_key={}", target.keys.asserting.reveal_for_dsn());
    let bearer = format!("Bearer {}", target.keys.app);
    let endpoints: [(&str, (&str, &str), Vec<Vec<u8>>); 3] = [
        (
            "/v1/events",
            ("authorization", &bearer),
            vec![native.clone(), marks::native().to_string().into_bytes(), packed(&native)],
        ),
        ("/v1/batch", ("authorization", &bearer), vec![marks::segment().to_string().into_bytes()]),
        ("/api/1/envelope/", ("x-sentry-auth", &sentry_key), vec![marks::sentry()]),
    ];
    let mut before = 0;
    for (at, (path, key, valid)) in endpoints.iter().enumerate() {
        let mut seeded = Seeded(0x5ea1 + at as u64);
        for number in 0..count {
            let body = seeded.broken(&valid[number % valid.len()]);
            let answer = target.client().ask("POST", path, &[*key], &body);
            let answer = answer.unwrap_or_else(|e| panic!("{path}, body {number}: {e}"));
            assert!(answer.status < 500, "{path}, body {number}: {}", answer.text());
            if at == 0 && number == count / 4 {
                before = target.server.memory_bytes();
            }
        }
    }
    let grown = target.server.memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "memory has grown by {grown} bytes");
    target.assert_well();
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_too_much_is_refused_with_its_reason() {
    let target = Target::start();
    let valid = batch("DE", vec![click("1", "u", "a")]).to_string();
    let spaces = " ".repeat(40 << 20);
    assert_eq!(target.refusal(&packed(spaces.as_bytes()), "gzip").0, 413, "a gzip bomb");
    assert_eq!(
        target.refusal(&zstd::encode_all(spaces.as_bytes(), 1).unwrap(), "zstd").0,
        413,
        "a zstd bomb"
    );
    assert_eq!(target.refusal(&packed(&packed(valid.as_bytes())), "gzip").0, 400, "packed twice");
    assert_eq!(target.refusal(" ".repeat(262_145).as_bytes(), "identity"), (413, "too_large".to_owned()));
    let many = json!(vec![json!({"event": "a"}); 501]).to_string();
    assert_eq!(target.refusal(many.as_bytes(), "identity"), (413, "too_many_events".to_owned()));
    assert_eq!(target.refusal(valid.as_bytes(), "compress").0, 415);
    assert_eq!(target.refusal(b"", "identity").0, 400);
    assert_eq!(target.refusal(b"\xff\xfe", "identity").0, 400);
    assert_eq!(target.refusal(&vec![b'['; 250_000], "identity").0 / 100, 4, "no stack overflow");
    target.assert_well();
}

/// Reads until the server closes, and says whether it did so in time.
fn is_closed(stream: &mut std::net::TcpStream) -> bool {
    let start = Instant::now();
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let reset = ended.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset);
    (ended.is_ok() || reset) && start.elapsed() < Duration::from_secs(30)
}

#[test]
fn clients_that_never_finish_are_let_go() {
    let target = Target::start();
    let mut silent = target.client().connect().unwrap();
    let mut half_head = target.client().connect().unwrap();
    half_head.write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let mut half_body = target.client().connect().unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{\"events\":",
        target.keys.app
    );
    half_body.write_all(head.as_bytes()).unwrap();
    let answer = read_answer(&mut half_body).unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("too_slow")));
    assert!(is_closed(&mut half_head), "half a head");
    assert!(is_closed(&mut silent), "nothing at all");
    assert!(is_closed(&mut half_body), "half a body");
    target.assert_well();
}

#[test]
fn wrong_http_is_refused_and_the_connection_closed() {
    let target = Target::start();
    for bytes in [
        "GARBAGE\r\n\r\n".to_owned(),
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"
            .to_owned(),
        "POST /v1/events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(5000)),
    ] {
        match target.client().send(bytes.as_bytes()) {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{}: {bytes:.60}", answer.status),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{bytes:.60}"),
        }
    }
    target.assert_well();
}

#[test]
fn when_the_disk_is_nearly_full_each_client_is_told_to_come_back() {
    let mut world = World::with(|config| config.ingest.free_bytes_min = 1 << 50);
    let native = batch("DE", vec![click("1", "u", "a")]);
    let answer = world.client().post("/v1/events", &world.keys.app, native.to_string());
    assert_eq!((answer.status, answer.json()["code"].as_str()), (507, Some("disk_full")));
    let segment = json!({"batch": [{"type": "track", "messageId": "m", "userId": "u", "event": "click", "properties": {"element": "a"},
        "context": {"country": "DE", "consent": {"policy_version": POLICY}}}]});
    let answer = world.client().post("/v1/batch", &world.keys.app, segment.to_string());
    assert_eq!(answer.status, 503, "Segment SDKs come back on this");
    assert!(answer.header("retry-after").is_some());
    let key = format!("Sentry sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let crash = "{}\n{\"type\":\"event\"}\n{\"user\":{\"id\":\"u\"},\"exception\":{\"values\":[{\"type\":\"E\",\"value\":\"v\"}]}}\n";
    let answer =
        world.client().ask("POST", "/api/1/envelope/", &[("x-sentry-auth", &key)], crash.as_bytes()).unwrap();
    assert_eq!(answer.status, 429, "Sentry SDKs would lose it on a 5xx");
    assert!(answer.header("retry-after").is_some());
    // Nothing of it was kept or remembered: with room again, the same events are new.
    world.restart(|config| config.ingest.free_bytes_min = 0);
    assert_eq!(world.client().events(&world.keys.app, &native)["accepted"], 1);
}

#[test]
fn too_many_bodies_at_one_time_are_refused_and_then_taken() {
    let world = World::with(|config| {
        config.http.bodies_bytes_max = 64 << 10;
        config.ingest.body_bytes_max = 60 << 10;
    });
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 59000\r\n\r\n",
        world.keys.app
    );
    let padded = format!("{}{}", batch("DE", vec![click("1", "u", "a")]), " ".repeat(20_000));
    // Whichever of the two comes second has no room. Should that be the slow one, once more.
    let refused = until("a refusal", || {
        let mut slow = world.client().connect().unwrap();
        slow.write_all(head.as_bytes()).unwrap();
        slow.write_all(&[b' '; 50_000]).unwrap();
        let answer = world.client().post("/v1/events", &world.keys.app, &padded);
        (answer.status == 429).then_some(answer)
    });
    assert!(refused.header("retry-after").is_some());
    until("room", || {
        (world.client().post("/v1/events", &world.keys.app, &padded).status == 200).then_some(())
    });
}
