//! The objects in which the lines of a chain lie.
//!
//! ```text
//! 00000000000000000001.jsonl     lines 1 .. n; named by its first line
//! 00000000000000000257.jsonl     begun when the one before it had its lines or its bytes
//! ```
//! A line is appended by putting the last object anew, with one line more, or by putting the first line of a new one whose name nobody has. An object
//! is whole or as it was, so a crash leaves no half of a line, and a line that is not whole is damage.
//!
//! Invariants: lines before the new one are put back byte for byte as they were read; what a process that was killed has put is made durable
//! before anything follows from it. Not here: whose turn it is (`receipts.rs`), what a line says (`entry.rs`).

use std::io::{self, ErrorKind};
use std::sync::Arc;

use shoal_files::Objects;

use crate::entry::Line;
use crate::error::{ReceiptError, Result};
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::verify::Follower;

/// What an object has at the most before a new one is begun: lines, and bytes, one line more or less.
const LINES_MAX: u64 = 256;
const BYTES_MAX: usize = 256 << 10;
/// No object of a chain is larger.
const READ_BYTES_MAX: u64 = 1 << 20;
const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;

/// A chain's objects, as they were when they were read or appended to last.
pub(crate) struct Segments {
    objects: Arc<dyn Objects>,
    /// The numbers of their first lines, in order.
    firsts: Vec<u64>,
    /// The bytes of the last one.
    last: String,
}

fn name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == DIGITS)?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The error of an object or of the place (`""`).
pub(crate) fn io_of<'a>(objects: &'a dyn Objects, name: &'a str) -> impl Fn(io::Error) -> ReceiptError + 'a {
    move |source| ReceiptError::Io { path: objects.path(name), source }
}

/// Damage in a line of an object.
pub(crate) fn damaged(
    objects: &dyn Objects,
    name: &str,
    line: u64,
    reason: impl Into<String>,
) -> ReceiptError {
    ReceiptError::Damaged { path: objects.path(name), line, reason: reason.into() }
}

impl Segments {
    /// Reads a chain and gives each of its lines. The hashes of all lines are checked, and the signature of the last one, which all others hang on.
    pub(crate) fn read(
        objects: Arc<dyn Objects>,
        keys: &[PublicKey],
        each: &mut dyn FnMut(&Line, &Hash),
    ) -> Result<(Segments, Follower)> {
        let place = objects.as_ref();
        match place.sync("") {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_of(place, "")(error)),
            _ => {}
        }
        let listed = place.list("").map_err(io_of(place, ""))?;
        let mut firsts: Vec<u64> = listed.iter().filter_map(|entry| first_of(&entry.name)).collect();
        firsts.sort_unstable();
        let (mut follower, mut last, mut newest) = (Follower::new(), String::new(), None);
        for first in &firsts {
            let name = name(*first);
            if *first != follower.end.count + 1 {
                return Err(damaged(place, &name, 0, "the lines before this object are not all there"));
            }
            last = read_text(place, &name)?;
            for (text, number) in last.split_terminator('\n').zip(1..) {
                let fault = |reason| damaged(place, &name, number, reason);
                let line = follower.next(text).map_err(fault)?;
                each(&line, &follower.end.hash);
                newest = Some((line, name.clone(), number));
            }
            if !last.ends_with('\n') {
                return Err(damaged(place, &name, 0, "the object does not end with a whole line"));
            }
        }
        if let Some((line, name, number)) = newest {
            line.check_signature(keys).map_err(|reason| damaged(place, &name, number, reason))?;
        }
        Ok((Segments { objects, firsts, last }, follower))
    }

    /// Whether the last object is as this process left it, and nobody has begun the one that would begin with the next line.
    pub(crate) fn is_current(&self, next: u64) -> Result<bool> {
        let place = self.objects.as_ref();
        let read = |name: &str| match place.read(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_of(place, name)(error)),
        };
        let is_as_left = match self.firsts.last() {
            Some(first) => read(&name(*first))?.is_some_and(|bytes| bytes == self.last.as_bytes()),
            None => true,
        };
        Ok(is_as_left && read(&name(next))?.is_none())
    }

    /// Appends a line of this number, durably. After an error nobody knows whether it is there, and the chain must be read anew.
    pub(crate) fn append(&mut self, number: u64, line: &str) -> Result<()> {
        let place = self.objects.as_ref();
        let first = self
            .firsts
            .last()
            .copied()
            .filter(|first| number - first < LINES_MAX && self.last.len() + line.len() < BYTES_MAX);
        match first {
            Some(first) => {
                let name = name(first);
                let text = format!("{}{line}\n", self.last);
                place.put(&name, text.as_bytes()).map_err(io_of(place, &name))?;
                self.last = text;
            }
            None => {
                let name = name(number);
                let text = format!("{line}\n");
                place.put_if_absent(&name, text.as_bytes()).map_err(io_of(place, &name))?;
                self.firsts.push(number);
                self.last = text;
            }
        }
        Ok(())
    }

    /// The line of this number, which is there.
    pub(crate) fn line(&self, number: u64) -> Result<String> {
        let place = self.objects.as_ref();
        let before = self.firsts.partition_point(|first| *first <= number).checked_sub(1);
        let Some(first) = before.and_then(|at| self.firsts.get(at)) else {
            return Err(damaged(place, "", 0, "there is no line of this number"));
        };
        let name = name(*first);
        let text = read_text(place, &name)?;
        let index = usize::try_from(number - first).ok();
        let line = index.and_then(|index| text.split_terminator('\n').nth(index));
        line.map(str::to_owned)
            .ok_or_else(|| damaged(place, &name, number - first + 1, "the line is missing"))
    }
}

/// Writes the whole chain of a place, as it is there, for [`verify_chain`](crate::verify_chain) and others' verifiers. A process may append
/// meanwhile: what is written then is what there was at some moment.
///
/// # Errors
/// When it cannot be read or written.
pub fn export_chain(place: &dyn Objects, to: &mut dyn io::Write) -> Result<()> {
    let listed = place.list("").map_err(io_of(place, ""))?;
    let mut firsts: Vec<u64> = listed.iter().filter_map(|entry| first_of(&entry.name)).collect();
    firsts.sort_unstable();
    for first in firsts {
        let name = name(first);
        let text = read_text(place, &name)?;
        to.write_all(text.as_bytes()).map_err(io_of(place, &name))?;
    }
    Ok(())
}

fn read_text(place: &dyn Objects, name: &str) -> Result<String> {
    let source = place.open(name).map_err(io_of(place, name))?;
    let bytes = source.length().map_err(io_of(place, name))?;
    let bytes = usize::try_from(bytes).ok().filter(|_| bytes <= READ_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| damaged(place, name, 0, "the object is too large"))?;
    let mut text = vec![0; bytes];
    source.read_at(0, &mut text).map_err(io_of(place, name))?;
    String::from_utf8(text).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        damaged(place, name, line, "the line is no text")
    })
}
