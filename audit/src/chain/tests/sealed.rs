//! A chain whose lines are sealed: as whole as one in the clear, and nothing of it can be read without the key.

use shoal_files::{Sealing, SealingKey};

use super::*;

fn sealing(key: &SealingKey, is_writing: bool) -> Option<Sealing> {
    Some(Sealing { key: key.clone(), is_writing })
}

/// A chain of lines, of which some are in the clear: whether each is sealed.
fn mixed(key: &SealingKey, sealed: &[bool]) -> (TempDir, ChainPlace) {
    let dir = tempfile::tempdir().unwrap();
    for (at, is_sealed) in sealed.iter().enumerate() {
        let place = place(&dir, 700).sealed(sealing(key, *is_sealed));
        append(&Chain::open(place).unwrap(), &format!("\"marker\":\"text-{at}\""));
    }
    let place = place(&dir, 700).sealed(sealing(key, true));
    (dir, place)
}

fn bytes(place: &ChainPlace) -> Vec<u8> {
    paths(place).iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn lines_that_are_sealed_and_lines_of_before_are_one_chain() {
    let key = SealingKey::generate().unwrap();
    let (_dir, place) = mixed(&key, &[false, false, true, true, false, true]);
    let mut texts = Vec::new();
    let found =
        verify(&place, &mut |line| texts.push(String::from_utf8(line.text.to_vec()).unwrap())).unwrap();
    assert_eq!((found.count, found.uncounted), (6, 0));
    assert!((0..6).all(|at| texts[at].contains(&format!("text-{at}")) && texts[at].starts_with("{\"seq\":")));
    let lies = bytes(&place);
    let told: Vec<bool> = (0..6).map(|at| has(&lies, &format!("text-{at}"))).collect();
    assert_eq!(told, [true, true, false, false, true, false]);
    assert!(!has(&lies, &hex::encode(found.hash)), "the hash of a sealed line is in it");
}

#[test]
fn without_the_key_or_with_another_one_nothing_is_read_appended_or_cut_off() {
    let key = SealingKey::generate().unwrap();
    let (dir, own) = mixed(&key, &[true, true, true]);
    let before = bytes(&own);
    let other = SealingKey::generate().unwrap();
    for (sealing, word) in [(None, "there is no key"), (sealing(&other, true), "another key")] {
        let place = place(&dir, 700).sealed(sealing);
        let told = verify(&place, &mut |_| {}).unwrap_err().to_string();
        assert!(told.contains(word) && !told.contains("text-"), "{told}");
        assert!(Chain::open(place).is_err());
        assert!(bytes(&own) == before);
    }
    assert_eq!(whole(&own).count, 3);
}

#[test]
fn every_byte_that_is_changed_is_found_and_an_end_that_is_torn_is_cut_off() {
    let key = SealingKey::generate().unwrap();
    let (_dir, place) = mixed(&key, &[true, true, true]);
    let path = paths(&place).pop().unwrap();
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(verify(&place, &mut |_| {}).is_err(), "byte {at}");
    }
    fs::write(&path, &good).unwrap();
    for torn in [1, 20, 90] {
        let mut longer = good.clone();
        longer.extend_from_slice(&good[..torn]);
        fs::write(&path, &longer).unwrap();
        let chain = Chain::open(place.clone()).unwrap();
        assert_eq!(chain.cut_bytes(), torn as u64);
        drop(chain);
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}
