//! What every protocol keeps to, and what its clients hear.
#![allow(clippy::unwrap_used)]

use super::protocol::{Later, Refused};
use super::*;
use crate::answer::{BatchAnswer, Outcome};
use crate::grant::KeyKind;

fn refused(protocol: Protocol, later: Option<Later>) -> Option<Reply> {
    let outcome = Err(Refused { code: "some_code", reason: "A sentence.", later });
    answer(protocol, &Told { content_type: None, outcome })
}

fn text(reply: Option<Reply>) -> String {
    let reply = reply.unwrap();
    assert_eq!(reply.media_type, "application/json");
    String::from_utf8(reply.body).unwrap()
}

#[test]
fn each_protocol_answers_a_batch_in_its_form() {
    let mut batch =
        BatchAnswer::new(KeyKind::Server, vec![Outcome::Accepted, Outcome::Withheld("no_consent")]);
    batch.request_id = Some("fc6d8c0c43fc4630ad850ee518f1b9d0".to_owned());
    let told = |protocol| text(answer(protocol, &Told { content_type: None, outcome: Ok(&batch) }));
    assert_eq!(told(Protocol::Segment), r#"{"success":true}"#);
    assert_eq!(told(Protocol::Sentry), r#"{"id":"fc6d8c0c43fc4630ad850ee518f1b9d0"}"#);
    let native: serde_json::Value = serde_json::from_str(&told(Protocol::Native)).unwrap();
    assert_eq!((&native["received"], &native["withheld"]), (&2.into(), &1.into()));
    assert_eq!(native["events"][1]["code"], "no_consent");
    assert!(native.get("request_id").is_none());
}

#[test]
fn each_protocol_says_why_in_a_form_after_which_its_client_comes_back() {
    for later in [Later::Overloaded, Later::Unavailable, Later::DiskFull] {
        assert_eq!(refused(Protocol::Native, Some(later)), None, "a problem document");
        assert_eq!(refused(Protocol::Sentry, Some(later)).unwrap().later, Some(Later::Overloaded));
    }
    let segment = |later| refused(Protocol::Segment, Some(later)).unwrap().later.unwrap();
    assert_eq!(segment(Later::Overloaded), Later::Overloaded);
    assert_eq!(segment(Later::Unavailable), Later::Unavailable);
    assert_eq!(segment(Later::DiskFull), Later::Unavailable);
    for protocol in [Protocol::Segment, Protocol::Sentry] {
        assert_eq!(refused(protocol, None).unwrap().later, None, "it does not come back in vain");
    }
    assert_eq!(text(refused(Protocol::Segment, None)), r#"{"code":"some_code","message":"A sentence."}"#);
    assert_eq!(text(refused(Protocol::Sentry, None)), r#"{"causes":["some_code"],"detail":"A sentence."}"#);
}

#[test]
fn every_protocol_repairs_what_it_can() {
    let limits = Limits::default();
    for protocol in [Protocol::Native, Protocol::Segment] {
        let made = repaired(protocol, br#"{"a":"\ud83d","b":NaN}"#, &limits).unwrap();
        assert_eq!(made, "{\"a\":\"\u{fffd}\",\"b\":null}\n".as_bytes());
        assert_eq!(repaired(protocol, b"canary", &limits), None);
    }
    let envelope =
        repaired(Protocol::Sentry, b"{}\n{\"type\":\"event\",\"length\":9}\n{\"a\":NaN}\n", &limits);
    assert_eq!(envelope.unwrap(), b"{}\n{\"length\":10,\"type\":\"event\"}\n{\"a\":null}\n");
}
