//! A segment that is written to, and the end of one that a crash has torn.
//!
//! Invariants: a segment is sealed (last record: seal) before the next one takes its first row; only the newest can
//! lack the seal, after a crash. A file is made as long as it may become, and says so in its first record. Behind what is written to it
//! there are zeros. Rows of a segment have the names of its dictionary. Its records are encrypted, or none of them is.
//! Not here: bytes of a record (`record.rs`), reading one back (`scan.rs`), names of files (`shelf.rs`), who decides (`writer.rs`).

use shoal_files::LogFile;

use super::{
    encode::{Encoder, Rows, room_of},
    record::{BLOCK_BYTES, Place, Segment, What},
    scan::{Extent, Scan, Tail},
    shelf::{Shelf, file_name},
};
use crate::dictionary::Dictionary;

/// The segment that is written to.
pub(crate) struct Active {
    file: Box<dyn LogFile>,
    of: Segment,
    end: u64,
    /// When it was begun, in what is served, ms.
    pub(crate) opened_ms: i64,
    /// Rows in it.
    pub(crate) rows: u64,
    /// Bytes of rows before compression: what reading it back will take.
    pub(crate) payload_bytes: u64,
    /// Whether it has anything but its first record.
    pub(crate) is_used: bool,
}

impl Active {
    /// Begins a segment in the file of a spare, which gets its name.
    pub(crate) fn begin(
        shelf: &Shelf,
        spare: &str,
        of: Segment,
        dictionary: &Dictionary,
        encoder: &mut Encoder,
    ) -> std::io::Result<Active> {
        let name = file_name(of.sequence);
        shelf.medium().rename(spare, &name)?;
        let mut active = Active {
            file: shelf.medium().edit(&name)?,
            of,
            end: 0,
            opened_ms: dictionary.opened_ms,
            rows: 0,
            payload_bytes: 0,
            is_used: false,
        };
        let mut names = postcard::to_allocvec(dictionary).map_err(std::io::Error::other)?;
        // Versions of before read no further than the names.
        let made = postcard::to_allocvec(&active.file.length()?).map_err(std::io::Error::other)?;
        names.extend_from_slice(&made);
        active.write(encoder.encode(active.next(), What::Dictionary, &names)?)?;
        Ok(active)
    }

    /// Writes rows, and a cover; durable when it returns. Answers the bytes written.
    pub(crate) fn append(&mut self, rows: &Rows<'_>, encoder: &mut Encoder) -> std::io::Result<u64> {
        let record = encoder.encode_rows(self.next(), rows)?;
        self.write(record)?;
        self.is_used = true;
        self.rows += u64::from(rows.count);
        self.payload_bytes += rows.payload.len() as u64;
        Ok(record.len() as u64)
    }

    /// Where the next record goes.
    fn next(&self) -> Place {
        Place { of: self.of, at: self.end }
    }

    /// What of it is durable.
    pub(crate) fn tail(&self) -> Tail {
        let begun_ms = (self.rows > 0).then_some(self.opened_ms);
        Tail { sequence: self.of.sequence, end: self.end, begun_ms }
    }

    /// Writes the seal; nothing can be appended after.
    pub(crate) fn seal(mut self, encoder: &mut Encoder) -> std::io::Result<Extent> {
        self.write(encoder.encode(self.next(), What::Seal, &[])?)?;
        Ok(Extent {
            sequence: self.of.sequence,
            opened_ms: self.opened_ms,
            end: self.end,
            rows: self.rows,
            payload_bytes: self.payload_bytes,
        })
    }

    /// Whether rows and a cover of so many bytes together, each in a record of its own, and the seal fit into a file of
    /// `bytes_max`.
    pub(crate) fn fits(&self, payload_bytes: u64, bytes_max: u64) -> bool {
        self.end + room_of(payload_bytes) + BLOCK_BYTES <= bytes_max
    }

    fn write(&mut self, record: &[u8]) -> std::io::Result<()> {
        self.file.write_at(self.end, record)?;
        self.file.sync()?;
        self.end += record.len() as u64;
        Ok(())
    }
}

/// Makes durable what a segment is found to hold: a process that was killed may have written what it did not come to sync. What is
/// behind its end is emptied.
pub(crate) fn settle(shelf: &Shelf, extent: &Extent) -> std::io::Result<()> {
    let file = shelf.medium().edit(&file_name(extent.sequence))?;
    empty_behind(&*file, extent.end)?;
    file.sync()
}

/// Writes the seal that a crash left out, over what was torn off, which is emptied before. It is encrypted where the others are.
pub(crate) fn repair(shelf: &Shelf, scan: &mut Scan) -> std::io::Result<()> {
    settle(shelf, &scan.extent)?;
    let file = shelf.medium().edit(&file_name(scan.of.sequence))?;
    let mut encoder = Encoder::new(shelf.key().filter(|_| scan.is_encrypted).cloned());
    let seal = encoder.encode(Place { of: scan.of, at: scan.extent.end }, What::Seal, &[])?;
    file.write_at(scan.extent.end, seal)?;
    file.sync()?;
    scan.extent.end += seal.len() as u64;
    scan.sealed = true;
    Ok(())
}

/// Writes zeros over what is not zero from there on: in a file that is used again, a record that is torn would look whole over what a
/// crash has left of an older one.
fn empty_behind(file: &dyn LogFile, end: u64) -> std::io::Result<()> {
    let length = file.length()?;
    let (mut bytes, zeros) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    for at in (end..length).step_by(bytes.len()) {
        let part = (length - at).min(bytes.len() as u64) as usize;
        file.read_at(at, &mut bytes[..part])?;
        if bytes[..part] != zeros[..part] {
            file.write_at(at, &zeros[..part])?;
        }
    }
    Ok(())
}
