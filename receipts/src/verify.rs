//! Whether lines are a chain: each is the next one, has the hash of the one before it, and is signed.
//!
//! Invariant: a [`Follower`] goes on only with a line that follows the one before it. What a chain alone cannot tell is whether lines are missing at its
//! end: whoever wants to know compares its number of lines and its last hash with what was seen before.
//! Not here: where lines lie (`segments.rs`).

use std::io::{BufRead, Read as _};

use crate::entry::{LINE_BYTES_MAX, Line, hash_of};
use crate::error::Fault;
use crate::hash::Hash;
use crate::key::PublicKey;

/// How many lines a chain has, and the hash of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// The number of lines.
    pub count: u64,
    /// The hash of the last line; of an empty chain, 32 zeros.
    pub hash: Hash,
}

impl ChainEnd {
    /// The end of an empty chain.
    pub(crate) const FIRST: ChainEnd = ChainEnd { count: 0, hash: Hash::FIRST };
}

/// Goes along a chain.
pub(crate) struct Follower {
    pub(crate) end: ChainEnd,
    region: Option<String>,
}

impl Follower {
    /// Before the first line.
    pub(crate) fn new() -> Follower {
        Follower { end: ChainEnd::FIRST, region: None }
    }

    /// Reads the next line. Its signature is another question.
    pub(crate) fn next(&mut self, text: &str) -> Result<Line, &'static str> {
        let line = Line::read(text)?;
        if line.entry.seq != self.end.count + 1 {
            return Err("the entry has another number than the one after the line before it");
        }
        if line.entry.prev != self.end.hash {
            return Err("the entry does not have the hash of the line before it");
        }
        if self.region.get_or_insert_with(|| line.entry.region.clone()) != &line.entry.region {
            return Err("the entry is of another region");
        }
        self.end = ChainEnd { count: line.entry.seq, hash: hash_of(text) };
        Ok(line)
    }

    /// The region of all lines; none without a line.
    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

/// Verifies a chain from its first line on, with the public keys that may have signed it, and gives the number and the hash of each line. Its files
/// are read one behind the other.
///
/// # Errors
/// [`Fault`] with the first line that is not what the owner of a key has signed, or that does not follow the one before it.
pub fn verify_chain(
    reader: &mut dyn BufRead,
    keys: &[PublicKey],
    each: &mut dyn FnMut(&ChainEnd),
) -> Result<ChainEnd, Fault> {
    let mut follower = Follower::new();
    let mut bytes = Vec::new();
    loop {
        let number = follower.end.count + 1;
        let fault = |reason: &str| Fault::new(number, reason);
        bytes.clear();
        let read = (&mut *reader).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes);
        if read.map_err(|_| fault("the line cannot be read"))? == 0 {
            return Ok(follower.end);
        }
        let text = bytes.strip_suffix(b"\n").ok_or_else(|| fault("the line has no end, or is too long"))?;
        let text = std::str::from_utf8(text).map_err(|_| fault("the line is no text"))?;
        let line = follower.next(text).map_err(fault)?;
        line.check_signature(keys).map_err(fault)?;
        each(&follower.end);
    }
}
