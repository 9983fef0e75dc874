//! Where items begin and end, whatever their lengths say.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn payloads(body: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let (_, mut items) = open(body).unwrap();
    let found = items.by_ref().map(|i| i.payload.to_vec()).collect();
    (found, items.broken)
}

#[test]
fn lengths_are_optional_and_payloads_binary() {
    let body = b"{}\n{\"type\":\"session\"}\n{\"sid\":1}\n\n{\"type\":\"attachment\",\"length\":4}\n\n\x00\xff\n\n{\"type\":\"event\",\"length\":2}\n{}";
    assert_eq!(payloads(body), (vec![b"{\"sid\":1}".to_vec(), b"\n\x00\xff\n".to_vec(), b"{}".to_vec()], 0));
    assert_eq!(payloads(b"\n{\"type\":\"event\"}\n{}").0.len(), 1);
    assert_eq!(payloads(b"{}").0.len(), 0);
}

#[test]
fn what_is_whole_before_the_cut_is_kept() {
    let body = b"{}\n{\"type\":\"event\",\"length\":2}\n{}\n{\"type\":\"event\",\"length\":900}\n{";
    assert_eq!(payloads(body), (vec![b"{}".to_vec()], 1));
    assert_eq!(
        payloads(b"{}\n{\"type\":\"event\",\"length\":2}\n{}\nnonsense\n{}"),
        (vec![b"{}".to_vec()], 1)
    );
    assert_eq!(payloads(b"{}\n{\"length\":-5}\n{}").1, 1);
}

#[test]
fn what_is_broken_in_an_item_leaves_the_others_and_their_lengths() {
    let body = b"{\"sent_at\":NaN}\n{\"type\":\"event\",\"length\":14}\n{\"a\":\"\\ud83d\"}\n{\"type\":\"attachment\",\"length\":3}\n\xff\n\x00\n{\"type\":\"session\"}\n{\"sid\":1e400}\n{\"type\":\"event\",\"x\":NaN}\n{}";
    let repaired = super::repaired(body, 1 << 20).unwrap();
    let (payloads, broken) = payloads(&repaired);
    assert_eq!(broken, 0);
    assert_eq!(payloads.len(), 4);
    assert_eq!(payloads[0], "{\"a\":\"\u{fffd}\"}".as_bytes());
    assert_eq!(payloads[2..], [b"{\"sid\":null}".to_vec(), b"{}".to_vec()]);
    assert_eq!(super::repaired(b"\xff\xff\n{}", 1 << 20), None);
    assert_eq!(super::repaired(body, 20), None, "more than there is room for");
}

/// An event's item as a client frames it.
fn item(header: &str, payload: &str, end: &str) -> String {
    format!("{header}\n{payload}{end}")
}

#[test]
fn a_length_that_is_wrong_costs_its_item_at_the_most_and_never_the_next() {
    let (one, two) = (r#"{"a":"one"}"#, r#"{"sid":"two"}"#);
    let next = item(r#"{"type":"session","length":13}"#, two, "\n");
    let length = one.len() as i64;
    for (by, end) in [
        (-11, "\n"),
        (-5, "\n"),
        (-1, "\n"),
        (1, "\n"),
        (2, "\n"),
        (5, "\n"),
        (40, "\n"),
        (9000, "\n"),
        (0, ""),
        (-400, "\n"),
    ] {
        let first = item(&format!(r#"{{"type":"event","length":{}}}"#, length + by), one, end);
        let (found, broken) = payloads(format!("{{}}\n{first}{next}").as_bytes());
        let found: Vec<_> = found.iter().map(|p| std::str::from_utf8(p).unwrap().trim_end()).collect();
        assert_eq!((found, broken), (vec![one, two], 0), "{by}");
    }
    // It says so much that all that follows would be in it.
    let first =
        item(&format!(r#"{{"type":"event","length":{}}}"#, length as usize + 1 + next.len() - 1), one, "\n");
    let (found, broken) = payloads(format!("{{}}\n{first}{next}").as_bytes());
    assert_eq!((found.len(), broken), (2, 0));
    // Nobody knows where something else ends, but where the next one certainly begins.
    for (by, text) in [(-3, "a\nb{}\nc"), (4, "a\nb{}\nc"), (9000, "a\n{\"type\":\"default\"}\n{}\nc")] {
        let header = format!(r#"{{"type":"attachment","length":{}}}"#, text.len() as i64 + by);
        let body = format!("{{}}\n{}{next}", item(&header, text, "\n"));
        assert_eq!(payloads(body.as_bytes()), (vec![two.as_bytes().to_vec()], 1), "{by}");
        let repaired = super::repaired(body.as_bytes(), 1 << 20).unwrap();
        assert_eq!(payloads(&repaired).0.len(), 2, "the part that is broken stays one: {by}");
    }
}

#[test]
fn lines_may_end_in_cr_lf_and_a_header_that_is_broken_costs_its_item() {
    let two = r#"{"sid":"two"}"#;
    for body in [
        format!("{{}}\r\n{{\"type\":\"event\"}}\r\n{{\"a\":1}}\r\n{{\"type\":\"session\"}}\r\n{two}\r\n"),
        format!(
            "{{}}\r\n{{\"type\":\"event\",\"length\":7}}\r\n{{\"a\":1}}\r\n{{\"type\":\"session\",\"length\":13}}\r\n{two}"
        ),
        format!(
            "{{}}\r\n{{\"type\":\"event\",\"length\":7}}\r\n{{\"a\":1}}\r\n\r\n{{\"type\":\"session\"}}\r\n{two}\r\n\r\n"
        ),
    ] {
        let (found, broken) = payloads(body.as_bytes());
        assert_eq!((found.len(), broken), (2, 0), "{body}");
        assert!(std::str::from_utf8(&found[1]).unwrap().starts_with(two));
    }
    // A payload has a type as well, and is no header.
    for header in ["{\"type\":\"transac", "{\"length\":5}", "nonsense", "\u{1}\u{2}"] {
        let body = format!(
            "{{}}\n{header}\n{{\"type\":\"transaction\",\"event_id\":\"1\"}}\n{{\"type\":\"session\"}}\n{two}\n"
        );
        assert_eq!(payloads(body.as_bytes()), (vec![two.as_bytes().to_vec()], 1), "{header}");
    }
    let nothing = "{}\nnonsense\n{\"type\":\"default\"}\n{\"type\":\"event\"}\nno JSON\n";
    assert_eq!(payloads(nothing.as_bytes()), (vec![], 1), "the rest is one part");
}

#[test]
fn lengths_that_are_made_up_cost_no_more_than_the_body() {
    // Each ends with a line, and all the others are in it.
    let item = |length: usize| format!("{{\"type\":\"event\",\"length\":{length:6}}}\n{{\"a\":1}}\n");
    let (count, bytes) = (20_000, item(0).len());
    let body: String = (0..count / 2).map(|at| item(7 + bytes * (count - at - 1))).collect();
    let body = format!("{{}}\n{body}{}", item(7).repeat(count / 2));
    let began = std::time::Instant::now();
    let (found, broken) = payloads(body.as_bytes());
    assert!(found.len() as u64 + broken > 0);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut body = b"{}\n{\"type\":\"event\",\"length\":3}\n".to_vec();
        body.extend(bytes);
        let (_, mut items) = open(&body).unwrap();
        prop_assert!(items.by_ref().count() <= body.len());
        let _ = super::repaired(&body, 1 << 20);
    }

    #[test]
    fn whatever_length_an_item_states_the_next_one_is_found(length in -20i64..200, text in "[a-z {}:,]{0,40}") {
        let (payload, two) = (serde_json::json!({"a": text}).to_string(), "{\"sid\":\"two\"}");
        let first = item(&format!("{{\"type\":\"event\",\"length\":{length}}}"), &payload, "\n");
        let body = format!("{{}}\n{first}{{\"type\":\"session\"}}\n{two}\n");
        let (found, _) = payloads(body.as_bytes());
        prop_assert!(found.iter().any(|found| found.trim_ascii_end() == two.as_bytes()), "{}", body);
    }
}
