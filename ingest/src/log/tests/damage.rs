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
