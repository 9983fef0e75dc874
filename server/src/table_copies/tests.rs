//! What is left of a copy that fails, and who is told of it. Copies of tables with rows: `server/tests/it/table_copies.rs`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;
use shoal_storage::Store;

use super::*;

/// A data directory with empty tables, which nobody serves.
fn empty_tables(dir: &Path) -> Config {
    let config = Config::embedded(dir).unwrap();
    fs::create_dir_all(&config.data_dir).unwrap();
    let root = url::Url::from_directory_path(config.data_dir.canonicalize().unwrap()).unwrap();
    let registry = definitions::read(None).unwrap();
    runtime().block_on(async {
        let store = Store::open(&root).await.unwrap();
        store.table(Region::De, registry.table(Kind::Usage)).await.unwrap();
        store.table(Region::Us, registry.table(Kind::Crash)).await.unwrap();
    });
    config
}

fn runtime() -> tokio::runtime::Runtime {
    crate::threads::runtime().unwrap()
}

fn run(config: &Config, to: &Path, tables: &[(Region, Kind)]) -> Result<Vec<TableCopied>, Error> {
    runtime().block_on(copy(config, Asked { to, tables }, &crate::system_clock()))
}

fn outcomes(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    shoal_audit::verify(&Audit::place(&config.data_dir), &mut |line| {
        let line: Value = serde_json::from_slice(line.text).unwrap();
        assert_eq!((&line["act"], &line["role"]), (&"tables_copy".into(), &"operator".into()), "{line}");
        found.push((line["outcome"].as_str().unwrap().to_owned(), line["id"].to_string()));
    })
    .unwrap();
    found
}

#[test]
fn a_copy_has_a_line_before_it_and_one_after_and_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = empty_tables(dir.path());
    let to = dir.path().join("copy");
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    let made = run(&config, &to, &[]).unwrap();
    assert_eq!(made.iter().map(|t| name(t.region, t.kind)).collect::<Vec<_>>(), ["us/crash", "de/usage"]);
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o700);
    assert!(to.join("de/tables/usage/_delta_log").is_dir() && !to.join(UNFINISHED).exists());
    let lines = outcomes(&config);
    assert_eq!((lines[0].0.as_str(), lines[1].0.as_str(), lines.len()), ("begun", "done", 2));
    assert_eq!(lines[0].1, lines[1].1, "of one act");
    let other = dir.path().join("other");
    let one = run(&config, &other, &[(Region::Us, Kind::Crash)]).unwrap();
    assert!(one.len() == 1 && !other.join("de").exists());
    for (to, tables, told) in [
        (&to, &[][..], "is not empty"),
        (&dir.path().join("new"), &[(Region::De, Kind::Crash)], "no table de/crash"),
        (&config.data_dir.join("copy"), &[], "outside of data_dir"),
        (&config.data_key_dir().join("copy"), &[], "outside of data_key_dir"),
    ] {
        let refused = run(&config, to, tables).unwrap_err();
        assert!(matches!(refused, Error::Usage(_)) && refused.to_string().contains(told), "{refused}");
    }
    assert_eq!(outcomes(&config).len(), 4, "what is refused before it begins has no line");
}

#[test]
fn without_its_line_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = empty_tables(dir.path());
    fs::write(config.data_dir.join("audit"), "").unwrap();
    let to = dir.path().join("copy");
    assert!(run(&config, &to, &[]).is_err());
    assert!(!to.exists());
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_its_line_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = empty_tables(dir.path());
    let log = config.data_dir.join("de/tables/usage/_delta_log/00000000000000000000.json");
    fs::write(&log, "{").unwrap();
    let to = dir.path().join("copy");
    assert!(run(&config, &to, &[]).is_err());
    assert!(!to.exists(), "the other table was copied before it");
    fs::create_dir(&to).unwrap();
    assert!(run(&config, &to, &[]).is_err());
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "an empty directory stays one");
    let lines = outcomes(&config);
    let lines: Vec<&str> = lines.iter().map(|(outcome, _)| outcome.as_str()).collect();
    assert_eq!(lines, ["begun", "failed", "begun", "failed"]);
    // What a process that died has left.
    fs::write(to.join(UNFINISHED), "").unwrap();
    let told = run(&config, &to, &[]).unwrap_err().to_string();
    assert!(told.contains("not finished"), "{told}");
}
