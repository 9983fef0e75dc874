//! Requests that real SDKs sent, see `tests/data/README.md`.

use proptest::prelude::*;

use super::*;

/// What the recording scripts put where an SDK can put it.
const MARKERS: [&str; 10] = [
    "anna",
    "203.0.113.7",
    "1234567",
    "B5372DB0",
    "abcdef0123456789",
    "SN0123456789",
    "sk_live",
    "user-1",
    "key1",
    "secret1",
];

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Replays a recorded request at the time it was recorded.
fn replay(name: &str) -> Piped {
    let bytes = file(name);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let header = |name: &str| {
        head.lines()
            .find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    };
    let protocol = if head.contains("/v1/batch") { Protocol::Segment } else { Protocol::Sentry };
    let recorded_ms = rfc3339("2026-11-22T03:19:30Z").unwrap();
    let request = Request {
        protocol,
        content_type: header("content-type"),
        content_encoding: header("content-encoding"),
        message_type: None,
        body: &bytes[end + 4..],
        peer: None,
        received_ms: recorded_ms,
    };
    let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
    let piped = world().run(&request, &grant, recorded_ms).unwrap();
    for batch in &piped.batches {
        let bytes = batch.bytes();
        for marker in MARKERS {
            assert!(
                !bytes.windows(marker.len()).any(|w| w.eq_ignore_ascii_case(marker.as_bytes())),
                "{name}: {marker}"
            );
        }
    }
    piped
}

fn codes(piped: &Piped) -> Vec<&'static str> {
    piped.outcomes.iter().map(code).collect()
}

#[test]
fn segment_messages_become_events() {
    for name in ["segment-python-0", "segment-python-gzip-0"] {
        let piped = replay(name);
        let (not, yes) = ("not_an_event", "accepted");
        let last = code(&piped.outcomes[7]);
        assert_eq!(codes(&piped)[..7], [not, yes, yes, yes, yes, not, not]);
        let rows = world().rows(&piped);
        let names: Vec<_> = rows.iter().map(|r| r.0.as_str()).collect();
        assert_eq!(names[..4], ["click", "purchase", "screen_view", "screen_view"]);
        assert_eq!(column(&rows[0], "element"), Some("add_device"));
        assert_eq!(column(&rows[0], "app_version"), Some("4.2.0"));
        assert_eq!(column(&rows[0], "os"), Some("ios"));
        assert_eq!(column(&rows[0], "country"), Some("ZZ"));
        assert_eq!(column(&rows[1], "amount"), Some("1999"));
        assert_eq!(column(&rows[2], "screen"), Some("Home"));
        // `result` is "success", which is not listed, and required.
        assert_eq!(last, "not_listed");
    }
    let piped = replay("segment-node-0");
    assert_eq!(codes(&piped).iter().filter(|c| **c == "not_an_event").count(), 3);
    assert_eq!(piped.outcomes.len(), 7);
}

#[test]
fn a_recorded_request_has_the_same_fingerprints_each_time() {
    let fingerprints =
        |name| replay(name).batches[0].rows().iter().map(|r| r.fingerprint).collect::<Vec<_>>();
    for name in ["segment-python-0", "segment-node-0", "sentry-node-3", "sentry-python-0"] {
        let first = fingerprints(name);
        assert_eq!(first, fingerprints(name));
        let mut unique = first.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), first.len());
    }
}

#[test]
fn a_retry_of_an_sdk_that_stamps_anew_when_it_sends_is_known() {
    let bytes = file("segment-python-0");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let recorded: serde_json::Value = serde_json::from_slice(&bytes[end..]).unwrap();
    let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
    let fingerprints = |message_id: &serde_json::Value, sent_at: &str, later_ms: i64| {
        let mut body = recorded.clone();
        body["sentAt"] = sent_at.into();
        for message in body["batch"].as_array_mut().unwrap() {
            // Nobody is named who could count: neither in the message nor beside it.
            message["messageId"] = message_id.clone();
            message["userId"] = serde_json::Value::Null;
            message["context"]["device"] = serde_json::Value::Null;
            message["sentAt"] = sent_at.into();
        }
        let received_ms = rfc3339("2026-11-22T03:19:30Z").unwrap() + later_ms;
        let body = body.to_string();
        let request = Request { received_ms, ..request(Protocol::Segment, body.as_bytes()) };
        let piped = world().run(&request, &grant, received_ms).unwrap();
        piped.batches[0].rows().iter().map(|r| r.fingerprint).collect::<Vec<_>>()
    };
    for message_id in [serde_json::Value::Null, "7".into(), "undefined".into()] {
        let first = fingerprints(&message_id, "2026-11-22T03:19:30Z", 0);
        assert_eq!(first.len(), 4, "{message_id}");
        for (sent_at, later_ms) in [("2026-11-22T03:20:15Z", 45_000), ("2026-11-22T05:19:30Z", 7_200_000)] {
            assert_eq!(fingerprints(&message_id, sent_at, later_ms), first, "{message_id} {sent_at}");
        }
    }
}

#[test]
fn sentry_crashes_have_a_group_and_a_clean_stack() {
    for (name, exception) in
        [("sentry-python-1", "ValueError"), ("sentry-python-3", "ValueError"), ("sentry-node-3", "TypeError")]
    {
        let piped = replay(name);
        assert_eq!(codes(&piped), ["accepted"], "{name}");
        assert_eq!(piped.aside.request_id.as_ref().unwrap().len(), 32);
        let rows = world().rows(&piped);
        assert_eq!(rows[0].0, "app_crash");
        assert_eq!(column(&rows[0], "exception_type"), Some(exception));
        assert_eq!(column(&rows[0], "app_version"), Some("4.2.0"));
        assert_eq!(column(&rows[0], "crash_group").unwrap().len(), 16);
        let stack = column(&rows[0], "stack").unwrap();
        assert!(stack.lines().last().unwrap().contains("load"), "{stack}");
        assert!(!stack.contains("raise") && !stack.contains("throw"), "{stack}");
    }
    assert_eq!(replay("sentry-python-3").aside.skipped_items, 1);
    assert_eq!(codes(&replay("sentry-python-2")), ["not_an_event"]);
}

#[test]
fn sentry_timings_become_performance_events() {
    for name in ["sentry-python-0", "sentry-node-2"] {
        let piped = replay(name);
        let mut rows = world().rows(&piped);
        rows.sort();
        let names: Vec<_> = rows.iter().map(|r| r.0.as_str()).collect();
        assert!(names.contains(&"api_request"), "{name}: {names:?} {:?}", piped.outcomes);
        let request = rows.iter().find(|r| r.0 == "api_request").unwrap();
        assert_eq!(column(request, "endpoint"), Some("/v1/streams"));
        assert_eq!(column(request, "status_code"), Some("503"));
        assert!(column(request, "duration_ms").unwrap().parse::<i64>().unwrap() < 1000);
    }
    let rows = world().rows(&replay("sentry-python-0"));
    assert_eq!(rows[0].0, "page_load");
    assert_eq!(column(&rows[0], "screen"), Some("LiveView"));
}

#[test]
fn sentry_sessions_have_a_result() {
    for name in ["sentry-node-0", "sentry-node-1", "sentry-python-4"] {
        let rows = world().rows(&replay(name));
        assert_eq!(rows[0].0, "session");
        assert_eq!(column(&rows[0], "result"), Some("exited"), "{name}");
    }
}

#[test]
fn a_text_cut_inside_an_emoji_is_read() {
    let body = br#"{"batch":[{"type":"track","event":"click","userId":"u-9","messageId":"m","properties":{"element":"ok","note":"\ud83d"}}]}"#;
    let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
    let piped = world().run(&request(Protocol::Segment, body), &grant, now()).unwrap();
    assert_eq!((codes(&piped), piped.dropped_properties), (vec!["accepted"], 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_recording_is_answered(
        which in 0..5usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let name = ["segment-python-0", "segment-node-0", "sentry-node-0", "sentry-node-2", "sentry-node-3"][which];
        let bytes = file(name);
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let mut body = bytes[end..].to_vec();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if !keep {
            body.truncate(cut.index(body.len()));
        }
        let protocol = if which < 2 { Protocol::Segment } else { Protocol::Sentry };
        let grant = grant(Some(Programme::UserExperience));
        if let Ok(piped) = world().run(&request(protocol, &body), &grant, now()) {
            let answer = piped.into_answer(KeyKind::Server);
            prop_assert_eq!(answer.received, answer.accepted + answer.withheld + answer.rejected);
        }
    }
}
