//! A list of what was spent is bounded: it has the newest charges, and says of which blocks there are more.

use super::*;

#[test]
fn of_many_charges_the_newest_are_listed() {
    let ledger = BudgetLedger::in_memory().unwrap();
    for number in 1..=30 {
        // Each about one day, and some about two.
        let first = i32::from(number) % 3;
        granted(&ledger, vec![part(number, first..first + 1 + i32::from(number % 2), 0, 1)]);
    }
    let filter = |charges_max| SpendingFilter {
        regions: vec![Region::De],
        kinds: vec![Kind::Usage],
        days: 0..=9,
        charges_max,
    };
    let all = ledger.spending(&filter(usize::MAX)).unwrap();
    assert!(all.iter().all(|block| !block.has_more));
    let of = |blocks: &[BlockSpending]| -> Vec<(i32, PartId)> {
        blocks.iter().flat_map(|b| b.items.iter().map(|item| (b.block.day, item.part))).collect()
    };
    for charges_max in [0, 1, 7, 44, 45, 100] {
        let listed = ledger.spending(&filter(charges_max)).unwrap();
        assert_eq!(of(&listed).len(), charges_max.min(45));
        let oldest = of(&listed).iter().map(|(_, part)| part[0]).min().unwrap_or(31);
        for (block, whole) in listed.iter().zip(&all) {
            assert_eq!(
                (block.block, &block.pools, &block.deltas),
                (whole.block, &whole.pools, &whole.deltas)
            );
            assert_eq!(block.items, whole.items[whole.items.len() - block.items.len()..]);
            assert_eq!(block.has_more, block.items.len() < whole.items.len());
            let left_out = &whole.items[..whole.items.len() - block.items.len()];
            assert!(left_out.iter().all(|item| item.part[0] <= oldest), "none that is left out is newer");
        }
    }
}
