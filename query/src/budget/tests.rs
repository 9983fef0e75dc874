//! What a list of budgets has, and for whom.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::release::tests::World;
use crate::tests::{grant, now_ms, registry};

async fn list(
    world: &World,
    grant: &AnalystGrant,
    asked: &BudgetRequest,
) -> Result<BudgetAnswer, BudgetError> {
    let registry = registry();
    let reader = Reader { grant, words: PublicWords::of(&registry) };
    world.budget.list(&reader, asked, now_ms()).await
}

#[tokio::test]
async fn literals_are_for_the_asker_and_for_officers() {
    let world = World::new();
    let sql = "SELECT COUNT(*) FROM usage WHERE day = current_date AND screen = 'anna'";
    world.ask(sql, now_ms()).await.unwrap();
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let seen_by = async |key_id: &str, role: Role| {
        let grant = AnalystGrant { key_id: key_id.to_owned(), role, regions: vec![Region::De] };
        let list = list(&world, &grant, &asked).await.unwrap();
        list.queries[list.blocks[6].spent_by[0].query].clone()
    };
    let own = seen_by(crate::release::tests::ASKER, Role::Analyst).await;
    assert!(own.contains("(screen = 'anna')"), "{own}");
    assert_eq!(seen_by("off1", Role::Officer).await, own);
    let other = seen_by("ana2", Role::Analyst).await;
    assert!(other.contains("(screen = ?)") && !other.contains("anna"), "{other}");
}

#[tokio::test]
async fn what_was_spent_is_listed_with_what_spent_it() {
    let world = World::new();
    world.ask("SELECT COUNT(*) FROM usage WHERE day > current_date - 2", now_ms()).await.unwrap();
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let list = list(&world, &grant(&[Region::De, Region::Us]), &asked).await.unwrap();
    assert_eq!((list.blocks.len(), list.rho_block_max.as_str()), (14, "0.5"));
    assert_eq!((list.epochs[1].name.as_str(), list.epochs[1].rho_max.as_str()), ("after 1 day", "0.2"));
    let today = &list.blocks[6];
    assert_eq!((today.day.as_str(), today.epoch.as_str(), today.region), ("2026-11-22", "open", Region::De));
    assert_eq!((today.rho_spent.as_str(), today.rho_left.as_str()), ("0.002", "0.098"));
    assert_eq!(today.next_epoch.as_deref(), Some("2026-11-23"));
    assert_eq!((today.spent_by.len(), today.spent_by[0].state), (1, "sealed"));
    let part = &today.spent_by[0].part;
    assert_eq!(part, "FROM usage IN DE, DAY 2026-11-22 (open, hour 10)");
    assert!(list.queries[today.spent_by[0].query].contains("AGGREGATE count(*)"));
    assert_eq!(list.queries.len(), 1, "the same was asked about each day");
    assert!(!list.more && list.blocks.iter().all(|block| !block.more));
    assert_eq!(list.blocks[5].rho_left, "0.198");
    assert_eq!((today.delta_spent.as_str(), today.delta_left.as_str()), ("0", "1e-6"));
    assert!(list.blocks[13].spent_by.is_empty(), "another region");
}

#[tokio::test]
async fn what_thresholds_take_of_delta_is_listed_with_what_is_left() {
    let world = World::new();
    let of_today = "FROM usage WHERE day = current_date";
    for sql in
        [format!("SELECT screen, COUNT(*) {of_today} GROUP BY screen"), format!("SELECT COUNT(*) {of_today}")]
    {
        world.ask(&sql, now_ms()).await.unwrap();
    }
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let list = list(&world, &grant(&[Region::De]), &asked).await.unwrap();
    assert_eq!(list.delta_block_max, "1e-6");
    let today = &list.blocks[6];
    // rho 0.002 of 0.5, so as much of 10^-6.
    let deltas: Vec<&str> = today.spent_by.iter().map(|spent| spent.delta.as_str()).collect();
    assert_eq!(deltas, ["4e-9", "0"]);
    assert_eq!((today.delta_spent.as_str(), today.delta_left.as_str()), ("4e-9", "9.96e-7"));
}

#[tokio::test]
async fn a_list_has_the_newest_charges_and_each_statement_once_and_not_longer_than_it_may_be() {
    let world = World::new();
    let block = Block { region: Region::De, kind: Kind::Usage, day: crate::tests::today() };
    let long = "x = 'a' OR ".repeat(2_000);
    for turn in 0..12_u32 {
        let part = |at: u32| shoal_storage::PartOrder {
            id: id_of(turn * 100 + at),
            text: format!("FROM usage IN DE\nDAY 2026-11-22 (open, hour 10)\nWHERE {at} {long}"),
            charges: vec![shoal_storage::Charge { block, pool: 0, nano: 1, delta_atto: 0 }],
        };
        let parts: Vec<_> = (0..100).map(part).collect();
        let claim = world.budget.claim(&parts.iter().map(|part| part.id).collect::<Vec<_>>()).await.unwrap();
        world.budget.pay(&claim, parts, "ana1", 1_000 * i64::from(turn)).await.unwrap();
    }
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let officer = AnalystGrant { role: Role::Officer, ..grant(&[Region::De]) };
    let list = list(&world, &officer, &asked).await.unwrap();
    let today = &list.blocks[6];
    assert_eq!((today.spent_by.len(), today.more, list.more), (CHARGES_MAX, true, true));
    assert_eq!(today.rho_spent, Rho::from_nano(1_200).to_string(), "all of it counts");
    assert!(today.spent_by.iter().all(|spent| spent.at != time_text(0) && spent.at != time_text(1_000)));
    assert_eq!(list.queries.len(), 100);
    assert!(list.queries.iter().all(|query| query.len() <= STATEMENT_BYTES_MAX + 3));
    assert!(list.blocks[..6].iter().all(|block| !block.more));
}

#[tokio::test]
async fn the_delta_of_a_block_is_the_one_that_is_configured() {
    let ledger = shoal_storage::BudgetLedger::in_memory().unwrap();
    let budget = Budget::new(ledger, Default::default(), Rho::from_nano(500_000_000), 2e-6);
    let world = World::with(budget);
    let list = list(&world, &grant(&[Region::De]), &BudgetRequest::default()).await.unwrap();
    assert_eq!((list.delta_block_max.as_str(), list.blocks[0].delta_left.as_str()), ("2e-6", "2e-6"));
    assert_eq!(world.budget.delta_atto_of(Rho::from_nano(2_000_000)), 8_000_000_000);
}

#[tokio::test]
async fn the_size_of_a_block_is_told_to_everybody_and_once() {
    let world = World::new();
    for (number, day) in [(1, "2026-11-21"), (2, "2026-11-22")] {
        let day_number = shoal_language::calendar::parse_day(day).unwrap();
        let block = Block { region: Region::De, kind: Kind::Usage, day: day_number };
        let part = shoal_storage::PartOrder {
            id: id_of(number),
            text: format!("NUMBER OF ROWS OF usage IN DE\nDAY {day} (open, hour 10)"),
            charges: vec![shoal_storage::Charge { block, pool: 0, nano: 1, delta_atto: 0 }],
        };
        let claim = world.budget.claim(&[part.id]).await.unwrap();
        world.budget.pay(&claim, vec![part], "ana1", 1_000).await.unwrap();
    }
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let list = list(&world, &grant(&[Region::De]), &asked).await.unwrap();
    assert_eq!(list.queries, ["NUMBER OF ROWS"]);
    assert_eq!(list.blocks[5].spent_by[0].part, "FROM usage IN DE, DAY 2026-11-21 (open, hour 10)");
    assert_eq!((list.blocks[5].spent_by[0].query, list.blocks[6].spent_by[0].query), (0, 0));
}

/// A number as the identity of a part.
fn id_of(number: u32) -> shoal_storage::PartId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

#[tokio::test]
async fn only_days_and_regions_of_the_key_are_listed() {
    let world = World::new();
    let with = |region, first: &str, last: &str| BudgetRequest {
        table: None,
        region,
        first: Some(first.to_owned()),
        last: Some(last.to_owned()),
    };
    let list = async |asked| list(&world, &grant(&[Region::De]), &asked).await;
    let one = list(with(None, "2026-11-22", "2026-11-22")).await.unwrap();
    assert_eq!(one.blocks.len(), Kind::ALL.len());
    let error = list(with(Some(Region::Us), "2026-11-22", "2026-11-22")).await.err();
    assert_eq!(error, Some(BudgetError::NotAllowed(Region::Us)));
    for (first, last) in [("2026-11-22", "2026-11-21"), ("2020-01-01", "2026-11-21"), ("now", "2026-11-21")] {
        assert_eq!(list(with(None, first, last)).await.err(), Some(BudgetError::Days), "{first}");
    }
}
