//! One bad value costs itself or its event, on every protocol; and of what is said twice the last counts.

use proptest::prelude::*;

use super::*;

const CONSENT: &str = r#""consent":{"policy_version":"2026-1"}"#;

/// What no parser of JSON takes, in the place of a value.
const BAD_VALUES: [&[u8]; 11] = [
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"undefined",
    b"None",
    b"",
    b"01",
    br#""a\ud83d""#,
    br#""a\x41""#,
    b"\"a\xff\xfe\"",
    b"\"a\nb\"",
];

fn view(id: &str, duration: &[u8]) -> Vec<u8> {
    let head = format!(
        r#"{{"id":"{id}","event":"screen_view","user_id":"u","country":"DE",{CONSENT},"properties":{{"screen":"home","duration_ms":"#
    );
    [head.as_bytes(), duration, b"}}"].concat()
}

fn codes_of(protocol: Protocol, body: &[u8]) -> Result<Vec<&'static str>, &'static str> {
    let programme = (protocol != Protocol::Native).then_some(Programme::UserExperience);
    let grant = IngestGrant { regions: vec![Region::De], ..grant(programme) };
    let piped = world().run(&request(protocol, body), &grant, now());
    piped.map(|p| p.outcomes.iter().map(code).collect()).map_err(|r| r.code.as_str())
}

fn joined(parts: &[Vec<u8>], between: &[u8]) -> Vec<u8> {
    parts.join(between)
}

#[test]
fn a_bad_value_of_a_native_event_leaves_the_others() {
    for bad in BAD_VALUES {
        let events = [view("1", b"1"), view("2", bad), view("3", b"3")];
        let list = joined(&events, b",");
        for body in [
            [b"[", &list[..], b"]"].concat(),
            [b"{\"events\":[", &list[..], b"]}"].concat(),
            joined(&events, b"\n"),
        ] {
            let shown = String::from_utf8_lossy(&body).into_owned();
            let codes = codes_of(Protocol::Native, &body).unwrap_or_else(|code| panic!("{code}: {shown}"));
            let first_and_last = (codes.first(), codes.last(), codes.len());
            let is_split = bad.contains(&b'\n') && !shown.starts_with(['[']) && !shown.contains("events");
            assert_eq!(
                first_and_last,
                (Some(&"accepted"), Some(&"accepted"), 3 + usize::from(is_split)),
                "{shown}"
            );
        }
    }
}

#[test]
fn a_line_that_is_cut_costs_itself() {
    let whole = view("2", b"2");
    for end in 1..whole.len() {
        let body = joined(&[view("1", b"1"), whole[..end].to_vec(), view("3", b"3")], b"\n");
        assert_eq!(
            codes_of(Protocol::Native, &body).unwrap(),
            ["accepted", "bad_event", "accepted"],
            "{end}"
        );
    }
    let body = joined(&[whole[9..].to_vec(), view("1", b"1")], b"\r\n");
    assert_eq!(codes_of(Protocol::Native, &body).unwrap(), ["bad_event", "accepted"]);
}

#[test]
fn what_is_too_long_or_too_deep_costs_itself_or_its_event() {
    let long = format!("\"{}\"", "x".repeat(70_000)).into_bytes();
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60)).into_bytes();
    let deeper = format!("{}1{}", "[".repeat(5000), "]".repeat(5000)).into_bytes();
    for (bad, code) in [(&long, "too_long"), (&deep, "wrong_type"), (&deeper, "wrong_type")] {
        let body = joined(&[view("1", b"1"), view("2", bad), view("3", b"3")], b"\n");
        assert_eq!(codes_of(Protocol::Native, &body).unwrap(), ["accepted", code, "accepted"]);
    }
    // In a field that is no property, and in one that the batch sets for all.
    for field in ["x", "session_id", "os_version"] {
        let set = [format!("\"{field}\":").as_bytes(), &long].concat();
        let one = [&b"{"[..], &set, b",", &view("1", b"1")[1..]].concat();
        assert_eq!(codes_of(Protocol::Native, &one).unwrap(), ["accepted"], "{field}");
        let batch = [&b"{"[..], &set, b",\"events\":[", &view("1", b"1"), b"]}"].concat();
        assert_eq!(codes_of(Protocol::Native, &batch).unwrap(), ["accepted"], "{field}");
        let context = [&b"{\"context\":{"[..], &set, b"},\"events\":[", &view("1", b"1"), b"]}"].concat();
        assert_eq!(codes_of(Protocol::Native, &context).unwrap(), ["accepted"], "{field}");
    }
}

#[test]
fn a_bad_value_of_a_vendors_event_leaves_the_others() {
    let long = format!("\"{}\"", "x".repeat(70_000));
    for bad in BAD_VALUES.into_iter().chain([long.as_bytes()]) {
        let track = |id: &str, value: &[u8]| {
            let head = format!(
                r#"{{"type":"screen","messageId":"{id}","userId":"u","name":"home","properties":{{"duration_ms":"#
            );
            [head.as_bytes(), value, b"}}"].concat()
        };
        let list = joined(&[track("1", b"1"), track("2", bad), track("3", b"3")], b",");
        let body = [b"{\"batch\":[", &list[..], b"],\"sentAt\":\"2026-11-20T11:59:59Z\"}"].concat();
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(codes_of(Protocol::Segment, &body), Ok(vec!["accepted"; 3]), "{shown:.300}");

        let crash = |id: &str, value: &[u8]| {
            let head = format!(
                r#"{{"event_id":"{id}","user":{{"id":"u"}},"exception":{{"values":[{{"type":"E","value":"v"}}]}},"extra":"#
            );
            [head.as_bytes(), value, b"}"].concat()
        };
        let mut envelope = b"{\"sent_at\":\"2026-11-20T11:59:59Z\"}\n".to_vec();
        for payload in [crash("1", b"1"), crash("2", bad), crash("3", b"3")] {
            envelope.extend_from_slice(
                format!("{{\"type\":\"event\",\"length\":{}}}\n", payload.len()).as_bytes(),
            );
            envelope.extend_from_slice(&payload);
            envelope.push(b'\n');
        }
        assert_eq!(codes_of(Protocol::Sentry, &envelope), Ok(vec!["accepted"; 3]), "{shown:.300}");
    }
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    let row = |protocol, body: &str| {
        let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
        let piped = world().run(&request(protocol, body.as_bytes()), &grant, now()).unwrap();
        assert_eq!(piped.outcomes.iter().map(code).collect::<Vec<_>>(), ["accepted"], "{body}");
        let heads: Vec<_> =
            row::rows(piped.batches[0].bytes()).map(|r| row::decode(r.unwrap()).unwrap().0).collect();
        (world().rows(&piped).remove(0), heads[0].subject)
    };
    let native =
        |members: &str| row(Protocol::Native, &format!(r#"{{"event":"click","country":"DE",{members}}}"#));
    let once = r#""user_id":"b","properties":{"element":"ok"}"#;
    for twice in [
        r#""user_id":"a","user_id":"b","properties":{"element":"ok"}"#,
        r#""user_id":"b","properties":{"element":"no","element":"ok"}"#,
        r#""user_id":"b","properties":{"element":"no"},"properties":{"element":"ok"}"#,
        r#""user_id":"b","user_id":null,"properties":{"element":7,"element":"ok","element":null}"#,
    ] {
        assert_eq!(native(twice), native(once), "{twice}");
    }
    let batch = r#"{"country":"DE","events":[{"event":"no"},{"event":"no"}],"user_id":"a","user_id":"b","events":[{"event":"click","properties":{"element":"ok"}}]}"#;
    assert_eq!(row(Protocol::Native, batch), native(once));
    let segment = |members: &str| {
        row(Protocol::Segment, &format!(r#"{{"batch":[{{"type":"track","event":"click",{members}}}]}}"#))
    };
    let once = segment(r#""userId":"b","properties":{"element":"ok"}"#);
    assert_eq!(
        segment(
            r#""userId":"a","properties":{"element":"no"},"userId":"b","properties":{"element":"no","element":"ok"}"#
        ),
        once
    );
    let sentry = |members: &str| {
        row(
            Protocol::Sentry,
            &format!(
                "{{}}\n{{\"type\":\"event\"}}\n{{\"exception\":{{\"values\":[{{\"type\":\"E\"}}]}},{members}}}"
            ),
        )
    };
    assert_eq!(sentry(r#""user":{"id":"a"},"user":{"id":"c","id":"b"}"#), sentry(r#""user":{"id":"b"}"#));
}

#[test]
fn an_identifier_of_which_a_part_is_lost_names_nobody() {
    let click = |id: &str| {
        format!(r#"{{"event":"click","country":"DE",{id},{CONSENT},"properties":{{"element":"ok"}}}}"#)
    };
    assert_eq!(
        codes_of(Protocol::Native, click(r#""user_id":"anna\ud83d""#).as_bytes()).unwrap(),
        ["no_identifier"]
    );
    assert_eq!(
        codes_of(Protocol::Native, click(r#""user_id":"anna\ud83d","install_id":"i""#).as_bytes()).unwrap(),
        ["accepted"]
    );
    assert_eq!(
        codes_of(Protocol::Native, click(r#""id":"7\udc00","user_id":"u""#).as_bytes()).unwrap(),
        ["bad_id"]
    );
    let ids = |message_id: &str| {
        let body = format!(
            r#"{{"batch":[{{"type":"track","event":"click","messageId":"{message_id}","userId":"u","properties":{{"element":"{message_id}"}}}}]}}"#
        );
        let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
        world().run(&request(Protocol::Segment, body.as_bytes()), &grant, now()).unwrap().batches[0].rows()[0]
            .fingerprint
    };
    assert_ne!(ids(r"a\ud83d"), ids(r"b\ud83d"), "two ids that are no more told apart lose no event");
}

#[test]
fn sessions_keep_their_errors() {
    let session = |status: &str, errors: &str| {
        let payload = format!(
            r#"{{"sid":"7fb795e5a72c4384ac91789f6072bd4b","did":"u","status":"{status}","errors":{errors},"duration":9,"timestamp":"2026-11-20T11:00:00Z"}}"#
        );
        let body = format!("{{}}\n{{\"type\":\"session\"}}\n{payload}\n");
        let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
        let piped = world().run(&request(Protocol::Sentry, body.as_bytes()), &grant, now()).unwrap();
        let results: Vec<_> =
            world().rows(&piped).iter().map(|r| column(r, "result").unwrap().to_owned()).collect();
        (results, piped.batches[0].rows().iter().map(|r| r.fingerprint).collect::<Vec<_>>())
    };
    assert_eq!(session("ok", "0").0, ["ok"]);
    assert_eq!(session("ok", "2").0, ["ok", "errored"]);
    assert_eq!(session("exited", "1").0, ["exited", "errored"]);
    assert_eq!(session("errored", "1").0, ["errored"]);
    assert_eq!(session("crashed", "1").0, ["crashed"]);
    // Each state of a session counts once, whatever the count of its errors.
    assert_eq!(session("ok", "1").1, session("ok", "2").1);
    assert_eq!(session("ok", "1").1[1], session("exited", "3").1[1]);
    assert_eq!(session("errored", "1").1[0], session("ok", "1").1[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_stands_in_one_place_of_a_text_the_other_events_are_kept(
        junk in proptest::collection::vec(prop_oneof![0x80u8..=0xff, 0u8..0x20], 1..6),
        escape in r#"(\\ud8[0-9a-f]{2}|\\udc[0-9a-f]{2}|\\[a-z]|\\u[0-9]{2})?"#,
    ) {
        let text = [b"\"a", &junk[..], escape.as_bytes(), b"z\""].concat();
        let list = joined(&[view("1", b"1"), view("2", &text), view("3", b"3")], b",");
        let body = [b"[", &list[..], b"]"].concat();
        let codes = codes_of(Protocol::Native, &body).unwrap();
        prop_assert_eq!((codes[0], codes[2], codes.len()), ("accepted", "accepted", 3));
    }
}
