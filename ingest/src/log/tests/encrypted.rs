//! Segments that are encrypted: who has the disk alone reads nothing, and cannot change anything without a word.

use shoal_files::SEAL_BYTES;

use super::*;
use crate::{
    log::{
        decode::Decoder,
        record::{HEAD_BYTES, INNER_BYTES, Place, What, blocks},
        scan::{Tail, scan_to},
        shelf::file_name,
    },
    packed::packed_bytes,
};

const FIRST: &str = "0000000000000001.log";

/// All bytes of a medium, one file after the other.
fn all_bytes(medium: &Faulty) -> Vec<u8> {
    medium.list("").unwrap().iter().flat_map(|entry| medium.read(&entry.name).unwrap()).collect()
}

fn has(all: &[u8], bytes: &[u8]) -> bool {
    all.windows(bytes.len()).any(|part| part == bytes)
}

#[tokio::test]
async fn nothing_of_an_event_is_in_any_byte_of_the_disk() {
    let text = "what somebody has written";
    let names = Dictionary { events: vec!["an_event_of_the_app".into()], ..names() };
    let of = |id: u64| {
        let mut clean = CleanBatch::new(Region::De, KeyKind::Shipped, &Arc::new(names.clone()));
        // Twice as much of what cannot be compressed, too.
        let noise: String =
            (0..200u64).map(|at| format!("{:x}", (at + id).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        for text in [text, &noise] {
            clean.push(
                0,
                &RowHead { subject: *b"pseudonym-of-one", ..head(id) },
                &[],
                [(2, Value::Text(text))].into_iter(),
            );
        }
        clean.hide(
            &RowHead { subject: *b"pseudonym-hidden", ..head(id + 500) },
            &[],
            [(2, Value::Text(text))].into_iter(),
        );
        clean.finish();
        OpenBatch::unlimited(clean)
    };
    for is_encrypted in [true, false] {
        let medium = Faulty::default();
        let runs = runs_with(&medium, sealing(is_encrypted)).unwrap();
        let log = open_on(shelf(&medium, sealing(is_encrypted)), Arc::clone(&runs), None).unwrap();
        log.append(of(1)).await.unwrap();
        log.append(of(2)).await.unwrap();
        let mut all = all_bytes(&medium);
        log.stop().await;
        all.extend(all_bytes(&medium));
        for sealed in log.shared().sealed() {
            runs.add(sealed.extent.sequence, &sealed.fingerprints().unwrap(), 0).unwrap();
        }
        all.extend(all_bytes(&medium));
        let wanted = [
            text.as_bytes(),
            b"an_event_of_the_app",
            b"pseudonym-of-one",
            &head(1).event_id,
            &head(1).fingerprint().to_le_bytes(),
            &head(2).fingerprint().to_le_bytes(),
        ];
        for (at, bytes) in wanted.into_iter().enumerate() {
            assert_eq!(has(&all, bytes), !is_encrypted, "{at}");
        }
        assert!(!has(&all, b"pseudonym-hidden"));
    }
}

#[tokio::test]
async fn a_cover_looks_like_rows_of_its_size() {
    let bytes = batch(0..200).bytes().to_vec();
    let packed = packed_bytes(&bytes) as usize;
    let mut encoder = Encoder::new(sealing(true).map(|sealing| sealing.key));
    let place = Place { of: Segment { sequence: 1, salt: 2 }, at: 4096 };
    let mut encode = |rows: Rows<'_>| encoder.encode_rows(place, &rows).unwrap().to_vec();
    let rows = encode(Rows { payload: &bytes, count: 200, cover_bytes: 0 });
    let cover = encode(Rows { payload: &[], count: 0, cover_bytes: packed });
    assert_eq!((rows.len(), &rows[..36]), (cover.len(), &cover[..36]), "all of the head but the checksum");
    let end = HEAD_BYTES + INNER_BYTES + SEAL_BYTES + packed;
    for (record, what) in [(rows, What::Rows), (cover, What::Cover)] {
        assert!(record[end..].iter().all(|byte| *byte == 0) && !has(&record[HEAD_BYTES..end], &[0; 8]));
        let file = [&[0; 4096][..], &record].concat();
        let file = file.as_slice();
        let key = sealing(false).unwrap().key;
        let mut decoder = Decoder::new(&file, Some(&key)).unwrap();
        assert!(decoder.read(4096).unwrap().unwrap().open().is_ok_and(|record| record.what == what));
    }
}

#[tokio::test]
async fn segments_of_before_are_read_and_new_ones_are_encrypted() {
    let medium = Faulty::default();
    one_segment_with(&medium, &None).await;
    assert!(has(&medium.read(FIRST).unwrap(), &head(1).fingerprint().to_le_bytes()));
    // A kill: what was begun in the clear gets its seal in the clear.
    let killed = Faulty::default();
    let log = with(&killed, &None).unwrap();
    log.append(batch([0, 1])).await.unwrap();
    log.append(batch([2])).await.unwrap();
    for medium in [medium, killed.after_power_cut(1)] {
        for is_encrypted in [true, false, true] {
            assert_eq!(held(&with(&medium, &sealing(is_encrypted)).unwrap()), prints(0..3));
        }
        let log = simple(&medium).unwrap();
        assert_eq!(log.append(batch([1, 3])).await.unwrap().duplicates, [0]);
        log.stop().await;
        let second = medium.read(&file_name(2)).unwrap();
        assert!(!has(&second, &head(3).fingerprint().to_le_bytes()) && !has(&second, b"DE"));
        // With encryption off both are read, and the third is in the clear.
        let log = with(&medium, &sealing(false)).unwrap();
        assert_eq!(log.append(batch([1, 3, 4])).await.unwrap().duplicates, [0, 1]);
        log.stop().await;
        assert_eq!(held(&log), prints(0..5));
        assert!(has(&medium.read(&file_name(3)).unwrap(), &head(4).fingerprint().to_le_bytes()));
    }
}

#[tokio::test]
async fn another_key_or_none_is_told_and_nothing_is_changed() {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    for id in 0..3 {
        log.append(batch([id])).await.unwrap();
    }
    let other = with_key(8, true);
    // As a kill leaves it, and when it has ended.
    for is_ended in [false, true] {
        if is_ended {
            log.stop().await;
        }
        let found = medium.after_power_cut(3);
        let before = found.read(FIRST).unwrap();
        let told = with(&found, &other).err().unwrap();
        assert!(matches!(told, IngestError::Damaged { offset: 0, .. }), "{told}");
        assert!(told.to_string().contains(FIRST) && told.to_string().contains("another key"), "{told}");
        let told = with(&found, &None).err().unwrap();
        assert!(matches!(told, IngestError::NoKey { .. }) && told.to_string().contains(FIRST), "{told}");
        let tail = Tail { sequence: 1, end: 2 * BLOCK_BYTES, begun_ms: None };
        let counted = scan_to(&shelf(&found, other.clone()), tail, &mut |_| Ok(()));
        assert!(matches!(counted, Err(IngestError::Damaged { .. })));
        assert!(scan_to(&shelf(&found, sealing(false)), tail, &mut |_| Ok(())).is_ok());
        assert_eq!(found.read(FIRST).unwrap(), before);
        assert_eq!(held(&simple(&found).unwrap()), prints(0..3));
    }
}

/// Exchanges records of a segment, mends what a checksum is of, and opens the log.
fn exchanged(medium: &Faulty, change: impl Fn(&mut Vec<u8>)) -> Option<IngestError> {
    let found = medium.after_power_cut(0);
    let mut bytes = found.read(FIRST).unwrap();
    change(&mut bytes);
    for at in (0..bytes.len()).step_by(BLOCK_BYTES as usize) {
        if bytes[at..].starts_with(b"SHL1") {
            let stored = u32::from_le_bytes(bytes[at + 24..at + 28].try_into().unwrap()) as usize;
            let mut crc = crc32fast::Hasher::new();
            crc.update(&bytes[at..at + 36]);
            crc.update(&bytes[at + 40..at + 40 + stored]);
            bytes[at + 36..at + 40].copy_from_slice(&crc.finalize().to_le_bytes());
        }
    }
    found.put(FIRST, &bytes).unwrap();
    simple(&found).err()
}

#[tokio::test]
async fn a_record_that_somebody_changes_or_moves_is_damage_although_its_checksum_holds() {
    let (medium, plain) = (Faulty::default(), Faulty::default());
    one_segment(&medium).await;
    one_segment_with(&plain, &sealing(false)).await;
    let block = BLOCK_BYTES as usize;
    let is_damage_at = |found: Option<IngestError>, record: usize| matches!(found, Some(IngestError::Damaged { offset, .. }) if offset == (record * block) as u64);
    assert!(exchanged(&medium, |_| {}).is_none());
    // The rows of an event come twice, in the place of others; two change places.
    let twice = exchanged(&medium, |bytes| bytes.copy_within(block..2 * block, 2 * block));
    assert!(is_damage_at(twice, 2));
    let moved = exchanged(&medium, |bytes| bytes[block..3 * block].rotate_left(block));
    assert!(is_damage_at(moved, 1));
    // The seal comes earlier; a record, or the seal, is one in the clear; all of the head is bound.
    let earlier = exchanged(&medium, |bytes| bytes.copy_within(4 * block..5 * block, 2 * block));
    assert!(is_damage_at(earlier, 2));
    let of = plain.read(FIRST).unwrap();
    for record in [1, 4] {
        let in_the_clear = exchanged(&medium, |bytes| {
            let salt: [u8; 8] = bytes[16..24].try_into().unwrap();
            bytes[record * block..(record + 1) * block]
                .copy_from_slice(&of[record * block..(record + 1) * block]);
            bytes[record * block + 16..record * block + 24].copy_from_slice(&salt);
        });
        assert!(is_damage_at(in_the_clear, record));
    }
    for at in [5, 7, 28, 32, 41, 70] {
        assert!(is_damage_at(exchanged(&medium, |bytes| bytes[2 * block + at] ^= 1), 2), "{at}");
    }
    assert!(is_damage_at(exchanged(&medium, |bytes| bytes[2 * block + 4] = 4), 2), "rows as a cover");
    assert!(is_damage_at(exchanged(&medium, |bytes| bytes[2 * block + 6] = 0), 2), "as one in the clear");
    // A whole segment of another number.
    let found = medium.after_power_cut(0);
    found.rename(FIRST, &file_name(2)).unwrap();
    assert!(matches!(simple(&found).err(), Some(IngestError::Damaged { offset: 0, .. })));
}

#[test]
fn what_fits_stays_within_the_file_whatever_the_sizes_are() {
    let medium = Faulty::default();
    let shelf = shelf(&medium, sealing(true));
    let of = Segment { sequence: 1, salt: 2 };
    let noise: Vec<u8> = (0..20_000u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let overhead = HEAD_BYTES + INNER_BYTES + SEAL_BYTES;
    // Around where a record takes another block.
    let sizes = |blocks: usize| (blocks * 4096 - overhead - 3..=blocks * 4096 - overhead + 3).step_by(1);
    for (payload, cover_bytes) in sizes(1).flat_map(|a| sizes(2).map(move |b| (a, b))) {
        let mut encoder = Encoder::new(shelf.writing_key());
        medium.create("0.spare", 1 << 16).unwrap();
        let mut active = Active::begin(&shelf, "0.spare", of, &names(), &mut encoder).unwrap();
        let least = (1u64..).map(|n| n * BLOCK_BYTES);
        let least = least.into_iter().find(|max| active.fits((payload + cover_bytes) as u64, *max)).unwrap();
        let rows = Rows { payload: &noise[..payload], count: 1, cover_bytes };
        let written = active.append(&rows, &mut encoder).unwrap();
        assert_eq!(written, blocks((payload + overhead) as u64) + blocks((cover_bytes + overhead) as u64));
        let end = active.seal(&mut encoder).unwrap().end;
        assert!(end <= least && least <= end + 2 * BLOCK_BYTES, "{payload} {cover_bytes}: {end} {least}");
    }
}
