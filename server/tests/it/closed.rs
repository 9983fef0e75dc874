//! What lies on the disk is for nobody but the account of the service: new files, files that were there before, and none
//! with the memory of the process that holds the keys.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::process::{Setup, until};
use crate::stage::{Keys, batch};
use crate::tables::Tables;

/// Everything below a directory, itself included; links are not followed.
fn all(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_path_buf());
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            all(&entry.unwrap().path(), found);
        }
    }
}

/// What of it others than the owner may do something with.
fn open_to_others(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    all(root, &mut found);
    assert!(found.len() > 1, "there must be something to look at");
    let mode = |path: &PathBuf| path.symlink_metadata().unwrap().mode();
    let is_link = |path: &PathBuf| path.symlink_metadata().unwrap().is_symlink();
    let open = found.iter().filter(|path| !is_link(path) && mode(path) & 0o077 != 0);
    open.map(|path| format!("{} {:o}", path.display(), mode(path))).collect()
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn no_file_of_the_service_is_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50")] };
    let (code, app, errors) =
        setup.run(&["keys", "create", "ingest", "--kind", "server", "--app", "a", "--regions", "DE"]);
    assert_eq!(code, 0, "{errors}");
    let (_, analyst, _) = setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    let server = setup.serve();
    let people = (0..50)
        .map(|n| json!({"event": "click", "user_id": format!("u-{n}"), "properties": {"element": "a"}}));
    let answer = server.client.events(app.trim(), &batch("DE", people.collect()));
    assert_eq!(answer["accepted"], 50, "{answer}");
    until("the flush", || (Tables::read(&setup).count() == 50).then_some(()));
    server.client.sql(analyst.trim(), "SELECT COUNT(*) AS n FROM usage");
    assert!(server.terminate().success());
    let open = open_to_others(&setup.data_dir());
    assert!(open.is_empty(), "{open:#?}");
    assert_eq!(fs::metadata(dir.path().join("shoal.key")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_was_open_is_closed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    server.client.events(&keys.app, &batch("DE", vec![json!({"event": "app_open", "user_id": "u"})]));
    assert!(server.terminate().success());
    let root = setup.data_dir();
    let mut found = Vec::new();
    all(&root, &mut found);
    for path in &found {
        set(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let tight = root.join("de/note");
    fs::write(&tight, "").unwrap();
    set(&tight, 0o400);
    assert!(!open_to_others(&root).is_empty());
    let server = setup.serve();
    let open = open_to_others(&root);
    assert!(open.is_empty(), "{open:#?}");
    assert_eq!(fs::metadata(&tight).unwrap().mode() & 0o777, 0o400, "nothing is loosened");
    assert!(server.log().contains("files that others could read are closed to them"));
    assert!(server.terminate().success());
}

#[test]
fn the_process_that_holds_the_keys_leaves_no_core() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // The postprocessing still runs in a process of its own, started from this one's program.
    let question = json!({"sql": "SELECT COUNT(*) AS n FROM usage", "dry_run": true}).to_string();
    server.client.post("/v1/sql", &keys.analyst, question).expect(200);
    let quit = format!("kill -ABRT {}", server.id());
    assert!(Command::new("sh").args(["-c", &quit]).status().unwrap().success());
    let status = server.wait();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
