//! The trial of usefulness on a small world: its truth is that of the tables, and answers are as good as they say.

#![allow(clippy::unwrap_used)]

use clap::Parser;
use shoal_benches::utility::{Flags, TrialReport, run};

async fn trial(dir: &std::path::Path, more: &[&str]) -> Result<TrialReport, String> {
    let dir = dir.to_str().unwrap();
    let flags = ["shoal-utility", "--dir", dir, "--subjects", "6000", "--days", "14", "--large", "500"];
    run(&Flags::try_parse_from(flags.iter().chain(more)).unwrap()).await
}

#[tokio::test]
async fn a_small_trial_finds_the_truth_within_its_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = trial(dir.path(), &[]).await.unwrap();
    assert!(outcome.events > 40_000, "{}", outcome.events);
    let (cells, covered) = outcome.coverage();
    assert!(cells > 100, "{cells} numbers are too few to judge");
    // Of 100 numbers 95 are expected; 85 are more than four standard deviations fewer.
    assert!(100 * covered >= 85 * cells, "{covered} of {cells}");
    for verdict in &outcome.verdicts {
        println!("{verdict}");
        assert!(verdict.deviations_max < 6.0, "{verdict}");
    }
    let daily = outcome.verdicts.iter().find(|v| v.name == "daily active subjects").unwrap();
    assert_eq!((daily.cells, daily.withheld, daily.refusal.as_str()), (14, 0, ""));
    assert!(daily.error(1.0).unwrap() < 0.1, "{daily}");
}

#[tokio::test]
async fn a_directory_keeps_one_trial_and_takes_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["--subjects", "200", "--days", "7"];
    let dir_text = dir.path().to_str().unwrap();
    let with = |more: &[&'static str]| {
        let own = ["shoal-utility", "--dir", dir_text];
        Flags::try_parse_from(own.iter().chain(&small).chain(more)).unwrap()
    };
    let first = run(&with(&[])).await.unwrap().events;
    assert_eq!(run(&with(&[])).await.unwrap().events, first, "the same flags make the same events");
    let other = run(&with(&["--seed", "2"])).await.map(|o| o.events);
    assert!(other.is_err_and(|reason| reason.contains("seed 1")), "another seed needs another directory");
}
