//! The JSON values of a text that stand after each other, as one a line.
//!
//! ```text
//! {"a":1}\n{"b":2}\n{"c":     after the first:  {"b":2}   {"c":
//! ```
//! Invariant: each byte is gone over once. `serde_json::Deserializer::end` makes an error wherever there is more, and counts the lines
//! before it: asked after each value it would go over a text of many lines as often as it has lines.
//! Not here: what a value is (`json.rs`).

use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::{Deserializer, StreamDeserializer, de::StrRead};

use super::json::{self, Bounds, Broken, Json};
use crate::refusal::Refusal;

/// The values behind the first one; what cannot be told apart is the last of them. Begins with what is wrong, if that is what
/// follows the first.
pub(in crate::wire) fn after_first(text: &str) -> Values<'_> {
    let mut values = Values { text, ends: Deserializer::from_str(text).into_iter(), is_over: false };
    values.is_over =
        matches!(values.ends.next(), Some(Ok(_)) | None) && values.rest().trim_ascii().is_empty();
    values
}

/// Iterator of [`after_first`].
pub(in crate::wire) struct Values<'a> {
    text: &'a str,
    ends: StreamDeserializer<'a, StrRead<'a>, IgnoredAny>,
    is_over: bool,
}

/// A value, with the white space before it.
pub(in crate::wire) struct Value<'a> {
    /// The text in which it stands.
    of: &'a str,
    begins: usize,
    text: &'a str,
}

impl<'a> Values<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.ends.byte_offset()..).unwrap_or_default()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.is_over {
            return None;
        }
        let begins = self.ends.byte_offset();
        let ends = match self.ends.next() {
            Some(Ok(_)) => self.ends.byte_offset(),
            Some(Err(_)) => {
                self.is_over = true;
                self.text.len()
            }
            None => return None,
        };
        Some(Value { of: self.text, begins, text: self.text.get(begins..ends)? })
    }
}

impl<'a> Value<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// Where it stops being one value of JSON, by its place in the text.
    pub(in crate::wire) fn read<S: DeserializeSeed<'a>>(&self, seed: S) -> Result<S::Value, Refusal> {
        let mut deserializer = Deserializer::from_str(self.text);
        let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| {
            let before = self.of.get(..self.begins).unwrap_or_default();
            let column = match error.line() {
                1 => error.column() + before.len() - before.rfind('\n').map_or(0, |at| at + 1),
                _ => error.column(),
            };
            json::bad_json_at(before.matches('\n').count() + error.line(), column)
        })
    }
}

/// Reads the values of a text that stand after each other.
///
/// # Errors
/// Where it stops being JSON. The limit that was broken, if it was one, is in `bounds`.
pub(crate) fn parse_all<'a>(text: &'a str, bounds: &Bounds) -> Result<Vec<Json<'a>>, Refusal> {
    let spend = || match bounds.spend(1) {
        true => Ok(()),
        false => Err(json::bad_json(&bounds.stop(Broken::Values))),
    };
    let mut deserializer = Deserializer::from_str(text);
    if deserializer.end().is_ok() {
        return Ok(Vec::new());
    }
    spend()?;
    let mut values = vec![bounds.document().deserialize(&mut deserializer).map_err(|e| json::bad_json(&e))?];
    if deserializer.end().is_err() {
        for value in after_first(text) {
            spend()?;
            values.push(value.read(bounds.document())?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use serde::Deserialize;

    use super::*;

    fn read(text: &str, values_max: usize) -> Result<usize, String> {
        let bounds = Bounds {
            depth_max: 8,
            string_bytes_max: 1000,
            strict: false,
            broken: Cell::new(None),
            values_left: Cell::new(values_max),
            held: Cell::new(0),
        };
        let read = parse_all(text, &bounds).map(|values| values.len()).map_err(|refusal| refusal.reason);
        assert_eq!(bounds.broken.get().is_some(), read.is_err() && values_max < 10, "{text}");
        read
    }

    #[test]
    fn values_after_each_other_are_read_and_what_is_wrong_is_told_by_its_place() {
        for (text, values) in [
            ("", 0),
            (" \n", 0),
            ("7", 1),
            ("{}\n[]\n", 2),
            ("{}{} 1 2 null", 5),
            ("\"a\"\"b\"\r\n\r\n{\"a\":{}}", 3),
        ] {
            assert_eq!(read(text, 100), Ok(values), "{text}");
        }
        for text in [
            "{",
            "7x",
            "{} x",
            "{}\n{}\n {\"a\" 1}",
            "{}\n{\n\"a\":}",
            "{} 1 2x 3",
            "{}\n{\"a\":1} ]",
            "{}\n\n  {\"\u{e4}\":nul}\n{}",
            "[] \"a",
        ] {
            // As whoever asks after each value whether that was all.
            let mut plain = Deserializer::from_str(text);
            let error = loop {
                if let Err(error) = IgnoredAny::deserialize(&mut plain) {
                    break error;
                }
                assert!(plain.end().is_err(), "{text}");
            };
            assert_eq!(read(text, 100), Err(json::bad_json(&error).reason), "{text}");
        }
        assert_eq!(read(&"{}\n".repeat(9), 9), Ok(9));
        assert!(read(&"{}\n".repeat(10), 9).is_err());
    }
}
