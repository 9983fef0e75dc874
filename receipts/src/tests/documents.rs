//! Documents: what each opens, what is refused, and how large they get.

use std::collections::BTreeMap;

use super::{act, begun, file, holds, key, policy, table};
use crate::{Act, DocumentKind, PART_FILES, ReceiptError, RemovedFile, Signer, verify_document};

#[test]
fn the_full_receipt_opens_all_and_the_persons_only_what_concerns_the_act() {
    let (_, _, receipts) = begun();
    let id = receipts.write(&act(1)).unwrap();
    let full = receipts.full(&id, 1).unwrap().unwrap();
    let found = verify_document(full.text().as_bytes(), &[key()]).unwrap();
    assert_eq!((found.kind, found.seq, found.part), (DocumentKind::Full, 1, Some((1, 1))));
    assert_eq!(found.line, receipts.end().unwrap().hash);
    assert_eq!((found.act, found.request, found.at_ms), (act(1).kind, act(1).request, act(1).at_ms));
    assert_eq!((found.region.as_str(), found.role.as_str()), ("de", "privacy-officer"));
    assert_eq!(found.opened["count.rows"], "4711");
    assert_eq!(found.opened["kept.key_epochs"], "[\"2026-09-04.90\"]");
    assert!(found.opened["table.usage.after"].starts_with("{\"version\":9,\"files\":3,\"root\":"));
    let removed: Vec<String> = found.removed.iter().map(|file| file.path.clone()).collect();
    assert_eq!(removed, [file(2).path, file(3).path]);
    let personal = receipts.personal(&id).unwrap().unwrap();
    let found = verify_document(personal.text().as_bytes(), &[key()]).unwrap();
    assert_eq!((found.kind, found.part, found.removed.len()), (DocumentKind::Personal, None, 0));
    let opened = [("told.programmes".to_owned(), "[\"user-experience\"]".to_owned())];
    assert_eq!(found.opened, BTreeMap::from(opened));
    for hidden in ["4711", "parquet", "2026-09-04.90", "\"version\""] {
        assert!(holds(full.text().as_bytes(), hidden) && !holds(personal.text().as_bytes(), hidden));
    }
}

#[test]
fn every_flipped_bit_of_a_document_is_found() {
    let (_, _, receipts) = begun();
    let id = receipts.write(&act(1)).unwrap();
    let nothing = Act { told: BTreeMap::new(), kept: BTreeMap::new(), counts: BTreeMap::new(), ..policy(2) };
    let small = receipts.write(&nothing).unwrap();
    // All bits of the small ones, and one bit of each byte of the large one.
    for (document, all) in
        [(receipts.full(&id, 1), false), (receipts.full(&small, 1), true), (receipts.personal(&small), true)]
    {
        let document = document.unwrap().unwrap();
        let good = document.text().as_bytes();
        for bit in (0..good.len() * 8).filter(|bit| all || bit % 8 == bit / 8 % 8) {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_document(&bad, &[key()]).is_err(), "bit {bit} of {}", document.text());
        }
        assert!(verify_document(good, &[Signer::from_seed([8; 32]).public_key()]).is_err());
        assert!(verify_document(good, &[]).is_err());
        assert!(verify_document(&[good, b"\n"].concat(), &[key()]).is_ok());
        assert!(verify_document(&[good, b" "].concat(), &[key()]).is_err());
    }
}

/// Whoever hands a document on can leave nothing out, and can put nothing in that was not signed.
#[test]
fn openings_are_neither_left_out_of_a_full_receipt_nor_put_into_the_persons() {
    let (_, _, receipts) = begun();
    let id = receipts.write(&act(1)).unwrap();
    let other = receipts.write(&act(2)).unwrap();
    let full = receipts.full(&id, 1).unwrap().unwrap();
    let at = full.text().find("\"count.rows\":").unwrap();
    let end = at + full.text()[at..].find('}').unwrap() + 2;
    let without = format!("{}{}", &full.text()[..at], &full.text()[end..]);
    assert!(verify_document(without.as_bytes(), &[key()]).is_err());
    let personal = receipts.personal(&id).unwrap().unwrap();
    let opening = &full.text()[at..end];
    let with = personal.text().replace("\"told.programmes\"", &format!("{opening}\"told.programmes\""));
    assert_eq!(
        verify_document(with.as_bytes(), &[key()]).err().unwrap().reason,
        "the document has other members than one of its kind"
    );
    // Openings of another receipt, though of the same values.
    let others = receipts.personal(&other).unwrap().unwrap();
    let (entry, _) = personal.text().split_once("\"openings\"").unwrap();
    let (_, openings) = others.text().split_once("\"openings\"").unwrap();
    let mixed = format!("{entry}\"openings\"{openings}");
    assert_eq!(
        verify_document(mixed.as_bytes(), &[key()]).err().unwrap().reason,
        "told.programmes is not what was committed to"
    );
}

#[test]
fn a_long_list_of_removed_files_comes_in_parts_that_are_whole_together() {
    let (_, openings, receipts) = begun();
    let files = 2 * PART_FILES as u64 + 5;
    let removed = |number| RemovedFile { table: "usage".to_owned(), path: file(number * 2).path };
    let act = Act {
        before: vec![table("usage", 1, 0..2 * files)],
        after: vec![table("usage", 2, (0..files).map(|number| number * 2 + 1))],
        removed: (0..files).map(removed).collect(),
        ..act(1)
    };
    let id = receipts.write(&act).unwrap();
    let mut listed = Vec::new();
    for part in 1..=3 {
        let full = receipts.full(&id, part).unwrap().unwrap();
        assert!(full.text().len() < 4 << 20, "{}", full.text().len());
        let found = verify_document(full.text().as_bytes(), &[key()]).unwrap();
        assert_eq!(found.part, Some((part, 3)));
        listed.extend(found.removed);
        let other = full.text().replace(&format!("\"part\":{part}"), &format!("\"part\":{}", part % 3 + 1));
        assert!(verify_document(other.as_bytes(), &[key()]).is_err(), "it is not another part");
    }
    assert_eq!(listed, act.removed);
    assert!(receipts.full(&id, 4).unwrap().is_none() && receipts.full(&id, 0).unwrap().is_none());
    use shoal_files::Objects as _;
    openings.flip("00000000000000000001/part-00002.json", 100);
    assert!(matches!(receipts.full(&id, 2), Err(ReceiptError::Damaged { .. })));
    assert!(receipts.full(&id, 1).unwrap().is_some());
    assert_eq!(openings.list("").unwrap().len(), 4);
}

#[test]
fn an_act_that_is_not_what_it_says_has_no_receipt() {
    let (chain, openings, receipts) = begun();
    let still_there = RemovedFile { table: "usage".to_owned(), path: file(1).path };
    let never_there = RemovedFile { table: "usage".to_owned(), path: file(77).path };
    let of_no_table = RemovedFile { table: "device".to_owned(), path: file(2).path };
    let told = |name: &str, text: String| BTreeMap::from([(name.to_owned(), vec![text])]);
    let wrong = [
        Act { removed: vec![still_there], ..act(1) },
        Act { removed: vec![never_there], ..act(1) },
        Act { removed: vec![of_no_table], ..act(1) },
        Act { role: "A role".to_owned(), ..act(1) },
        Act { told: told("../x", String::new()), ..act(1) },
        Act { told: told("x", "long".repeat(300)), ..act(1) },
        Act { after: vec![table("usage", 9, [1])], ..act(1) },
        Act { after: vec![table("usage", 9, [1, 1]), table("crash", 5, [])], removed: vec![], ..act(1) },
        Act {
            before: vec![table("usage", 9, 0..200_001)],
            after: vec![table("usage", 9, [])],
            removed: vec![],
            ..act(1)
        },
    ];
    for act in wrong {
        assert!(matches!(receipts.write(&act), Err(ReceiptError::Act(_))));
    }
    use shoal_files::Objects as _;
    assert!(chain.list("").unwrap().is_empty() && openings.list("").unwrap().is_empty());
    let id = receipts.write(&policy(1)).unwrap();
    assert_eq!(receipts.full(&id, 1).unwrap().unwrap().verified.removed, []);
}
