//! Every shape of question, through the whole engine, over worlds whose truth is known.
//!
//! Each number must be within five of its own standard deviations of the truth (a right one fails once in 10^6), and its
//! standard deviation no larger than what the layout says: an answer that is right because it says nothing fails too.
//! - `people`: funnels, retention, values per person, memberships
//! - `measures`: quantiles, histograms, sums, spreads
//! - `postprocessing`: what runs on a release
//! - `ledger`: repeats, moved windows, expired days, regions, empty tables
//!
//! Not here: what is refused (`tests/grammar`), sensitivity (`scan/accumulators/tests`).

mod ledger;
mod measures;
mod people;
mod postprocessing;

use std::sync::LazyLock;

use serde_json::Value as Json;
use shoal_anonymity::budget::Precision;
use shoal_schemas::{Kind, Region};

use super::{Row, engine, grant, now_ms, provider, registry, request, today};
use crate::engine::Engine;
use crate::error::QueryError;
use crate::release::Released;
use crate::request::QueryRequest;
use crate::scan::memory::Given;
use crate::tests::scan;

/// A chance of less than one in 10^6 that a right answer fails.
const SIGMAS: f64 = 5.0;
const SUBJECTS: u32 = 3_000;
/// Three weeks: Monday 2026-11-02 to Sunday 2026-11-22.
const DAYS: i32 = 21;

fn first() -> i32 {
    today() - DAYS + 1
}

/// Every third day; odd ones have a week off in the middle, and one in five comes a week later.
fn is_active(subject: u32, at: i32) -> bool {
    (at + (subject % 3) as i32) % 3 == 0
        && !(subject % 2 == 1 && (7..14).contains(&at))
        && !(subject % 5 == 4 && at < 7)
}

fn version(subject: u32) -> Option<&'static str> {
    match subject {
        0..12 => Some("9.9-rare"),
        _ if subject.is_multiple_of(7) => None,
        _ if subject.is_multiple_of(3) => Some("4.1"),
        _ => Some("4.2"),
    }
}

fn os(subject: u32) -> &'static str {
    if subject.is_multiple_of(4) { "ios" } else { "android" }
}

/// A row of the subject with what all of its rows have.
fn row(subject: u32, day: i32, event: &'static str, hour: i64) -> Row {
    let mut row = Row::new(subject, day, event).text("os", os(subject));
    row.hour = hour;
    match version(subject) {
        Some(version) => row.text("app_version", version),
        None => row,
    }
}

/// On each active day: one or two openings, a login that fails for a quarter, and a purchase of one in five.
static USAGE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for subject in 0..SUBJECTS {
        for at in (0..DAYS).filter(|at| is_active(subject, *at)) {
            let (day, hour) = (first() + at, i64::from(6 + subject % 4));
            for again in 0..1 + i64::from(subject % 2) {
                rows.push(row(subject, day, "app_open", hour + again * 4).text("method", "icon"));
            }
            let result = if subject % 4 == 1 { "failed" } else { "ok" };
            let login = row(subject, day, "login", hour + 1).text("result", result);
            rows.push(login.text("method", "code").number("duration_ms", i64::from(500 + subject)));
            if subject.is_multiple_of(5) {
                let bought = row(subject, day, "purchase", hour + 2).text("result", "ok");
                let (cents, items) = (i64::from(subject % 50) * 100 + 25, i64::from(1 + subject % 3));
                rows.push(bought.number("amount", cents).number("items", items));
            }
        }
    }
    rows
});

/// One in ten crashed on the sixteenth day.
static CRASH: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let crashed = (0..SUBJECTS).filter(|subject| subject % 10 == 0);
    crashed.map(|subject| row(subject, first() + 15, "app_crash", 9).text("exception_type", "E")).collect()
});

/// What the start of the app took: everybody on each of the last seven days.
fn start_ms(subject: u32, at: i32) -> i64 {
    i64::from(200 + (subject * 7_919 + at as u32 * 104_729) % 3_000)
}

static PERFORMANCE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for subject in 0..SUBJECTS {
        for at in DAYS - 7..DAYS {
            let start = row(subject, first() + at, "app_start", 7);
            rows.push(start.number("duration_ms", start_ms(subject, at)));
        }
        for at in [DAYS - 2, DAYS - 1] {
            let request = row(subject, first() + at, "api_request", 8).text("endpoint", "/v1/cameras");
            let status = if subject % 20 == 0 { 503 } else { 200 };
            rows.push(
                request.number("status_code", status).number("duration_ms", start_ms(subject, at) / 10),
            );
        }
    }
    rows
});

fn given_of(region: Region) -> Given {
    let all = [(Kind::Usage, &USAGE), (Kind::Crash, &CRASH), (Kind::Performance, &PERFORMANCE)];
    all.into_iter().map(|(kind, rows)| (region, kind, provider(registry().table(kind), rows))).collect()
}

fn given() -> Given {
    static GIVEN: LazyLock<Given> = LazyLock::new(|| given_of(Region::De));
    GIVEN.clone()
}

fn high(sql: &str) -> QueryRequest {
    QueryRequest { precision: Precision::High, ..request(sql) }
}

async fn try_with(engine: &Engine, tables: Given, sql: &str, now: i64) -> Result<Released, QueryError> {
    engine.stages(&grant(&[Region::De]), &high(sql), now, scan(tables)).await
}

/// Asks the world, with a ledger of its own.
async fn asked(sql: &str) -> Answer {
    match try_with(&engine(), given(), sql, now_ms()).await {
        Ok(released) => Answer::of(&released),
        Err(error) => panic!("{error}\n{sql}"),
    }
}

/// An answer as its reader has it.
struct Answer(Json);

impl Answer {
    fn of(released: &Released) -> Answer {
        Answer(released.to_json())
    }

    fn rows(&self) -> &[Json] {
        self.0["rows"].as_array().unwrap()
    }

    /// The row that has this key.
    fn at(&self, column: &str, key: impl Into<Json>) -> usize {
        let key = key.into();
        let is_it =
            |row: &Json| row[column] == key || row[column].as_f64().is_some_and(|x| key.as_f64() == Some(x));
        let found = self.rows().iter().position(is_it);
        found.unwrap_or_else(|| panic!("no {column} = {key} in {}", self.0))
    }

    fn number(&self, row: usize, column: &str) -> f64 {
        self.0["rows"][row][column]
            .as_f64()
            .unwrap_or_else(|| panic!("no number {row}.{column} in {}", self.0))
    }

    /// The number is the truth within its noise, and the noise no more than `sd_max`.
    #[track_caller]
    fn near(&self, row: usize, column: &str, truth: f64, sd_max: f64) {
        let (x, sd) = (self.number(row, column), self.number(row, &format!("{column}_sd")));
        assert!(sd > 0.0 && sd <= sd_max, "{column}: an sd of {sd}, not {sd_max} at most: {}", self.0);
        assert!(
            (x - truth).abs() <= SIGMAS * sd + 0.5,
            "{column}: {x} is not {truth} within {SIGMAS} x {sd}"
        );
        assert!(
            self.number(row, &format!("{column}_low")) <= x
                && x <= self.number(row, &format!("{column}_high"))
        );
    }
}

/// Rows of the last `days` days of which something is true.
fn rows_of(rows: &[Row], days: i32, is_one: impl Fn(&Row) -> bool) -> Vec<&Row> {
    rows.iter().filter(|row| row.day > today() - days && is_one(row)).collect()
}

fn people_of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> f64 {
    rows.into_iter().map(|row| row.subject).collect::<std::collections::BTreeSet<_>>().len() as f64
}
