//! A pattern file, and how one pattern is looked for.
//!
//! ```toml
//! name = "card"              # the match becomes <card>; several files may share a name
//! doc = "..."                # what it finds and why it stops where it does
//! priority = 30              # lower runs first, 0 to 99
//! regex = '''...'''          # verbose mode, Unicode; the group `secret` is what is replaced, else the whole match
//! validator = "luhn"         # optional, see `validate.rs`: gives the length that is valid, or refuses the match
//! edge = "digit"             # optional: the match may not touch another digit; "decimal": nor be the decimals of
//!                            #   a number; "word": nor touch a letter
//! needs = { digits = 13 }    # what a text must have for the regular expression to run, see `scan.rs`:
//!                            #   any, digits, run, separators, labels
//! pass = [["text", "result"], ...]   # what must be replaced, with all patterns in force
//! fail = ["text", ...]               # what must stay unchanged
//! ```
//! An edge is not disturbed by an escape before the match: the `2` of `%22192.168.0.1` is part of `%22`.

use std::ops::Range;

use regex::Regex;
use serde::Deserialize;

use super::{
    scan::{Builder, Needs},
    validate::{self, Validator},
};

/// (file name, text) of every file in `patterns/`.
pub(super) const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/patterns.rs"));

/// Refused matches may be this many times as long as the text, and so many bytes more, taken together. In a text made to be
/// refused again and again, what comes after is withheld rather than looked at.
const REFUSED_RATIO_MAX: usize = 64;
const REFUSED_BYTES_MIN: usize = 64 * 1024;

/// (text, what must become of it).
type Example = (String, String);

/// One compiled pattern.
pub(super) struct Pattern {
    pub(super) priority: u8,
    pub(super) placeholder: String,
    pub(super) needs: Needs,
    regex: Regex,
    /// Whether the regular expression has a group `secret`.
    grouped: bool,
    validator: Option<Validator>,
    edge: Edge,
}

/// Where a pattern matched.
pub(super) struct Found {
    /// What is replaced, in bytes; never empty.
    pub(super) secret: Range<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Edge {
    #[default]
    None,
    Digit,
    /// As `Digit`, and not the decimals of a number: `3.14159265358979`.
    Decimal,
    Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternFile {
    name: String,
    doc: String,
    priority: u8,
    regex: String,
    validator: Option<String>,
    #[serde(default)]
    edge: Edge,
    needs: NeedsFile,
    pass: Vec<Example>,
    fail: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeedsFile {
    #[serde(default)]
    any: String,
    #[serde(default)]
    digits: u32,
    #[serde(default)]
    run: u32,
    #[serde(default)]
    separators: u32,
    #[serde(default)]
    labels: Vec<String>,
}

/// Reads a pattern file; gives the pattern and its examples.
///
/// # Errors
/// What is wrong with it, with the file's name.
pub(super) fn parse(file: &str, text: &str, scan: &mut Builder) -> Result<(Pattern, Vec<Example>), String> {
    let said = |what: String| format!("{file}: {what}");
    let raw: PatternFile = toml::from_str(text).map_err(|e| said(e.to_string()))?;
    let is_name = |c: u8| c.is_ascii_lowercase() || c == b'_';
    if raw.name.is_empty() || raw.name.len() > 32 || !raw.name.bytes().all(is_name) {
        return Err(said("`name` is made of up to 32 small letters and `_`".to_owned()));
    }
    if raw.doc.is_empty() || raw.pass.is_empty() || raw.fail.is_empty() {
        return Err(said("`doc`, `pass` and `fail` are needed".to_owned()));
    }
    if raw.priority > 99 {
        return Err(said("`priority` is 0 to 99".to_owned()));
    }
    let regex = Regex::new(&format!("(?x){}", raw.regex)).map_err(|e| said(e.to_string()))?;
    if regex.is_match("") {
        return Err(said("the pattern matches the empty text".to_owned()));
    }
    let validator = match &raw.validator {
        None => None,
        Some(name) => {
            Some(validate::named(name).ok_or_else(|| said(format!("there is no validator {name:?}")))?)
        }
    };
    let needs = Needs {
        any: scan.ask(&raw.needs.any).map_err(said)?,
        digits: raw.needs.digits,
        run: raw.needs.run,
        separators: raw.needs.separators,
        labelled: !raw.needs.labels.is_empty(),
    };
    scan.label(&raw.needs.labels);
    let mut examples = raw.pass;
    examples.extend(raw.fail.into_iter().map(|same| (same.clone(), same)));
    let pattern = Pattern {
        priority: raw.priority,
        placeholder: format!("<{}>", raw.name),
        needs,
        grouped: regex.capture_names().flatten().any(|n| n == "secret"),
        regex,
        validator,
        edge: raw.edge,
    };
    Ok((pattern, examples))
}

impl Pattern {
    /// The first valid match at or after a byte.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Found> {
        let mut at = from;
        let mut refused_bytes_left = REFUSED_RATIO_MAX * text.len() + REFUSED_BYTES_MIN;
        while refused_bytes_left > 0 {
            let whole = self.regex.find_at(text, at)?;
            if let Some(found) = self.accept(text, whole.range()) {
                return Some(self.after_escape(text, whole.start()).unwrap_or(found));
            }
            refused_bytes_left = refused_bytes_left.saturating_sub(whole.len());
            // With an edge, a part of the match may do; without, a part is no better than the whole.
            at = match self.edge {
                Edge::None => whole.end(),
                _ => next_boundary(text, whole.start()),
            };
        }
        (at < text.len()).then_some(Found { secret: at..text.len() })
    }

    /// The match that begins after a percent escape, when the one at `start` begins within it: `%22` and a number that
    /// together have a check digit by chance.
    fn after_escape(&self, text: &str, start: usize) -> Option<Found> {
        let behind = start + 2;
        let escape = start.checked_sub(1).and_then(|at| text.as_bytes().get(at..behind))?;
        if matches!(self.edge, Edge::None) || !ends_with_escape(escape) {
            return None;
        }
        let inner = self.regex.find_at(text, behind).filter(|m| m.start() == behind)?;
        self.accept(text, inner.range())
    }

    fn accept(&self, text: &str, whole: Range<usize>) -> Option<Found> {
        let mut secret = match self.grouped {
            false => whole.clone(),
            true => self.regex.captures_at(text, whole.start)?.name("secret")?.range(),
        };
        if let Some(validator) = self.validator {
            let valid = validator(&text[secret.clone()])?;
            secret.end = secret.start + valid;
        }
        let end = if self.validator.is_some() && !self.grouped { secret.end } else { whole.end };
        let free =
            self.edge.free_before(text.as_bytes(), whole.start) && self.edge.free_after(text.as_bytes(), end);
        (free && !secret.is_empty()).then_some(Found { secret })
    }
}

fn next_boundary(text: &str, at: usize) -> usize {
    let mut next = at + 1;
    while next < text.len() && !text.is_char_boundary(next) {
        next += 1;
    }
    next
}

impl Edge {
    fn touches(self, byte: u8) -> bool {
        match self {
            Edge::None => false,
            Edge::Digit | Edge::Decimal => byte.is_ascii_digit(),
            Edge::Word => byte.is_ascii_alphanumeric(),
        }
    }

    fn free_before(self, text: &[u8], start: usize) -> bool {
        let before = &text[..start];
        match before {
            [.., digit, b'.'] if matches!(self, Edge::Decimal) => !digit.is_ascii_digit(),
            [.., byte] if self.touches(*byte) => ends_with_escape(before),
            _ => true,
        }
    }

    fn free_after(self, text: &[u8], end: usize) -> bool {
        text.get(end).is_none_or(|byte| !self.touches(*byte))
    }
}

/// `%22`, `\u0022`, `\x22`, `\n`.
fn ends_with_escape(text: &[u8]) -> bool {
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let tail = |n: usize| text.len().checked_sub(n).map(|at| &text[at..]);
    tail(3).is_some_and(|t| t[0] == b'%' && hex(&t[1..]))
        || tail(2).is_some_and(|t| t[0] == b'\\' && b"nrtbf0".contains(&t[1]))
        || tail(4).is_some_and(|t| t.starts_with(b"\\x") && hex(&t[2..]))
        || tail(6).is_some_and(|t| t.starts_with(b"\\u") && hex(&t[2..]))
}
