//! How long the ledger takes. Not run by default: `cargo test -p shoal-query --lib measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use shoal_storage::BudgetLedger;

use super::{World, asked, priced};
use crate::charge::ChargedQuery;
use crate::execute::Failure;
use crate::release::answer;
use crate::tests::now_ms;

fn report(name: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: usize| took[took.len() * part / 100].as_micros();
    println!("{name}: median {} us, p95 {} us, of {}", at(50), at(95), took.len());
}

#[tokio::test]
#[ignore = "a measurement"]
async fn reserve_and_seal_and_an_answer_from_the_ledger() {
    let root = tempfile::tempdir().unwrap();
    let world = World::over(BudgetLedger::open(root.path()).unwrap());
    let mut took = Vec::new();
    for at in 0..40 {
        let sql = format!("SELECT COUNT(*) FROM usage WHERE day = current_date AND amount > {at}");
        let queries = [priced(&sql, now_ms()).await];
        let start = Instant::now();
        world.answer(&queries, now_ms()).await.unwrap();
        took.push(start.elapsed());
    }
    report("one day: look up, reserve, (no) run, noise, seal", took);
    let sql = "SELECT event, COUNT(*) FROM usage WHERE day BETWEEN current_date - 30 AND current_date - 1 \
        AND event IN ('click', 'login') GROUP BY event";
    let queries = [priced(sql, now_ms()).await];
    let first = world.answer(&queries, now_ms()).await.unwrap();
    let cells = first.groups[0].rows.len();
    let mut took = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        let again =
            answer(&queries, &asked(&world.budget, now_ms()), async |_: ChargedQuery| Err(Failure)).await;
        took.push(start.elapsed());
        assert_eq!(again.unwrap().groups[0].rows, first.groups[0].rows);
    }
    report(&format!("30 days x {cells} groups from the ledger"), took);
}
