//! Tests of the journal's file: torn tails, changed bits, full disks, and writing it anew.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_files::Memory;

use super::super::journal_form::HEAD_BYTES;
use super::*;

const UX: Programme = Programme::UserExperience;
const DX: Programme = Programme::DeviceExperience;
const NAME: &str = "de/withdrawals";

/// The newer act with the older one's second byte.
fn merge(older: &[u8], newer: &[u8]) -> std::result::Result<Vec<u8>, String> {
    Ok([&newer[..1], &older[1..2], &newer[2..]].concat())
}

fn act(programme: Programme, digest: u8, act: &[u8]) -> Act {
    Act { programme, digest: [digest; 16], act: act.to_vec() }
}

fn place() -> Arc<dyn Medium> {
    Arc::new(Memory::new())
}

fn open(place: &Arc<dyn Medium>) -> Result<Option<Journal>> {
    Journal::open(place, Region::De, merge)
}

fn said(journal: &Journal) -> Vec<(u64, u8, Vec<u8>)> {
    let mut found = Vec::new();
    journal
        .each(&mut |noted| {
            found.push((noted.number, noted.digest[0], noted.act));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn what_is_appended_is_there_in_its_order_and_is_counted() {
    let place = place();
    assert!(open(&place).unwrap().is_none());
    let mut journal = Journal::create(&place, Region::De, merge).unwrap();
    assert_eq!(journal.note().number, 0);
    let note = journal.append(&[act(UX, 1, &[1, 1, 1]), act(DX, 1, &[1, 2, 2])]).unwrap();
    assert_eq!((note.id, note.number), (journal.id, 2));
    journal.append(&[act(UX, 2, &[1, 3, 3])]).unwrap();
    for _ in 0..2 {
        let journal = open(&place).unwrap().unwrap();
        assert!(journal.knows(note) && journal.note().number == 3);
        assert!(
            !journal.knows(JournalNote { number: 4, ..note })
                && !journal.knows(JournalNote { id: 7, ..note })
        );
        let all = [(1, 1, vec![1, 1, 1]), (2, 1, vec![1, 2, 2]), (3, 2, vec![1, 3, 3])];
        assert_eq!(said(&journal), all);
    }
    assert!(
        journal.append(&[act(UX, 1, &[])]).is_err() && journal.append(&[act(UX, 1, &[0; 2000])]).is_err()
    );
    assert_eq!(said(&journal).len(), 3, "nothing of it is there");
}

#[test]
fn every_bit_that_flips_is_found_or_makes_the_last_record_missing() {
    let place = place();
    let mut journal = Journal::create(&place, Region::De, merge).unwrap();
    for digest in 1..=3 {
        journal.append(&[act(UX, digest, &[1, digest, 0])]).unwrap();
    }
    let note = journal.note();
    let whole = place.read(NAME).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        place.put(NAME, &bytes).unwrap();
        match open(&place) {
            Err(StorageError::Damaged { path, .. }) => assert!(path.ends_with(NAME)),
            // What it lacks is known by what the file of consents notes.
            Ok(Some(journal)) => assert!(journal.note().number == 2 && !journal.knows(note), "bit {bit}"),
            other => panic!("bit {bit}: {:?}", other.err()),
        }
    }
}

#[test]
fn of_a_subject_and_a_programme_one_record_stays_when_it_has_grown() {
    let place = place();
    let mut journal = Journal::create(&place, Region::De, merge).unwrap();
    let id = journal.id;
    let many: Vec<Act> =
        (0..400).map(|n| act(if n % 2 == 0 { UX } else { DX }, 7, &[1, 9, n as u8])).collect();
    let mut first = vec![act(UX, 7, &[1, 5, 0])];
    first.extend(many);
    while journal.bytes_then < 2 * HEAD_BYTES as u64 {
        journal.append(&first).unwrap();
    }
    let found = said(&journal);
    assert_eq!(found.len(), 2, "{found:?}");
    let last = journal.note().number;
    assert!(found.iter().any(|(number, ..)| *number == last) && journal.id == id, "numbers go on");
    assert!(found.iter().any(|(_, _, act)| act[1] == 5), "the older one is in the newer one");
    assert!(place.list("de").unwrap()[0].bytes < 1000);
    journal.append(&[act(UX, 8, &[1, 1, 1])]).unwrap();
    assert_eq!(open(&place).unwrap().unwrap().note().number, last + 1);
    // Acts of another kind stay beside.
    journal.append(&[act(UX, 7, &[2, 1, 1])]).unwrap();
    journal.write_anew(1).unwrap();
    assert_eq!((said(&journal).len(), journal.note().id), (4, 1));
}

proptest! {
    #[test]
    fn any_prefix_of_a_torn_end_is_read_to_the_last_whole_record(
        acts in prop::collection::vec((any::<bool>(), any::<u8>(), prop::collection::vec(any::<u8>(), 1..40)), 1..12),
        cut in 0_usize..2000, junk in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let place = place();
        let mut journal = Journal::create(&place, Region::De, merge).unwrap();
        let mut ends = vec![HEAD_BYTES];
        for (is_ux, digest, bytes) in &acts {
            journal.append(&[act(if *is_ux { UX } else { DX }, *digest, bytes)]).unwrap();
            ends.push(journal.bytes as usize);
        }
        let all = said(&journal);
        let whole = place.read(NAME).unwrap();
        let cut = HEAD_BYTES + cut % (whole.len() - HEAD_BYTES + 1);
        let kept = ends.iter().filter(|end| **end <= cut).count() - 1;
        let junk = if cut == ends[kept] { &junk[..] } else { &[] };
        place.put(NAME, &[&whole[..cut], junk].concat()).unwrap();
        let mut again = open(&place).unwrap().unwrap();
        prop_assert_eq!(said(&again), all[..kept].to_vec());
        prop_assert_eq!(place.read(NAME).unwrap().len(), ends[kept], "what was torn is cut off");
        again.append(&[act(UX, 1, &[7, 7])]).unwrap();
        let goes_on = open(&place).unwrap().unwrap();
        prop_assert_eq!(said(&goes_on).len(), kept + 1);
    }

    #[test]
    fn writing_it_anew_keeps_the_last_act_of_each(
        digests in prop::collection::vec((0_u8..6, any::<u8>()), 1..60),
    ) {
        let place = place();
        let mut journal = Journal::create(&place, Region::De, merge).unwrap();
        let mut last = std::collections::BTreeMap::new();
        for (digest, value) in digests {
            journal.append(&[act(UX, digest, &[1, 0, value])]).unwrap();
            last.insert(digest, value);
        }
        let number = journal.note().number;
        journal.write_anew(9).unwrap();
        let found: std::collections::BTreeMap<u8, u8> =
            said(&journal).into_iter().map(|(_, digest, act)| (digest, act[2])).collect();
        prop_assert_eq!(found, last);
        prop_assert_eq!(open(&place).unwrap().unwrap().note(), JournalNote { id: 9, number });
    }
}
