//! Segments, rows and runs of event ids, as they lie on a disk.
//!
//! Not here: what comes from outside (`bodies`).

use std::sync::{Arc, LazyLock};

use shoal_files::{Medium, Memory, Objects, Sealing, SealingKey};
use shoal_schemas::{Region, Registry};

use crate::{
    dedup::run::{PAGE_BYTES, Run, Span},
    flush::columns::Columns,
    log::{Shelf, scan, shelf::file_name},
    stages::row,
};

/// Of the segment and of the run that an input is.
const NUMBER: u64 = 1;
/// Records of a segment begin at multiples of this.
const BLOCK_BYTES: usize = 4096;
const RECORD_HEAD_BYTES: usize = 40;
const RUN_HEAD_BYTES: usize = 64;

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::load(None).expect("the embedded definitions are whole"));

pub(super) fn sealing() -> Option<Sealing> {
    Some(Sealing { key: SealingKey::new(&[7; 32]), is_writing: true })
}

fn stored(name: &str, bytes: &[u8]) -> Memory {
    let memory = Memory::new();
    memory.put(name, bytes).expect("a memory takes any bytes");
    memory
}

/// A segment of the log, as it is and with the checksums that its records would have. Its rows become columns.
pub fn log(bytes: &[u8]) -> bool {
    let is_read = segment(bytes);
    segment(&with_checksums(bytes)) || is_read
}

fn segment(bytes: &[u8]) -> bool {
    let medium: Arc<dyn Medium> = Arc::new(stored(&file_name(NUMBER), bytes));
    let shelf = Shelf::new(medium, sealing());
    let mut columns = Columns::new(&REGISTRY, Region::De);
    let mut is_columns = true;
    let found = scan(&shelf, NUMBER, &mut |dictionary, payload| {
        let translation = columns.translation(dictionary);
        // A row that cannot be one leaves columns behind that nobody finishes.
        is_columns = is_columns && columns.add(&translation, payload, &|_| true).is_ok();
        Ok(())
    });
    let Ok(Some(found)) = found else { return false };
    assert!(found.extent.end <= bytes.len().next_multiple_of(BLOCK_BYTES) as u64);
    if is_columns {
        columns.finish().expect("rows that were taken become columns");
    }
    is_columns
}

/// The same bytes with the checksum of every record that has a length which the file holds.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        let Some((head, payload)) = bytes[at..].split_at_mut_checked(RECORD_HEAD_BYTES) else { break };
        let length = u32::from_le_bytes([head[24], head[25], head[26], head[27]]) as usize;
        let Some(payload) = payload.get(..length).filter(|_| head.starts_with(b"SHL1")) else { continue };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[..36]);
        crc.update(payload);
        head[36..].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    bytes
}

/// Rows of a payload. Each is read as the same when it is written again.
pub fn rows(bytes: &[u8]) -> bool {
    let mut is_read = !bytes.is_empty();
    for one in row::rows(bytes) {
        let Ok((head, values)) = one.and_then(row::decode) else { return false };
        let values: Result<Vec<_>, _> = values.collect();
        let Ok(values) = values else {
            is_read = false;
            continue;
        };
        let mut written = Vec::new();
        row::encode(&head, values.iter().copied(), &mut written);
        let again =
            row::decode(&written).map(|(again, values)| (again, values.collect::<Result<Vec<_>, _>>()));
        assert!(again.is_ok_and(|(again, read)| again == head && read.is_ok_and(|read| read == values)));
    }
    is_read
}

/// A run of event ids, as it is and with the checksums that it would have. Each of its ids is found, and they ascend.
pub fn runs(bytes: &[u8]) -> bool {
    let is_read = run(bytes);
    run(&run_with_checksums(bytes)) || is_read
}

fn run(bytes: &[u8]) -> bool {
    let name = Span { first: NUMBER, last: NUMBER, sealed_ms: 0 }.file_name();
    let Ok(run) = Run::open(&stored(&name, bytes), &name) else { return false };
    let (mut cursor, mut before, mut page) = (run.cursor(), None, [0; PAGE_BYTES]);
    let mut count = 0;
    while let Some(id) = cursor.next().expect("what was checked can be read") {
        assert!(before.is_none_or(|before| before < id), "{id} follows {before:?}");
        assert!(run.contains(id, &mut page).expect("what was checked can be read"), "{id} is not found");
        (before, count) = (Some(id), count + 1);
    }
    assert_eq!(count, run.keys);
    true
}

fn run_with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(ids) = bytes.len().checked_sub(RUN_HEAD_BYTES) else { return bytes };
    let crc = crc32fast::hash(&bytes[..ids]).to_le_bytes();
    let head = &mut bytes[ids..];
    head[12..16].copy_from_slice(&crc);
    let crc = crc32fast::hash(&head[..48]).to_le_bytes();
    head[48..52].copy_from_slice(&crc);
    bytes
}
