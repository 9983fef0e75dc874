//! Broken input: valid bodies of every protocol with faults in them, broken streams, odd heads, odd framing, with and
//! without keys, to every public path.
//!
//! Whatever comes is answered with a reason below 500 (503 and 507 are the service's to say), or the connection ends;
//! nothing hangs; no line of the log has a word of it; and a good batch is taken afterwards.

use std::io::{Read, Write};

use serde_json::{Value, json};
use shoal_faults::{Batch, Mutation, Numbers, Trial};

use crate::http::{PATIENCE, read_answer};
use crate::kill::today;
use crate::load::{Outcome, send};
use crate::run::Run;
use crate::service::{Service, Setup};

/// Stands in every body, path and head, and in no line of the log.
const MARK: &str = "zqxjmarkzqxj";

/// Short waits, so that what is never finished ends soon.
const LIMITS: [(&str, &str); 5] = [
    ("SHOAL_HTTP_HEADER_TIMEOUT_MS", "1000"),
    ("SHOAL_HTTP_BODY_TIMEOUT_MS", "1500"),
    ("SHOAL_INGEST_BODY_BYTES_MAX", "262144"),
    ("SHOAL_INGEST_INFLATED_BYTES_MAX", "1048576"),
    ("SHOAL_HTTP_WRONG_KEY_WAIT_MS_MAX", "0"),
];

/// A valid request: method, path, and body.
type Valid = (&'static str, String, Vec<u8>);

fn click(id: u32) -> Value {
    json!({"id": format!("{MARK}-{id}"), "event": "click", "user_id": format!("{MARK}{id}"), "session_id": MARK,
        "properties": {"element": "a", "screen": MARK, "more": [MARK, {"x": 1.5}]}})
}

/// Valid requests of every protocol and path.
fn valid(setup: &Setup) -> Vec<Valid> {
    let consent = json!({"policy_version": "2026-1", "granted_at": "2026-01-02T03:04:05Z"});
    let batch =
        json!({"consent": consent, "country": "DE", "sent_at": 1, "events": [click(1), click(2), click(3)]});
    let mut one = click(4);
    one["consent"] = consent.clone();
    one["country"] = json!("US");
    let track = json!({"type": "track", "event": "click", "messageId": MARK, "userId": MARK, "anonymousId": MARK,
        "timestamp": "2026-11-22T02:00:00Z", "properties": {"element": MARK},
        "context": {"country": "DE", "consent": {"policy_version": "2026-1", "categoryPreferences": {"Analytics": true}}}});
    let crash = json!({"event_id": "7fb795e5a72c4384ac91789f6072bd4b", "user": {"id": MARK}, "timestamp": 1,
        "exception": {"values": [{"type": MARK, "value": MARK, "stacktrace": {"frames": [{"function": MARK, "lineno": 3}]}}]}});
    let envelope = format!(
        "{{}}\n{{\"type\":\"event\"}}\n{crash}\n{{\"type\":\"session\"}}\n{{\"sid\":\"{MARK}\",\"status\":\"ok\"}}\n"
    );
    let sql = format!(
        "SELECT screen, COUNT(*) AS n FROM usage WHERE day = DATE '{}' AND screen <> '{MARK}' GROUP BY screen",
        today()
    );
    let consents = json!([{"action": "grant", "programme": "user-experience", "policy_version": "2026-1", "user_id": MARK, "country": "DE"},
        {"action": "withdraw", "programme": "user-experience", "policy_version": "2026-1", "install_id": MARK, "country": "US"}]);
    let post = |path: &str, body: &dyn ToString| ("POST", path.to_owned(), body.to_string().into_bytes());
    let key = &setup.ingest_key;
    let mut all = vec![
        post("/v1/events", &batch),
        post("/v1/events", &one),
        post("/v1/events", &format!("{one}\n{one}\n\n{one}")),
        post(&format!("/k/{key}/v1/events"), &batch),
        post("/v1/batch", &json!({"batch": [track, track], "sentAt": "2026-11-22T02:00:00Z"})),
        post("/v1/identify", &json!({"userId": MARK, "traits": {"email": MARK}})),
        post(&format!("/api/1/envelope/?sentry_key={}", key.replace('.', "_")), &envelope),
        post("/v1/consents", &consents),
        post("/v1/validate", &batch),
        post("/v1/validate?protocol=sentry", &envelope),
        post("/v1/sql", &json!({"sql": sql, "precision": "low", "dry_run": true})),
        post("/v1/sql", &json!({"sql": sql, "format": "csv", "id": MARK})),
        post("/v1/retention/runs", &json!({"dry_run": true})),
    ];
    for path in ["/v1/track", "/v1/page", "/v1/screen", "/v1/t", "/v1/import"] {
        all.push(post(path, &track));
    }
    for path in [
        "/v1/tables",
        "/v1/budget?table=usage&region=DE",
        "/v1/schema",
        "/v1/keys/self",
        "/v1/retention/plan",
        "/v1/sql",
        "/openapi.json",
    ] {
        all.push(("GET", path.to_owned(), Vec::new()));
    }
    all.push(("DELETE", format!("/v1/sql/{MARK}"), Vec::new()));
    all.push(("DELETE", format!("/v1/deletions/{MARK}"), Vec::new()));
    all
}

/// A body in a coding, whole or broken, and the coding's name.
fn coded(body: &[u8], numbers: &mut Numbers) -> (Vec<u8>, &'static str) {
    let (mut coded, name) = match numbers.below(8) {
        0 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            (encoder.finish().unwrap(), "gzip")
        }
        1 => (zstd::encode_all(body, 1).unwrap(), "zstd"),
        2 => {
            let mut out = Vec::new();
            brotli::CompressorReader::new(body, 4096, 3, 18).read_to_end(&mut out).unwrap();
            (out, "br")
        }
        3 => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            (encoder.finish().unwrap(), "deflate")
        }
        _ => {
            return (
                body.to_vec(),
                *numbers.one_of(&["", "", "", "", "identity", "gzip", "br", "zstd", "x-zq", "gzip, gzip"]),
            );
        }
    };
    if numbers.one_in(2) {
        let at = numbers.position(coded.len());
        match numbers.below(3) {
            0 => coded.truncate(at),
            1 => coded[at] ^= 1 << numbers.below(8),
            _ => coded.extend_from_within(at..),
        }
    }
    (coded, name)
}

/// A head whose lines are odd now and then.
fn head(method: &str, path: &str, key: &str, numbers: &mut Numbers) -> String {
    let method = if numbers.one_in(15) {
        numbers.one_of(&["BREW", "get", "PUT", "", "OPTIONS", "CONNECT"])
    } else {
        method
    };
    let version = if numbers.one_in(20) {
        numbers.one_of(&["HTTP/1.0", "HTTP/2.0", "HTTP/9", "http/1.1", ""])
    } else {
        "HTTP/1.1"
    };
    let mut path = path.to_owned();
    if numbers.one_in(8) {
        let odd = ["?", "?%ff=%zz", "/../..", "%00", "//", "?a=b&a=b&&&=", "#x", "/%2e%2e/", ";x=1", " x"];
        path.push_str(numbers.word(&odd));
        path.push_str(MARK);
    }
    let mut head = format!("{method} {path} {version}\r\n");
    if !numbers.one_in(30) {
        head.push_str("host: shoal.test\r\n");
    }
    let wrong = format!("Bearer {MARK}.{MARK}");
    let right = format!("Bearer {key}");
    match numbers.below(8) {
        0 => {}
        1 => head.push_str(&format!("authorization: {wrong}\r\n")),
        2 => head.push_str(&format!("authorization: Basic {MARK}=\r\n")),
        3 => head.push_str(&format!("authorization: {right}\r\nauthorization: {wrong}\r\n")),
        _ => head.push_str(&format!("authorization: {right}\r\n")),
    }
    let lines = if numbers.one_in(4) { 1 + numbers.below(3) } else { 0 };
    for _ in 0..lines {
        let odd = [
            format!("content-type: {MARK}\r\n"),
            "content-type: application/json; charset=utf-7\r\n".to_owned(),
            format!("x-query-id: {MARK}\r\n"),
            format!("origin: https://{MARK}\r\n"),
            "expect: 100-continue\r\n".to_owned(),
            format!("x-{MARK}: {}\r\n", "a".repeat(numbers.position(9_000))),
            "upgrade: h2c\r\nconnection: upgrade\r\n".to_owned(),
            "accept: \u{1}\r\n".to_owned(),
            "range: bytes=0-0,-1\r\n".to_owned(),
            "x-forwarded-for: ::1, zz, 999.1.1.1\r\n".to_owned(),
            format!("{MARK}\r\n"),
            " folded: line\r\n".to_owned(),
            "if-none-match: *\r\naccept-encoding: br;q=9, *;q=x\r\n".to_owned(),
        ];
        head.push_str(numbers.one_of(&odd[..]).as_str());
    }
    head
}

/// The bytes of one request, in a frame that is odd now and then.
fn framed(mut head: String, body: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = Vec::new();
    match numbers.below(12) {
        0 => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            for piece in body.chunks(1 + numbers.position(5_000)) {
                let extension = if numbers.one_in(9) { ";x=\"y\"" } else { "" };
                bytes.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(if numbers.one_in(60) { b"\n" } else { b"\r\n" });
            }
            let ends = [
                "0\r\n\r\n",
                "0\r\nx-trailer: y\r\n\r\n",
                "",
                "ffffffffffffffff\r\n",
                "-1\r\n\r\n",
                "0x0\r\n\r\n",
            ];
            bytes.extend_from_slice(numbers.word(&ends).as_bytes());
            return bytes;
        }
        1 => head.push_str(&format!("content-length: {}\r\n", numbers.below(2 * body.len() as u64 + 2))),
        2 => head.push_str("content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        3 => head.push_str(&format!("content-length: {0}\r\ncontent-length: {0}\r\n", body.len())),
        4 => head.push_str(numbers.word(&[
            "content-length: -1\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: +3\r\n",
            "",
        ])),
        _ => head.push_str(&format!("content-length: {}\r\n", body.len())),
    }
    head.push_str("\r\n");
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Sends the bytes and reads what comes back: one answer, or, when it is said that nothing more is sent, all until the
/// end of the connection.
fn exchange(service: &Service, bytes: &[u8], is_ended: bool) -> Result<Vec<u8>, String> {
    let mut stream = service.client().connect().map_err(|e| format!("no connection: {e}"))?;
    stream.set_read_timeout(Some(PATIENCE / 3)).map_err(|e| e.to_string())?;
    // The service may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let read = match is_ended {
        true => {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream.read_to_end(&mut answer).map(drop)
        }
        false => read_answer(&mut stream)
            .map(|told| answer = format!("{}\r\n\r\n{}", told.head(), told.text()).into_bytes()),
    };
    match read {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            Err(format!("no answer and no end; {} bytes came", answer.len()))
        }
        _ => Ok(answer),
    }
}

/// What is wrong with what came back.
fn fault(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    for line in text.lines().filter(|line| line.starts_with("HTTP/")) {
        let status: u16 = line.split(' ').nth(1)?.parse().ok()?;
        if status >= 500 && status != 503 && status != 507 && status != 505 && status != 501 {
            return Some(format!("{status}: {text}"));
        }
    }
    None
}

#[test]
fn whatever_is_sent_is_answered_and_nothing_of_it_is_in_the_log() {
    let Some(mut run) = Run::begin(Trial::Malformed) else { return };
    let mut variables = LIMITS.to_vec();
    variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
    variables.push(("SHOAL_LOG_LEVEL", "trace"));
    let setup = Setup::new(run.dir(), &variables);
    let mut service = setup.serve();
    let (mut statuses, valid) = (std::collections::BTreeMap::<String, u32>::new(), valid(&setup));
    for at in 0..run.count {
        let mut bytes = Vec::new();
        let numbers = &mut run.numbers;
        // Some come behind each other on one connection.
        for _ in 0..(if numbers.one_in(10) { 2 + numbers.below(4) } else { 1 }) {
            let (method, path, body) = numbers.one_of(&valid);
            let (body, _) =
                if numbers.one_in(6) { (body.clone(), Vec::new()) } else { Mutation::several(body, numbers) };
            let (body, coding) = coded(&body, numbers);
            let key = if path.starts_with("/v1/sql") || path.contains("retention") {
                &setup.officer_key
            } else {
                &setup.ingest_key
            };
            let mut head = head(method, path, key, numbers);
            if !coding.is_empty() {
                head.push_str(&format!("content-encoding: {coding}\r\n"));
            }
            bytes.extend(framed(head, &body, numbers));
        }
        if numbers.one_in(40) {
            let end = numbers.position(bytes.len());
            bytes.truncate(end);
        }
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(1_500)]).into_owned();
        let is_ended = run.numbers.one_in(5);
        let answer =
            exchange(&service, &bytes, is_ended).unwrap_or_else(|told| panic!("input {at}: {told}\n{shown}"));
        assert_eq!(fault(&answer), None, "input {at}:\n{shown}");
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("closed").to_owned();
        *statuses.entry(status).or_default() += 1;
        assert!(service.is_running(), "input {at} ended the service:\n{shown}\n{}", service.lines());
    }
    println!("malformed: answers {statuses:?}");
    let good = send(&mut service.client(), &setup, Batch(1));
    assert!(matches!(good, Outcome::Acknowledged { duplicates: 0 }), "a good batch must be taken");
    run.took("ready", service.ready());
    let lines = service.lines();
    let said = lines.lines().find(|line| line.contains(MARK) || line.contains("zqxj"));
    assert_eq!(said, None, "a line of the log repeats what was sent");
    service.stop_in_order();
}
