//! What is paid, what is found again, what is refused.

use shoal_anonymity::budget::Precision;
use shoal_storage::{BudgetLedger, SpendingFilter};

use super::super::Groups;
use super::{World, priced};
use std::sync::Arc;

use crate::charge::ChargedQuery;
use crate::error::{NoAnswer, QueryError};
use crate::tests::{now_ms, today};
use shoal_language::calendar::day_text;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, start_of};

const NORMAL: u64 = 2_000_000;

fn same(a: &Groups, b: &Groups) -> bool {
    a.rows == b.rows
}

fn window(first: i32, last: i32, rest: &str) -> String {
    format!(
        "SELECT COUNT(*) AS n, SUM(amount) AS paid FROM usage WHERE day BETWEEN '{}' AND '{}' {rest}",
        day_text(first),
        day_text(last)
    )
}

#[tokio::test]
async fn the_same_question_is_answered_from_the_ledger_with_the_same_numbers() {
    let world = World::new();
    let sql = "SELECT os, COUNT(*) AS n FROM usage WHERE day > current_date - 3 GROUP BY os";
    let first = world.ask(sql, now_ms()).await.unwrap();
    assert_eq!((first.paid.blocks, first.paid.parts, first.paid.parts_found), (3, 3, 0));
    assert_eq!(world.runs().len(), 1);
    let second = world.ask(sql, now_ms()).await.unwrap();
    assert!(world.runs().is_empty(), "nothing was read");
    assert!(same(&first.groups[0], &second.groups[0]));
    assert!(first.groups[0].rows.len() > 3);
    assert_eq!((second.paid.blocks, second.paid.parts_found), (0, 3));
    assert_eq!(world.spent(today()), NORMAL);
}

#[tokio::test]
async fn moving_a_window_of_thirty_days_by_a_day_pays_for_one_day() {
    let world = World::new();
    let now = now_ms();
    let sql = window(today() - 31, today() - 2, "");
    assert_eq!(world.ask(&sql, now).await.unwrap().paid.blocks, 30);
    world.runs();
    let sql = window(today() - 30, today() - 1, "");
    assert_eq!(world.quote(&sql, now).await.blocks, 1);
    let moved = world.ask(&sql, now).await.unwrap();
    assert_eq!((moved.paid.blocks, moved.paid.parts, moved.paid.parts_found), (1, 30, 29));
    let only = shoal_language::DayRange { first: today() - 1, last: today() - 1 };
    assert_eq!(world.runs(), [(shoal_schemas::Region::De, only)]);
    assert_eq!((world.spent(today() - 31), world.spent(today() - 1)), (NORMAL, NORMAL));
}

#[tokio::test]
async fn only_days_that_are_paid_are_read() {
    let world = World::new();
    let now = now_ms();
    for ago in [4, 6] {
        world.ask(&window(today() - ago, today() - ago, ""), now).await.unwrap();
    }
    world.runs();
    let answered = world.ask(&window(today() - 8, today() - 2, ""), now).await.unwrap();
    assert_eq!((answered.paid.blocks, answered.paid.parts_found), (5, 2));
    let days: Vec<(i32, i32)> =
        world.runs().iter().map(|(_, days)| (today() - days.first, today() - days.last)).collect();
    assert_eq!(days, [(8, 7), (5, 5), (3, 2)]);
}

#[tokio::test]
async fn days_weeks_and_all_at_once_are_the_same_parts() {
    let world = World::new();
    let total = world.ask(&window(today() - 13, today() - 1, ""), now_ms()).await.unwrap();
    assert_eq!(total.paid.blocks, 13);
    let sum = |groups: &Groups| groups.rows.values().map(|row| row[0].units).sum::<i128>();
    for key in ["day", "date_trunc('week', time)", "date_trunc('month', time)"] {
        let sql = window(today() - 13, today() - 1, &format!("GROUP BY {key}"));
        let sql = sql.replace("SELECT", &format!("SELECT {key},"));
        let grouped = world.ask(&sql, now_ms()).await.unwrap();
        assert_eq!(grouped.paid.blocks, 0, "{key}");
        assert_eq!(sum(&grouped.groups[0]), sum(&total.groups[0]), "{key}");
        let variance = |groups: &Groups| groups.rows.values().map(|row| row[0].sd.powi(2)).sum::<f64>();
        let (a, b) = (variance(&grouped.groups[0]), variance(&total.groups[0]));
        assert!((a - b).abs() < 1e-6 * b, "{key}");
    }
}

#[tokio::test]
async fn other_ways_to_write_a_question_find_its_answer() {
    let world = World::new();
    let days = format!("day >= '{}' AND day <= '{}'", day_text(today() - 3), day_text(today() - 1));
    let ask = |list: &str, condition: &str, keys: &str| {
        format!("SELECT {list} FROM usage WHERE {condition} GROUP BY {keys}")
    };
    let first =
        ask("os, result, COUNT(*), SUM(amount)", &format!("{days} AND event = 'purchase'"), "os, result");
    assert_eq!(world.ask(&first, now_ms()).await.unwrap().paid.blocks, 3);
    for other in [
        ask("result, os, SUM(amount), COUNT(*)", &format!("event = 'purchase' AND {days}"), "result, os"),
        ask("os, result, COUNT(*), SUM(amount)", &format!("'purchase' = event AND ({days})"), "result, os"),
        ask("os, result, COUNT(*), SUM(amount)", &format!("event IN ('purchase') AND {days}"), "os, result"),
        ask(
            "os, result, COUNT(*), SUM(amount)",
            &format!("event = 'purchase' AND {days} AND event = 'purchase'"),
            "1, 2",
        ),
        ask(
            "os, result, COUNT(*), SUM(amount)",
            &format!(
                "event = 'purchase' AND day IN ('{}', '{}')",
                day_text(today() - 3),
                day_text(today() - 1)
            ),
            "os, result",
        ),
    ] {
        let answered = world.ask(&other, now_ms()).await.unwrap();
        assert_eq!(answered.paid.blocks, 0, "{other}");
    }
    let different =
        ask("os, result, COUNT(*), SUM(amount)", &format!("event = 'click' AND {days}"), "os, result");
    assert_eq!(world.ask(&different, now_ms()).await.unwrap().paid.blocks, 3);
}

#[tokio::test]
async fn a_day_is_answered_anew_in_each_epoch_and_only_then() {
    let world = World::new();
    let day = today();
    let sql = format!("SELECT COUNT(*) AS n FROM usage WHERE day = '{}'", day_text(day));
    let mut paid = 0;
    let times = [
        (0, true),
        (HOUR_MS - 1, false),
        (HOUR_MS, true),
        (5 * HOUR_MS, true),
        (DAY_MS, true),
        (3 * DAY_MS - 1, false),
        (3 * DAY_MS, true),
        (30 * DAY_MS, false),
        (31 * DAY_MS, true),
        (100 * DAY_MS, false),
    ];
    for (after_ms, is_new) in times {
        let answered = world.ask(&sql, start_of(day) + after_ms).await.unwrap();
        assert_eq!(answered.paid.blocks, u64::from(is_new), "after {after_ms} ms");
        paid += u64::from(is_new);
    }
    assert_eq!(world.spent(day), paid * NORMAL);
    // A clock that goes back finds what was said then.
    assert_eq!(world.ask(&sql, start_of(day) + 5 * HOUR_MS + 7).await.unwrap().paid.blocks, 0);
}

#[tokio::test]
async fn a_block_without_budget_refuses_all_and_nothing_is_read() {
    let world = World::new();
    // The open day's pool is 0.1: fifty normal questions.
    for at in 0..50 {
        let sql = format!("SELECT COUNT(*) FROM usage WHERE day = current_date AND amount > {at}");
        assert_eq!(world.ask(&sql, now_ms()).await.unwrap().paid.blocks, 1);
    }
    world.runs();
    let sql = "SELECT COUNT(*) FROM usage WHERE day > current_date - 4 AND amount > 99";
    let quoted = world.quote(sql, now_ms()).await;
    assert_eq!((quoted.blocks, quoted.left.unwrap().nano()), (4, 0));
    let Err(NoAnswer::Told(QueryError::Refused(refusal))) = world.ask(sql, now_ms()).await else {
        panic!("answered");
    };
    assert_eq!(refusal.rule.as_str(), "budget");
    let named = format!("usage in DE on {} has rho 0 left of 0.002, more on 2026-11-23", day_text(today()));
    assert!(refusal.message.contains(&named), "{}", refusal.message);
    assert!(!refusal.message.contains(&day_text(today() - 1)), "{}", refusal.message);
    let beside = format!("FROM usage WHERE day = DATE '{}'", day_text(today() - 1));
    assert!(refusal.example.ends_with(&beside), "{}", refusal.example);
    assert!(world.quote(&refusal.example, now_ms()).await.left.unwrap().nano() > 0);
    assert!(world.runs().is_empty());
    assert_eq!(world.spent(today() - 1), 0, "all or nothing");
    // What was asked before is still answered, and the next epoch has its own share.
    let again = "SELECT COUNT(*) FROM usage WHERE day = current_date AND amount > 7";
    assert_eq!(world.ask(again, now_ms()).await.unwrap().paid.blocks, 0);
    let tomorrow = format!("SELECT COUNT(*) FROM usage WHERE day = '{}' AND amount > 99", day_text(today()));
    assert_eq!(world.ask(&tomorrow, now_ms() + DAY_MS).await.unwrap().paid.blocks, 1);
}

#[tokio::test]
async fn what_fails_after_it_is_paid_stays_charged_and_seals_nothing() {
    let mut world = World::new();
    world.fails = true;
    let sql = "SELECT COUNT(*) FROM usage WHERE day = current_date";
    assert!(matches!(world.ask(sql, now_ms()).await, Err(NoAnswer::Failed(_))));
    assert_eq!(world.spent(today()), NORMAL);
    world.fails = false;
    assert_eq!(world.quote(sql, now_ms()).await.blocks, 1);
    assert_eq!(world.spent(today()), NORMAL, "a dry run reserves nothing");
    assert_eq!(world.ask(sql, now_ms()).await.unwrap().paid.blocks, 1);
    assert_eq!(world.spent(today()), 2 * NORMAL);
}

#[tokio::test]
async fn no_answer_leaves_when_the_ledger_fails() {
    let (mut unpaid, mut unsealed, mut answered) = (0, 0, 0);
    for syncs in 1..40 {
        let Ok(ledger) = BudgetLedger::in_memory_until(syncs) else {
            continue;
        };
        let world = World::over(ledger);
        match world.ask("SELECT COUNT(*) FROM usage WHERE day = current_date", now_ms()).await {
            Ok(_) => answered += 1,
            Err(NoAnswer::Failed(_)) if world.runs().is_empty() => unpaid += 1,
            Err(NoAnswer::Failed(_)) => unsealed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(unpaid > 0 && unsealed > 0 && answered > 0, "{unpaid} {unsealed} {answered}");
}

#[tokio::test]
async fn released_answers_outlive_the_days_they_are_about() {
    let world = World::new();
    let (asked, never) = (today() - 5, today() - 4);
    let sql = format!("SELECT day, COUNT(*) FROM usage WHERE day = '{}' GROUP BY day", day_text(asked));
    let before = world.ask(&sql, now_ms()).await.unwrap();
    world.runs();
    // Long after: the days have expired, one was asked about and one was not.
    let mut expired = ChargedQuery::clone(&*priced(&sql, now_ms()).await);
    expired.query.days_mut().last = never;
    *expired.query.filter_mut() = None;
    expired.query.cutoffs_mut().iter_mut().for_each(|(_, cutoff)| *cutoff = today());
    let after = world.answer(&[Arc::new(expired)], now_ms() + 90 * DAY_MS).await.unwrap();
    assert!(world.runs().is_empty(), "expired days are not read");
    assert!(same(&before.groups[0], &after.groups[0]));
    assert_eq!((after.paid.blocks, after.paid.parts_found, after.paid.expired), (0, 1, 1));
}

#[tokio::test]
async fn distinct_subjects_of_a_range_are_charged_to_each_of_its_days() {
    let world = World::new();
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day BETWEEN current_date - 7 AND current_date - 1";
    let first = world.ask(sql, now_ms()).await.unwrap();
    assert_eq!((first.paid.blocks, first.paid.parts), (7, 1));
    let again = world.ask(sql, now_ms()).await.unwrap();
    assert_eq!((again.paid.blocks, again.paid.parts_found), (0, 1));
    assert!(same(&first.groups[0], &again.groups[0]));
    let other = sql.replace("current_date - 7", "current_date - 6");
    assert_eq!(world.ask(&other, now_ms()).await.unwrap().paid.blocks, 6);
    assert_eq!((world.spent(today() - 7), world.spent(today() - 1)), (NORMAL, 2 * NORMAL));
}

#[tokio::test]
async fn several_queries_are_paid_together_and_the_same_part_once() {
    let world = World::new();
    let a = priced("SELECT COUNT(*) FROM usage WHERE day = current_date", now_ms()).await;
    let b = priced("SELECT COUNT(*) FROM usage WHERE day >= current_date - 1", now_ms()).await;
    let answered = world.answer(&[a, b], now_ms()).await.unwrap();
    assert_eq!((answered.paid.blocks, answered.paid.parts), (2, 2));
    assert_eq!(world.spent(today()), Precision::Normal.rho().nano());
    let all = SpendingFilter {
        regions: shoal_schemas::Region::ALL.to_vec(),
        kinds: shoal_schemas::Kind::ALL.to_vec(),
        days: i32::MIN..=i32::MAX,
        charges_max: usize::MAX,
    };
    let listed = world.budget.ledger().spending(&all).unwrap();
    assert!(listed[1].items[0].text.starts_with("FROM usage IN DE\nDAY 2026-11-22 (open, hour 10)\n"));
    assert!(listed[1].items[0].is_sealed);
}
