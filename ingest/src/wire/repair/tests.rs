//! What is repaired, what is not, and that any bytes are answered.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ROOM: usize = 1 << 20;

fn repaired(body: &[u8]) -> Option<String> {
    json(body, ROOM).map(|bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned())
}

#[test]
fn one_bad_value_costs_itself() {
    for (body, wanted) in [
        (
            r#"{"a":NaN,"b":-Infinity,"c":1e400,"d":01,"e":1}"#,
            r#"{"a":null,"b":null,"c":null,"d":null,"e":1}"#,
        ),
        (r#"[1,undefined,None,True,true, "x"]"#, r#"[1,null,null,null,true,"x"]"#),
        (r#"{"a":,"b":}"#, r#"{"a":null,"b":null}"#),
        (r#"[1,,2,]"#, "[1,2]"),
        (r#"{"a":1,,"b":2,}"#, r#"{"a":1,"b":2}"#),
        (r#"{"a":1 "b":[1 2]}"#, r#"{"a":1,"b":[1,2]}"#),
        (r#"["\ud83d\ude00 \\ud83d"]"#, r#"["\ud83d\ude00 \\ud83d"]"#),
        (r#"["a\ud83d","\ude00\ud83dx\uD83D\n"]"#, "[\"a\u{fffd}\",\"\u{fffd}\u{fffd}x\u{fffd}\\n\"]"),
        (r#"["\ud83d\ud83d\ude00","\x41\u12g4"]"#, "[\"\u{fffd}\\ud83d\\ude00\",\"\\\\x41\\\\u12g4\"]"),
        ("[\"a\nb\tc\u{1}d\"]", r#"["a b c d"]"#),
        ("{}\n{\"a\":NaN}", "{}\n{\"a\":null}"),
    ] {
        assert_eq!(repaired(body.as_bytes()).as_deref(), Some(wanted), "{body}");
    }
    assert_eq!(
        repaired(b"[\"a\xffb\xe2\x82\",\"\xe2\x82\xac\"]").unwrap(),
        "[\"a\u{fffd}b\u{fffd}\u{fffd}\",\"\u{20ac}\"]"
    );
    let deep = format!("{{\"a\":{}\"]\"{},\"b\":1}}", "[".repeat(5000), "]".repeat(5000));
    let read: Value = serde_json::from_str(&repaired(deep.as_bytes()).unwrap()).unwrap();
    assert_eq!(read["b"], 1);
}

#[test]
fn what_has_no_form_is_not_repaired() {
    for body in ["", "canary", "NaN", "{", "[1", r#"{"a"}"#, r#"{"a":1]"#, "[1}", r#"{a:1}"#, r#"["a"#, "{}x"]
    {
        assert_eq!(repaired(body.as_bytes()), None, "{body}");
    }
    assert_eq!(json(&[&b"[\""[..], &[0xff; 100], b"\"]"].concat(), 200), None, "more than there is room for");
}

#[test]
fn what_stands_behind_a_body_costs_nothing_of_it() {
    let read = |bytes: &[u8]| body(bytes, ROOM).map(|bytes| String::from_utf8(bytes).unwrap());
    for whole in [r#"{"events":[{"a":1}]}"#, r#"{"batch":[{"a":1},{"b":2}],"x":{}}"#, r#"[{"a":1}]"#] {
        for behind in ["\0", "\0\0\0", "}", "]", ",", ";", " \n}", r#"{"events":[{"c":3}]}"#, "{", "\n{}"] {
            let made = read(format!("{whole}{behind}").as_bytes());
            assert_eq!(made.as_deref().map(str::trim_end), Some(whole), "{behind:?}");
        }
    }
    assert_eq!(
        read(br#"{"a":1}{"b":NaN}"#).unwrap(),
        "{\"a\":1}\n{\"b\":null}\n",
        "events one after the other"
    );
    for none in ["\0", "x{}", "NaN", "", r#"[{"a":1}] and more"#] {
        assert_eq!(read(none.as_bytes()), None, "{none:?}");
    }
    let read = |bytes: &[u8]| lines(bytes, ROOM).map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(read(b"{\"a\":1}\0\n{\"b\":NaN}\0\n\0").unwrap(), "{\"a\":1}\n{\"b\":null}\n");
    assert_eq!(read(b"[{\"a\":1}]\n{}").unwrap(), "[{\"a\":1}]\n");
}

#[test]
fn a_line_that_is_cut_costs_itself() {
    let read = |body: &str| lines(body.as_bytes(), ROOM).map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(read("{\"a\":1}\n{\"b\":\n{\"c\":3}\n").unwrap(), "{\"a\":1}\n0\n{\"c\":3}\n");
    assert_eq!(read("{\"a\":1}\r\n\u{feff}{\"b\":NaN}\r\n").unwrap(), "{\"a\":1}\n{\"b\":null}\n");
    assert_eq!(read("\"b\":1}\n{\"c\":3}").unwrap(), "0\n{\"c\":3}\n");
    assert_eq!(
        read("{\"events\":[\n{\"a\":NaN},\n{\"b\":1}\n]}").unwrap(),
        "{\"events\":[{\"a\":null},{\"b\":1}]}\n"
    );
    assert_eq!(read("{\"a\":\n{\"b\":"), None);
}

#[test]
fn a_beginning_is_closed_wherever_it_ends() {
    let whole = r#"{"writeKey":"k","batch":[{"a":"\u00e9\n","b":[1,true,{"c":null}]}]}"#;
    for end in 1..=whole.len() {
        let closed = beginning(&whole.as_bytes()[..end], ROOM).unwrap();
        let read: Value = serde_json::from_slice(&closed).unwrap_or_else(|e| panic!("{end}: {e}"));
        assert!(end < 16 || read["writeKey"] == "k", "{end}: {read}");
    }
}

proptest! {
    #[test]
    fn what_is_repaired_is_json_and_any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for body in [bytes.clone(), [b"[\"", &bytes[..], b"\"]"].concat(), [b"[", &bytes[..], b"]"].concat()] {
            for made in [json(&body, ROOM), lines(&body, ROOM), beginning(&body, ROOM)].into_iter().flatten() {
                let mut values = serde_json::Deserializer::from_slice(&made).into_iter::<Value>();
                prop_assert!(values.all(|value| value.is_ok()), "{:?}", String::from_utf8_lossy(&made));
            }
        }
    }

    #[test]
    fn what_is_valid_keeps_its_meaning(text in ".{0,20}", number in any::<i32>(), flag in any::<bool>()) {
        let value = serde_json::json!({"a": text, "b": [number, flag, null, {"c": text}]});
        let made = json(value.to_string().as_bytes(), ROOM).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&made).unwrap(), value);
    }
}
