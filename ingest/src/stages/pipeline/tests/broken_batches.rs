//! What is wrong with a batch costs that and not its events; what is cut costs what is behind the cut.

use super::*;

const CONSENT: &str = r#""consent":{"policy_version":"2026-1"}"#;

fn click(id: &str, members: &str) -> String {
    format!(r#"{{"id":"{id}","event":"click"{members},"properties":{{"element":"ok"}}}}"#)
}

/// What became of a body: the codes of its events, and those of the batch itself with their fields.
#[derive(Debug, PartialEq)]
struct Told {
    codes: Vec<&'static str>,
    faults: Vec<String>,
}

fn told(protocol: Protocol, body: &[u8]) -> Result<Told, &'static str> {
    let (programme, regions) = match protocol {
        Protocol::Native => (None, vec![Region::De, Region::Us]),
        _ => (Some(Programme::UserExperience), vec![Region::De]),
    };
    let grant = IngestGrant { regions, ..grant(programme) };
    let piped = world().run(&request(protocol, body), &grant, now()).map_err(|r| r.code.as_str())?;
    let fault = |f: &crate::answer::Rejection| {
        format!("{} {}", f.code.as_str(), f.field.as_deref().unwrap_or_default())
    };
    Ok(Told {
        codes: piped.outcomes.iter().map(code).collect(),
        faults: piped.aside.batch_faults.iter().map(fault).collect(),
    })
}

fn expect(protocol: Protocol, body: &str, codes: &[&str], faults: &[&str]) {
    let told = told(protocol, body.as_bytes());
    let told = told.unwrap_or_else(|code| panic!("{code}: {body}"));
    let found: Vec<&str> = told.faults.iter().map(String::as_str).collect();
    assert_eq!((&told.codes[..], &found[..]), (codes, faults), "{body}");
}

#[test]
fn a_bad_value_of_a_native_batch_is_missing_for_each_event_and_named() {
    let whole = format!(r#","user_id":"u","country":"DE",{CONSENT}"#);
    let long = format!(r#""{}""#, "x".repeat(300));
    for (bad, fault, without, code) in [
        (r#""user_id":1.5"#.to_owned(), "bad_identifier user_id", r#""country":"DE""#, "bad_identifier"),
        (r#""user_id":{}"#.to_owned(), "bad_identifier user_id", r#""country":"DE""#, "bad_identifier"),
        (format!(r#""user_id":{long}"#), "bad_identifier user_id", r#""country":"DE""#, "bad_identifier"),
        (r#""country":276"#.to_owned(), "wrong_type country", r#""user_id":"u""#, "no_region"),
        (r#""context":7"#.to_owned(), "wrong_type context", r#""user_id":"u","country":"DE""#, "accepted"),
        (
            r#""context":["a"]"#.to_owned(),
            "wrong_type context",
            r#""user_id":"u","country":"DE""#,
            "accepted",
        ),
        (
            r#""context":{"os":5,"app_version":"4.2.0"}"#.to_owned(),
            "wrong_type os",
            r#""user_id":"u","country":"DE""#,
            "accepted",
        ),
        (r#""sent_at":{}"#.to_owned(), "bad_time sent_at", r#""user_id":"u","country":"DE""#, "accepted"),
        (r#""id":{}"#.to_owned(), "bad_id id", r#""user_id":"u","country":"DE""#, "accepted"),
        (r#""event":7"#.to_owned(), "wrong_type event", r#""user_id":"u","country":"DE""#, "accepted"),
        (
            r#""properties":7"#.to_owned(),
            "wrong_type properties",
            r#""user_id":"u","country":"DE""#,
            "accepted",
        ),
        (r#""events":{}"#.to_owned(), "wrong_type events", r#""user_id":"u","country":"DE""#, "accepted"),
    ] {
        let events = format!("[{},{}]", click("1", &whole), click("2", &format!(",{without},{CONSENT}")));
        for body in [format!(r#"{{{bad},"events":{events}}}"#), format!(r#"{{"events":{events},{bad}}}"#)] {
            expect(Protocol::Native, &body, &["accepted", code], &[fault]);
        }
    }
    // What cannot be read of a consent is the event's that has none of its own.
    let bad = r#""consent":{"policy_version":"2026-1","age":[12]}"#;
    let events = [click("1", &whole), click("2", r#","user_id":"u","country":"DE""#)].join(",");
    let body = format!(r#"{{{bad},"events":[{events}]}}"#);
    expect(Protocol::Native, &body, &["accepted", "bad_consent"], &["bad_consent consent"]);
    // Several are all named, and what is twice too long has a bound.
    let body =
        format!(r#"{{"user_id":1.5,"country":276,"context":{{"os":5}},"events":[{}]}}"#, click("1", &whole));
    let faults = ["bad_identifier user_id", "wrong_type country", "wrong_type os"];
    expect(Protocol::Native, &body, &["accepted"], &faults);
    let many = r#""user_id":1.5,"#.repeat(100);
    let body = format!(r#"{{{many}"events":[{}]}}"#, click("1", &whole));
    assert_eq!(told(Protocol::Native, body.as_bytes()).unwrap().faults.len(), 16);
}

#[test]
fn a_consent_under_another_spelling_counts_wherever_it_stands() {
    let long = format!(r#""Consent":"{}""#, "x".repeat(70_000));
    // What becomes of an event of the batch with a consent of its own: what refuses counts for it, too.
    for (other, beside) in [
        (r#""consent.granted":false"#, "no_consent"),
        (r#""Consent":{"granted":false}"#, "no_consent"),
        (r#""Consent":{"age":12}"#, "minor"),
        (r#""CONSENT":true"#, "accepted"),
        (long.as_str(), "accepted"),
    ] {
        for both in [format!("{CONSENT},{other}"), format!("{other},{CONSENT}")] {
            let event = click("1", &format!(r#","user_id":"u","country":"DE",{both}"#));
            expect(Protocol::Native, &event, &["bad_consent"], &[]);
            // Of a batch it is the fault of those that have none of their own.
            let events =
                [click("1", r#","user_id":"u""#), click("2", &format!(r#","user_id":"u",{CONSENT}"#))];
            let body = format!(r#"{{"country":"DE",{both},"events":[{}]}}"#, events.join(","));
            expect(Protocol::Native, &body, &["bad_consent", beside], &["bad_consent consent"]);
        }
    }
    // One that is only near to it says nothing, and of what is said twice the last counts.
    for both in [
        format!(r#""consents":false,{CONSENT},"Consent":null"#),
        format!(r#""consent":{{"policy_version":7}},{CONSENT}"#),
    ] {
        let event = click("1", &format!(r#","user_id":"u","country":"DE",{both}"#));
        expect(Protocol::Native, &event, &["accepted"], &[]);
    }
}

#[test]
fn null_in_the_place_of_events_is_nothing() {
    let whole = click("1", &format!(r#","user_id":"u","country":"DE",{CONSENT}"#));
    for body in [
        format!(r#"{{"events":[{whole}],"events":null}}"#),
        format!(r#"{{"events":null,"events":[{whole}]}}"#),
        whole.replacen('{', r#"{"events":null,"#, 1),
        whole.replacen('{', r#"{"events":5,"#, 1),
    ] {
        expect(Protocol::Native, &body, &["accepted"], &[]);
    }
    expect(Protocol::Native, r#"{"events":null}"#, &[], &["wrong_type events"]);
    assert_eq!(told(Protocol::Native, br#"{"events":5}"#), Err("wrong_type"));
    let track =
        r#"{"type":"track","event":"click","messageId":"1","userId":"u","properties":{"element":"ok"}}"#;
    for (body, faults) in [
        (format!(r#"{{"batch":[{track}],"batch":null}}"#), &[][..]),
        (format!(r#"{{"batch":[{track}],"batch":7}}"#), &["wrong_type batch"]),
        (format!(r#"{{"batch":7,"batch":[{track}]}}"#), &["wrong_type batch"]),
        (track.replacen('{', r#"{"batch":null,"#, 1), &[]),
        (track.replacen('{', r#"{"batch":7,"#, 1), &[]),
    ] {
        expect(Protocol::Segment, &body, &["accepted"], faults);
    }
    expect(Protocol::Segment, r#"{"batch":null,"sentAt":0}"#, &[], &["wrong_type batch"]);
    assert_eq!(told(Protocol::Segment, br#"{"batch":7}"#), Err("bad_batch"));
    assert_eq!(told(Protocol::Segment, b"{}"), Err("bad_batch"));
}

#[test]
fn a_bad_value_of_a_vendors_batch_costs_itself() {
    let track =
        r#"{"type":"track","event":"click","messageId":"1","userId":"u","properties":{"element":"ok"}}"#;
    for (bad, faults) in [
        (r#""sentAt":{}"#, &["bad_time sentAt"][..]),
        (r#""context":7"#, &["wrong_type context"]),
        (r#""context":{"device":{"id":1.5}}"#, &["bad_identifier context.device.id"]),
        (r#""context":{"country":276,"app":7}"#, &[]),
    ] {
        expect(Protocol::Segment, &format!(r#"{{{bad},"batch":[{track}]}}"#), &["accepted"], faults);
    }
    let crash = r#"{"event_id":"1","user":{"id":"u"},"exception":{"values":[{"type":"E"}]}}"#;
    let long = format!(r#"{{"trace":"{}"}}"#, "x".repeat(20_000));
    for header in ["{\"sent_at\":{}}", "7", "[]", "{\"sent_at\":NaN}", "{\"event_id\":", "\u{1}", &long] {
        let body = format!("{header}\n{{\"type\":\"event\"}}\n{crash}\n");
        expect(Protocol::Sentry, &body, &["accepted"], &[]);
    }
    assert_eq!(told(Protocol::Sentry, b"canary\n{}\n{}"), Err("bad_envelope"));
}

#[test]
fn what_is_whole_before_the_cut_is_kept() {
    let whole = |id: &str| click(id, &format!(r#","user_id":"u","country":"DE",{CONSENT}"#));
    let events = [whole("1"), whole("2")].join(",");
    let third = whole("3");
    for end in 0..third.len() {
        let cut = &third[..end];
        for body in [
            format!("[{events},{cut}"),
            format!("[\n{},\n{},\n{cut}", whole("1"), whole("2")),
            format!(r#"{{"events":[{events},{cut}"#),
            format!("{{\"events\":[\n{}\n,{}\n,{cut}", whole("1"), whole("2")),
            format!(r#"{{"sent_at":"2026-11-20T12:00:00Z","events":[{events},{cut}"#),
        ] {
            expect(Protocol::Native, &body, &["accepted", "accepted", "bad_event"], &[]);
        }
        let codes: &[&str] = if end == 0 { &["accepted"; 2] } else { &["accepted", "accepted", "bad_event"] };
        for body in [
            format!("{}\n{}\n{cut}", whole("1"), whole("2")),
            format!("{}\r\n{}\r\n{cut}", whole("1"), whole("2")),
            format!("{}{}{cut}", whole("1"), whole("2")),
        ] {
            expect(Protocol::Native, &body, codes, &[]);
        }
    }
    let track = |id: &str| {
        format!(
            r#"{{"type":"track","event":"click","messageId":"{id}","userId":"u","properties":{{"element":"ok"}}}}"#
        )
    };
    let (messages, third) = ([track("1"), track("2")].join(","), track("3"));
    for end in 0..third.len() {
        let body = format!(r#"{{"context":{{}},"batch":[{messages},{}"#, &third[..end]);
        expect(Protocol::Segment, &body, &["accepted", "accepted", "bad_event"], &[]);
    }
    // Behind the list there are no more events: what is whole counts.
    let tail = r#"],"country":"DE","user_id":"u","x":[{"y":1}]}"#;
    let inner = [click("1", &format!(",{CONSENT}")), click("2", &format!(",{CONSENT}"))].join(",");
    for end in 1..tail.len() {
        let body = format!(r#"{{"events":[{inner}{}"#, &tail[..end]);
        let codes =
            told(Protocol::Native, body.as_bytes()).unwrap_or_else(|code| panic!("{code}: {body}")).codes;
        let wanted = match end {
            0..16 => "no_region",
            16..30 => "no_identifier",
            _ => "accepted",
        };
        assert_eq!(codes, [wanted; 2], "{body}");
    }
    for body in ["[", "{\"events\":[", "[{\"id\":\"1\"", "{\"event\":\"click\",\"prop"] {
        assert_eq!(
            told(Protocol::Native, body.as_bytes()),
            Err("bad_json"),
            "nothing of it is whole: {body}"
        );
    }
}

#[test]
fn what_stands_behind_a_body_costs_nothing_of_it() {
    let whole = |id: &str| click(id, &format!(r#","user_id":"u","country":"DE",{CONSENT}"#));
    let track =
        r#"{"type":"track","event":"click","messageId":"1","userId":"u","properties":{"element":"ok"}}"#;
    for behind in ["\0", "\0\0", "}", "]", ",", ";", "\n}", r#"{"batch":[]}"#, "\n{}"] {
        for body in [format!("[{}]{behind}", whole("1")), format!(r#"{{"events":[{}]}}{behind}"#, whole("1"))]
        {
            expect(Protocol::Native, &body, &["accepted"], &[]);
        }
        expect(Protocol::Segment, &format!(r#"{{"batch":[{track}]}}{behind}"#), &["accepted"], &[]);
    }
    let line = format!("{}\0\n{}\0\n\0", whole("1"), whole("2"));
    expect(Protocol::Native, &line, &["accepted", "accepted"], &[]);
}

#[test]
fn an_event_that_cannot_be_repaired_costs_itself() {
    let whole = |id: &str| click(id, &format!(r#","user_id":"u","country":"DE",{CONSENT}"#));
    for bad in [r#"{"id"}"#, r#"{"id":"2":3}"#, "{id:2}", r#"{"a":{"b"}}"#, "{{}}", ":"] {
        let body = format!("[{},{bad},{}]", whole("1"), whole("3"));
        expect(Protocol::Native, &body, &["accepted", "bad_event", "accepted"], &[]);
        let body = format!(r#"{{"events":[{},{bad},{}]}}"#, whole("1"), whole("3"));
        expect(Protocol::Native, &body, &["accepted", "bad_event", "accepted"], &[]);
    }
    // Where nothing tells one event from the next, the rest is one.
    for bad in [r#"{"a":"x"y"}"#, r#"{"a":[1}]}"#] {
        let body = format!("[{},{bad},{},{}]", whole("1"), whole("2"), whole("3"));
        expect(Protocol::Native, &body, &["accepted", "bad_event"], &[]);
    }
}

#[test]
fn a_message_is_of_the_type_that_its_path_names_when_it_says_none() {
    let run = |body: &str, message_type: Option<&'static str>| {
        let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
        let request = Request { message_type, ..request(Protocol::Segment, body.as_bytes()) };
        let piped = world().run(&request, &grant, now()).map_err(|r| r.code.as_str())?;
        Ok::<_, &str>(piped.outcomes.iter().map(code).collect::<Vec<_>>())
    };
    let click = r#"{"event":"click","userId":"u","properties":{"element":"ok"}"#;
    for said in ["}", r#","type":null}"#, r#","type":""}"#, r#","type":7}"#, r#","type":"track"}"#] {
        assert_eq!(run(&format!("{click}{said}"), Some("track")), Ok(vec!["accepted"]), "{said}");
    }
    assert_eq!(run(&format!("{click}}}"), None), Err("bad_batch"));
    // What a message says itself counts.
    assert_eq!(run(&format!(r#"{click},"type":"identify"}}"#), Some("track")), Ok(vec!["not_an_event"]));
    for kind in ["page", "screen"] {
        assert_eq!(run(r#"{"name":"home","userId":"u"}"#, Some(kind)), Ok(vec!["accepted"]), "{kind}");
    }
    for kind in ["identify", "group", "alias"] {
        assert_eq!(run(r#"{"userId":"u","traits":{}}"#, Some(kind)), Ok(vec!["not_an_event"]), "{kind}");
    }
    // The type is that of one message, not of those in a batch.
    assert_eq!(run(&format!(r#"{{"batch":[{click}}}]}}"#), Some("track")), Ok(vec!["bad_event"]));
    assert_eq!(run("[]", Some("track")), Err("bad_batch"));
}
