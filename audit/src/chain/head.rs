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

/// The position that holds the head, and the head. A place that is missing or torn leaves the other one; one that cannot be
/// read leaves nothing, because it may be the head, and its error is the disk's and no damage.
fn newest(file: &dyn Source, place: &ChainPlace) -> Result<(u64, Head)> {
    let mut newest: Option<(u64, Head)> = None;
    for at in [0, PLACE_BYTES] {
        let mut text = [0; TEXT_BYTES];
        let head = match file.read_at(at, &mut text) {
            Ok(()) => Head::parse(&text),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => None,
            Err(e) => return Err(place.io(HEAD)(e)),
        };
        if let Some(head) = head.filter(|head| newest.is_none_or(|(_, other)| head.count >= other.count)) {
            newest = Some((at, head));
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use shoal_files::Memory;

    use super::{ErrorKind, Head, PLACE_BYTES, Source, newest};
    use crate::chain::place::ChainPlace;
    use crate::error::AuditError;

    /// Two places with heads, of which one fails with this error.
    struct Places {
        bytes: Vec<u8>,
        failing: Option<(u64, ErrorKind)>,
    }

    impl Source for Places {
        fn length(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            match self.failing {
                Some((at, kind)) if at == offset => Err(kind.into()),
                _ => self.bytes.as_slice().read_at(offset, buffer),
            }
        }
    }

    fn places(failing: Option<(u64, ErrorKind)>) -> Places {
        let mut bytes = vec![0; 2 * PLACE_BYTES as usize];
        for (at, count) in [(0, 6), (PLACE_BYTES as usize, 7)] {
            let text = Head { count, hash: [9; 32] }.text();
            bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        Places { bytes, failing }
    }

    #[test]
    fn a_head_that_cannot_be_read_is_an_error_of_the_disk_and_never_an_older_head() {
        let place = ChainPlace::alone(Arc::new(Memory::new()), 500);
        let read = |failing| newest(&places(failing), &place);
        assert_eq!(read(None).unwrap().1.count, 7);
        for at in [0, PLACE_BYTES] {
            let told = read(Some((at, ErrorKind::Other)));
            assert!(matches!(told, Err(AuditError::Io { .. })), "{told:?}");
        }
        // A place that is not there yet.
        assert_eq!(read(Some((PLACE_BYTES, ErrorKind::UnexpectedEof))).unwrap().1.count, 6);
    }
}
