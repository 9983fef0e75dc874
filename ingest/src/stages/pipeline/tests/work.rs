//! The work of a request grows with its size and no faster: what many events share, and what is repeated, is looked at once. Each body
//! here is within the limits, and takes hours (or a good part of one) where each event looks at all of it.

use super::*;
use crate::consents::{self, Hearing};

fn shipped() -> IngestGrant {
    IngestGrant {
        kind: KeyKind::Shipped,
        regions: vec![Region::De],
        ..grant(Some(Programme::UserExperience))
    }
}

fn codes_of(protocol: Protocol, body: &str) -> Result<Vec<&'static str>, &'static str> {
    let piped = world().run(&request(protocol, body.as_bytes()), &shipped(), now());
    piped.map(|p| p.outcomes.iter().map(code).collect()).map_err(|r| r.code.as_str())
}

/// So many copies, with commas between them.
fn many(text: &str, count: usize) -> String {
    vec![text; count].join(",")
}

#[test]
fn a_transaction_is_read_once_however_many_spans_it_has() {
    let envelope = |members: usize, spans: usize| {
        let (members, spans) = (many(r#""a":1"#, members), many("{}", spans));
        let user = r#""user":{"id":"u"},"start_timestamp":1795176000"#;
        format!("{{}}\n{{\"type\":\"transaction\"}}\n{{{user},\"spans\":[{spans}],{members}}}\n")
    };
    // What follows when the batch is full is not looked at either.
    assert_eq!(codes_of(Protocol::Sentry, &envelope(190_000, 190_000)), Err("too_many_events"));
    let codes = codes_of(Protocol::Sentry, &envelope(300_000, 4_000)).unwrap();
    assert_eq!(codes.len(), 4_001);
    assert!(codes[1..].iter().all(|code| *code == codes[1]));
}

#[test]
fn preferences_of_a_batch_are_read_once_however_many_messages_it_has() {
    let batch = |category: &str, count: usize| {
        let categories = many("\"\u{e9}\":1", count);
        let preferences =
            format!(r#"{{"consent":{{"categoryPreferences":{{{categories},"{category}":0}}}}}}"#);
        let messages: Vec<String> = (0..5_000)
            .map(|at| format!(r#"{{"type":"track","event":"app_open","userId":"u{}"}}"#, at % 10))
            .collect();
        format!(r#"{{"context":{preferences},"batch":[{}]}}"#, messages.join(","))
    };
    for (category, count, changed) in [("Analytics", 250_000, 10), ("Other", 1_000, 0)] {
        let body = batch(category, count);
        let (request, grant, repaired) =
            (request(Protocol::Segment, body.as_bytes()), shipped(), OnceCell::new());
        let decoded =
            decode(&request, body.as_bytes(), &repaired, &world().registry, &Limits::default()).unwrap();
        let hearing = Hearing {
            registry: &world().registry,
            keyring: &world().keyring,
            locator: Locator { registry: &world().registry, grant: &grant, geo: None, peer: None },
            received_ms: now(),
        };
        assert_eq!(consents::changes(&decoded, &hearing).len(), changed, "{category}");
        assert_eq!(codes_of(Protocol::Segment, &body), Ok(vec!["no_consent"; 5_000]), "{category}");
    }
}

#[test]
fn properties_of_a_vendors_event_are_compared_with_declared_ones_alone() {
    let track = |at: usize, nulls: usize, others: usize| {
        let (nulls, others) = (many(r#""screen":null"#, nulls), many(r#""a":1"#, others));
        format!(
            r#"{{"type":"track","event":"click","userId":"u","messageId":"m{at}","properties":{{{nulls},{others},"element":"ok"}}}}"#
        )
    };
    let batch = |messages: Vec<String>| format!(r#"{{"batch":[{}]}}"#, messages.join(","));
    let tracks = batch((0..22).map(|at| track(at, 3_000, 6_900)).collect());
    assert_eq!(codes_of(Protocol::Segment, &tracks), Ok(vec!["accepted"; 22]));
    // More members than any value may have are that event's own loss.
    let tracks = batch(vec![track(0, 70_000, 150_000), track(1, 1, 1)]);
    assert_eq!(codes_of(Protocol::Segment, &tracks), Ok(vec!["missing_property", "accepted"]));
    let crash = format!(
        r#"{{"user":{{"id":"u"}},"exception":{{"values":[{{"type":"E"}}]}},"tags":{{{}}}}}"#,
        many(r#""a":1,"message":null"#, 80_000)
    );
    let envelope = format!("{{}}\n{{\"type\":\"event\"}}\n{crash}\n");
    assert_eq!(codes_of(Protocol::Sentry, &envelope), Ok(vec!["accepted"]));
}

#[test]
fn identifiers_that_a_batch_says_again_and_again_are_not_read_for_each_event() {
    let again: String = (0..40_000).map(|at| format!(r#""user_id":"u-{at}","#)).collect();
    let events = many(r#"{"event":"app_open","user_id":"b"}"#, 4_000);
    let consent = r#""consent":{"policy_version":"2026-1"}"#;
    let body = format!(r#"{{{again}"country":"DE",{consent},"events":[{events}]}}"#);
    assert_eq!(codes_of(Protocol::Native, &body).unwrap().len(), 4_000);
}
