//! What the audit and the ledger know of each other.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use uuid::Uuid;

use super::*;

/// Appends lines with these fields.
fn append(dir: &Path, act: Act, lines: &[Value]) {
    let audit = Arc::new(Audit::open(dir).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for fields in lines {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: 7, act, id: Uuid::from_u128(7), actor };
        runtime.block_on(audit.begin(origin, fields).end(ActOutcome::Answered)).unwrap();
    }
}

fn query(reservations: &[u64]) -> Value {
    let own = json!({"table": "usage", "regions": ["DE", "US"], "first_day": "2026-11-20", "last_day": "2026-11-21"});
    let member =
        json!({"table": "crash", "regions": ["DE"], "first_day": "2026-11-19", "last_day": "2026-11-19"});
    let asked =
        json!({"text": "KEY \"reservations\":[9] ]", "rho_per_block": "0.002", "blocks": [own, member]});
    json!({"queries": [asked], "reservations": reservations})
}

/// A comparison from a checkpoint, with a ledger that knows so many reservations.
fn compared(dir: &Path, checkpoint: Option<Checkpoint>, last: u64) -> Comparison {
    compare(&Audit::place(dir), checkpoint, last).unwrap()
}

#[test]
fn numbers_are_those_of_the_field_only() {
    let of = |text: &str| numbers(text).collect::<Vec<u64>>();
    assert_eq!(of(r#"{"seq":1,"reservations":[4711,2],"hash":"00"}"#), [4711, 2]);
    assert!(of(r#"{"seq":1,"reservations":[],"hash":"00"}"#).is_empty());
    assert!(of(r#"{"seq":1,"hash":"00"}"#).is_empty());
    // What an analyst types stands between escaped quotes.
    assert_eq!(of(&query(&[7]).to_string()), [7]);
}

#[test]
fn what_both_know_is_in_order_and_what_only_the_ledger_knows_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), Act::Query, &[json!({"queries": []}), query(&[])]);
    let begun = compared(dir.path(), None, 3);
    let checkpoint = begun.next.unwrap();
    assert_eq!((begun.disagreement, checkpoint.lines, checkpoint.reservation), (None, 2, 3));
    append(dir.path(), Act::Query, &[query(&[4]), query(&[]), query(&[6, 7])]);
    for last in [7, 9] {
        let found = compared(dir.path(), Some(checkpoint), last);
        assert_eq!((found.disagreement, found.without_line), (None, last - 6));
        let next = found.next.unwrap();
        assert_eq!((next.lines, next.reservation, found.possible.len()), (5, last, 0));
        assert!(!found.tells_of_marks);
        let after = compared(dir.path(), found.next, last);
        assert_eq!((after.disagreement, after.without_line, after.next), (None, 0, found.next));
    }
    append(dir.path(), Act::BudgetStart, &[json!({"marks_made": true})]);
    assert!(compared(dir.path(), Some(checkpoint), 7).tells_of_marks);
}

#[test]
fn an_older_ledger_is_known_by_numbers_that_it_lacks_or_gives_again() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), Act::Query, &[]);
    let begun = compared(dir.path(), None, 0).next.unwrap();
    append(dir.path(), Act::Query, &[query(&[1]), query(&[2])]);
    for checkpoint in [Some(begun), None] {
        let found = compared(dir.path(), checkpoint, 1);
        let reservation = found.next.unwrap().reservation;
        assert_eq!((found.disagreement, reservation), (Some(Disagreement::OlderLedger), 2));
        let block = |region, kind, day: &str| Block { region, kind, day: parse_day(day).unwrap() };
        let nano = |block: Block| found.possible.iter().find(|one| one.block == block).map(|one| one.nano);
        // Each of the query's own blocks once, with its size; those of the membership once for each of two days.
        assert_eq!(nano(block(Region::De, Kind::Usage, "2026-11-20")), Some(2_500_000));
        assert_eq!(nano(block(Region::Us, Kind::Usage, "2026-11-21")), Some(2_500_000));
        assert_eq!(nano(block(Region::De, Kind::Crash, "2026-11-19")), Some(5_000_000));
        assert_eq!(found.possible.len(), 5);
    }
    append(dir.path(), Act::Query, &[query(&[2])]);
    let again = compared(dir.path(), Some(begun), 2);
    assert_eq!((again.disagreement, again.possible.len()), (Some(Disagreement::OlderLedger), 0));
    let after = Checkpoint { reservation: 2, ..compared(dir.path(), Some(begun), 2).next.unwrap() };
    append(dir.path(), Act::Query, &[query(&[2])]);
    assert_eq!(compared(dir.path(), Some(after), 5).disagreement, Some(Disagreement::OlderLedger));
}

#[test]
fn what_a_line_says_was_charged_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = query(&[5]);
    let days = json!({"table": "crash", "region": "SG", "first_day": "2026-11-20", "last_day": "2026-11-21", "rho": "0.014", "delta": "0"});
    line["charged"] = json!([days]);
    append(dir.path(), Act::Query, &[line]);
    let possible = compared(dir.path(), None, 4).possible;
    let days: Vec<(Region, Kind, u64)> =
        possible.iter().map(|one| (one.block.region, one.block.kind, one.nano)).collect();
    assert_eq!(days, [(Region::Sg, Kind::Crash, 14_000_000); 2]);
}

#[test]
fn an_older_or_another_audit_is_known_by_the_line_that_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), Act::Query, &[query(&[1]), query(&[2])]);
    let there = compared(dir.path(), None, 2).next.unwrap();
    let other = tempfile::tempdir().unwrap();
    for lines in [&[][..], &[query(&[1])], &[query(&[1]), query(&[3])]] {
        append(other.path(), Act::Query, lines);
        let found = compared(other.path(), Some(there), 2);
        assert_eq!(found.disagreement, Some(Disagreement::OlderAudit));
        assert!(found.next.unwrap().lines < 4);
    }
}

#[test]
fn a_line_of_unknown_reservations_that_tells_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), Act::Query, &[json!({"queries": [{"rho_per_block": "much"}], "reservations": [5]})]);
    assert!(compare(&Audit::place(dir.path()), None, 4).is_err());
    assert!(compare(&Audit::place(dir.path()), None, 5).is_ok());
}

/// A line that another process has written and not made durable: the checkpoint stays where it was, so that the line may be
/// lost in a power cut without anything seeming to be put back.
#[test]
fn a_line_that_is_not_durable_yet_is_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), Act::Query, &[query(&[1])]);
    let before = compared(dir.path(), None, 1).next.unwrap();
    let head = Audit::place(dir.path()).head();
    let lines = dir.path().join("audit").join(format!("{:020}.jsonl", 1));
    let (head_before, lines_before) = (std::fs::read(&head).unwrap(), std::fs::read(&lines).unwrap());
    append(dir.path(), Act::KeyCreate, &[json!({"made": "key0"})]);
    let lines_after = std::fs::read(&lines).unwrap();
    // The head comes after the sync of the lines: until then none of the line, half of it, or all of it may be there.
    std::fs::write(&head, head_before).unwrap();
    for bytes in [&lines_after[..], &lines_after[..lines_after.len() - 7]] {
        std::fs::write(&lines, bytes).unwrap();
        let found = compared(dir.path(), Some(before), 1);
        assert_eq!((found.disagreement, found.next), (None, None));
    }
    // The power is cut: the line is gone, and what is kept is still there.
    std::fs::write(&lines, lines_before).unwrap();
    let after = compared(dir.path(), Some(before), 1);
    assert_eq!((after.disagreement, after.next), (None, Some(before)));
}
