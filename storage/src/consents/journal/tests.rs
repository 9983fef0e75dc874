//! Tests of the journal's file: torn tails, changed bits, full disks, and writing it anew.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

mod sealed;

use proptest::prelude::*;
use shoal_files::{Faulty, Memory};

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

/// In the clear, and sealed.
fn kinds() -> [Option<Sealing>; 2] {
    [None, Some(Sealing { key: SealingKey::new(&[7; 32]), is_writing: true })]
}

fn open(place: &Arc<dyn Medium>, sealing: Option<&Sealing>) -> Result<Option<Journal>> {
    Journal::open(place, Region::De, merge, sealing)
}

fn create(place: &Arc<dyn Medium>, sealing: Option<&Sealing>) -> Journal {
    Journal::create(place, Region::De, merge, sealing).unwrap()
}

fn said(journal: &Journal) -> Vec<(u64, u8, Vec<u8>)> {
    let mut found = Vec::new();
    journal
        .each(&mut |noted| {
            found.push((noted.number, noted.digest[0], noted.act.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn what_is_appended_is_there_in_its_order_and_is_counted() {
    for sealing in &kinds() {
        let place = place();
        assert!(open(&place, sealing.as_ref()).unwrap().is_none());
        let mut journal = create(&place, sealing.as_ref());
        assert_eq!(journal.note().number, 0);
        let note = journal.append(&[act(UX, 1, &[1, 1, 1]), act(DX, 1, &[1, 2, 2])]).unwrap();
        assert_eq!((note.id, note.number), (journal.pen.id, 2));
        journal.append(&[act(UX, 2, &[1, 3, 3])]).unwrap();
        for _ in 0..2 {
            let journal = open(&place, sealing.as_ref()).unwrap().unwrap();
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
}

/// Flips every bit of the file, and cuts it everywhere. Each flip must be found, but for those in the last write: it is missing
/// then, and what the file of consents notes tells. So it is with cuts, but for those of what the file was made with: they are found.
fn damage_all(place: &Arc<dyn Medium>, made: usize, last_write: usize, sealing: Option<&Sealing>) {
    let note = open(place, sealing).unwrap().unwrap().note();
    let whole = place.read(NAME).unwrap();
    let is_found = |bytes: &[u8]| {
        place.put(NAME, bytes).unwrap();
        match open(place, sealing) {
            Err(StorageError::Damaged { path, .. }) => {
                assert!(path.ends_with(NAME));
                true
            }
            Ok(Some(journal)) => {
                assert!(journal.note().number < note.number && !journal.knows(note));
                false
            }
            other => panic!("{:?}", other.err()),
        }
    };
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(is_found(&bytes), bit / 8 < last_write, "bit {bit}");
    }
    for length in 0..whole.len() {
        assert_eq!(is_found(&whole[..length]), length < made, "{length} bytes");
    }
    place.put(NAME, &whole).unwrap();
}

#[test]
fn every_bit_that_flips_is_found_or_makes_the_last_record_missing() {
    for sealing in &kinds() {
        let place = place();
        let mut journal = create(&place, sealing.as_ref());
        let mut begins = Vec::new();
        // By digests they are in another order than by numbers.
        for digest in [250, 3, 2] {
            begins.push(journal.bytes as usize);
            journal.append(&[act(UX, digest, &[1, digest, 0])]).unwrap();
        }
        damage_all(&place, begins[0], begins[2], sealing.as_ref());
        // Written anew, nothing of it can be torn, whichever record is its last one.
        let mut journal = open(&place, sealing.as_ref()).unwrap().unwrap();
        journal.write_anew(9).unwrap();
        let made = journal.bytes as usize;
        assert_eq!(said(&journal).iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [3, 2, 1]);
        damage_all(&place, made, made, sealing.as_ref());
        // Several acts of one write are missing together.
        let mut journal = open(&place, sealing.as_ref()).unwrap().unwrap();
        journal.append(&[act(UX, 9, &[1, 1, 1]), act(DX, 8, &[1, 1, 1])]).unwrap();
        damage_all(&place, made, made, sealing.as_ref());
    }
}

#[test]
fn a_power_cut_in_a_write_leaves_all_of_it_or_nothing_and_stops_no_start() {
    for sealing in &kinds() {
        let mut seen = BTreeSet::new();
        for (seed, many) in (0..40).flat_map(|seed| [1, 3, 10, 40, 200].map(|many| (seed, many))) {
            let medium = Faulty::<Memory>::default();
            let place: Arc<dyn Medium> = Arc::new(medium.clone());
            let mut journal = create(&place, sealing.as_ref());
            for digest in 1..=3 {
                journal.append(&[act(UX, digest, &[1, digest, 0])]).unwrap();
            }
            let before = said(&journal);
            medium.fail_syncs_after(0);
            let acts: Vec<Act> = (0..many).map(|digest| act(UX, digest, &[1, 7, 7])).collect();
            assert!(matches!(journal.append(&acts), Err(StorageError::Broken(_))));
            assert!(journal.append(&[]).is_err() && *journal.broken().borrow());
            let next: Arc<dyn Medium> = Arc::new(medium.after_power_cut(seed));
            let mut journal = open(&next, sealing.as_ref()).unwrap().unwrap();
            let found = said(&journal);
            assert_eq!(found[..3], before);
            seen.insert((many, found.len() - 3));
            journal.append(&[act(UX, 7, &[1, 1, 1])]).unwrap();
            assert_eq!(said(&open(&next, sealing.as_ref()).unwrap().unwrap()).len(), found.len() + 1);
        }
        assert!(seen.iter().all(|(many, found)| [0, usize::from(*many)].contains(found)), "{seen:?}");
        assert!(seen.contains(&(1, 0)) && seen.contains(&(1, 1)) && seen.contains(&(200, 0)), "{seen:?}");
    }
}

/// A file of the first form, as earlier versions wrote it: number, digest and act of each record.
fn first_form(id: u128, records: &[(u64, u8, &[u8])]) -> Vec<u8> {
    let mut file = [b"SHOALWJ1".as_slice(), &id.to_le_bytes()].concat();
    file.extend(crc32fast::hash(&file).to_le_bytes());
    for (number, digest, act) in records {
        let body = [&number.to_le_bytes()[..], &[0], &[*digest; 16], act].concat();
        let record = [&u16::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat();
        let crc = crc32fast::hash(&[&id.to_le_bytes()[..], &record].concat());
        file.extend([b"WJr1".as_slice(), &record, &crc.to_le_bytes()].concat());
    }
    file
}

#[test]
fn a_file_of_the_first_form_is_read_and_becomes_one_of_the_second_unless_its_end_is_not_whole() {
    let place = place();
    let whole = first_form(77, &[(3, 9, &[1, 5, 0]), (1, 200, &[1, 6, 0]), (4, 9, &[1, 7, 2])]);
    for bit in HEAD_BYTES * 8..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        place.put(NAME, &bytes).unwrap();
        assert!(matches!(open(&place, None), Err(StorageError::Damaged { .. })), "bit {bit}");
    }
    place.put(NAME, &whole).unwrap();
    for _ in 0..2 {
        let journal = open(&place, None).unwrap().unwrap();
        assert_eq!(journal.note(), JournalNote { id: 77, number: 4 });
        assert_eq!(said(&journal), [(4, 9, vec![1, 5, 2]), (1, 200, vec![1, 6, 0])]);
        assert!(place.read(NAME).unwrap().starts_with(b"SHOALWJ2"));
    }
    let made = place.read(NAME).unwrap().len();
    damage_all(&place, made, made, None);
}

#[test]
fn a_service_that_restarts_often_writes_its_journal_anew_as_one_that_does_not() {
    let place = place();
    drop(create(&place, None));
    for start in 0..50 {
        let mut journal = open(&place, None).unwrap().unwrap();
        let acts: Vec<Act> = (0..1000).map(|n| act(UX, n as u8, &[1, 1, start])).collect();
        journal.append(&acts).unwrap();
    }
    let bytes = place.list("de").unwrap()[0].bytes;
    assert!(bytes < KEPT_BYTES, "{bytes}");
    assert_eq!(open(&place, None).unwrap().unwrap().note().number, 50_000);
}

#[test]
fn of_a_subject_and_a_programme_one_record_stays_when_it_has_grown() {
    for sealing in &kinds() {
        let place = place();
        let mut journal = create(&place, sealing.as_ref());
        let id = journal.pen.id;
        let many: Vec<Act> =
            (0..400).map(|n| act(if n % 2 == 0 { UX } else { DX }, 7, &[1, 9, n as u8])).collect();
        let mut first = vec![act(UX, 7, &[1, 5, 0])];
        first.extend(many);
        let begun = journal.bytes_then;
        while journal.bytes_then == begun {
            journal.append(&first).unwrap();
        }
        let found = said(&journal);
        assert_eq!(found.len(), 2, "{found:?}");
        let last = journal.note().number;
        assert!(found.iter().any(|(number, ..)| *number == last) && journal.pen.id == id, "numbers go on");
        assert!(found.iter().any(|(_, _, act)| act[1] == 5), "the older one is in the newer one");
        assert!(place.list("de").unwrap()[0].bytes < 1000);
        journal.append(&[act(UX, 8, &[1, 1, 1])]).unwrap();
        assert_eq!(open(&place, sealing.as_ref()).unwrap().unwrap().note().number, last + 1);
        // Acts of another kind stay beside.
        journal.append(&[act(UX, 7, &[2, 1, 1])]).unwrap();
        journal.write_anew(1).unwrap();
        assert_eq!((said(&journal).len(), journal.note().id), (4, 1));
    }
}

proptest! {
    #[test]
    fn any_prefix_of_a_torn_end_is_read_to_the_last_whole_record(
        acts in prop::collection::vec((any::<bool>(), any::<u8>(), prop::collection::vec(any::<u8>(), 1..40)), 1..12),
        is_sealed: bool, cut in 0_usize..2000, junk in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let (place, sealing) = (place(), &kinds()[usize::from(is_sealed)]);
        let mut journal = create(&place, sealing.as_ref());
        let made = journal.bytes as usize;
        let mut ends = vec![made];
        for (is_ux, digest, bytes) in &acts {
            journal.append(&[act(if *is_ux { UX } else { DX }, *digest, bytes)]).unwrap();
            ends.push(journal.bytes as usize);
        }
        let all = said(&journal);
        let whole = place.read(NAME).unwrap();
        let cut = made + cut % (whole.len() - made + 1);
        let kept = ends.iter().filter(|end| **end <= cut).count() - 1;
        let junk = if cut == ends[kept] { &junk[..] } else { &[] };
        place.put(NAME, &[&whole[..cut], junk].concat()).unwrap();
        let mut again = open(&place, sealing.as_ref()).unwrap().unwrap();
        prop_assert_eq!(said(&again), all[..kept].to_vec());
        prop_assert_eq!(place.read(NAME).unwrap().len(), ends[kept], "what was torn is cut off");
        again.append(&[act(UX, 1, &[7, 7])]).unwrap();
        let goes_on = open(&place, sealing.as_ref()).unwrap().unwrap();
        prop_assert_eq!(said(&goes_on).len(), kept + 1);
    }

    #[test]
    fn writing_it_anew_keeps_the_last_act_of_each(
        digests in prop::collection::vec((0_u8..6, any::<u8>()), 1..60), is_sealed: bool,
    ) {
        let (place, sealing) = (place(), &kinds()[usize::from(is_sealed)]);
        let mut journal = create(&place, sealing.as_ref());
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
        prop_assert_eq!(open(&place, sealing.as_ref()).unwrap().unwrap().note(), JournalNote { id: 9, number });
    }
}
