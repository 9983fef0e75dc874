//! The journal of withdrawals, for fuzzing.
//!
//! Not here: the entry (`crate::fuzzing`).

use std::sync::Arc;

use shoal_files::{Memory, Objects as _, SEAL_BYTES, SealingKey, Source};

use super::journal_form::{Looked, Noted, Pen, read, record_bytes};

/// Bytes before the writes: magic, id and checksum.
const HEAD_BYTES: usize = 28;
const CRC_BYTES: usize = 4;

pub(super) fn key() -> SealingKey {
    SealingKey::new(&[7; 32])
}

/// Whether bytes are a whole journal. What is in it is read again where it is written in the latest form.
pub(crate) fn journal(bytes: &[u8]) -> bool {
    let mut records = Vec::new();
    let mut visit = |noted: Noted<'_>| {
        records.extend(record_bytes(&noted));
        Ok(())
    };
    let Ok(Looked::Whole(found)) = read(source(bytes), Some(&key()), &mut visit) else { return false };
    assert!(found.end <= bytes.len() as u64 && found.made.is_none_or(|made| made <= found.end));
    let pen = Pen { id: found.id, key: None };
    let mut again = pen.head_bytes().expect("nothing is sealed");
    let mut append = |records: &[u8]| {
        let write = pen.write_bytes(again.len() as u64, records).expect("nothing is sealed");
        again.extend(write);
    };
    append(&records);
    append(&[]);
    let mut records_again = Vec::new();
    let mut visit = |noted: Noted<'_>| {
        records_again.extend(record_bytes(&noted));
        Ok(())
    };
    let looked = read(source(&again), None, &mut visit);
    let is_long = records.len() > 1 << 20;
    assert!(
        is_long
            || matches!(looked, Ok(Looked::Whole(of)) if of.last == found.last && records_again == records)
    );
    true
}

fn source(bytes: &[u8]) -> Arc<dyn Source> {
    let memory = Memory::new();
    memory.put("journal", bytes).expect("a memory takes any bytes");
    Arc::from(memory.open("journal").expect("it is there"))
}

/// The same file with the checksums of its head and of its writes, as far as their lengths lead.
pub(crate) fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (seal, width) = match bytes.get(7) {
        Some(b'1') => (0, 2),
        Some(b'3') => (SEAL_BYTES, 4),
        _ => (0, 4),
    };
    let mut at = HEAD_BYTES + seal;
    if bytes.len() < at {
        return bytes;
    }
    let crc = crc32fast::hash(&bytes[..at - CRC_BYTES]).to_le_bytes();
    bytes[at - CRC_BYTES..at].copy_from_slice(&crc);
    while let Some(told) = bytes.get(at + 4..at + 4 + width) {
        let mut length = [0; 4];
        length[..width].copy_from_slice(told);
        let end = at + 4 + width + u32::from_le_bytes(length) as usize;
        if bytes.len() < end + CRC_BYTES {
            break;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[8..24]);
        crc.update(&bytes[at + 4..end]);
        bytes[end..end + CRC_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
        at = end + CRC_BYTES;
    }
    bytes
}

/// Journals of the two later forms, with records and a torn end; and one of the first form.
#[cfg(test)]
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    use shoal_schemas::Programme;

    let act =
        [&[1][..], &1_795_300_000_000_i64.to_le_bytes(), &1_795_300_000_000_i64.to_le_bytes(), &[0]].concat();
    let record =
        |number, programme| record_bytes(&Noted { number, programme, digest: [number as u8; 16], act: &act });
    let records = [record(1, Programme::UserExperience), record(2, Programme::DeviceExperience)].concat();
    let whole = |key| {
        let pen = Pen { id: 0x5eed, key };
        let mut bytes = pen.head_bytes().expect("there are random numbers");
        for records in [&records[..], &[], &record(3, Programme::UserExperience)] {
            let write = pen.write_bytes(bytes.len() as u64, records).expect("there are random numbers");
            bytes.extend(write);
        }
        bytes
    };
    let clear = whole(None);
    let torn = [&clear[..], b"WJw2\x40\x00\x00\x00\x00\x00"].concat();
    let first = record(1, Programme::UserExperience);
    let first = [&b"SHOALWJ1"[..], &7_u128.to_le_bytes(), &[0; 4], b"WJr1", &first, &[0; 4]].concat();
    vec![
        ("clear", clear),
        ("torn", torn),
        ("sealed", whole(Some(key()))),
        ("first-form", with_checksums(&first)),
    ]
}

/// `SHOAL_WRITE_SEEDS=1 cargo test -p shoal-storage -- seeds_of` writes them anew.
#[cfg(test)]
#[test]
fn seeds_of_journals_are_read() {
    for (name, bytes) in samples() {
        assert!(journal(&bytes), "{name}");
        if std::env::var_os("SHOAL_WRITE_SEEDS").is_some() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/journal");
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            std::fs::write(folder.join(name), bytes).expect("a file can be written");
        }
    }
}
