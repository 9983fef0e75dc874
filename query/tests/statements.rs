//! Statements that people write: the examples of `docs/sql.md`, and everyday questions of someone new to Shoal.
//!
//! Each is asked as a dry run of the engine over empty tables: what is accepted has a price, what is refused a reason and
//! a place. The figures that the pages print are checked too. Not here: what the answers are.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use shoal_anonymity::budget::{Precision, Preset, epsilon};
use shoal_language::suggest::{Asked, lost, on_one_line};
use shoal_language::{Asking, Refusal, ask};
use shoal_query::{AnalystGrant, Engine, Metrics, QueryConfig, QueryError, QueryRequest, Role};
use shoal_schemas::calendar::DAY_MS;
use shoal_schemas::{Region, Registry};
use shoal_storage::{BudgetLedger, Store};

/// Noon of 2026-11-22.
const NOW_MS: i64 = 20_779 * DAY_MS + DAY_MS / 2;
const EXAMPLES: usize = 31;
/// Examples that the grammar accepts so far; to be [`EXAMPLES`].
const EXAMPLES_ACCEPTED_MIN: usize = 31;
/// Everyday questions that the grammar accepts so far, of the 82 that an anonymous system can answer.
const EVERYDAY_ACCEPTED_MIN: usize = 78;
/// Statements of the lists that are refused.
const SUGGESTIONS_MIN: usize = 400;

struct World {
    engine: Engine,
    grant: AnalystGrant,
    _root: tempfile::TempDir,
}

async fn world() -> World {
    world_of(Region::ALL).await
}

/// A world whose analyst reaches these regions.
async fn world_of(regions: &[Region]) -> World {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let grant = AnalystGrant { key_id: "test".to_owned(), role: Role::Analyst, regions: regions.to_vec() };
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

/// Whether a statement is accepted, and why not.
async fn judged(world: &World, sql: &str) -> Result<(), QueryError> {
    let request = QueryRequest { sql: sql.to_owned(), dry_run: true, ..QueryRequest::default() };
    let answer = world.engine.answer(&world.grant, &request, NOW_MS).await?;
    let is_unread = answer.is_dry_run() || sql.starts_with("EXPLAIN ");
    assert!(is_unread, "nothing may be read: {sql}");
    Ok(())
}

/// The one judge of these tests: whether a statement is accepted, and why not in words.
async fn judge(world: &World, sql: &str) -> Result<(), String> {
    judged(world, sql).await.map_err(|error| error.to_string())
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
    let everyday: Everyday = toml::from_str(include_str!("../../language/tests/data/everyday.toml")).unwrap();
    assert_eq!(everyday.question.len(), 89);
    let world = world().await;
    let (mut accepted, mut refused) = (0, Vec::new());
    for question in &everyday.question {
        match (question.kind, judge(&world, &question.sql).await) {
            (Kind::Answer, Ok(())) => accepted += 1,
            (Kind::Answer, Err(reason)) => {
                let said = |word: &str| reason.rsplit_once(word).map(|(_, instead)| instead);
                let instead = said("Try: ").or_else(|| said("For example: ")).unwrap();
                let pasted = judge(&world, instead).await;
                assert!(pasted.is_ok(), "{}: {instead}: {pasted:?}", question.ask);
                refused.push(format!("{}\n  {reason}", question.ask));
            }
            (Kind::Refuse, Err(reason)) => {
                assert!(reason.contains("For example: "), "nothing asks the same: {reason}");
            }
            (Kind::Refuse, Ok(())) => panic!("answered: {}", question.ask),
        }
    }
    println!("{accepted} accepted; {} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(accepted >= EVERYDAY_ACCEPTED_MIN, "{accepted}");
}

#[derive(Deserialize)]
struct Refuse {
    refuse: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    sql: String,
}

/// Statements by attack, attacks by class.
type Attacks = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The statement of an attack with its marks written out; none for a request of its own.
fn attack(text: &str) -> Option<String> {
    if ["GET /", "POST /", "PUT /", "DELETE /"].iter().any(|method| text.starts_with(method)) {
        return None;
    }
    let mut sql = text.replace("{f}", "FROM usage WHERE {d}").replace("{d}", "day = DATE '2026-11-22'");
    while let Some((before, rest)) = sql.split_once("<<") {
        let (times, rest) = rest.split_once('|')?;
        let (what, after) = rest.split_once(">>")?;
        sql = format!("{before}{}{after}", what.repeat(times.parse().ok()?));
    }
    Some(sql)
}

/// All statements that are kept as data because they are refused, or may be.
fn refusable() -> Vec<String> {
    let refuse: Refuse = toml::from_str(include_str!("../../language/tests/data/refuse.toml")).unwrap();
    let everyday: Everyday = toml::from_str(include_str!("../../language/tests/data/everyday.toml")).unwrap();
    let attacks: Attacks = toml::from_str(include_str!("../../server/tests/data/attacks.toml")).unwrap();
    let attacks = attacks.values().flat_map(BTreeMap::values).flatten();
    let mut all: Vec<String> = refuse.refuse.into_iter().map(|one| one.sql).collect();
    all.extend(everyday.question.into_iter().map(|question| question.sql));
    all.extend(attacks.filter_map(|text| attack(text.as_str())));
    all
}

/// The refusals of all statements of the lists, by statement.
async fn refusals(world: &World) -> Vec<(String, Refusal)> {
    let mut found = Vec::new();
    for sql in refusable() {
        match judged(world, &sql).await {
            Ok(()) => {}
            Err(QueryError::Refused(refusal)) => found.push((sql, *refusal)),
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    found
}

/// No rule is exempt: a statement that is refused for its price is answered by a cheaper one.
#[tokio::test]
async fn what_a_refusal_suggests_is_accepted_when_it_is_pasted() {
    let world = world().await;
    let refusals = refusals(&world).await;
    assert!(refusals.len() >= SUGGESTIONS_MIN, "{}", refusals.len());
    let mut wrong = Vec::new();
    for (sql, refusal) in &refusals {
        let Refusal { rule, message, suggestion, .. } = refusal;
        let (word, instead) = (if suggestion.is_some() { "Try" } else { "For example" }, refusal.instead());
        println!("{sql}\n  {}: {message}\n  {word}: {instead}", rule.as_str());
        if let Err(reason) = judge(&world, instead).await {
            wrong.push(format!("{sql}\n  {message}\n  {instead}\n  {reason}"));
        }
    }
    println!("{} refusals", refusals.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), refusals.len(), wrong.join("\n"));
}

/// No suggestion of the lists asks something else than the statement.
#[tokio::test]
async fn every_suggestion_asks_what_was_asked() {
    let world = world().await;
    let (registry, first_days) = (Registry::load(None).unwrap(), BTreeMap::new());
    let (mut suggested, mut wrong) = (0, Vec::new());
    for (sql, refusal) in refusals(&world).await {
        let Some(suggestion) = refusal.suggestion else { continue };
        suggested += 1;
        let text = on_one_line(&sql).unwrap_or_else(|| sql.clone());
        let question = ask(&suggestion, &registry, Region::ALL, NOW_MS).unwrap();
        let releases: Vec<_> = question.releases.iter().collect();
        // A text that is not SQL has been corrected first.
        let asking = Asking { regions: Region::ALL, first_days: &first_days, now_ms: NOW_MS };
        let asked = Asked { text: &text, registry: &registry, asking };
        if refusal.rule.as_str() != "syntax"
            && let Some(lost) = lost(&asked, &suggestion, &releases)
        {
            wrong.push(format!("{sql}\n  {suggestion}\n  {lost}"));
        }
    }
    assert!(suggested >= 20, "{suggested}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The statements that stand in a source file as they are: those without a part that is filled in.
fn statements_in(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let starts = text.match_indices('"').map(|(at, _)| &text[at + 1..]);
    // Messages begin with words of SQL too.
    let wholes = starts
        .filter(|rest| ["SELECT ", "WITH ", "EXPLAIN SELECT "].iter().any(|word| rest.starts_with(word)));
    let mut found = Vec::new();
    for rest in wholes {
        let mut sql = String::new();
        let mut rest = rest.chars();
        while let Some(c) = rest.next().filter(|c| *c != '"') {
            match c {
                // A line that goes on: its indent is not part of the text.
                '\\' if rest.as_str().starts_with('\n') => rest = rest.as_str().trim_start().chars(),
                '\\' => sql.extend(rest.next()),
                c => sql.push(c),
            }
        }
        if sql.contains(" FROM ") && !sql.contains('{') {
            found.push(sql);
        }
    }
    found
}

fn sources(dir: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests") => {}
            true => sources(&path, found),
            false if path.ends_with("tests.rs") => {}
            false => found.push(std::fs::read_to_string(&path).unwrap()),
        }
    }
}

/// What stands beside a refusal that no list reaches is accepted as well.
#[tokio::test]
async fn statements_in_the_sources_are_accepted() {
    let mut texts = Vec::new();
    for name in ["language", "postprocess", "query"] {
        let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        sources(&workspace.join(name).join("src"), &mut texts);
    }
    let all: std::collections::BTreeSet<String> = texts.iter().flat_map(|text| statements_in(text)).collect();
    assert!(all.len() >= 60, "{}", all.len());
    let world = world().await;
    let mut wrong = Vec::new();
    for sql in &all {
        if let Err(reason) = judge(&world, sql).await {
            wrong.push(format!("{sql}\n  {reason}"));
        }
    }
    println!("{} statements", all.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A key of one region gets suggestions for that region.
#[tokio::test]
async fn what_is_suggested_suits_the_regions_of_the_key() {
    let world = world_of(&[Region::Sg]).await;
    for sql in [
        "SELECT COUNT(*) FROM usage WHERE region = 'sg'",
        "SELECT COUNT(*) FROM usage WHERE region = 'MARS'",
        "SELECT MAX(amount) FROM usage WHERE region IN ('sg', 'MARS')",
    ] {
        let Err(QueryError::Refused(refusal)) = judged(&world, sql).await else { panic!("{sql}") };
        let pasted = judge(&world, refusal.instead()).await;
        assert!(pasted.is_ok(), "{sql}: {}: {pasted:?}", refusal.instead());
    }
}

/// A statement that is too exact for any budget gets one that costs least.
#[tokio::test]
async fn what_costs_too_much_gets_what_costs_least() {
    let world = world().await;
    let sql = "SELECT os, SUM(duration_ms) FROM usage GROUP BY os".to_owned();
    let request = QueryRequest { sql, sd_max: Some(100.0), dry_run: true, ..QueryRequest::default() };
    let Err(QueryError::Refused(refusal)) = world.engine.answer(&world.grant, &request, NOW_MS).await else {
        panic!("answered");
    };
    assert_eq!(refusal.rule.as_str(), "budget");
    let cheaper = QueryRequest { sql: refusal.example, ..request };
    assert!(world.engine.answer(&world.grant, &cheaper, NOW_MS).await.is_ok());
}

/// Hidden columns are not the nearest of any name.
#[tokio::test]
async fn no_suggestion_names_a_hidden_column() {
    let world = world().await;
    for name in ["event_id", "event_ids", "consents", "consent", "epoch", "epochs", "stack", "device_name"] {
        for kind in ["usage", "crash", "device"] {
            let sql = format!("SELECT {name}, COUNT(*) FROM {kind} WHERE {name} IS NOT NULL GROUP BY {name}");
            let Err(QueryError::Refused(refusal)) = judged(&world, &sql).await else { panic!("{sql}") };
            for hidden in ["event_id", "consent", "epoch", "stack", "device_name"] {
                assert!(!refusal.instead().contains(hidden), "{sql}: {}", refusal.instead());
            }
        }
    }
}
