//! A dry run is free, so what it may cost the service is bounded, and none of it is where requests come in.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use shoal_audit::{Audit, verify};
use shoal_language::Rule;
use shoal_language::calendar::day_text;
use shoal_schemas::{Kind, Region};

use super::{engine, grant, now_ms, request, today};
use crate::budget::BudgetRequest;
use crate::error::QueryError;
use crate::request::QueryRequest;

/// Statements for which a service without bounds would write down 1,600 conditions, or much more.
fn statements() -> Vec<String> {
    let nested = crate::released_parts::tests::nested();
    vec![
        format!("SELECT COUNT(*) AS n FROM usage WHERE day >= current_date - 399 AND {nested}"),
        format!(
            "SELECT region, day, COUNT(*) AS n FROM usage WHERE day >= current_date - 399 AND {nested} GROUP BY region, day"
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_statement_over_many_days_is_priced() {
    let engine = engine();
    for sql in statements() {
        let asked = QueryRequest { dry_run: true, ..request(&sql) };
        let priced = engine.answer(&grant(Region::ALL), &asked, now_ms()).await.unwrap();
        assert_eq!(priced.cost().blocks, 1_600);
        let parts = priced.cost().parts;
        assert!((400..1_600).contains(&parts), "{parts}: days that have expired are left out");
    }
}

#[tokio::test]
async fn nothing_of_a_statement_is_written_down_where_requests_come_in() {
    let engine = engine();
    let here = std::thread::current().name().unwrap_or_default().to_owned();
    for sql in statements() {
        let threads = engine.written_on(&grant(Region::ALL), &request(&sql), now_ms()).await;
        assert_eq!(threads, BTreeSet::from(["read".to_owned()]), "not on {here}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_to_be_written_down_is_refused_with_a_reason() {
    // Each person's window reads each day of another table, for each day.
    let sql = "SELECT day, COUNT(DISTINCT subject) AS n FROM usage WHERE day >= current_date - 399 AND subject IN \
        (SELECT subject FROM crash WHERE day >= current_date - 399) AND subject IN (SELECT subject FROM performance WHERE day >= \
        current_date - 399) GROUP BY day";
    let asked = QueryRequest { dry_run: true, sd_max: Some(1e6), ..request(sql) };
    let refusal = match engine().answer(&grant(Region::ALL), &asked, now_ms()).await {
        Err(QueryError::Refused(refusal)) => refusal,
        other => panic!("{:?}", other.map(|released| released.to_json())),
    };
    assert_eq!(refusal.rule, Rule::Size, "{refusal}");
}

/// Of seven days, each asks whether its people have a crash on any of seven days: so each of those is paid seven times.
#[tokio::test(flavor = "multi_thread")]
async fn the_price_that_is_shown_of_a_membership_by_day_is_the_one_that_is_charged() {
    let sql = "SELECT day, COUNT(DISTINCT subject) AS n FROM usage WHERE day > current_date - 7 AND subject IN \
        (SELECT subject FROM crash WHERE day > current_date - 7) GROUP BY day";
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    let engine = engine().with_audit(audit);
    let ask = async |asked: QueryRequest| engine.answer(&grant(&[Region::De]), &asked, now_ms()).await;
    let explained = ask(request(&format!("EXPLAIN {sql}"))).await.unwrap();
    let plan: Vec<String> = explained.rows().concat();
    let told = "rho 0.002 for each of them that reads it, so up to rho 0.014 of each block";
    assert!(plan[0].contains(told), "{plan:?}");
    let dry = ask(QueryRequest { dry_run: true, ..request(sql) }).await.unwrap();
    assert_eq!(
        (dry.cost().rho_per_block.as_str(), explained.cost().rho_per_block.as_str()),
        ("0.014", "0.014")
    );
    // There is no table, so that it fails when it has been paid.
    assert!(ask(request(sql)).await.is_err());
    let asked = BudgetRequest { table: Some(Kind::Crash), ..BudgetRequest::default() };
    let list = engine.budget(&grant(&[Region::De]), &asked, now_ms()).await.unwrap();
    assert!(list.blocks.iter().all(|block| block.rho_spent == "0.014"));
    drop(engine);
    let mut lines: Vec<Value> = Vec::new();
    verify(&Audit::place(dir.path()), &mut |line| lines.push(serde_json::from_slice(line.text).unwrap()))
        .unwrap();
    assert!(lines.iter().all(|line| line["queries"][0]["rho_per_block"] == "0.014"), "{lines:?}");
    let charged = |table: &str, rho: &str| {
        json!({"table": table, "region": "DE", "first_day": day_text(today() - 6), "last_day": day_text(today()), "rho": rho,
            "delta": "0"})
    };
    assert_eq!(lines[2]["charged"], json!([charged("usage", "0.002"), charged("crash", "0.014")]));
    assert!(lines[..2].iter().all(|line| line["charged"] == json!([])));
}
