//! Worlds that differ in one person's whole day are asked the same, under a clock that the suite moves: everything that can be
//! seen of an answer but its numbers is the same, at every step, and so is the work that it took.
//!
//! ```text
//! dry run | question | just before its time: dry run, budget, running queries | its time | answer, dry run, budget, running
//! ```
//! - `rows`: who is in the worlds; `cases`: the statements; `forms`: what they have to cover
//!
//! Work is counted where it is done (`scan/counted.rs`): patterns that are compiled, expressions times rows or texts. What one
//! person's day adds to it is what its rows alone are worth, and these are worth the same whatever they hold.
//! Not here: the numbers of answers, and failures of one world only (`game`); HTTP (`server/tests/it/attacks`); wall time
//! (`scripts/two-worlds`).

mod cases;
mod forms;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shoal_anonymity::budget::{Precision, Preset};
use shoal_language::ask;
use shoal_schemas::Region;
use shoal_storage::BudgetLedger;

use self::cases::{Case, cases};
use self::rows::{Day, everybody, of_person, subject_of_person};
use super::stored::{Ledgers, Stored, timed};
use super::{grant, now_ms, registry, request};
use crate::budget::BudgetRequest;
use crate::clock::TestClock;
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::release::Released;
use crate::request::QueryRequest;
use crate::scan::{Counted, What};

/// So many days are asked about at the most.
const DAYS: u32 = 8;

fn config() -> QueryConfig {
    // One subject's day has few events here, so that the noise of sizes leaves room for slow statements.
    QueryConfig { preset: Preset::Internal, subject_day_events_max: 30, ..QueryConfig::default() }
}

/// A service over tables on a disk.
struct World {
    engine: Arc<Engine>,
    clock: Arc<TestClock>,
    counted: Counted,
    _stored: Stored,
}

impl World {
    fn of(stored: Stored, ledger: BudgetLedger) -> World {
        let (scan, counted) = stored.scan(&config());
        let clock = Arc::new(TestClock::new());
        let engine = Arc::new(timed(&clock, scan, ledger, &config()));
        World { engine, clock, counted, _stored: stored }
    }

    async fn dry(&self, asked: &QueryRequest) -> String {
        let asked = QueryRequest { dry_run: true, ..asked.clone() };
        shown(&self.engine.answer(&grant(&[Region::De]), &asked, now_ms()).await)
    }

    /// What the budget and the list of running queries say.
    async fn states(&self) -> String {
        let asker = grant(&[Region::De]);
        let list = self.engine.budget(&asker, &BudgetRequest::default(), now_ms()).await.unwrap();
        let blocks = list.blocks.iter().map(|block| {
            let last = block.spent_by.last();
            let last = last.map(|spent| (spent.state, &spent.rho, &spent.part, &list.queries[spent.query]));
            let of = (block.table, &block.day, &block.rho_spent, &block.rho_left);
            format!("{of:?} {} {last:?}", block.spent_by.len())
        });
        format!("{:?} {:?}", blocks.collect::<Vec<_>>(), self.engine.running(&asker))
    }

    /// Asks, and says what was seen at each step: with the states in between, if so.
    async fn seen(&self, at: usize, case: &Case, states: bool) -> Seen {
        let id = format!("00000000-0000-4000-8000-{at:012}").parse().unwrap();
        let asked = QueryRequest { id: Some(id), precision: Precision::Low, ..request(&case.sql) };
        self.counted.take();
        let mut steps = Vec::new();
        if states {
            steps.push(self.dry(&asked).await);
        }
        let (engine, asking) = (Arc::clone(&self.engine), asked.clone());
        let mut answer =
            tokio::spawn(async move { engine.answer(&grant(&[Region::De]), &asking, now_ms()).await });
        let begun = self.clock.passed();
        let ended = loop {
            let end = tokio::select! {
                ended = &mut answer => break ended.unwrap(),
                end = self.clock.next_wait() => end,
            };
            steps.push(format!("decided: {:?}", end - begun));
            self.clock.move_to(end - Duration::from_millis(1));
            if states {
                steps.push(self.dry(&asked).await);
                steps.push(self.states().await);
            }
            assert!(!answer.is_finished(), "nothing leaves before its time: {}", case.name);
            self.clock.move_to(end);
        };
        steps.push(format!("{:?} {}", self.clock.passed() - begun, shown(&ended)));
        let counts = self.counted.take();
        if states {
            steps.push(self.dry(&asked).await);
            steps.push(self.states().await);
        }
        Seen { steps, counts, is_answered: ended.is_ok() }
    }
}

/// What was seen of one question.
struct Seen {
    steps: Vec<String>,
    counts: BTreeMap<What, u64>,
    is_answered: bool,
}

/// An answer without its rows and without the notes that follow from them, or what is told instead.
fn shown(answer: &Result<Released, QueryError>) -> String {
    match answer {
        Err(error) => error.to_string(),
        Ok(released) => {
            let mut json = released.to_json();
            let answer = json.as_object_mut().unwrap();
            answer.remove("rows");
            answer.remove("notes");
            for column in answer["columns"].as_array_mut().unwrap() {
                column["note"] = Value::Null;
            }
            json.to_string()
        }
    }
}

/// What is asked of one world, in order.
async fn all_of(stored: Stored, ledger: BudgetLedger, cases: Arc<Vec<Case>>, states: bool) -> Vec<Seen> {
    let world = World::of(stored, ledger);
    let mut all = Vec::with_capacity(cases.len());
    for (at, case) in cases.iter().enumerate() {
        all.push(world.seen(at, case, states).await);
    }
    all
}

#[test]
fn every_function_and_operator_of_the_grammar_is_in_a_statement() {
    let (mut covered, mut refused) = (BTreeSet::new(), Vec::new());
    for case in cases() {
        match ask(&case.sql, &registry(), &[Region::De], now_ms()) {
            Ok(question) => covered.extend(question.releases.iter().flat_map(forms::of)),
            Err(error) if case.is_grammar => refused.push(format!("{}: {error}", case.sql)),
            Err(_) => {}
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let missing: Vec<&str> = forms::all().difference(&covered).copied().collect();
    assert!(missing.is_empty(), "no statement has {missing:?}");
}

/// Nothing that is seen depends on the person's day, and its work is that of its rows, whatever they hold.
#[tokio::test(flavor = "multi_thread")]
async fn one_persons_day_changes_no_time_no_state_and_no_work_of_other_rows() {
    let cases = Arc::new(cases());
    let mut ledgers = Ledgers::sized(DAYS, &config()).await;
    let (others, loud, quiet) = (everybody(), of_person(Day::Loud), of_person(Day::Quiet));
    let mut worlds = Vec::new();
    // The steps in between are looked at in two worlds; the others are for the time and the work alone.
    let of = [
        (vec![&others, &loud], true),
        (vec![&others], true),
        (vec![&loud], false),
        (vec![&quiet], false),
        (vec![], false),
    ];
    for (flushes, states) in of {
        let (stored, ledger) = (Stored::of(&flushes).await, ledgers.copy());
        worlds.push(tokio::spawn(all_of(stored, ledger, Arc::clone(&cases), states)));
    }
    let seen = futures::future::join_all(worlds).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let [with, without, alone, quiet, empty] = seen.try_into().unwrap_or_else(|_| panic!("five worlds"));
    let (mut unlike, mut answered) = (Vec::new(), 0);
    for (at, case) in cases.iter().enumerate() {
        let (with, without, alone, quiet) = (&with[at], &without[at], &alone[at], &quiet[at]);
        let name = format!("{}: {:.300}", case.name, case.sql);
        unlike.extend(differing(&with.steps, &without.steps).map(|what| format!("{name}\n  {what}")));
        let last = |seen: &Seen| seen.steps.iter().find(|step| step.starts_with("decided")).cloned();
        for other in [alone, quiet, &empty[at]] {
            if (last(with), with.is_answered) != (last(other), other.is_answered) {
                unlike.push(format!("{name}\n  {:?} and {:?}", last(with), last(other)));
            }
        }
        unlike.extend(work_apart(with, without, alone).map(|what| format!("{name}\n  {what}")));
        unlike.extend(work_of_values(alone, quiet).map(|what| format!("{name}\n  {what}")));
        let compiled =
            |seen: &Seen| [What::Patterns, What::RowNodes, What::TextNodes].map(|w| seen.counts[&w]);
        if compiled(&empty[at]) != compiled(with) {
            unlike.push(format!("{name}\n  compiled {:?} for no rows", compiled(&empty[at])));
        }
        answered += usize::from(with.is_answered);
    }
    assert!(unlike.is_empty(), "{} of {}:\n{}", unlike.len(), cases.len(), unlike.join("\n"));
    assert!(answered >= 140, "{answered} of {} are answered", cases.len());
}

/// Whoever is suppressed is read as if no row of theirs were there. Only texts that are theirs alone are still in the dictionaries of the
/// files, until these are written anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_world_in_which_a_person_is_suppressed_is_one_without_them() {
    let cases = Arc::new(cases());
    let mut ledgers = Ledgers::sized(DAYS, &config()).await;
    let (others, loud) = (everybody(), of_person(Day::Loud));
    let stored = [
        Stored::of(&[&others, &loud]).await.suppressing(subject_of_person()),
        Stored::of(&[&others]).await,
        Stored::of(&[&others, &loud]).await,
    ];
    let asked = stored.map(|stored| tokio::spawn(all_of(stored, ledgers.copy(), Arc::clone(&cases), false)));
    let seen = futures::future::join_all(asked).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let counted = |seen: &Seen| {
        let whats = crate::scan::WHATS.iter().filter(|what| **what != What::OfTexts);
        whats.map(|what| seen.counts[what]).collect::<Vec<_>>()
    };
    let mut told_apart = 0;
    for (at, case) in cases.iter().enumerate() {
        let [suppressed, without, with] = [0, 1, 2].map(|world| &seen[world][at]);
        assert_eq!(counted(suppressed), counted(without), "{}: {:.300}", case.name, case.sql);
        assert_eq!(differing(&suppressed.steps, &without.steps).next(), None, "{}", case.name);
        told_apart += usize::from(counted(with) != counted(without));
    }
    assert!(told_apart >= 100, "{told_apart} of {} see the person when they are not suppressed", cases.len());
}

fn differing<'s>(one: &'s [String], other: &'s [String]) -> impl Iterator<Item = String> {
    let unlike = one.iter().zip(other).filter(|(a, b)| a != b);
    let steps = unlike.map(|(a, b)| format!("{a:.900}\n  {b:.900}"));
    steps.chain((one.len() != other.len()).then(|| format!("{} and {} steps", one.len(), other.len())))
}

/// What a person's day adds to the work is what its own rows are worth alone; what is compiled is the same.
fn work_apart(with: &Seen, without: &Seen, alone: &Seen) -> impl Iterator<Item = String> {
    let sums = [What::Rows, What::OfRows, What::OfTexts, What::Made, What::OfMade].map(|what| {
        let [all, others, own] = [with, without, alone].map(|seen| seen.counts[&what]);
        (all != others + own).then(|| format!("{what:?}: {all}, and apart {others} and {own}"))
    });
    let same = [What::Patterns, What::RowNodes, What::TextNodes].map(|what| {
        let [all, others, own] = [with, without, alone].map(|seen| seen.counts[&what]);
        (all != others || all != own).then(|| format!("{what:?}: {all}, {others} and {own}"))
    });
    sums.into_iter().chain(same).flatten()
}

/// As many rows with as many different texts are as much work, whatever they say; of an event one row is made at the most.
fn work_of_values(loud: &Seen, quiet: &Seen) -> impl Iterator<Item = String> {
    let same = [What::Patterns, What::Rows, What::OfRows, What::OfTexts].map(|what| {
        let [loud, quiet] = [loud, quiet].map(|seen| seen.counts[&what]);
        (loud != quiet).then(|| format!("{what:?}: {loud} or {quiet}, by what the rows hold"))
    });
    let made = [loud, quiet].map(|seen| {
        let [rows, made, of_made] = [What::Rows, What::Made, What::OfMade].map(|what| seen.counts[&what]);
        (made > rows || made > 0 && of_made % made != 0)
            .then(|| format!("{made} rows made of {rows} events, with {of_made} values"))
    });
    same.into_iter().chain(made).flatten()
}

/// The suite sees what tells: a time, a state and work that differ.
#[test]
fn what_tells_worlds_apart_is_seen() {
    let seen = |steps: &[&str], counts: &[(What, u64)]| Seen {
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        counts: crate::scan::WHATS.iter().map(|what| (*what, 0)).chain(counts.iter().copied()).collect(),
        is_answered: true,
    };
    let plain = seen(&["decided: 1s", "reserved"], &[(What::OfRows, 20)]);
    for other in [&["decided: 2s", "reserved"][..], &["decided: 1s", "sealed"], &["decided: 1s"]] {
        assert!(differing(&plain.steps, &seen(other, &[]).steps).next().is_some(), "{other:?}");
    }
    let (with, own) = (seen(&[], &[(What::OfRows, 30)]), seen(&[], &[(What::OfRows, 10)]));
    assert!(work_apart(&with, &plain, &own).next().is_none());
    assert!(work_apart(&with, &plain, &plain).next().is_some(), "rows that make others dearer");
    assert!(
        work_apart(&seen(&[], &[(What::Patterns, 1)]), &seen(&[], &[]), &seen(&[], &[])).next().is_some()
    );
    assert!(work_of_values(&with, &own).next().is_some(), "rows that are dear for what they hold");
    assert!(work_of_values(&seen(&[], &[(What::Made, 1)]), &seen(&[], &[])).next().is_some());
}
