//! The three protocols: bodies in every form, and requests of real SDKs replayed byte for byte.
//!
//! Each event is found once, in the table of its region and kind, without its raw identifiers.
//! Not here: the SDKs themselves (`sdk.rs`), every place where an identifier could hide (`canary.rs`).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::Answer;
use crate::search::Searcher;
use crate::stage::{World, batch, click, consent, encrypted_and_clear};
use crate::tables::{Tables, cells, text};

#[test]
fn native_events_come_in_every_form_and_are_kept_once() {
    let world = World::new();
    let (client, key) = (world.client(), world.keys.app.as_str());
    let bearer = format!("Bearer {key}");
    let send = |body: &[u8], encoding: &str| -> Value {
        let headers = [("authorization", bearer.as_str()), ("content-encoding", encoding)];
        client.ask("POST", "/v1/events", &headers, body).unwrap().expect(200).json()
    };
    let event = |id: &str| {
        let mut event = click(id, "u-1", id);
        event["country"] = json!("US");
        event["consent"] = consent();
        event
    };
    let accepted = |answer: Value| {
        let counts = ["received", "accepted", "duplicate", "withheld", "rejected"]
            .map(|c| answer[c].as_u64().unwrap());
        assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{answer}");
        assert_eq!(counts[0], counts[1], "{answer}");
        counts[1]
    };
    assert_eq!(accepted(send(event("one").to_string().as_bytes(), "identity")), 1);
    assert_eq!(
        accepted(send(json!([event("list-a"), event("list-b")]).to_string().as_bytes(), "identity")),
        2
    );
    assert_eq!(accepted(send(batch("US", vec![event("batch")]).to_string().as_bytes(), "identity")), 1);
    let lines = format!("{}\n{}\n\n{}\n", event("line-a"), event("line-b"), event("line-c"));
    assert_eq!(accepted(send(lines.as_bytes(), "identity")), 3);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(event("gzip").to_string().as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(accepted(send(&gzip, "gzip")), 1);
    let zstd = zstd::encode_all(event("zstd").to_string().as_bytes(), 3).unwrap();
    assert_eq!(accepted(send(&zstd, "zstd")), 1);
    // SDKs send plain JSON under `content-encoding: gzip`.
    assert_eq!(accepted(send(event("unpacked").to_string().as_bytes(), "gzip")), 1);
    assert_eq!(send(&gzip, "gzip")["duplicate"], 1);

    world.flush();
    let tables = Tables::read(&world);
    let mut found: Vec<&str> = tables.rows("us/usage").iter().map(|row| text(row, "element")).collect();
    found.sort_unstable();
    let mut sent =
        ["one", "list-a", "list-b", "batch", "line-a", "line-b", "line-c", "gzip", "zstd", "unpacked"];
    sent.sort_unstable();
    assert_eq!(found, sent);
    assert_eq!(tables.count(), sent.len(), "nothing is in another table");
}

#[test]
fn each_event_is_answered_by_itself() {
    let world = World::new();
    let minor = json!({"policy_version": "2026-1", "age": 15});
    let mut young = click("4", "u-4", "a");
    young["consent"] = minor;
    let mut future = click("5", "u-5", "a");
    future["time"] = json!("2027-11-22T12:00:00Z");
    let mut old = click("6", "u-6", "a");
    old["time"] = json!("2020-01-01T00:00:00Z");
    let events = vec![
        click("1", "u-1", "a"),
        click("1", "u-1", "a"),
        json!({"id": "2", "event": "no_such_event", "user_id": "u"}),
        json!({"id": "3", "event": "click", "user_id": "u", "properties": {}}),
        young,
        future,
        old,
        json!({"id": "7", "event": "click", "properties": {"element": "a"}}),
        json!(17),
    ];
    let answer = world.client().events(&world.keys.app, &batch("DE", events));
    let outcomes: Vec<(&str, &str)> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| (o["status"].as_str().unwrap(), o["code"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("accepted", ""),
            ("duplicate", ""),
            ("rejected", "unknown_event"),
            ("rejected", "missing_property"),
            ("withheld", "minor"),
            ("rejected", "in_future"),
            ("rejected", "too_old"),
            ("rejected", "no_identifier"),
            ("rejected", "bad_event"),
        ]
    );
    assert_eq!(
        ["received", "accepted", "duplicate", "withheld", "rejected"].map(|c| answer[c].as_u64().unwrap()),
        [9, 1, 1, 1, 6]
    );
}

#[test]
fn validate_says_what_would_happen_and_keeps_nothing() {
    let world = World::new();
    let body = batch("DE", vec![click("v", "u-1", "a"), json!({"event": "no_such_event"})]);
    let answer = world.client().post("/v1/validate", &world.keys.app, body.to_string()).expect(200).json();
    assert_eq!((answer["accepted"].as_u64(), answer["rejected"].as_u64()), (Some(1), Some(1)));
    world.flush();
    assert_eq!(Tables::read(&world).count(), 0);
    // It was not remembered either.
    assert_eq!(world.client().events(&world.keys.app, &body)["accepted"], 1);
}

/// A recorded request with the key that was recorded replaced by one that is valid here, in head and body alike.
fn replay(world: &World, file: &str) -> Answer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/data").join(file);
    let recorded = std::fs::read(&path).unwrap();
    let split = recorded.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let (head, body) = (std::str::from_utf8(&recorded[..split]).unwrap(), &recorded[split + 4..]);
    let key = &world.keys.asserting;
    let basic = BASE64_STANDARD.encode("key1.secret1:");
    let head = head
        .replace(&basic, &BASE64_STANDARD.encode(format!("{}:", key.reveal())))
        .replace("sentry_key=key1", &format!("sentry_key={}", key.reveal_for_dsn()));
    let mut bytes = head.into_bytes();
    if recorded[..split].to_ascii_lowercase().windows(7).any(|w| w == b"chunked") {
        // The recorder joined the chunks.
        bytes.extend_from_slice(format!("\r\n\r\n{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(body);
    }
    world.client().send(&bytes).unwrap()
}

/// What the recordings hold of their made-up person.
const RECORDED: [&str; 9] = [
    "anna@example.com",
    "+49 170 1234567",
    "B5372DB0-C21E-11E4-8DFC-AA07A5B093DB",
    "203.0.113.7",
    "abcdef0123456789",
    "sk_live_0123456789abcdef",
    "Anna's iPhone",
    "anonymous-2",
    "0cd487be-149f-4156-a194-fd2b36c5f479",
];

/// In no file, in no cell of a copy in the clear, and in no cell of a file in the clear.
fn assert_none_is_kept(world: &World) {
    let searcher = Searcher::new(&RECORDED);
    let mut hits = searcher.hits_in_files(world.dir());
    hits.extend(searcher.hits(&cells(&world)));
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn recorded_requests_of_segment_sdks_are_taken() {
    encrypted_and_clear(|_| {}, |world| segment_sdks(world));
}

fn segment_sdks(world: &World) {
    for file in ["segment-python-0.bin", "segment-python-gzip-0.bin", "segment-node-0.bin"] {
        for _ in 0..2 {
            let answer = replay(world, file).expect(200);
            assert_eq!(answer.json(), json!({"success": true}), "{file}");
        }
    }
    world.flush();
    let tables = Tables::read(world);
    // Of each: a click, a page and a screen; both of Python also an order. `login` says `success`, which is not listed.
    assert_eq!(tables.events("click").len(), 3);
    assert_eq!(tables.events("screen_view").len(), 6);
    assert_eq!(tables.events("purchase").len(), 2);
    assert_eq!(tables.count(), 11, "each once, though all were sent twice");
    for (table, row) in tables.events("click") {
        assert_eq!((table, text(row, "consent"), text(row, "app")), ("de/usage", "asserted", "camera"));
        assert_eq!((text(row, "screen"), text(row, "element")), ("home", "add_device"));
        assert!(["iPhone7,2", "SM-G991B"].contains(&text(row, "device_model")));
        assert_eq!(text(row, "app_version"), "4.2.0");
    }
    let subjects: std::collections::BTreeSet<&str> =
        tables.rows("de/usage").iter().map(|row| text(row, "subject")).collect();
    assert_eq!(subjects.len(), 1, "all of them are the same person's");
    assert_none_is_kept(world);
}

#[test]
fn recorded_requests_of_sentry_sdks_are_taken() {
    encrypted_and_clear(|_| {}, |world| sentry_sdks(world));
}

fn sentry_sdks(world: &World) {
    let python = (0..5).map(|at| format!("sentry-python-{at}.bin"));
    let node = (0..4).map(|at| format!("sentry-node-{at}.bin"));
    for file in python.chain(node) {
        for _ in 0..2 {
            let answer = replay(world, &file).expect(200).json();
            assert!(answer.is_object(), "{file}");
            if file == "sentry-python-1.bin" {
                assert_eq!(answer["id"], "7fb795e5a72c4384ac91789f6072bd4b");
            }
        }
    }
    world.flush();
    let tables = Tables::read(world);
    assert_eq!(tables.rows("de/crash").len(), 3, "two of Python, one of Node");
    for row in tables.rows("de/crash") {
        assert!(["ValueError", "TypeError"].contains(&text(row, "exception_type")));
        // The e-mail address is that of the event's own person.
        assert!(text(row, "message").contains("asked by <identifier> from <ip>"), "{}", text(row, "message"));
        assert!(text(row, "stack").contains("load_stream") || text(row, "stack").contains("loadStream"));
    }
    let states: Vec<(&str, &str)> =
        tables.rows("de/usage").iter().map(|row| (text(row, "session"), text(row, "result"))).collect();
    let sessions: BTreeSet<&str> = states.iter().map(|(session, _)| *session).collect();
    assert_eq!(
        (sessions.len(), states.len()),
        (3, 4),
        "one of the three sessions counts an error: {states:?}"
    );
    assert_eq!(tables.events("page_load").len(), 2, "what was timed as a whole");
    assert_eq!(tables.events("api_request").len(), 2, "and its request");
    for (_, row) in tables.events("api_request") {
        assert_eq!(row["status_code"], 503);
    }
    assert_none_is_kept(world);
}
