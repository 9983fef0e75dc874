//! The first block of a sealed file, which changes in place: it has two places, so that a torn write leaves the last version that
//! was synced.
//!
//! ```text
//! place     sector | .. | sector (9)
//! sector    sealed: number of the version, u64 LE | part of the block (464)        512 bytes
//! ```
//! A version is written to the place that does not hold the last one that was synced; between two syncs that place is written
//! again and again. Of two whole versions the one with the larger number counts.
//!
//! Invariants: a sector is sealed on its own. So a place that was torn, whose sectors are of several versions, is told from one
//! that was changed. A place with a sector that is not authentic is an error, unless another of its sectors is older than the
//! version of the other place: otherwise a newer one may have been synced there, and it would be lost without a word. Numbers are
//! used once, also after a power cut. Not here: the other blocks (`sealed_file`).

use std::io;

use super::seals::{BLOCK_BYTES, Part, Seals, not_authentic};
use crate::medium::LogFile;
use crate::sealing::SEAL_BYTES;

const SECTOR_BYTES: usize = 512;
/// Of the number of a version.
const NUMBER_BYTES: usize = 8;
/// What a sector has of the block.
const PART_BYTES: usize = SECTOR_BYTES - SEAL_BYTES - NUMBER_BYTES;
const SECTORS: usize = BLOCK_BYTES.div_ceil(PART_BYTES);
const PLACE_BYTES: usize = SECTORS * SECTOR_BYTES;
/// Where the places begin. No 4 KiB of the file have something of both, nor of a place and anything else.
const PLACES: [u64; 2] = [4096, 12288];
/// Where the places end, and what follows them may begin.
pub(super) const FIRST_END: u64 = 20480;

/// The first block. One for each file.
pub(super) struct First {
    /// As it was written last.
    bytes: Vec<u8>,
    /// Larger than every number that stands in a place.
    next: u64,
    /// The place of the last version that was synced.
    durable: usize,
    state: State,
}

/// How the bytes lie in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// They are synced.
    Synced,
    /// They are written to the other place.
    Written,
    /// They are in memory alone: a write to the other place has failed, after one that had not.
    Torn,
}

/// What is found in a place.
struct Found {
    /// The smallest and the largest number in any of its sectors; none when no sector is authentic.
    numbers: Option<(u64, u64)>,
    /// Whether all of its sectors are authentic.
    is_authentic: bool,
    /// Of sectors that are not authentic, zeros.
    bytes: Vec<u8>,
}

impl Found {
    /// The number of its version, if all sectors are of one.
    fn version(&self) -> Option<u64> {
        self.numbers
            .filter(|(oldest, newest)| oldest == newest && self.is_authentic)
            .map(|(_, number)| number)
    }

    /// Whether a version that is newer than this one may have been synced here: it is not so when a sector is older.
    fn may_be_newer(&self, number: u64) -> bool {
        !self.is_authentic && self.numbers.is_none_or(|(oldest, _)| oldest >= number)
    }
}

impl First {
    /// Writes that of a new file, which is zeros.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn create(file: &dyn LogFile, seals: &Seals) -> io::Result<First> {
        let bytes = vec![0; BLOCK_BYTES];
        let mut first = First { bytes: bytes.clone(), next: 1, durable: 1, state: State::Synced };
        for durable in [1, 0] {
            first.durable = durable;
            first.put(file, seals, &bytes)?;
            first.state = State::Synced;
        }
        first.durable = 1;
        Ok(first)
    }

    /// That of a file whose places are synced.
    ///
    /// # Errors
    /// When a place was changed.
    pub(super) fn open(file: &dyn LogFile, seals: &Seals) -> io::Result<First> {
        let mut places = [read(file, seals, 0)?, read(file, seals, 1)?];
        let newest = places.iter().filter_map(|place| place.numbers).map(|(_, newest)| newest).max();
        let next = newest.unwrap_or(0).saturating_add(1);
        let versions = places.iter().enumerate().filter_map(|(place, found)| Some((found.version()?, place)));
        let (number, durable) = versions.max().ok_or_else(not_authentic)?;
        if places[1 - durable].may_be_newer(number) {
            return Err(not_authentic());
        }
        let bytes = std::mem::take(&mut places[durable].bytes);
        Ok(First { bytes, next, durable, state: State::Synced })
    }

    /// As it was written last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes some of its bytes.
    ///
    /// # Errors
    /// It is as before.
    pub(super) fn write(
        &mut self,
        file: &dyn LogFile,
        seals: &Seals,
        offset: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut new = self.bytes.clone();
        new[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.put(file, seals, &new)?;
        self.bytes = new;
        Ok(())
    }

    /// Makes it durable, and all else of the file.
    ///
    /// # Errors
    /// Nothing is known about what was written since the last sync.
    pub(super) fn sync(&mut self, file: &dyn LogFile, seals: &Seals) -> io::Result<()> {
        if self.state == State::Torn {
            let bytes = self.bytes.clone();
            self.put(file, seals, &bytes)?;
        }
        file.sync()?;
        if self.state == State::Written {
            self.durable = 1 - self.durable;
            self.state = State::Synced;
        }
        Ok(())
    }

    fn put(&mut self, file: &dyn LogFile, seals: &Seals, bytes: &[u8]) -> io::Result<()> {
        let (place, number) = (1 - self.durable, self.next.to_le_bytes());
        self.next = self.next.saturating_add(1);
        let mut sealed = Vec::with_capacity(PLACE_BYTES);
        for (sector, part) in bytes.chunks(PART_BYTES).enumerate() {
            let mut said = [0; NUMBER_BYTES + PART_BYTES];
            said[..NUMBER_BYTES].copy_from_slice(&number);
            said[NUMBER_BYTES..NUMBER_BYTES + part.len()].copy_from_slice(part);
            seals.seal_into(Part::Sector { place, sector }, &said, &mut sealed)?;
        }
        if self.state == State::Written {
            self.state = State::Torn;
        }
        file.write_at(PLACES[place], &sealed)?;
        self.state = State::Written;
        Ok(())
    }
}

fn read(file: &dyn LogFile, seals: &Seals, place: usize) -> io::Result<Found> {
    let mut sealed = vec![0; PLACE_BYTES];
    file.read_at(PLACES[place], &mut sealed)?;
    let mut found =
        Found { numbers: None, is_authentic: true, bytes: Vec::with_capacity(SECTORS * PART_BYTES) };
    for (sector, sealed) in sealed.chunks_exact_mut(SECTOR_BYTES).enumerate() {
        // Every sector is written when the file is made, so that there is none of zeros.
        let said = seals.open(Part::Sector { place, sector }, sealed).ok().flatten();
        let Some((number, part)) = said.as_ref().and_then(|said| said.split_first_chunk::<NUMBER_BYTES>())
        else {
            found.is_authentic = false;
            found.bytes.extend_from_slice(&[0; PART_BYTES]);
            continue;
        };
        let number = u64::from_le_bytes(*number);
        let (oldest, newest) = found.numbers.unwrap_or((number, number));
        found.numbers = Some((oldest.min(number), newest.max(number)));
        found.bytes.extend_from_slice(part);
    }
    found.bytes.truncate(BLOCK_BYTES);
    Ok(found)
}
