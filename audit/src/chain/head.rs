//! The head of a chain: how many lines there are and the hash of the last, in a small file of two places that are written
//! in turn, so that a torn write leaves the one before it.
//!
//! ```text
//! byte 0      one place                "<count, 20 digits> <hash, 64 hex> <count, 20 digits>\n"
//! byte 4096   the other one            likewise
//! ```
//! The head is the place with the greater count. A write is one `pwrite` of less than a sector and one fdatasync.
//! Invariant: when [`HeadFile::write`] has answered, the head survives a power cut. Not here: the lines.

use std::io::ErrorKind;

use shoal_files::{LogFile, Source};

use super::place::{ChainPlace, HEAD};
use crate::error::Result;
use crate::form::LineHash;

const PLACE_BYTES: u64 = 4096;
const DIGITS: usize = 20;
const TEXT_BYTES: usize = DIGITS + 1 + 64 + 1 + DIGITS + 1;

/// How many lines there are, and the hash of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) count: u64,
    pub(super) hash: LineHash,
}

impl Head {
    /// The head of a chain; none when there is no file of it.
    pub(super) fn read(place: &ChainPlace) -> Result<Option<Head>> {
        let file = match place.medium.open(HEAD) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(place.io(HEAD))?,
        };
        newest(&*file, place).map(|(_, head)| Some(head))
    }

    fn text(&self) -> String {
        let digits: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{0:020} {digits} {0:020}\n", self.count)
    }

    fn parse(text: &[u8]) -> Option<Head> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.strip_suffix('\n')?.split(' ');
        let (count, digits, again) = (parts.next()?, parts.next()?, parts.next()?);
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        let head = Head { count: count.parse().ok()?, hash };
        (count == again && head.text() == text).then_some(head)
    }
}

/// The position that holds the head, and the head.
fn newest(file: &dyn Source, place: &ChainPlace) -> Result<(u64, Head)> {
    let both = [0, PLACE_BYTES].map(|at| {
        let mut text = [0; TEXT_BYTES];
        let head = file.read_at(at, &mut text).ok().and_then(|()| Head::parse(&text));
        head.map(|head| (at, head))
    });
    let newest = both.into_iter().flatten().max_by_key(|(_, head)| head.count);
    newest.ok_or_else(|| place.broken(HEAD, 0, "not the head of a chain"))
}

/// The file of a head, open for writing.
pub(super) struct HeadFile {
    file: Box<dyn LogFile>,
    /// The position that does not hold the head.
    next: u64,
}

impl HeadFile {
    /// Opens the file of a head.
    pub(super) fn open(place: &ChainPlace) -> Result<HeadFile> {
        let file = place.medium.edit(HEAD).map_err(place.io(HEAD))?;
        let (at, _) = newest(&*file, place)?;
        Ok(HeadFile { file, next: PLACE_BYTES - at })
    }

    /// Makes the file of the head of an empty chain.
    pub(super) fn create(place: &ChainPlace, head: Head) -> Result<HeadFile> {
        let mut text = head.text().into_bytes();
        text.resize(2 * PLACE_BYTES as usize, 0);
        place.medium.put_if_absent(HEAD, &text).map_err(place.io(HEAD))?;
        HeadFile::open(place)
    }

    /// Writes the head of the chain at this place, durably.
    pub(super) fn write(&mut self, place: &ChainPlace, head: Head) -> Result<()> {
        let written = self.file.write_at(self.next, head.text().as_bytes());
        written.and_then(|()| self.file.sync()).map_err(place.io(HEAD))?;
        self.next = PLACE_BYTES - self.next;
        Ok(())
    }
}
