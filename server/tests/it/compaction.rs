//! The files of many flushes become few while the service runs, and every event is there once.

use std::collections::BTreeSet;

use crate::process::until;
use crate::stage::{DAY_MS, NOON_MS, World, batch, click};
use crate::tables::{Tables, files, text};

const FLUSHES: usize = 12;
const INTERVAL_MS: i64 = 10 * 60_000;

fn data_files(world: &World) -> usize {
    let data = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|e| e == "parquet") && path.to_string_lossy().contains("/day=")
    };
    files(&world.data_dir()).iter().filter(|path| data(path)).count()
}

#[test]
fn the_files_of_many_flushes_are_merged_by_themselves() {
    let mut world = World::new();
    for flush in 0..FLUSHES {
        let clicks = (0..30).map(|n| click(&format!("{flush}-{n}"), &format!("person-{n}"), "a")).collect();
        let answer = world.client().events(&world.keys.app, &batch("DE", clicks));
        assert_eq!(answer["accepted"], 30, "{answer}");
        world.flush();
    }
    // They are of few rows, so that each has become one file with those of before, which are on the disk yet.
    assert_eq!(data_files(&world), FLUSHES);
    // The clock of the day is wrong meanwhile: what passes is counted.
    world.set_now_ms(NOON_MS - 30 * DAY_MS);
    world.pass_ms(INTERVAL_MS);
    until("a compaction", || (data_files(&world) == 1).then_some(()));
    world.set_now_ms(NOON_MS);
    let ids = |world: &World| {
        let tables = Tables::read(&world);
        let rows = tables.events("click");
        assert_eq!(rows.len(), FLUSHES * 30);
        rows.iter().map(|(_, row)| text(row, "event_id").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&world).len(), FLUSHES * 30);
    // A resend is known at the endpoint, whatever became of the files; and the table goes on.
    let again = batch("DE", vec![click("0-0", "person-0", "a")]);
    assert_eq!(world.client().events(&world.keys.app, &again)["duplicate"], 1);
    let before = ids(&world);
    world.restart(|_| {});
    assert_eq!(ids(&world), before);
    assert_eq!(data_files(&world), 1);
}

#[test]
fn a_start_after_many_commits_reads_few_of_them() {
    let mut world = World::with(|config| config.storage.compaction_interval_min = None);
    for flush in 0..20 {
        let events = vec![click(&format!("c{flush}"), &format!("person-{flush}"), "a")];
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", events))["accepted"], 1);
        world.flush();
    }
    let log = world.data_dir().join("de/tables/usage/_delta_log");
    world.stop();
    let pointer = std::fs::read_to_string(log.join("_last_checkpoint")).unwrap();
    let pointer: serde_json::Value = serde_json::from_str(&pointer).unwrap();
    assert!(pointer["version"].as_u64().unwrap() >= 20, "{pointer}");
    let elsewhere = world.data_dir().join("us/tables/usage/_delta_log/_last_checkpoint");
    assert!(!elsewhere.exists(), "a table with few commits needs none");
    world.try_start().unwrap();
    assert_eq!(Tables::read(&world).count(), 20);
    let again = batch("DE", vec![click("c7", "person-7", "a")]);
    assert_eq!(world.client().events(&world.keys.app, &again)["duplicate"], 1);
}
