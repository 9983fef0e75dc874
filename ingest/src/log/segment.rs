//! A segment: the one that is written to, and reading one back (recovery and flush use the same code).
//!
//! Files: `<sequence, 16 hex digits>.log`; `<number>.spare` is empty (zeros) and waits to become one.
//! Invariants: a segment is sealed (last record: seal) before the next one takes its first row; only the newest can
//! lack the seal, after a crash. A file is made as long as it may become, and says so in its first record. Rows of a segment have the
//! names of its dictionary.
//! Not here: bytes of a record (`record.rs`), who decides (`writer.rs`).

use shoal_files::{LogFile, Medium};

use super::record::{BLOCK_BYTES, Decoder, Encoder, Segment, What, blocks};
use crate::{dictionary::Dictionary, error::IngestError};

/// The name of a segment's file.
pub(crate) fn file_name(sequence: u64) -> String {
    format!("{sequence:016x}.log")
}

/// The sequence in a file's name; none when it is not a segment's.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|d| d.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

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
        medium: &dyn Medium,
        spare: &str,
        of: Segment,
        dictionary: &Dictionary,
        encoder: &mut Encoder,
    ) -> std::io::Result<Active> {
        let name = file_name(of.sequence);
        medium.rename(spare, &name)?;
        let mut active = Active {
            file: medium.edit(&name)?,
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
        active.write(encoder.encode(of, What::Dictionary, &names, 0))?;
        Ok(active)
    }

    /// Writes rows, and a cover of so many bytes; durable when it returns. Answers the bytes written.
    pub(crate) fn append(
        &mut self,
        payload: &[u8],
        rows: u32,
        cover_bytes: usize,
        encoder: &mut Encoder,
    ) -> std::io::Result<u64> {
        let record = encoder.encode_rows(self.of, payload, rows, cover_bytes);
        self.write(record)?;
        self.is_used = true;
        self.rows += u64::from(rows);
        self.payload_bytes += payload.len() as u64;
        Ok(record.len() as u64)
    }

    /// What of it is durable.
    pub(crate) fn tail(&self) -> Tail {
        let begun_ms = (self.rows > 0).then_some(self.opened_ms);
        Tail { sequence: self.of.sequence, end: self.end, begun_ms }
    }

    /// Writes the seal; nothing can be appended after.
    pub(crate) fn seal(mut self, encoder: &mut Encoder) -> std::io::Result<Extent> {
        self.write(encoder.encode(self.of, What::Seal, &[], 0))?;
        Ok(Extent {
            sequence: self.of.sequence,
            opened_ms: self.opened_ms,
            end: self.end,
            rows: self.rows,
            payload_bytes: self.payload_bytes,
        })
    }

    /// Whether rows of so many bytes, and the seal, fit into a file of `bytes_max`.
    pub(crate) fn fits(&self, payload_bytes: u64, bytes_max: u64) -> bool {
        self.end + blocks(payload_bytes + BLOCK_BYTES) + BLOCK_BYTES <= bytes_max
    }

    fn write(&mut self, record: &[u8]) -> std::io::Result<()> {
        self.file.write_at(self.end, record)?;
        self.file.sync()?;
        self.end += record.len() as u64;
        Ok(())
    }
}

/// The segment that is written to, as far as it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) sequence: u64,
    /// Where the last durable record ends.
    pub(crate) end: u64,
    /// When it was begun, in what is served, ms; none as long as no row is in it.
    pub(crate) begun_ms: Option<i64>,
}

/// What is in a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) sequence: u64,
    pub(crate) opened_ms: i64,
    /// Bytes used of the file.
    pub(crate) end: u64,
    pub(crate) rows: u64,
    pub(crate) payload_bytes: u64,
}

/// What was found in a file.
pub(crate) struct Scan {
    pub(crate) extent: Extent,
    pub(crate) of: Segment,
    pub(crate) sealed: bool,
}

/// Reads a segment from its first record to its seal, or to where it was torn off. `visit` gets each record's rows.
/// None when not even the first record is there: nothing in it was ever acknowledged.
///
/// # Errors
/// When the medium fails, `visit` does, or valid records follow after invalid bytes.
pub(crate) fn scan(
    medium: &dyn Medium,
    sequence: u64,
    visit: &mut dyn FnMut(&Dictionary, &[u8]) -> Result<(), IngestError>,
) -> Result<Option<Scan>, IngestError> {
    let name = file_name(sequence);
    let path = medium.path(&name);
    let damaged = |offset, reason| IngestError::Damaged { path: path.clone(), offset, reason };
    let file = medium.open(&name).map_err(IngestError::io(&path))?;
    let mut decoder = Decoder::new(&*file).map_err(IngestError::io(&path))?;
    let (of, (dictionary, made), mut at) = match decoder.read(0).map_err(IngestError::io(&path))? {
        None => {
            let found = decoder.find(sequence, None, BLOCK_BYTES);
            return match found.map_err(IngestError::io(&path))? {
                None => Ok(None),
                Some(_) => Err(damaged(0, "the first record cannot be read, and valid ones follow")),
            };
        }
        Some(first) if first.what == What::Dictionary && first.of.sequence == sequence => {
            let read = beginning(first.payload).ok_or_else(|| damaged(0, "the dictionary cannot be read"))?;
            (first.of, read, first.next)
        }
        Some(_) => return Err(damaged(0, "the first record is of another segment")),
    };
    let opened_ms = dictionary.opened_ms;
    let mut scan = Scan {
        extent: Extent { sequence, opened_ms, end: at, rows: 0, payload_bytes: 0 },
        of,
        sealed: false,
    };
    while !scan.sealed {
        match decoder.read(at).map_err(IngestError::io(&path))? {
            Some(record) if record.of == of && record.what != What::Dictionary => {
                scan.sealed = record.what == What::Seal;
                at = record.next;
                if record.what == What::Rows {
                    scan.extent.rows += u64::from(record.rows);
                    scan.extent.payload_bytes += record.payload.len() as u64;
                    visit(&dictionary, record.payload)?;
                }
            }
            _ => {
                if decoder.find(sequence, Some(of.salt), at).map_err(IngestError::io(&path))?.is_some() {
                    return Err(damaged(at, "valid records follow after bytes that are none"));
                }
                if decoder.is_flipped(at, of).map_err(IngestError::io(&path))? {
                    return Err(damaged(at, "a record was changed after it was written"));
                }
                break;
            }
        }
    }
    let length = file.length().map_err(IngestError::io(&path))?;
    if !scan.sealed && made.is_some_and(|made| length < made) {
        return Err(damaged(length, "the file is shorter than it was made"));
    }
    scan.extent.end = at;
    Ok(Some(scan))
}

/// What the first record says: names, and how long the file was made; segments of earlier versions do not say that.
fn beginning(payload: &[u8]) -> Option<(Dictionary, Option<u64>)> {
    let (dictionary, rest) = postcard::take_from_bytes::<Dictionary>(payload).ok()?;
    match rest {
        [] => Some((dictionary, None)),
        rest => Some((dictionary, Some(postcard::from_bytes(rest).ok()?))),
    }
}

/// Reads the rows of a segment up to where a durable record ends, also while it is written to.
///
/// # Errors
/// When the medium fails, `visit` does, or a record before the end cannot be read.
pub(crate) fn scan_to(
    medium: &dyn Medium,
    upto: Tail,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let name = file_name(upto.sequence);
    let path = medium.path(&name);
    let file = medium.open(&name).map_err(IngestError::io(&path))?;
    let mut decoder = Decoder::new(&*file).map_err(IngestError::io(&path))?;
    let mut at = 0;
    while at < upto.end {
        let record = decoder.read(at).map_err(IngestError::io(&path))?;
        let Some(record) = record.filter(|record| record.of.sequence == upto.sequence) else {
            let reason = "a durable record cannot be read";
            return Err(IngestError::Damaged { path, offset: at, reason });
        };
        if record.what == What::Rows {
            visit(record.payload)?;
        }
        at = record.next;
    }
    Ok(())
}

/// Writes the seal that a crash left out, over what was torn off.
pub(crate) fn repair(medium: &dyn Medium, scan: &mut Scan) -> std::io::Result<()> {
    let file = medium.edit(&file_name(scan.of.sequence))?;
    let mut encoder = Encoder::default();
    let seal = encoder.encode(scan.of, What::Seal, &[], 0);
    file.write_at(scan.extent.end, seal)?;
    file.sync()?;
    scan.extent.end += seal.len() as u64;
    scan.sealed = true;
    Ok(())
}
