//! Journals that come to be sealed, and stay so.

use shoal_files::SealingKey;

use super::*;

fn sealing(key: u8, is_writing: bool) -> Sealing {
    Sealing { key: SealingKey::new(&[key; 32]), is_writing }
}

/// A journal in the clear whose digests and acts can be seen.
fn plain(place: &Arc<dyn Medium>) -> Vec<(u64, u8, Vec<u8>)> {
    let mut journal = create(place, None);
    for digest in [250, 3, 2] {
        journal.append(&[act(UX, digest, &[1, digest, 0])]).unwrap();
    }
    assert!(is_clear(&place.read(NAME).unwrap()));
    said(&journal)
}

fn is_clear(bytes: &[u8]) -> bool {
    [250, 3, 2].iter().any(|digest| bytes.windows(12).any(|part| part == [*digest; 12]))
}

fn by_digest(mut said: Vec<(u64, u8, Vec<u8>)>) -> Vec<(u64, u8, Vec<u8>)> {
    said.sort_unstable();
    said
}

#[test]
fn a_journal_in_the_clear_is_sealed_when_it_is_opened_and_its_old_bytes_are_overwritten() {
    let place = place();
    let all = plain(&place);
    let old = place.edit(NAME).unwrap();
    let mut journal = open(&place, Some(&sealing(1, true))).unwrap().unwrap();
    assert_eq!(by_digest(said(&journal)), all);
    let bytes = place.read(NAME).unwrap();
    assert!(!is_clear(&bytes) && bytes.starts_with(b"SHOALWJ3"));
    let mut found = vec![1; old.length().unwrap() as usize];
    old.read_at(0, &mut found).unwrap();
    assert!(found.iter().all(|byte| *byte == 0));
    // What is there is never written again.
    journal.append(&[act(UX, 2, &[1, 9, 9])]).unwrap();
    let longer = place.read(NAME).unwrap();
    assert!(longer.starts_with(&bytes) && !is_clear(&longer));
    drop(open(&place, Some(&sealing(1, true))).unwrap());
    assert_eq!(place.read(NAME).unwrap(), longer);
    // It stays sealed, also where files are not sealed any more.
    let mut journal = open(&place, Some(&sealing(1, false))).unwrap().unwrap();
    journal.append(&[act(DX, 3, &[1, 9, 9])]).unwrap();
    journal.write_anew(8).unwrap();
    journal.append(&[act(DX, 250, &[1, 9, 9])]).unwrap();
    assert!(!is_clear(&place.read(NAME).unwrap()));
    let journal = open(&place, Some(&sealing(1, true))).unwrap().unwrap();
    assert_eq!((said(&journal).len(), journal.note()), (5, JournalNote { id: 8, number: 6 }));
}

#[test]
fn without_its_key_a_sealed_journal_is_an_error_that_says_so_and_is_not_changed() {
    let place = place();
    plain(&place);
    let note = open(&place, Some(&sealing(1, true))).unwrap().unwrap().note();
    let before = place.read(NAME).unwrap();
    assert!(matches!(open(&place, None), Err(StorageError::Sealed(path)) if path.ends_with(NAME)));
    let told = open(&place, Some(&sealing(2, true))).err().unwrap().to_string();
    assert!(told.contains("withdrawals was encrypted with another key"), "{told}");
    let look = |key: Option<u8>| {
        let key = key.map(|key| sealing(key, true).key);
        Journal::look(&*place, Region::De, key.as_ref())
    };
    assert!(look(None).is_err() && look(Some(2)).is_err());
    assert_eq!(look(Some(1)).unwrap(), Some(note));
    assert_eq!(place.read(NAME).unwrap(), before);
}

#[test]
fn sealing_that_is_cut_off_anywhere_loses_no_act() {
    let (mut clear, mut sealed) = (0, 0);
    for at in 0..20 {
        let medium = Faulty::<Memory>::default();
        let place: Arc<dyn Medium> = Arc::new(medium.clone());
        let all = plain(&place);
        medium.crash_at(medium.operations() + at);
        drop(open(&place, Some(&sealing(1, true))));
        let next: Arc<dyn Medium> = Arc::new(medium.after_power_cut(at));
        match next.read(NAME).unwrap().starts_with(b"SHOALWJ3") {
            true => sealed += 1,
            false => {
                clear += 1;
                assert_eq!(said(&open(&next, None).unwrap().unwrap()), all);
            }
        }
        let journal = open(&next, Some(&sealing(1, true))).unwrap().unwrap();
        assert_eq!((by_digest(said(&journal)), journal.note().number), (by_digest(all), 3));
    }
    assert!(clear > 2 && sealed > 2, "{clear} {sealed}");
}

#[test]
fn no_write_can_be_moved_or_left_out_before_another() {
    let place = place();
    let sealing = sealing(1, true);
    let mut journal = create(&place, Some(&sealing));
    let mut begins = Vec::new();
    for digest in 1..=4 {
        begins.push(journal.bytes as usize);
        journal.append(&[act(UX, digest, &[1, digest, 0])]).unwrap();
    }
    let whole = place.read(NAME).unwrap();
    let write = |number: usize| whole[begins[number]..begins[number + 1]].to_vec();
    let head = whole[..begins[0]].to_vec();
    let others: [&[usize]; 4] = [&[1, 0, 2], &[0, 2], &[0, 0, 2], &[1, 2]];
    for order in others {
        let moved: Vec<u8> = order.iter().flat_map(|number| write(*number)).collect();
        place.put(NAME, &[head.clone(), moved].concat()).unwrap();
        assert!(matches!(open(&place, Some(&sealing)), Err(StorageError::Damaged { .. })), "{order:?}");
    }
    place.put(NAME, &whole).unwrap();
    assert_eq!(said(&open(&place, Some(&sealing)).unwrap().unwrap()).len(), 4);
}
