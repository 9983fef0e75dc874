//! A crash at any operation of either place, a power cut, and a process that was killed between two of them.

use shoal_files::{Faulty, Memory, Objects};

use super::{act, key, open, opened, policy};
use crate::{ActKind, Receipts, verify_chain};

/// Writes three receipts; answers how many were answered for.
fn work(receipts: &Receipts) -> u64 {
    let acts = [act(1), policy(2), act(3)];
    acts.iter().take_while(|act| receipts.write(act).is_ok()).count() as u64
}

/// What the next process finds: a whole chain with everything that was answered for, which goes on to one receipt an act.
fn goes_on(chain: &Memory, openings: &Memory, answered: u64) {
    let receipts = open(chain, openings);
    let found = receipts.end().unwrap().count;
    assert!(found >= answered, "a receipt that was answered for is gone");
    assert_eq!(work(&receipts), 3);
    let mut bytes = Vec::new();
    receipts.export(&mut bytes).unwrap();
    assert_eq!(verify_chain(&mut &bytes[..], &[key()], &mut |_| {}).unwrap().count, 3);
    for act in [act(1), policy(2), act(3)] {
        let ids = receipts.of_request(act.request).unwrap();
        assert_eq!(ids.len(), 1);
        assert!(receipts.full(&ids[0], 1).unwrap().is_some(), "a line without its openings");
        assert!(receipts.personal(&ids[0]).unwrap().is_some());
    }
}

#[test]
fn a_crash_anywhere_leaves_a_whole_chain_that_goes_on() {
    for spoils_chain in [true, false] {
        let mut crashed = 0;
        for at in 0.. {
            let (chain, openings) = (Faulty::<Memory>::default(), Faulty::<Memory>::default());
            if spoils_chain {
                chain.crash_at(at)
            } else {
                openings.crash_at(at)
            }
            let answered = match opened(&chain, &openings) {
                Ok(receipts) => work(&receipts),
                Err(_) => 0,
            };
            let is_whole = chain.operations().max(openings.operations()) > 0 && answered == 3;
            let left = |place: &Faulty<Memory>| {
                let memory = Memory::new();
                let place = place.after_power_cut(at);
                for entry in place.list("").unwrap() {
                    memory.put(&entry.name, &place.read(&entry.name).unwrap()).unwrap();
                }
                memory
            };
            goes_on(&left(&chain), &left(&openings), answered);
            if is_whole {
                break;
            }
            crashed += 1;
        }
        assert!(crashed >= 3, "the crashes must happen");
    }
}

/// The same process goes on after a failed write, of which it does not know whether it happened.
#[test]
fn a_failed_sync_is_no_receipt_and_the_next_write_is_one() {
    for syncs in 0..9 {
        let (chain, openings) = (Faulty::<Memory>::default(), Memory::new());
        let receipts = opened(&chain, &openings).unwrap();
        chain.fail_syncs_after(syncs);
        let answered = work(&receipts);
        chain.fail_syncs_after(1000);
        assert_eq!(work(&receipts), 3);
        assert_eq!(receipts.end().unwrap().count, 3);
        assert!(answered <= 3);
    }
}

#[test]
fn an_append_that_happened_and_was_not_answered_is_no_second_receipt() {
    // Operation 0 is the look at the start, 1 that of the first append: an even one is done, and its answer is lost.
    let memory = Memory::new();
    let chain = Faulty::new(memory.clone());
    let openings = Memory::new();
    let receipts = opened(&chain, &openings).unwrap();
    receipts.write(&act(1)).unwrap();
    let next = chain.operations();
    let at = next + next % 2;
    chain.crash_at(at);
    for request in 2..10 {
        if receipts.write(&act(request)).is_err() {
            break;
        }
    }
    let found = open(&memory, &openings);
    let count = found.end().unwrap().count;
    let last = (1..10).rev().map(super::act).find(|act| !found.of_request(act.request).unwrap().is_empty());
    let id = found.write(&last.unwrap()).unwrap();
    assert_eq!((id.seq, found.end().unwrap().count), (count, count));
}

/// What a killed process has put is seen and may not be durable: a receipt that hangs on it must not outlive it.
#[test]
fn a_line_of_a_killed_process_is_durable_before_the_next_one() {
    for seed in 0..16 {
        let (chain, openings) = (Memory::new(), Memory::new());
        opened(&chain.dying(), &openings).unwrap().write(&policy(1)).unwrap();
        let receipts = open(&chain, &openings);
        let id = receipts.write(&policy(1)).unwrap();
        assert_eq!((id.seq, id.act), (1, ActKind::PolicyChange));
        let left = open(&chain.after_power_cut(seed), &openings.after_power_cut(seed));
        assert_eq!(left.end().unwrap().count, 1, "{seed}");
    }
}
