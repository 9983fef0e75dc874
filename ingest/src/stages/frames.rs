//! The stack of a crash: its frames as clients send them, its text and the group it belongs to.
//!
//! Invariants: of a frame only module, function, file and line are read, each bounded: never code, variables or
//! arguments; a group depends on neither lines nor addresses, so that a new build of the same code keeps it.
//! The innermost frame is the last, as in a Python or Sentry stack.
//! Not here: scrubbing (`scrub.rs` gives the scrubbed fields), the hash (`shoal_privacy::crash_group`).

use std::borrow::Cow;
use std::fmt::Write as _;

use shoal_privacy::{crash_group::crash_group, scrub::Scrubber, work::Work};

use crate::wire::{batch::FRAMES_MAX, json::Json};

/// Frames that make the group.
const GROUP_FRAMES: usize = 8;
/// Bytes of the text of a stack.
const STACK_BYTES_MAX: usize = 8 * 1024;
/// Bytes of one field of a frame.
const FIELD_BYTES_MAX: usize = 256;

/// One frame. No `Debug`: it is what somebody sent.
pub(crate) struct Frame<'a> {
    module: Cow<'a, str>,
    function: Cow<'a, str>,
    file: Cow<'a, str>,
    line: Option<i64>,
    in_app: bool,
}

impl<'a> Frame<'a> {
    /// The fields that are text.
    pub(crate) fn texts(&mut self) -> [&mut Cow<'a, str>; 3] {
        [&mut self.module, &mut self.function, &mut self.file]
    }

    /// Writes all of it, so that no two frames have one text.
    pub(crate) fn put_into(&self, out: &mut String) {
        for text in [&self.module, &self.function, &self.file] {
            let _ = write!(out, "\u{1f}{}:{text}", text.len());
        }
        let _ = write!(out, "\u{1f}{:?}{}", self.line, self.in_app);
    }
}

/// Reads a list of frames: objects, or texts that name the function. None when it is no list.
pub(crate) fn read<'a>(value: Json<'a>) -> Option<Vec<Frame<'a>>> {
    let Json::List(items) = value else { return None };
    let skipped = items.len().saturating_sub(FRAMES_MAX);
    Some(items.into_iter().skip(skipped).filter_map(frame).collect())
}

fn frame(value: Json<'_>) -> Option<Frame<'_>> {
    let text = |key: &str| {
        let text = value.get(key).and_then(Json::text);
        text.map_or(Cow::Borrowed(""), |t| cut(t.clone(), FIELD_BYTES_MAX))
    };
    let line = match value.get("line") {
        Some(Json::Integer(line)) => Some(*line).filter(|l| (0..1_000_000_000).contains(l)),
        _ => None,
    };
    match value {
        Json::Text(function) => Some(Frame {
            module: Cow::Borrowed(""),
            function: cut(function, FIELD_BYTES_MAX),
            file: Cow::Borrowed(""),
            line: None,
            in_app: true,
        }),
        Json::Map(_) => Some(Frame {
            module: text("module"),
            function: text("function"),
            file: text("file"),
            line,
            in_app: !matches!(value.get("in_app"), Some(Json::Boolean(false))),
        }),
        _ => None,
    }
}

/// The first bytes of a text, whole characters.
pub(crate) fn cut(text: Cow<'_, str>, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text;
    }
    let end = text.floor_char_boundary(bytes_max);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// The text of a stack and its group: 16 hexadecimal digits.
pub(crate) struct Stack {
    pub(crate) text: String,
    pub(crate) group: String,
}

/// Scrubs the frames and makes text and group of them. `exception_type` is already clean.
pub(crate) fn stack(
    exception_type: &str,
    frames: &[Frame<'_>],
    scrubber: &Scrubber,
    work: &mut Work,
) -> Stack {
    let mut text = String::new();
    for frame in frames {
        let before = text.len();
        line(frame, scrubber, &mut text, work);
        if text.len() > STACK_BYTES_MAX {
            text.truncate(before);
            break;
        }
    }
    let any_in_app = frames.iter().any(|f| f.in_app);
    let chosen = frames.iter().rev().filter(|f| f.in_app || !any_in_app).take(GROUP_FRAMES);
    let mut parts = vec![exception_type.to_owned()];
    parts.extend(chosen.map(|f| {
        let module = normal(&scrubber.scrub(&f.module, work));
        let function = normal(&scrubber.scrub(&f.function, work));
        format!("{module}.{function}")
    }));
    Stack { text, group: crash_group(&parts) }
}

/// `module.function (file:line)`
fn line(frame: &Frame<'_>, scrubber: &Scrubber, out: &mut String, work: &mut Work) {
    let mut line = String::new();
    line.push_str(&frame.module);
    if !frame.module.is_empty() && !frame.function.is_empty() {
        line.push('.');
    }
    line.push_str(&frame.function);
    let mut scrubbed = scrubber.scrub(&line, work).into_owned();
    if !frame.file.is_empty() {
        // The line number is added afterwards: a pattern must not take it for a part of something.
        let _ = write!(scrubbed, " ({}", scrubber.scrub(&frame.file, work));
        if let Some(number) = frame.line {
            let _ = write!(scrubbed, ":{number}");
        }
        scrubbed.push(')');
    }
    scrubbed.retain(|c| !c.is_control());
    out.push_str(&scrubbed);
    out.push('\n');
}

/// Without what changes from build to build: numbers, addresses, hashes of closures.
fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, c)) if !c.is_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        out.push_str(if is_volatile(word) {
            "#"
        } else {
            word.trim_end_matches(|c: char| c.is_ascii_digit())
        });
        out.push_str(end);
    }
    out
}

/// A number, an address (`0x..`), a hash: hexadecimal with digits in it, 6 or more long, after an `h` perhaps.
fn is_volatile(word: &str) -> bool {
    let digits = word.strip_prefix("0x").or(word.strip_prefix('h')).unwrap_or(word);
    let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let any_digit = digits.bytes().any(|b| b.is_ascii_digit());
    hex && any_digit
        && (digits.len() >= 6 || digits.bytes().all(|b| b.is_ascii_digit()) || word.starts_with("0x"))
}
