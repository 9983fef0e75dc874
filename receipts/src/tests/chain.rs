//! The chain: what it holds, what becomes of damage, another key, another process, and time.

use shoal_files::{Memory, Objects};

use super::{SEED, act, all_bytes, begun, file, holds, key, open, opened, policy, signer};
use crate::{Act, ActKind, ChainEnd, Fault, ReceiptError, Receipts, Signer, verify_chain};

fn write_policies(receipts: &Receipts, count: u128) {
    for request in 1..=count {
        receipts.write(&policy(request)).unwrap();
    }
}

fn exported(receipts: &Receipts) -> Vec<u8> {
    let mut chain = Vec::new();
    receipts.export(&mut chain).unwrap();
    chain
}

fn verified(chain: &[u8]) -> Result<ChainEnd, Fault> {
    verify_chain(&mut &chain[..], &[key()], &mut |_| {})
}

#[test]
fn the_chain_verifies_and_holds_neither_counts_nor_files() {
    let (chain, openings, receipts) = begun();
    for request in 1..=5 {
        assert_eq!(receipts.write(&act(request)).unwrap().seq, u64::try_from(request).unwrap());
    }
    let bytes = exported(&receipts);
    let mut lines = Vec::new();
    let end = verify_chain(&mut &bytes[..], &[key()], &mut |line| lines.push(*line)).unwrap();
    assert_eq!((end.count, end), (5, receipts.end().unwrap()));
    assert_eq!((lines.len(), lines[4]), (5, end));
    let closed = all_bytes(&chain).unwrap();
    let names = [file(3).path, "user-experience".to_owned(), "2026-09-04.90".to_owned()];
    let open = all_bytes(&openings).unwrap();
    for hidden in names.iter().map(String::as_str).chain(["4711", "\"version\"", "\"files\""]) {
        assert!(!holds(&closed, hidden), "{hidden} is in the chain");
        assert!(holds(&open, hidden), "{hidden} must be found where it is");
    }
    assert!(holds(&closed, "privacy-officer"), "what is in the chain must be found");
}

/// Whoever sees an entry must not see whether anything was there to be erased.
#[test]
fn an_act_that_changed_nothing_has_no_two_equal_commitments() {
    let (chain, _, receipts) = begun();
    let nothing = Act { after: act(1).before, removed: vec![], ..act(1) };
    receipts.write(&nothing).unwrap();
    receipts.write(&Act { request: uuid::Uuid::from_u128(2), ..nothing }).unwrap();
    let text = String::from_utf8(exported(&receipts)).unwrap();
    let mut hashes: Vec<&str> =
        text.split('"').filter(|word| word.len() == 64 && !word.starts_with("0000")).collect();
    let all = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!((all, hashes.len()), (2 * 9 + 1, all), "nine commitments each, and one hash of a line");
    assert_eq!(chain.list("").unwrap().len(), 1);
}

#[test]
fn the_same_act_of_the_same_request_has_one_receipt() {
    let (chain, openings, receipts) = begun();
    let is_written = |kind: ActKind| receipts.is_written(kind, act(1).request);
    assert!(!is_written(act(1).kind));
    let first = receipts.write(&act(1)).unwrap();
    assert!(is_written(act(1).kind) && !is_written(ActKind::SubjectLift));
    let lines = exported(&receipts);
    let again = Act { at_ms: 5, ..act(1) };
    assert_eq!(receipts.write(&again).unwrap(), first);
    assert_eq!(open(&chain, &openings).write(&again).unwrap(), first);
    assert_eq!(exported(&receipts), lines);
    let lift = Act { kind: ActKind::SubjectLift, ..act(1) };
    let second = receipts.write(&lift).unwrap();
    assert_eq!(second.seq, 2, "another act of one request has its own");
    assert_eq!(receipts.of_request(lift.request).unwrap(), [first, second]);
    assert!(receipts.of_request(uuid::Uuid::from_u128(9)).unwrap().is_empty());
}

#[test]
fn a_flipped_byte_of_the_chain_is_found_with_its_line() {
    let (_, _, receipts) = begun();
    write_policies(&receipts, 3);
    let bytes = exported(&receipts);
    let mut line = 1;
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_eq!(verified(&flipped).unwrap_err().line, line, "{at}");
        line += u64::from(bytes[at] == b'\n');
    }
    assert!(verified(&bytes).is_ok());
}

#[test]
fn a_line_that_is_removed_moved_or_doubled_is_found() {
    let (_, _, receipts) = begun();
    write_policies(&receipts, 3);
    let bytes = String::from_utf8(exported(&receipts)).unwrap();
    let lines: Vec<&str> = bytes.split_inclusive('\n').collect();
    for (order, expected) in [
        (&[0, 2][..], Err(2)),
        (&[1, 2], Err(1)),
        (&[0, 2, 1], Err(2)),
        (&[0, 1, 1, 2], Err(3)),
        // Only who knows the end from before sees this one.
        (&[0, 1], Ok(2)),
        (&[], Ok(0)),
    ] {
        let chain: String = order.iter().map(|at| lines[*at]).collect();
        let found = verified(chain.as_bytes()).map(|end| end.count).map_err(|fault| fault.line);
        assert_eq!(found, expected, "{order:?}");
    }
}

#[test]
fn damage_is_told_with_object_and_line() {
    let (chain, openings, receipts) = begun();
    write_policies(&receipts, 300);
    let mut names: Vec<String> = chain.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    assert!(names.len() > 1, "a second object was begun");
    let spoilt = chain.after_power_cut(0);
    let text = String::from_utf8(spoilt.read(&names[0]).unwrap()).unwrap();
    spoilt.flip(&names[0], text.lines().next().unwrap().len() + 20);
    let told = |chain: &Memory| match opened(chain, &openings) {
        Err(ReceiptError::Damaged { path, line, .. }) => (path.display().to_string(), line),
        other => panic!("{:?}", other.err()),
    };
    let (path, line) = told(&spoilt);
    assert!(path.ends_with(&names[0]) && line == 2, "{path}:{line}");
    let first_is_gone = chain.after_power_cut(0);
    first_is_gone.remove(&[&names[0]]).unwrap();
    assert!(told(&first_is_gone).0.ends_with(&names[1]));
    // The end, which the lines do not miss: the openings do.
    let last_is_gone = chain.after_power_cut(0);
    last_is_gone.remove(&[names.last().unwrap()]).unwrap();
    told(&last_is_gone);
    assert!(opened(&chain, &openings).is_ok());
}

#[test]
fn a_chain_goes_on_with_another_key_and_verifies_with_both() {
    let (chain, openings, receipts) = begun();
    receipts.write(&act(1)).unwrap();
    let place = || (std::sync::Arc::new(chain.clone()), std::sync::Arc::new(openings.clone()));
    let (lines, opens) = place();
    let next = Signer::from_seed([8; 32]);
    assert!(
        Receipts::open(lines, opens, Signer::from_seed([8; 32]), "de").is_err(),
        "nobody knows the first key"
    );
    let (lines, opens) = place();
    let receipts = Receipts::open(lines, opens, next.after([key()]), "de").unwrap();
    let first = receipts.of_request(act(1).request).unwrap()[0];
    receipts.write(&act(2)).unwrap();
    assert!(receipts.full(&first, 1).unwrap().is_some());
    let bytes = exported(&receipts);
    assert_eq!(verified(&bytes).unwrap_err().line, 2);
    let both = [receipts.public_key(), key()];
    assert_eq!(verify_chain(&mut &bytes[..], &both, &mut |_| {}).unwrap().count, 2);
    assert_ne!(both[0].id(), both[1].id());
}

#[test]
fn a_chain_of_another_region_is_refused() {
    let (chain, openings, receipts) = begun();
    receipts.write(&act(1)).unwrap();
    let place = |of: &Memory| std::sync::Arc::new(of.clone());
    assert!(Receipts::open(place(&chain), place(&openings), signer(), "us").is_err());
    assert!(Receipts::open(place(&Memory::new()), place(&Memory::new()), signer(), "../us").is_err());
}

#[test]
fn a_second_process_is_noticed_and_both_go_on() {
    let (chain, openings, one) = begun();
    // Until the first object is nearly full: what matters is who begins the next.
    write_policies(&one, 250);
    let two = open(&chain, &openings);
    for request in 251..=270 {
        let writer = if request % 3 == 0 { &one } else { &two };
        writer.write(&policy(request)).unwrap();
        assert_eq!(one.end().unwrap(), two.end().unwrap());
    }
    assert_eq!(verified(&exported(&one)).unwrap().count, 270);
    // An older chain in its place is none that this process goes on with.
    let names: Vec<String> = chain.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    chain.remove(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(one.write(&policy(1000)).is_err());
}

#[test]
fn openings_are_forgotten_and_the_chain_still_verifies() {
    let (chain, openings, receipts) = begun();
    let early = receipts.write(&Act { at_ms: 10, ..act(1) }).unwrap();
    let late = receipts.write(&Act { at_ms: 20, ..act(2) }).unwrap();
    openings.put("00000000000000000003/openings.json", b"{}").unwrap();
    assert_eq!(receipts.forget(20).unwrap(), 1);
    assert!(receipts.full(&early, 1).unwrap().is_none() && receipts.personal(&early).unwrap().is_none());
    assert!(receipts.full(&late, 1).unwrap().is_some());
    let left: Vec<String> = openings.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(left.len() == 2 && left.iter().all(|name| name.starts_with("00000000000000000002/")), "{left:?}");
    assert_eq!(receipts.forget(20).unwrap(), 0);
    assert_eq!(verified(&exported(&receipts)).unwrap().count, 2);
    let again = open(&chain, &openings);
    assert_eq!(again.write(&act(1)).unwrap(), early, "it still has its receipt");
}

#[test]
fn neither_an_error_nor_a_public_key_tells_the_seed() {
    assert_eq!(crate::PublicKey::from_text(&key().to_string()), Some(key()));
    let seed = hex::encode(SEED);
    assert!(!key().to_string().contains(&seed));
    for wrong in ["", "00", &"0".repeat(64), &"F".repeat(64), &format!("01{}", "0".repeat(62))] {
        assert!(crate::PublicKey::from_text(wrong).is_none(), "{wrong}");
    }
}
