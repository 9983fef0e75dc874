//! JSON that parsers refuse for one value becomes JSON that they read, without that value.
//!
//! | what clients send | becomes |
//! |---|---|
//! | `NaN`, `Infinity`, `1e400`, `undefined`, any other bare word where a value stands; no value at all | `null` |
//! | half of a surrogate pair (`\ud83d`), bytes that are not UTF-8 | U+FFFD |
//! | an escape that JSON has not (`\x41`) | its characters |
//! | a control character in a text | a space |
//! | a comma too many or too few | one |
//! | a value that nests too deep | `null` |
//! | a line of NDJSON that is cut or broken otherwise | `0`, which is no event |
//!
//! A body is read as it came first, and is repaired only when that fails: one that is valid costs nothing. What is left of an
//! identifier with U+FFFD in it is no identifier (`json.rs`), since two of them could have become one.
//! Not here: an envelope's framing (`sentry/envelope.rs`), strings and nesting within limits (`json.rs`).

/// Deeper values are not read by serde, whatever the settings say.
const DEPTH_MAX: usize = 100;
/// What stands for bytes that are no text.
pub(in crate::wire) const REPLACEMENT: &str = "\u{fffd}";

/// The body of a protocol that is JSON, one or more values after each other; none when it cannot be repaired.
pub(in crate::wire) fn json(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    Repairer::new(bytes, bytes_max).document()
}

/// The beginning of a JSON text, with an end of its own.
pub(in crate::wire) fn beginning(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    Repairer { is_cut: true, ..Repairer::new(bytes, bytes_max) }.document()
}

/// A body that is JSON or NDJSON; none when it cannot be repaired.
pub(in crate::wire) fn lines(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let lines = || bytes.split(|b| *b == b'\n').map(without_mark).filter(|line| !line.is_empty());
    let is_event = |line: &&[u8]| line.starts_with(b"{") && line.ends_with(b"}");
    let (all, events) = (lines().count(), lines().filter(is_event).count());
    if all < 2 || events * 2 < all {
        return json(bytes, bytes_max);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut read = 0;
    for line in lines() {
        match Some(line).filter(is_event).and_then(|line| json(line, bytes_max)) {
            Some(line) => {
                out.extend_from_slice(&line);
                read += 1;
            }
            None => out.extend_from_slice(b"0\n"),
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    (read > 0).then_some(out)
}

/// The line without white space around it, and without the byte order mark that joined files leave inside.
fn without_mark(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// Reads what may be broken and writes what is not. Every function is none where nothing can be made of it.
struct Repairer<'b> {
    bytes: &'b [u8],
    at: usize,
    out: Vec<u8>,
    bytes_max: usize,
    /// Whether the end is where somebody stopped reading, so that what is open there is closed.
    is_cut: bool,
}

impl<'b> Repairer<'b> {
    fn new(bytes: &'b [u8], bytes_max: usize) -> Repairer<'b> {
        Repairer { bytes, at: 0, out: Vec::with_capacity(bytes.len()), bytes_max, is_cut: false }
    }

    fn document(mut self) -> Option<Vec<u8>> {
        while let Some(first) = self.next_token() {
            // A bare word here is no value that is bad, but no JSON at all.
            if !matches!(first, b'{' | b'[') {
                return None;
            }
            self.value(first, 0)?;
            self.out.push(b'\n');
        }
        (!self.out.is_empty()).then_some(self.out)
    }

    /// The first byte of what comes next, which is left there.
    fn next_token(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn value(&mut self, first: u8, depth: usize) -> Option<()> {
        if self.out.len() > self.bytes_max {
            return None;
        }
        match first {
            b'{' | b'[' if depth >= DEPTH_MAX => self.leave_out(),
            b'{' => self.members(depth),
            b'[' => self.items(depth),
            b'"' => self.text(),
            b':' => None,
            // Nothing stands where a value should.
            b',' | b'}' | b']' => {
                self.out.extend_from_slice(b"null");
                Some(())
            }
            _ => {
                self.word();
                Some(())
            }
        }
    }

    fn members(&mut self, depth: usize) -> Option<()> {
        self.open(b'{');
        let mut is_first = true;
        loop {
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.close(b'}'),
                Some(b'"') => {
                    if !std::mem::take(&mut is_first) {
                        self.out.push(b',');
                    }
                    self.text()?;
                    self.member_value(depth)?;
                }
                None if self.is_cut => return self.close(b'}'),
                _ => return None,
            }
        }
    }

    /// The colon and what follows it.
    fn member_value(&mut self, depth: usize) -> Option<()> {
        match self.next_token() {
            Some(b':') => self.at += 1,
            None if self.is_cut => {}
            _ => return None,
        }
        self.out.push(b':');
        match self.next_token() {
            Some(first) => self.value(first, depth + 1),
            None if self.is_cut => {
                self.out.extend_from_slice(b"null");
                Some(())
            }
            None => None,
        }
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        self.open(b'[');
        let mut is_first = true;
        loop {
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => return self.close(b']'),
                Some(b'}') => return None,
                Some(first) => {
                    if !std::mem::take(&mut is_first) {
                        self.out.push(b',');
                    }
                    self.value(first, depth + 1)?;
                }
                None if self.is_cut => return self.close(b']'),
                None => return None,
            }
        }
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.at += 1;
    }

    fn close(&mut self, bracket: u8) -> Option<()> {
        self.out.push(bracket);
        self.at += 1;
        Some(())
    }

    /// A number or a name, up to what ends one.
    fn word(&mut self) {
        let rest = &self.bytes[self.at..];
        let is_end = |b: &u8| b.is_ascii_whitespace() || b",:[]{}\"".contains(b);
        let word = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        let is_whole = !self.is_cut || self.at < self.bytes.len();
        let is_value = is_whole && serde_json::from_slice::<serde_json::Value>(word).is_ok();
        self.out.extend_from_slice(if is_value { word } else { b"null" });
    }

    fn text(&mut self) -> Option<()> {
        self.open(b'"');
        loop {
            let rest = &self.bytes[self.at..];
            let is_plain = |b: &u8| (b' '..=0x7f).contains(b) && *b != b'"' && *b != b'\\';
            let plain = rest.iter().position(|b| !is_plain(b)).unwrap_or(rest.len());
            self.out.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => return self.close(b'"'),
                Some(b'\\') => self.escape(),
                Some(0x80..) => self.sequence(),
                Some(_) => {
                    self.out.push(b' ');
                    self.at += 1;
                }
                None if self.is_cut => {
                    self.out.push(b'"');
                    return Some(());
                }
                None => return None,
            }
            if self.out.len() > self.bytes_max {
                return None;
            }
        }
    }

    fn escape(&mut self) {
        let rest = &self.bytes[self.at..];
        let (length, written): (usize, &[u8]) = match (rest.get(1), unit(rest)) {
            (Some(b'u'), Some(0xd800..=0xdbff)) if matches!(unit(&rest[6..]), Some(0xdc00..=0xdfff)) => {
                (12, &rest[..12])
            }
            (Some(b'u'), Some(0xd800..=0xdfff)) => (6, REPLACEMENT.as_bytes()),
            (Some(b'u'), Some(_)) => (6, &rest[..6]),
            (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => (2, &rest[..2]),
            (Some(_), _) => (1, b"\\\\"),
            // The text ends in the middle of it.
            (None, _) => (1, b""),
        };
        self.out.extend_from_slice(written);
        self.at += length;
    }

    /// A character of several bytes, or bytes that are none.
    fn sequence(&mut self) {
        let rest = &self.bytes[self.at..(self.at + 4).min(self.bytes.len())];
        let valid = match std::str::from_utf8(rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let first = std::str::from_utf8(&rest[..valid]).ok().and_then(|text| text.chars().next());
        match first {
            Some(character) => {
                self.out.extend_from_slice(&rest[..character.len_utf8()]);
                self.at += character.len_utf8();
            }
            None => {
                self.out.extend_from_slice(REPLACEMENT.as_bytes());
                self.at += 1;
            }
        }
    }

    /// Goes over a list or a map, and writes `null`.
    fn leave_out(&mut self) -> Option<()> {
        let (mut open, mut is_text) = (0usize, false);
        loop {
            let byte = self.bytes.get(self.at).copied();
            self.at += 1;
            match byte {
                Some(b'\\') if is_text => self.at += 1,
                Some(b'"') => is_text = !is_text,
                Some(b'{' | b'[') if !is_text => open += 1,
                Some(b'}' | b']') if !is_text => open -= 1,
                None if !self.is_cut => return None,
                _ => {}
            }
            if open == 0 || byte.is_none() {
                self.out.extend_from_slice(b"null");
                return Some(());
            }
        }
    }
}

/// The code unit of `\u` and four hex digits at the beginning.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..6)?.strip_prefix(b"\\u")?;
    digits
        .iter()
        .try_fold(0u16, |sum, digit| Some(sum << 4 | u16::try_from((*digit as char).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
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
        for body in
            ["", "canary", "NaN", "{", "[1", r#"{"a"}"#, r#"{"a":1]"#, "[1}", r#"{a:1}"#, r#"["a"#, "{}x"]
        {
            assert_eq!(repaired(body.as_bytes()), None, "{body}");
        }
        assert_eq!(
            json(&[&b"[\""[..], &[0xff; 100], b"\"]"].concat(), 200),
            None,
            "more than there is room for"
        );
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
}
