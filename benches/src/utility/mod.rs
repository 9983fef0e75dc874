//! The trial of usefulness: a world whose numbers are known, its events in real tables, and questions about it through
//! the engine. What is measured is how far answers are off, whether their intervals keep what they say, and the time.
//!
//! - `draw`: numbers from a seed; `population`: who does what on which day
//! - `tables`: events as rows of Delta tables; `truth`: what is true of them, counted while they are made
//! - `questions`: what is asked, with the true numbers; `judge`: how far off an answer is
//!
//! Everything follows from the flags: the same flags make the same events. Not here: throughput of ingest (`shoal-load`),
//! comparison with other engines.

mod draw;
mod judge;
mod population;
mod questions;
mod tables;
#[cfg(test)]
mod tests;
mod truth;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use clap::Parser;
use shoal_query::{AnalystGrant, Engine, Metrics, QueryConfig, QueryRequest, Role};
use shoal_schemas::calendar::{DAY_MS, start_of};
use shoal_schemas::{Kind, Region, Registry};
use shoal_storage::{BudgetLedger, Store};

pub use judge::Verdict;
use population::Population;
use questions::{Dates, questions};
use tables::{Rows, kind};
use truth::Truth;

/// 2026-10-05, a Monday.
const FIRST_DAY: i32 = 20_731;
const KINDS: [Kind; 3] = [Kind::Usage, Kind::Performance, Kind::Crash];
const FLAGS_FILE: &str = "trial.txt";

/// What to make, and how to ask.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "shoal-utility",
    about = "Makes tables whose numbers are known, asks about them, and says how far the answers are off."
)]
pub struct Flags {
    /// Subjects.
    #[arg(long, default_value_t = 1_000_000)]
    pub subjects: u64,
    /// Days, from a Monday; 1 to 70.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=70))]
    pub days: u32,
    /// What the events follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// low, normal or high.
    #[arg(long, default_value = "normal")]
    pub precision: String,
    /// Groups of at least so many subjects count for the relative error.
    #[arg(long, default_value_t = 10_000)]
    pub large: u64,
    /// Prints what is true of each group, too.
    #[arg(long)]
    pub truth: bool,
    /// Where the tables go and stay: an empty directory, or that of a run with the same flags.
    #[arg(long)]
    pub dir: std::path::PathBuf,
}

/// What came of a trial.
pub struct TrialReport {
    /// Events in the tables.
    pub events: u64,
    /// How long making and writing them took.
    pub made_in: Duration,
    /// One for each question.
    pub verdicts: Vec<Verdict>,
}

impl TrialReport {
    /// The largest relative error of a large group, of the questions that have a goal.
    pub fn worst(&self) -> Option<f64> {
        let with_goal = self.verdicts.iter().filter(|verdict| verdict.has_goal);
        with_goal.filter_map(|verdict| verdict.error(1.0)).reduce(f64::max)
    }

    /// Numbers that were answered, and those whose interval holds the truth.
    pub fn coverage(&self) -> (usize, usize) {
        self.verdicts.iter().fold((0, 0), |(cells, covered), v| (cells + v.cells, covered + v.covered))
    }
}

/// Makes the tables, asks, judges.
///
/// # Errors
/// When the tables cannot be made. A question that is not answered is part of the outcome.
pub async fn run(flags: &Flags) -> Result<TrialReport, String> {
    claim(flags)?;
    let registry = Arc::new(Registry::load(None).map_err(|e| format!("registry: {e:?}"))?);
    let root = std::path::absolute(&flags.dir).map_err(|e| e.to_string())?;
    let url = url::Url::from_directory_path(&root).map_err(|()| format!("{} is no path", root.display()))?;
    let store = Store::open(&url).await.map_err(|e| e.to_string())?;
    let began = Instant::now();
    let (truth, events) = fill(flags, &registry, &store).await?;
    let made_in = began.elapsed();
    let first = NaiveDate::from_ymd_opt(2026, 10, 5).ok_or("no such day")?;
    let asked = questions(&truth, &Dates { first, days: flags.days });
    drop(truth);
    if flags.truth {
        asked.iter().for_each(|question| print!("{question}"));
    }
    let mut verdicts = Vec::with_capacity(asked.len());
    for question in &asked {
        // Each question has the whole budget: what is judged is a question, not what was asked before it.
        let engine = engine(&store, &registry)?;
        verdicts.push(ask(&engine, flags, question).await?);
    }
    Ok(TrialReport { events, made_in, verdicts })
}

/// A directory belongs to one set of flags: another's events would be added to its own.
fn claim(flags: &Flags) -> Result<(), String> {
    let Flags { subjects, days, seed, dir, .. } = flags;
    let mine = format!("subjects {subjects}, days {days}, seed {seed}\n");
    let path = dir.join(FLAGS_FILE);
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    match std::fs::read_to_string(&path) {
        Ok(theirs) if theirs == mine => Ok(()),
        Ok(theirs) => Err(format!("{} has the events of {}", dir.display(), theirs.trim_end())),
        Err(_) if is_empty(dir) => {
            std::fs::write(&path, mine).map_err(|e| format!("{}: {e}", path.display()))
        }
        Err(_) => Err(format!("{} is not empty", dir.display())),
    }
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Makes the events of each day, writes them, and counts what is true of them.
async fn fill(flags: &Flags, registry: &Registry, store: &Store) -> Result<(Truth, u64), String> {
    let population = Population { seed: flags.seed, days: flags.days };
    let habits: Vec<_> = (0..flags.subjects).map(|subject| population.habits(subject)).collect();
    let mut truth = Truth::new(flags.subjects, flags.days);
    let mut total = 0;
    let mut events = Vec::new();
    for day in 0..flags.days {
        let date = FIRST_DAY + day as i32;
        let mut rows: [Rows; KINDS.len()] = Default::default();
        for (subject, habits) in habits.iter().enumerate() {
            population.events(subject as u64, habits, day, &mut events);
            truth.take(subject, habits, day, &events);
            let pseudonym = population.pseudonym(subject as u64);
            for event in &events {
                let table = KINDS.iter().position(|k| *k == kind(event.what)).unwrap_or(0);
                rows[table].push(pseudonym, habits, (date, day), event);
            }
        }
        for (rows, kind) in rows.into_iter().zip(KINDS) {
            total += rows.len() as u64;
            let part = rows.part(registry, kind, date)?;
            let table = store.table(Region::De, registry.table(kind)).await.map_err(|e| e.to_string())?;
            let version = i64::from(day) + 1;
            table.append(vec![part], "trial", version).await.map_err(|e| e.to_string())?;
        }
    }
    truth.sort();
    Ok((truth, total))
}

/// An engine that answers as soon as it can, and as long as it takes.
fn engine(store: &Store, registry: &Arc<Registry>) -> Result<Engine, String> {
    let config =
        QueryConfig { answer_times_ms: Vec::new(), time_ms_max: 3_600_000, ..QueryConfig::default() };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let ledger = BudgetLedger::in_memory().map_err(|e| e.to_string())?;
    Ok(Engine::new(store.clone(), ledger, Arc::clone(registry), config, metrics))
}

async fn ask(engine: &Engine, flags: &Flags, question: &questions::Question) -> Result<Verdict, String> {
    let precision = serde_json::from_value(serde_json::Value::String(flags.precision.clone()));
    let precision = precision.map_err(|e| format!("precision: {e}"))?;
    let request = QueryRequest { sql: question.sql.clone(), precision, ..QueryRequest::default() };
    let grant = AnalystGrant { key_id: "trial".into(), role: Role::Analyst, regions: vec![Region::De] };
    // Noon, four days after the last: every day is closed, and none has expired.
    let now_ms = start_of(FIRST_DAY + flags.days as i32 + 3) + DAY_MS / 2;
    let began = Instant::now();
    let answer = engine.answer(&grant, &request, now_ms).await;
    let time = began.elapsed();
    Ok(match answer {
        Ok(released) => judge::judge(question, &released.to_json(), flags.large, time),
        Err(error) => Verdict { refusal: error.to_string(), ..Verdict::of(question, time) },
    })
}
