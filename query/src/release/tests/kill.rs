//! `kill -9` at any moment, and any file of the budget put back or taken away between two lives: never two answers for one
//! charge, never an answer without its charge.
//!
//! The child is this test's own executable. It asks one question after the other and writes down what it is about to do and
//! every answer that it got; the parent kills it after some of these lines, starts it again on the same directory, and
//! compares. How often: `SHOAL_KILLS` (default 6); there are six questions for each kill, so that 167 are a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BudgetLedger, Found, LedgerFiles, SpendingFilter};

use super::super::Groups;
use super::{After, World, priced};
use crate::release::{LookedUp, answer};
use crate::tests::{now_ms, today};

/// The tests below: the child runs one of them too, and is told by the directory that it is the child.
const KILLED: &str =
    "release::tests::kill::a_killed_service_never_gives_two_answers_for_a_charge_nor_one_without";
const RESTORED: &str = "release::tests::kill::whatever_is_put_back_each_answer_has_a_charge_of_its_own";
const DIR: &str = "SHOAL_KILL_DIR";
/// The first question, and the one after the last.
const QUESTIONS: &str = "SHOAL_KILL_QUESTIONS";
/// Questions that a life gets to, on average.
const LIFE: usize = 6;
const PRICE: u64 = 2_000_000;

/// 24 questions about the same three days, then three days before.
fn sql(question: usize) -> String {
    let last = question / 24 * 3;
    format!(
        "SELECT os, COUNT(*) FROM usage WHERE day BETWEEN current_date - {} AND current_date - {last} \
         AND amount > {question} GROUP BY os",
        last + question % 3
    )
}

/// Questions about one finished day, so that each answer is one draw of noise.
fn sql_of_one_day(question: usize) -> String {
    format!("SELECT os, COUNT(*) FROM usage WHERE day = current_date - 1 AND amount > {question} GROUP BY os")
}

/// The ledger of a directory.
fn ledger(dir: &Path) -> BudgetLedger {
    BudgetLedger::open(&dir.join("data"), &dir.join("marks")).unwrap()
}

fn text(groups: &Groups) -> String {
    let units = groups.rows.iter().map(|(key, row)| format!("{key:?}={}", row[0].units));
    units.collect::<Vec<_>>().join(";")
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone.
    let _ = writeln!(out, "\n#{line}").and_then(|()| out.flush());
}

/// A life: asks the questions `first end` over the ledger in a directory.
async fn ask_all(dir: &Path, questions: &str, sql: fn(usize) -> String) {
    let (first, end) = questions.split_once(' ').unwrap();
    let world = World::over(ledger(dir));
    for question in first.parse().unwrap()..end.parse().unwrap() {
        let queries = [priced(&sql(question), now_ms()).await];
        say("asking");
        let scan = After(|| async {
            say("running");
            Ok(())
        });
        let looked_up = LookedUp::of(&queries, &world.budget, now_ms()).await.unwrap();
        let answered = answer(looked_up, &super::asked(&world.budget, now_ms()), &scan).await.unwrap();
        let answered = answered.sealed().await.unwrap();
        say(&format!("answer {question} {}", text(&answered.groups[0])));
    }
    say("end");
}

/// Whether this process is the child; then it lives its life.
fn is_child(sql: fn(usize) -> String) -> bool {
    let (Ok(dir), Ok(questions)) = (std::env::var(DIR), std::env::var(QUESTIONS)) else { return false };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(ask_all(Path::new(&dir), &questions, sql));
    true
}

/// The lines of one life of the child, which ends after `lines_max` of them.
fn live(test: &str, dir: &Path, questions: Range<usize>, lines_max: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(QUESTIONS, format!("{} {}", questions.start, questions.end))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if let Some(said) = line.trim_end().strip_prefix('#') {
            seen.push(said.to_owned());
            if seen.len() == lines_max {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    seen
}

#[test]
fn a_killed_service_never_gives_two_answers_for_a_charge_nor_one_without() {
    if is_child(sql) {
        return;
    }
    let kills = kills();
    let questions = LIFE * kills;
    let root = tempfile::tempdir().unwrap();
    let mut answers: BTreeMap<String, String> = BTreeMap::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for life in 0..=kills {
        seed = next(seed);
        // Some that are answered already are asked again; the last life asks them all.
        let (first, lines_max) = match life == kills {
            true => (0, usize::MAX),
            // Two lines of each answer that is known already, three of each other.
            false => {
                let again = answers.len().min(LIFE);
                let lines = 1 + usize::try_from(seed >> 33).unwrap() % (2 * LIFE * 3);
                (answers.len() - again, 2 * again + lines)
            }
        };
        let seen = live(KILLED, root.path(), first..questions, lines_max);
        assert!(!seen.is_empty(), "the child must run");
        for said in &seen {
            let Some((question, answer)) = said.strip_prefix("answer ").and_then(|a| a.split_once(' '))
            else {
                continue;
            };
            let first = answers.entry(question.to_owned()).or_insert_with(|| answer.to_owned());
            assert_eq!(first, answer, "two answers to question {question}");
        }
        if life == kills {
            assert_eq!(seen.last().map(String::as_str), Some("end"));
        }
        check_charges(root.path());
    }
    assert_eq!(answers.len(), questions);
}

fn kills() -> usize {
    std::env::var("SHOAL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6)
}

fn next(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Everything that is sealed was charged on each of its blocks, and every charge is in the sum. A kill between the
/// high-water marks and the ledger leaves a charge in the sum that is not listed, since it was not granted.
fn check_charges(root: &Path) {
    let ledger = ledger(root);
    let filter = SpendingFilter {
        regions: shoal_schemas::Region::ALL.to_vec(),
        kinds: shoal_schemas::Kind::ALL.to_vec(),
        days: i32::MIN..=i32::MAX,
        charges_max: usize::MAX,
    };
    for spending in ledger.spending(&filter).unwrap() {
        let listed: u64 = spending.items.iter().map(|item| item.nano).sum();
        let sum = spending.pools.values().sum::<u64>();
        assert!(sum >= listed && (sum - listed).is_multiple_of(PRICE), "{sum} {listed}");
        for item in &spending.items {
            assert_eq!(item.nano, PRICE);
            let found = ledger.look_up(&[item.part]).unwrap().remove(0);
            assert_eq!(matches!(found, Found::Sealed(_)), item.is_sealed, "one of two states, and no other");
        }
    }
}

/// Questions about one day.
const ALL: usize = 8;
/// Ledger and high-water marks, as they are below a directory.
const FILES: [&str; 3] = ["data/ledger/budget.redb", "data/de/budget.witness", "marks/de/budget.witness"];

/// What is put back or taken away, by number: each file alone, and the whole data directory.
fn harm(dir: &Path, copies: &[Vec<u8>], number: u64) {
    let names = match number % 4 {
        3 => &FILES[..2],
        at => &FILES[at as usize..=at as usize],
    };
    for name in names {
        let at = FILES.iter().position(|file| file == name).unwrap();
        match number / 4 % 2 {
            0 => fs::write(dir.join(name), &copies[at]).unwrap(),
            // The data directory without its files is a new one, and there is no table here that would tell.
            _ => fs::remove_file(dir.join(name)).unwrap(),
        }
    }
    let files = LedgerFiles::read(&dir.join("data"), &dir.join("marks")).unwrap();
    if !files.doubts().is_empty() {
        BudgetLedger::accepting(files, &[], 0, today()).unwrap().settle(None).unwrap();
    }
}

#[test]
fn whatever_is_put_back_each_answer_has_a_charge_of_its_own() {
    if is_child(sql_of_one_day) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    drop(ledger(root.path()));
    let copies: Vec<Vec<u8>> = FILES.iter().map(|name| fs::read(root.path().join(name)).unwrap()).collect();
    let mut draws: BTreeSet<String> = BTreeSet::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for life in 0..kills() {
        seed = next(seed);
        let lines_max = 1 + usize::try_from(seed >> 33).unwrap() % (ALL * 4);
        let seen = live(RESTORED, root.path(), 0..ALL, lines_max);
        assert!(!seen.is_empty(), "the child must run");
        draws.extend(seen.into_iter().filter(|said| said.starts_with("answer ")));
        harm(root.path(), &copies, seed >> 40);
        let block = Block { region: Region::De, kind: Kind::Usage, day: today() - 1 };
        let spent: u64 = ledger(root.path()).spent(&[block]).unwrap()[0].values().sum();
        assert!(spent >= PRICE * draws.len() as u64, "life {life}: {spent} for {} answers", draws.len());
    }
    assert!(draws.len() > 1, "{draws:?}");
}
