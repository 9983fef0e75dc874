//! Statements that people write: the examples of `docs/sql.md`, and everyday questions of someone new to Shoal.
//!
//! Each is asked as a dry run of the engine over empty tables: what is accepted has a price, what is refused a reason and
//! a place. The figures that the pages print are checked too. Not here: what the answers are.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde::Deserialize;
use shoal_privacy::budget::{Precision, Preset, epsilon};
use shoal_query::{AnalystGrant, Engine, Metrics, QueryConfig, QueryRequest, Role};
use shoal_schemas::{Region, Registry};
use shoal_storage::{BudgetLedger, Store};

/// Noon of 2026-11-22.
const NOW_MS: i64 = 20_779 * 86_400_000 + 43_200_000;
const EXAMPLES: usize = 30;
/// Examples that the grammar accepts so far; to be [`EXAMPLES`].
const EXAMPLES_ACCEPTED_MIN: usize = 30;
/// Everyday questions that the grammar accepts so far; to be 50 of the 56 that an anonymous system can answer.
const EVERYDAY_ACCEPTED_MIN: usize = 50;

struct World {
    engine: Engine,
    grant: AnalystGrant,
    _root: tempfile::TempDir,
}

async fn world() -> World {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let grant =
        AnalystGrant { key_id: "test".to_owned(), role: Role::Analyst, regions: Region::ALL.to_vec() };
    World {
        engine: Engine::new(
            store,
            BudgetLedger::in_memory().unwrap(),
            registry,
            QueryConfig::default(),
            metrics,
        ),
        grant,
        _root: root,
    }
}

/// The one judge of these tests: whether a statement is accepted, and why not.
async fn judge(world: &World, sql: &str) -> Result<(), String> {
    let request = QueryRequest { sql: sql.to_owned(), dry_run: true, ..QueryRequest::default() };
    match world.engine.answer(&world.grant, &request, NOW_MS).await {
        Ok(answer) => {
            assert!(answer.is_dry_run(), "nothing may be read: {sql}");
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The ```sql blocks of a page, each with the line before it that is not empty.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut asked = "";
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line.trim_end()) {
            (None, "```sql") => block = Some(String::new()),
            (None, "") => {}
            (None, text) => asked = text,
            (Some(_), "```") => found.extend(block.take().map(|sql| (asked.to_owned(), sql))),
            (Some(sql), text) => {
                sql.push_str(text);
                sql.push('\n');
            }
        }
    }
    found
}

#[tokio::test]
async fn examples_of_the_documentation_are_accepted() {
    let page = include_str!("../../docs/sql.md");
    let examples = examples(page);
    assert_eq!(examples.len(), EXAMPLES);
    let world = world().await;
    let mut refused = Vec::new();
    for (asked, sql) in &examples {
        assert!(asked.ends_with('?'), "an example is preceded by its question, not by {asked:?}");
        if let Err(reason) = judge(&world, sql).await {
            refused.push(format!("{asked}\n  {reason}"));
        }
    }
    println!("{} of {EXAMPLES} examples are refused:\n{}", refused.len(), refused.join("\n"));
    assert!(EXAMPLES - refused.len() >= EXAMPLES_ACCEPTED_MIN);
}

/// Figures that the pages print are those of the accountant.
#[test]
fn the_pages_state_the_price_of_privacy_as_it_is() {
    let (privacy, sql) = (include_str!("../../docs/privacy.md"), include_str!("../../docs/sql.md"));
    for preset in [Preset::Strict, Preset::Standard, Preset::Internal] {
        let epsilon = epsilon(preset.cap(), 1e-6).unwrap();
        let row = format!("| {:.1} | ", epsilon);
        let line = privacy.lines().find(|l| l.starts_with(&format!("| `{}`", preset.as_str()))).unwrap();
        assert!(line.contains(&row), "{} is epsilon {epsilon:.3}: {line}", preset.as_str());
        let rho: f64 = line.split('|').nth(2).unwrap().trim().parse().unwrap();
        assert_eq!(rho, preset.cap().to_f64(), "{line}");
    }
    for precision in [Precision::Low, Precision::Normal, Precision::High] {
        let rho = precision.rho().to_f64();
        let sd = format!("| {rho} | {:.1} | ", (1.0 / (2.0 * rho)).sqrt());
        let line = sql.lines().find(|l| l.starts_with(&format!("| `{}`", precision.as_str()))).unwrap();
        assert!(line.contains(&sd), "{sd} is not in {line}");
        let questions = (Preset::Standard.cap().to_f64() / rho).round();
        let count = line.split('|').nth(4).unwrap().trim().replace(',', "");
        assert_eq!(count, questions.to_string(), "{line}");
    }
}

#[derive(Deserialize)]
struct Everyday {
    question: Vec<Question>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    ask: String,
    sql: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Answer,
    Refuse,
}

#[tokio::test]
async fn everyday_questions_are_answered_as_written() {
    let everyday: Everyday = toml::from_str(include_str!("data/everyday.toml")).unwrap();
    assert_eq!(everyday.question.len(), 60);
    let world = world().await;
    let (mut accepted, mut refused) = (0, Vec::new());
    for question in &everyday.question {
        match (question.kind, judge(&world, &question.sql).await) {
            (Kind::Answer, Ok(())) => accepted += 1,
            (Kind::Answer, Err(reason)) => {
                let (_, instead) = reason.rsplit_once("Try: ").unwrap();
                let pasted = judge(&world, instead).await;
                assert!(pasted.is_ok(), "{}: {instead}: {pasted:?}", question.ask);
                refused.push(format!("{}\n  {reason}", question.ask));
            }
            (Kind::Refuse, Err(reason)) => assert!(reason.contains("Try: "), "{reason}"),
            (Kind::Refuse, Ok(())) => panic!("answered: {}", question.ask),
        }
    }
    println!("{accepted} accepted; {} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(accepted >= EVERYDAY_ACCEPTED_MIN, "{accepted}");
}
