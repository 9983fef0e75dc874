//! How a valid body becomes a broken one.
//!
//! Invariant: what becomes of a body follows from the numbers alone. Not here: bodies, heads and connections (the trial
//! `malformed`).

use crate::Numbers;

/// The largest body that a fault may make of another one.
const BYTES_MAX: usize = 400_000;

/// One fault of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The rest is missing.
    Cut,
    /// A bit is another one.
    Flip,
    /// A piece is missing.
    Hole,
    /// A piece is there twice.
    Twice,
    /// Brackets within brackets, open or closed.
    Deep,
    /// A number that no machine holds.
    Huge,
    /// Bytes that are no UTF-8, or a half of a pair of UTF-16.
    NoText,
    /// A character that means something in JSON, or that ends a line.
    Mark,
    /// A text that is far longer than others.
    Long,
    /// A value in the place of another one of JSON.
    OtherValue,
    /// The same key again and again.
    Keys,
}

impl Mutation {
    const ALL: [Mutation; 11] = [
        Mutation::Cut,
        Mutation::Flip,
        Mutation::Hole,
        Mutation::Twice,
        Mutation::Deep,
        Mutation::Huge,
        Mutation::NoText,
        Mutation::Mark,
        Mutation::Long,
        Mutation::OtherValue,
        Mutation::Keys,
    ];

    /// A body with one to five faults, and which they are.
    #[must_use]
    pub fn several(valid: &[u8], numbers: &mut Numbers) -> (Vec<u8>, Vec<Mutation>) {
        let mut body = valid.to_vec();
        let faults: Vec<Mutation> = (0..=numbers.below(5)).map(|_| *numbers.one_of(&Mutation::ALL)).collect();
        for fault in &faults {
            if body.len() < BYTES_MAX {
                fault.apply(&mut body, numbers);
            }
        }
        (body, faults)
    }

    fn apply(self, body: &mut Vec<u8>, numbers: &mut Numbers) {
        let at = numbers.position(body.len() + 1);
        let end = (at + 1 + numbers.position(60)).min(body.len());
        let mut insert = |bytes: &[u8]| drop(body.splice(at..at, bytes.iter().copied()));
        match self {
            Mutation::Cut => body.truncate(at),
            Mutation::Flip => {
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
            Mutation::Hole => drop(body.drain(at.min(end)..end)),
            Mutation::Twice => {
                let piece = body[at.min(end)..end].to_vec();
                body.splice(at..at, piece);
            }
            Mutation::Deep => {
                let depth = 1 + numbers.position(3_000);
                let (open, close) = *numbers.one_of(&[("[", "]"), ("{\"a\":", "}"), ("[[{\"a\":", "")]);
                insert(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes());
            }
            Mutation::Huge => insert(numbers.one_of(&HUGE).as_bytes()),
            Mutation::NoText => {
                let bytes: &&[u8] = numbers.one_of(&NO_TEXT);
                insert(bytes);
            }
            Mutation::Mark => insert(&[*numbers.one_of(b"[]{}\",:\\\n\r\t\0 \x1f'`<%#")]),
            Mutation::Long => {
                let byte = *numbers.one_of(b"x \\\"0a");
                insert(&vec![byte; 1 + numbers.position(90_000)]);
            }
            Mutation::OtherValue => other_value(body, at, numbers),
            Mutation::Keys => {
                let key = format!("{}:{},", numbers.one_of(&KEYS), numbers.one_of(&VALUES));
                insert(key.repeat(1 + numbers.position(300)).as_bytes());
            }
        }
    }
}

const HUGE: [&str; 8] = [
    "1e999999",
    "-1e400",
    "99999999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000000000000000000000000000000000001e-300",
    "18446744073709551616",
    "-9223372036854775809",
    "NaN",
    "-Infinity",
];

const NO_TEXT: [&[u8]; 8] = [
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\\ud83d",
    b"\\udc00\\ud800",
    b"\\u0000",
    b"\xef\xbb\xbf",
];

const VALUES: [&str; 12] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "-0",
    "1e308",
    "[[[[]]]]",
    "{\"id\":{\"id\":{}}}",
    "\"9999-99-99T99:99:99Z\"",
    "[null,null]",
    "-1",
];

const KEYS: [&str; 10] = [
    "\"id\"",
    "\"event\"",
    "\"events\"",
    "\"consent\"",
    "\"time\"",
    "\"user_id\"",
    "\"properties\"",
    "\"sql\"",
    "\"batch\"",
    "\"\"",
];

/// Puts another value behind the first colon after a place.
fn other_value(body: &mut Vec<u8>, at: usize, numbers: &mut Numbers) {
    let Some(colon) = body.iter().skip(at).position(|byte| *byte == b':').map(|found| at + found + 1) else {
        return;
    };
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']');
    let end = body.iter().skip(colon).position(ends).map_or(body.len(), |found| colon + found);
    body.splice(colon..end, numbers.one_of(&VALUES).bytes());
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Mutation};
    use crate::Numbers;

    #[test]
    fn the_same_numbers_break_a_body_the_same_way_whatever_it_is() {
        for seed in 0..2_000 {
            for valid in [&b""[..], b"{", br#"{"events":[{"id":"a","event":"click","time":7}]}"#] {
                let broken = |seed| Mutation::several(valid, &mut Numbers::new(seed));
                let (body, faults) = broken(seed);
                assert_eq!((&body, &faults), (&broken(seed).0, &broken(seed).1));
                assert!(!faults.is_empty() && body.len() < 2 * BYTES_MAX);
            }
        }
    }
}
