//! A pattern file, and how one pattern is looked for.
//!
//! ```toml
//! name = "card"              # the match becomes <card>; several files may share a name
//! doc = "..."                # what it finds and why it stops where it does
//! priority = 30              # lower runs first, 0 to 99
//! regex = '''...'''          # verbose mode, Unicode; the group `secret` is what is replaced, else the whole match; when the
//!                            #   group `list` has matched, all further members of the list go with the secret
//! validator = "luhn"         # optional, see `validate.rs`: gives the length that is valid, or refuses the match
//! edge = "digit"             # optional: the match may not touch another digit; "decimal": nor be the decimals of
//!                            #   a number; "word": nor touch a letter; "label": as "word", but it may end a name in camel
//!                            #   case; "host": as "word", nor be a part of a longer name with dots; "number": as "word", nor
//!                            #   go on with a date or a time before it; see `edge.rs`
//! rest = "value"             # optional: what belongs to the secret behind a blank or an escape goes with it; "secret":
//!                            #   behind a comma and the like as well; "numbers": the groups of further telephone numbers;
//!                            #   see `rest.rs`, `further.rs`
//! splits = true              # optional: a second telephone number behind the first one is no part of it
//! needs = { digits = 13 }    # what a text must have for the regular expression to run, see `scan.rs`:
//!                            #   any, digits, run, separators, labels, words, marks
//! pass = [["text", "result"], ...]   # what must be replaced, with all patterns in force
//! fail = ["text", ...]               # what must stay unchanged
//! ```
//! Not here: what a match may not touch (`edge.rs`), what belongs to it (`rest.rs`), what follows it (`further.rs`).

use std::ops::Range;

use regex::Regex;
use serde::Deserialize;

use super::{
    edge::{Edge, ends_with_escape},
    first::Start,
    further, numbers,
    rest::{self, Rest},
    scan::{Builder, Needs},
    validate::{self, Validator},
};
use crate::work::Work;

/// (file name, text) of every file in `patterns/`.
pub(super) const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/patterns.rs"));

/// How often a match is tried at one place, each time shorter.
const TRIES_MAX: usize = 3;

/// (text, what must become of it).
type Example = (String, String);

/// One compiled pattern.
pub(super) struct Pattern {
    pub(super) priority: u8,
    pub(super) placeholder: String,
    pub(super) needs: Needs,
    /// With an edge it matches at the beginning of what it is given only.
    regex: Regex,
    /// Where a match can begin; none without an edge.
    start: Option<Start>,
    /// Whether the regular expression has a group `secret`.
    grouped: bool,
    validator: Option<Validator>,
    edge: Edge,
    /// What goes with the secret behind it.
    rest: Rest,
    /// Whether the second of two telephone numbers is no part of the match.
    splits: bool,
}

/// Where a pattern matched.
pub(super) struct Found {
    /// What is replaced, in bytes; never empty.
    pub(super) secret: Range<usize>,
    /// Bytes of a list that were looked at for its end.
    listed: usize,
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
    #[serde(default)]
    rest: Rest,
    #[serde(default)]
    splits: bool,
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
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    marks: Vec<String>,
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
    let (regex, start) = compile(&raw).map_err(said)?;
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
        worded: !raw.needs.words.is_empty(),
        marked: !raw.needs.marks.is_empty(),
    };
    scan.label(&raw.needs.labels);
    scan.word(&raw.needs.words);
    scan.mark(&raw.needs.marks);
    let mut examples = raw.pass;
    examples.extend(raw.fail.into_iter().map(|same| (same.clone(), same)));
    let pattern = Pattern {
        priority: raw.priority,
        placeholder: format!("<{}>", raw.name),
        needs,
        grouped: regex.capture_names().flatten().any(|n| n == "secret"),
        regex,
        start,
        validator,
        edge: raw.edge,
        rest: raw.rest,
        splits: raw.splits,
    };
    Ok((pattern, examples))
}

/// The regular expression, and where it can begin when the pattern has an edge.
fn compile(raw: &PatternFile) -> Result<(Regex, Option<Start>), String> {
    let has_edge = !matches!(raw.edge, Edge::None);
    let begin = if has_edge { "(?x)\\A" } else { "(?x)" };
    let regex = Regex::new(&format!("{begin}(?:{}\n)", raw.regex)).map_err(|e| e.to_string())?;
    let start = Start::of(&raw.regex).ok_or("the pattern matches the empty text")?;
    Ok((regex, has_edge.then_some(start)))
}

impl Pattern {
    /// The first valid match at or after a byte; none when no step is left, too.
    pub(super) fn find(&self, text: &str, from: usize, work: &mut Work) -> Option<Found> {
        match &self.start {
            None => self.find_anywhere(text, from, work),
            Some(start) => self.find_at_starts(text, from, start, work),
        }
    }

    /// Without an edge a part of a refused match is no better than the whole, but for its last character, which may be what
    /// another one begins with.
    fn find_anywhere(&self, text: &str, from: usize, work: &mut Work) -> Option<Found> {
        let mut at = from;
        loop {
            let found = self.regex.find_at(text, at);
            let end = found.map_or(text.len(), |whole| whole.end());
            if !work.search(end - at) {
                return None;
            }
            let whole = found?.range();
            if let Some(found) = self.accept(text, whole.clone(), text.len()) {
                return work.pass(found.listed).then_some(found);
            }
            let last = text.floor_char_boundary(whole.end - 1);
            at = if last > whole.start { last } else { whole.end };
        }
    }

    /// With an edge a match begins where a run of letters or digits does, or behind an escape. Only there, and where the
    /// pattern can begin with the byte, it is tried, so that a text of one long run is looked at once.
    fn find_at_starts(&self, text: &str, from: usize, start: &Start, work: &mut Work) -> Option<Found> {
        let bytes = text.as_bytes();
        for at in from..bytes.len() {
            if !start.begins(bytes[at]) {
                continue;
            }
            // Most places end here, so what an edge is comes behind it.
            let may_be = start.may_be(&bytes[at..]);
            let is_behind_percent = at > 0 && bytes[at - 1] == b'%';
            if !(may_be || is_behind_percent)
                || !self.edge.free_before(bytes, at)
                || !text.is_char_boundary(at)
            {
                continue;
            }
            // A match that begins within a percent escape, as `%22` and a number that together have a check digit by
            // chance, is looked for behind it first.
            let behind = at + 2;
            let escape = at.checked_sub(1).and_then(|percent| bytes.get(percent..behind));
            let inner = match escape.is_some_and(ends_with_escape) {
                true if start.may_be(&bytes[behind..]) => self.find_here(text, behind, work),
                _ => None,
            };
            let found = match inner {
                None if may_be => self.find_here(text, at, work),
                inner => inner,
            };
            if found.is_some() || work.is_spent() {
                return found.filter(|_| work.pass(at - from));
            }
        }
        work.pass(bytes.len() - from);
        None
    }

    /// The valid match that begins at a byte. One that is refused is tried again without its last run: it touches what
    /// follows it, or it has taken another number behind a blank for a part of its own.
    fn find_here(&self, text: &str, at: usize, work: &mut Work) -> Option<Found> {
        let mut window = text.len();
        for _ in 0..TRIES_MAX {
            let found = self.regex.find(text.get(at..window)?);
            if !work.search(found.map_or(0, |whole| whole.len())) {
                return None;
            }
            let end = at + found?.end();
            if let Some(found) = self.accept(text, at..end, window) {
                return work.pass(found.listed).then_some(found);
            }
            window = self.edge.last_run_start(&text.as_bytes()[..end]).filter(|cut| *cut < window)?;
        }
        None
    }

    /// The match when it is valid. What is behind `window` is not looked at.
    fn accept(&self, text: &str, whole: Range<usize>, window: usize) -> Option<Found> {
        let (mut secret, is_listed) = match self.grouped {
            false => (whole.clone(), false),
            true => {
                let from = if self.start.is_some() { whole.start } else { 0 };
                let captures = self.regex.captures_at(&text[from..window], whole.start - from)?;
                let secret = captures.name("secret")?;
                (from + secret.start()..from + secret.end(), captures.name("list").is_some())
            }
        };
        let is_last = secret.end == whole.end;
        if self.splits
            && let Some(end) = numbers::first_of_two(text, &secret)
        {
            secret.end = end;
        }
        if let Some(validator) = self.validator {
            let valid = validator(&text[secret.clone()])?;
            secret.end = secret.start + valid;
        }
        let end = if is_last { secret.end } else { whole.end };
        let free =
            self.edge.free_before(text.as_bytes(), whole.start) && self.edge.free_after(text.as_bytes(), end);
        if !free || secret.is_empty() {
            return None;
        }
        let (end, listed) = match is_listed {
            true => further::list_end(text, &secret),
            false => (rest::end(text, &secret, self.rest), 0),
        };
        secret.end = end;
        Some(Found { secret, listed })
    }
}
