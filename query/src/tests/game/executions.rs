//! Attacks on whole services: by how, when and in which words a question ends, by what it leaves behind, and by its numbers.
//!
//! The person has 16 events of one day beside 40 others; `MARK` is on hers alone.

use std::time::Duration;

use shoal_anonymity::budget::Precision;
use shoal_language::calendar::day_text;
use shoal_schemas::{Kind, Region};

use super::execution::{Executed, Order};
use super::score::accuracy;
use super::{bound, trials};
use crate::charge::{Caps, charge};
use crate::config::QueryConfig;
use crate::failure::Failure;
use crate::tests::faults::Fault;
use crate::tests::stored::Flush;
use crate::tests::{Row, engine, grant, now_ms, request, today};

const MARK: &str = "zebrafinch";
/// The person's events, and what one subject's day may have.
const EVENTS: u64 = 16;
/// Longer than another question's work, shorter than the first answer time.
const SLOW: Fault = Fault::Slow(Duration::from_millis(600));

fn usage(is_there: bool) -> Flush {
    let row = |subject, screen: &str| Row::new(subject, today(), "click").text("screen", screen);
    let mut rows: Vec<Row> = (1..=40).map(|subject| row(subject, "home")).collect();
    let own =
        (0..EVENTS).map(|at| row(0, MARK).text("app_version", "a".repeat(200)).number("items", at as i64));
    rows.extend(own.filter(|_| is_there));
    [(Kind::Usage, rows)].into()
}

fn config() -> QueryConfig {
    QueryConfig { subject_day_events_max: EVENTS, concurrent_max: 1, ..QueryConfig::default() }
}

/// Of today's usage, with this rest.
fn of(numbers: &str, rest: &str) -> String {
    format!("SELECT {numbers} FROM usage WHERE day = DATE '{}' {rest}", day_text(today()))
}

fn plain(name: &'static str, statements: Vec<String>) -> Executed {
    Executed {
        name,
        rows: Box::new(usage),
        statements,
        precision: Precision::High,
        order: Order::OneByOne,
        config: config(),
        faults: [Fault::Nothing; 2],
    }
}

/// Answer times so close to each other, and rows that are planned so long for, that the time of an answer is the size of the
/// block.
fn by_the_size(name: &'static str) -> Executed {
    let times = (1..=60_000).map(|step| step * 5).collect();
    let config =
        QueryConfig { answer_times_ms: times, row_time_ns: 10_000, time_ms_max: 300_000, ..config() };
    Executed { config, precision: Precision::Low, ..plain(name, vec![of("COUNT(*) AS n", "")]) }
}

/// As many groups as the limit on them has in its middle, and hers beside.
async fn at_the_limit() -> Executed {
    let sql = of("app_version, COUNT(*) AS n", "GROUP BY app_version");
    let prepared = engine().prepare(&grant(&[Region::De]), &request(&sql), now_ms()).await.unwrap();
    let caps = Caps { cells_max: 1, ..Caps::default() };
    let charged = charge(prepared.single().query.clone(), Precision::High.into(), &caps).unwrap();
    let limit = charged.threshold.as_ref().unwrap().room.groups_max as u32;
    let rows = move |is_there: bool| -> Flush {
        let row =
            |subject, at: u32| Row::new(subject, today(), "click").text("app_version", format!("v{at}"));
        let mut rows: Vec<Row> = (1..=limit).map(|at| row(at, at)).collect();
        rows.extend((0..EVENTS as u32).filter(|_| is_there).map(|at| row(0, limit + 1 + at)));
        [(Kind::Usage, rows)].into()
    };
    let config = QueryConfig { cells_max: 1, ..config() };
    Executed { config, rows: Box::new(rows), ..plain("as many groups as the limit", vec![sql]) }
}

async fn attacks() -> Vec<Executed> {
    let count = of("COUNT(*) AS n", "");
    let marked = of("COUNT(DISTINCT subject) AS n", &format!("AND screen = '{MARK}'"));
    let likes: Vec<String> = (0..60).map(|n| format!("app_version LIKE '%a%a%a%a%a%{n}%'")).collect();
    let likes = likes.join(" OR ");
    let people = of("subject, app_version", "GROUP BY subject, app_version");
    let twice = || vec![marked.clone(), marked.clone()];
    let fails = |name, faults| Executed { faults, ..plain(name, vec![count.clone()]) };
    let (memory, storage) = (Fault::Fails(Failure::Memory), Fault::Fails(Failure::Storage));
    vec![
        fails("a panic, or no memory", [Fault::Panic, memory]),
        fails("a failure at once, or a panic at the end", [storage, Fault::PanicAtTheEnd]),
        fails("late, or at once", [Fault::Never, Fault::Panic]),
        fails("slow, or not", [SLOW, Fault::Nothing]),
        Executed {
            order: Order::Same,
            faults: [Fault::PanicAtTheEnd, memory],
            ..plain("failed, and asked again", twice())
        },
        Executed {
            order: Order::Same,
            faults: [SLOW, Fault::Nothing],
            ..plain("slow, and asked again", twice())
        },
        Executed {
            order: Order::Behind,
            faults: [SLOW, Fault::Nothing],
            ..plain("behind a slow one", vec![marked.clone(), count.clone()])
        },
        Executed {
            order: Order::Behind,
            faults: [storage, Fault::PanicAtTheEnd],
            ..plain("behind one that fails", vec![marked.clone(), count.clone()])
        },
        at_the_limit().await,
        by_the_size("time by the size"),
        plain(
            "patterns of her rows alone",
            vec![of("COUNT(*) AS n", &format!("AND screen = '{MARK}' AND ({likes})"))],
        ),
        plain(
            "patterns of rows of subjects",
            vec![format!("SELECT COUNT(*) AS n FROM ({people}) AS p WHERE {likes}")],
        ),
        plain("her number", vec![marked.clone(), of("SUM(items) AS n", "")]),
        plain(
            "her group",
            vec![of("screen, COUNT(DISTINCT subject) AS n", "GROUP BY screen"), count.clone()],
        ),
    ]
}

/// How often the adversary is right, and how often that may be.
async fn fare(attack: &Executed) -> (f64, f64) {
    let trials = (trials() / 75).max(2);
    let (with, rho) = attack.seen(true, trials).await;
    let (without, other) = attack.seen(false, trials).await;
    let (accuracy, most) = (accuracy(&with, &without), bound(rho.max(other), trials));
    println!("{:42} rho {:6.4}  {accuracy:.3} of {most:.3}", attack.name, rho.max(other));
    (accuracy, most)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_execution_tells_one_subject_better_than_is_paid_for() {
    let only = std::env::var("SHOAL_ATTACKS").unwrap_or_default();
    for attack in attacks().await.iter().filter(|attack| attack.name.contains(&only)) {
        let (accuracy, most) = fare(attack).await;
        assert!(accuracy <= most, "{}: right {accuracy:.3} of the time, {most:.3} is paid for", attack.name);
    }
}

/// The game is not blind: it finds a failure of one world alone, the time of a service that decides none before it reads, and
/// a size whose noise is too small for what one person has.
#[tokio::test(flavor = "multi_thread")]
async fn the_game_finds_what_execution_tells() {
    let count = || vec![of("COUNT(*) AS n", "")];
    let untimed = QueryConfig { answer_times_ms: Vec::new(), ..config() };
    let leaky = [
        Executed {
            faults: [Fault::Fails(Failure::Memory), Fault::Nothing],
            ..plain("a failure of one world", count())
        },
        Executed {
            faults: [SLOW, Fault::Nothing],
            config: untimed,
            ..plain("a time that is not decided", count())
        },
        Executed { faults: [Fault::Rows(1_000); 2], ..by_the_size("a size that tells") },
    ];
    for attack in leaky {
        let (accuracy, most) = fare(&attack).await;
        assert!(accuracy > most, "{}: right {accuracy:.3} of the time, and {most:.3} may be", attack.name);
    }
}
