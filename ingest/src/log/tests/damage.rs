//! What something other than a crash did to a segment, or to the table that says how far it is, is an error.
#![allow(clippy::unwrap_used)]

use super::*;

/// The last record is the one that a torn end would be taken for.
#[tokio::test]
async fn a_bit_that_flips_in_the_last_record_of_a_kill_loses_nothing_without_a_word() {
    let name = "0000000000000001.log";
    for sealing in [sealing(true), sealing(false)] {
        let medium = Faulty::default();
        let log = with(&medium, &sealing).unwrap();
        for id in 0..3 {
            log.append(batch([id])).await.unwrap();
        }
        let bytes = medium.after_power_cut(0).read(name).unwrap();
        let last = 3 * BLOCK_BYTES as usize;
        let end = last + bytes[last..].iter().rposition(|byte| *byte != 0).unwrap();
        for bit in last * 8..(end + 1) * 8 {
            let killed = medium.after_power_cut(0);
            killed.edit(name).unwrap().write_at(bit as u64 / 8, &[bytes[bit / 8] ^ 1 << (bit % 8)]).unwrap();
            match with(&killed, &sealing) {
                Ok(log) => assert_eq!(held(&log), prints(0..3), "{bit}"),
                Err(error) => assert!(matches!(error, IngestError::Damaged { .. }), "{bit}: {error}"),
            }
        }
    }
}

/// More than a bit, up to whole sectors of other bytes.
#[tokio::test]
async fn what_changes_in_the_last_record_of_a_kill_loses_nothing_without_a_word() {
    let name = "0000000000000001.log";
    let mut numbers = 7_u64;
    let mut below = |most: usize| {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (numbers >> 33) as usize % most
    };
    for sealing in [sealing(true), sealing(false)] {
        let medium = Faulty::default();
        let log = with(&medium, &sealing).unwrap();
        log.append(batch([0])).await.unwrap();
        log.append(batch(1..60)).await.unwrap();
        let whole = medium.after_power_cut(0).read(name).unwrap();
        let last = 2 * BLOCK_BYTES as usize;
        let end = last + whole[last..].iter().rposition(|byte| *byte != 0).unwrap();
        assert!(end - last > 1024, "it has several sectors");
        for turn in 0..3000 {
            let mut bytes = whole.clone();
            // The head is a small part of the record, and has a turn in three.
            let (from, length) = if turn % 3 == 0 { (last, 40) } else { (last, end + 1 - last) };
            for _ in 0..2 + below(6) {
                bytes[from + below(length)] ^= 1 << below(8);
            }
            if turn % 5 == 0 {
                let at = from + below(length) / 512 * 512;
                bytes[at..at + 512].iter_mut().for_each(|byte| *byte = 1 + below(255) as u8);
            }
            if sealing.as_ref().is_some_and(|sealing| !sealing.is_writing) {
                // Only an encrypted record has a check of its length alone.
                bytes[last + 24..last + 28].copy_from_slice(&whole[last + 24..last + 28]);
            }
            if bytes == whole {
                continue;
            }
            let killed = medium.after_power_cut(0);
            killed.edit(name).unwrap().write_at(0, &bytes).unwrap();
            let found = with(&killed, &sealing);
            let is_damage = matches!(found.as_ref().err(), Some(IngestError::Damaged { .. }));
            assert!(is_damage, "turn {turn}: {:?}", found.map(|log| held(&log).len()).ok());
        }
    }
}

/// Rows and their cover are one write: of their sectors a power cut leaves some.
#[tokio::test]
async fn what_a_power_cut_has_torn_is_no_damage_and_leaves_nothing_for_the_next_records() {
    let name = "0000000000000001.log";
    for sealing in [sealing(true), sealing(false)] {
        let mut without = 0;
        for cut in 0..400 {
            let medium = Faulty::default();
            let log = with(&medium, &sealing).unwrap();
            log.append(batch([0])).await.unwrap();
            medium.fail_syncs_after(0);
            log.append(covers::covered(1..4, 4..9)).await.unwrap_err();
            let found = medium.after_power_cut(cut);
            let held = held(&with(&found, &sealing).unwrap());
            assert!(held == prints(0..1) || held == prints(0..4), "power cut {cut}: {held:?}");
            if held == prints(0..1) {
                without += 1;
                let bytes = found.read(name).unwrap();
                let behind = 3 * BLOCK_BYTES as usize;
                assert!(bytes[behind..].iter().all(|byte| *byte == 0), "power cut {cut}: behind the seal");
            }
        }
        assert!(without > 100, "{without}");
    }
}

#[tokio::test]
async fn a_segment_that_was_cut_is_an_error_and_loses_nothing_without_a_word() {
    let name = "0000000000000001.log";
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    for id in 0..3 {
        log.append(batch([id])).await.unwrap();
    }
    // As a kill leaves it: without a seal, and as long as it was made.
    assert_eq!(held(&simple(&medium.after_power_cut(0)).unwrap()), prints(0..3));
    for blocks in 0..8 {
        let cut = medium.after_power_cut(0);
        cut.edit(name).unwrap().set_length(blocks * BLOCK_BYTES).unwrap();
        let found = simple(&cut).err();
        assert!(matches!(found, Some(IngestError::Damaged { .. })), "{blocks}");
    }
}

#[tokio::test]
async fn a_version_above_every_segment_is_an_error() {
    let medium = Faulty::default();
    one_segment(&medium).await;
    let open_on = |medium: &Faulty, runs, committed| open_on(shelf(medium, sealing(true)), runs, committed);
    let after = |committed| open_on(&medium, runs(&medium).unwrap(), committed);
    for committed in [None, Some(0), Some(1)] {
        assert_eq!(held(&after(committed).unwrap()), prints(0..3));
    }
    for committed in [2, 3, 1 << 40] {
        assert!(matches!(after(Some(committed)).err(), Some(IngestError::Damaged { .. })), "{committed}");
    }
    // Where no row waits, none can be taken for one that is there.
    assert!(open_on(&Faulty::default(), runs(&medium).unwrap(), Some(9)).is_ok());
}

/// Whoever has the disk can make a checksum, and a start must not run out of memory of it.
#[tokio::test]
async fn a_record_is_not_made_room_for_that_says_more_than_it_can_hold() {
    let (medium, name) = (Faulty::default(), "0000000000000001.log");
    let log = with(&medium, &sealing(false)).unwrap();
    log.append(batch(1..60)).await.unwrap();
    log.stop().await;
    let whole = medium.read(name).unwrap();
    let at = BLOCK_BYTES as usize;
    assert_eq!(whole[at + 5], 1, "the rows are packed");
    let told = |bytes: u32| {
        let mut file = whole.clone();
        file[at + 28..at + 32].copy_from_slice(&bytes.to_le_bytes());
        let stored = u32::from_le_bytes(file[at + 24..at + 28].try_into().unwrap()) as usize;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[at..at + 36]);
        crc.update(&file[at + 40..at + 40 + stored]);
        file[at + 36..at + 40].copy_from_slice(&crc.finalize().to_le_bytes());
        medium.put(name, &file).unwrap();
        scan(&shelf(&medium, sealing(false)), 1, &mut |_, _| Ok(())).map(|found| found.unwrap().extent.rows)
    };
    let bytes = u32::from_le_bytes(whole[at + 28..at + 32].try_into().unwrap());
    assert_eq!(told(bytes).unwrap(), 59, "the checksum is right");
    let refused = |bytes| match told(bytes).err() {
        Some(IngestError::Damaged { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(u32::MAX), "a record says that it has more than can be in it");
    assert_eq!(refused(bytes + 1), "a record whose checksum holds cannot be decompressed");
}
