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
//! | a line of NDJSON, or an event of a list, that is cut or broken otherwise | `0`, which is no event |
//! | a list of events that has no end, or cannot be told apart from some event on | what is whole of it, and one `0` for the rest |
//! | members behind the events that are cut | those that are whole |
//! | something else behind a whole body: a NUL of C, a bracket too many, another body | the body |
//!
//! The list of events is the body itself, or its member `events` (native) or `batch` (Segment).
//! A body is read as it came first, and is repaired only when that fails: one that is valid costs nothing. What is left of an
//! identifier with U+FFFD in it is no identifier (`json.rs`), since two of them could have become one.
//! Not here: an envelope's framing (`sentry/envelope.rs`), strings and nesting within limits (`json.rs`).

mod lines;

pub(in crate::wire) use lines::lines;

/// Deeper values are not read by serde, whatever the settings say.
const DEPTH_MAX: usize = 100;
/// What stands for bytes that are no text.
pub(in crate::wire) const REPLACEMENT: &str = "\u{fffd}";
/// The members of a body that are lists of events, as they are written.
const LISTS: [&[u8]; 2] = [b"\"events\"", b"\"batch\""];

/// The body of a protocol that is JSON: the first value in it; none when it cannot be repaired.
pub(in crate::wire) fn body(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    Repairer { is_one_body: true, ..Repairer::new(bytes, bytes_max) }.document()
}

/// JSON, one or more values after each other; none when it cannot be repaired.
pub(in crate::wire) fn json(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    Repairer::new(bytes, bytes_max).document()
}

/// The beginning of a JSON text, with an end of its own.
pub(in crate::wire) fn beginning(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    Repairer { is_cut: true, ..Repairer::new(bytes, bytes_max) }.document()
}

/// Reads what may be broken and writes what is not. Every function is none where nothing can be made of it.
struct Repairer<'b> {
    bytes: &'b [u8],
    at: usize,
    out: Vec<u8>,
    bytes_max: usize,
    /// Whether the end is where somebody stopped reading, so that what is open there is closed.
    is_cut: bool,
    /// Whether what stands behind a list of events, and what is nothing behind an event, is left out.
    is_one_body: bool,
    /// Where the body could end, had it nothing that is broken behind that.
    whole: Option<Whole>,
    /// Whether a list of this value has an event that is whole.
    has_events: bool,
}

/// So much of what is written is whole, with this behind it.
struct Whole {
    length: usize,
    end: &'static [u8],
}

impl<'b> Repairer<'b> {
    fn new(bytes: &'b [u8], bytes_max: usize) -> Repairer<'b> {
        let out = Vec::with_capacity(bytes.len());
        Repairer {
            bytes,
            at: 0,
            out,
            bytes_max,
            is_cut: false,
            is_one_body: false,
            whole: None,
            has_events: false,
        }
    }

    fn document(mut self) -> Option<Vec<u8>> {
        while let Some(first) = self.next_token() {
            // A bare word here is no value that is bad, but no JSON at all.
            if !matches!(first, b'{' | b'[') {
                let is_over = self.is_one_body && self.is_over();
                return Some(self.out).filter(|out| is_over && !out.is_empty());
            }
            self.has_events = false;
            if self.value(first, 0).is_none() {
                return self.until_broken();
            }
            self.out.push(b'\n');
            if self.is_one_body && self.is_batch(first) {
                break;
            }
            if first == b'{' {
                self.is_whole_with(b"0\n");
            }
        }
        (!self.out.is_empty()).then_some(self.out)
    }

    /// The list of events, or the batch, with which the body begins; none when it begins with something else.
    fn batch(mut self) -> Option<Vec<u8>> {
        let first = self.next_token().filter(|first| matches!(first, b'{' | b'['))?;
        if self.value(first, 0).is_none() {
            return self.until_broken();
        }
        self.out.push(b'\n');
        self.is_batch(first).then_some(self.out)
    }

    /// Whether what was read is a list of events or a batch, behind which nothing is meant that is no body.
    fn is_batch(&mut self, first: u8) -> bool {
        let is_list = first == b'[' || self.has_events;
        is_list && (matches!(self.next_token(), Some(b'{' | b'[')) || self.is_over())
    }

    /// Whether nothing comes but NULs and brackets and commas that nobody opened or needs.
    fn is_over(&self) -> bool {
        self.bytes[self.at..].iter().all(|b| b.is_ascii_whitespace() || b"\0}],;".contains(b))
    }

    /// What is whole before the place from which on nothing can be told apart.
    fn until_broken(mut self) -> Option<Vec<u8>> {
        let is_full = self.out.len() > self.bytes_max;
        let Whole { length, end } = self.whole.take().filter(|_| !is_full)?;
        self.out.truncate(length);
        self.out.extend_from_slice(end);
        Some(self.out)
    }

    fn is_whole_with(&mut self, end: &'static [u8]) {
        self.whole = Some(Whole { length: self.out.len(), end });
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
            b'{' | b'[' if depth >= DEPTH_MAX => self.leave_out(b"null"),
            b'{' => self.members(depth),
            b'[' if depth == 0 => self.events(b",0]\n"),
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
                    let key = self.out.len();
                    self.text()?;
                    let is_list = depth == 0 && LISTS.contains(&&self.out[key..]);
                    self.member_value(depth, is_list)?;
                    if depth == 0 && self.has_events {
                        self.is_whole_with(b"}\n");
                    }
                }
                None if self.is_cut => return self.close(b'}'),
                _ => return None,
            }
        }
    }

    /// The colon and what follows it.
    fn member_value(&mut self, depth: usize, is_list: bool) -> Option<()> {
        match self.next_token() {
            Some(b':') => self.at += 1,
            None if self.is_cut => {}
            _ => return None,
        }
        self.out.push(b':');
        match self.next_token() {
            Some(b'[') if is_list => self.events(b",0]}\n"),
            Some(first) => self.value(first, depth + 1),
            None if self.is_cut => {
                self.out.extend_from_slice(b"null");
                Some(())
            }
            None => None,
        }
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        self.list(|of, first| of.value(first, depth + 1))
    }

    /// A list of events, with what ends the body after one of them.
    fn events(&mut self, end: &'static [u8]) -> Option<()> {
        self.list(|of, first| of.event(first, end))
    }

    /// An event of a list. What cannot be repaired of it is left out, and the next one is read.
    fn event(&mut self, first: u8, end: &'static [u8]) -> Option<()> {
        let (at, length) = (self.at, self.out.len());
        if self.value(first, 1).is_some() {
            if first == b'{' {
                self.has_events = true;
                self.is_whole_with(end);
            }
            return Some(());
        }
        if self.at >= self.bytes.len() || self.out.len() > self.bytes_max {
            return None;
        }
        self.at = at;
        self.out.truncate(length);
        self.leave_out(b"0")
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self, u8) -> Option<()>) -> Option<()> {
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
                    item(self, first)?;
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

    /// Goes over a list or a map, and writes something else.
    fn leave_out(&mut self, instead: &[u8]) -> Option<()> {
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
                self.out.extend_from_slice(instead);
                return Some(());
            }
        }
    }
}

/// The code unit of `\u` and four hex digits at the beginning.
pub(in crate::wire) fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.get(..6)?.strip_prefix(b"\\u")?;
    digits
        .iter()
        .try_fold(0u16, |sum, digit| Some(sum << 4 | u16::try_from((*digit as char).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests;
