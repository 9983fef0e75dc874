//! The first five minutes: what the demo prints fits on a screen, and its lines for SDKs keep what the SDKs send; what the README
//! says works when it is pasted; a command run in the wrong directory makes no second data directory.
//!
//! Not here: how a page is pasted, and the other pages (`documents.rs`), the commands one by one (`commands.rs`), SDKs at length
//! (`sdk.rs`).

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::deploy::{CERT, KEY};
use crate::documents::{Pasted, paste};
use crate::process::{Going, Setup, signal, until};
use crate::tables::{Tables, script};

const README: &str = include_str!("../../../README.md");
/// A screen of a terminal that was made a little larger than the usual one: all that the demo prints is on it at its end.
const SCREEN_COLUMNS: usize = 100;
const SCREEN_LINES: usize = 50;

#[test]
fn the_demo_fits_a_screen_and_what_its_sdk_lines_send_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("printed");
    let out = File::create(&path).unwrap();
    let place = dir.path().join("demo");
    let demo = Command::new(env!("CARGO_BIN_EXE_shoal"))
        .args(["demo", "--listen", "127.0.0.1:0", "--dir", place.to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap();
    let mut demo = Going(demo);
    let printed = until("the demo to have asked", || {
        let text = fs::read_to_string(&path).unwrap();
        assert!(demo.0.try_wait().unwrap().is_none(), "the demo ended:\n{text}");
        text.contains("Serving on").then_some(text)
    });
    assert!(printed.lines().count() <= SCREEN_LINES, "{} lines:\n{printed}", printed.lines().count());
    // Where this program lies is for whoever has put it there.
    for line in printed.lines().filter(|line| !line.contains("alias shoal=")) {
        assert!(line.chars().count() <= SCREEN_COLUMNS, "{line}");
    }
    let (tour, go_on) = printed.split_once("Ask yourself").unwrap();
    assert!(tour.contains("intervals hold the truth") && tour.contains('±'), "{tour}");

    let line = |begin: &str| {
        let line = go_on.lines().find_map(|line| line.trim().strip_prefix(begin));
        line.unwrap_or_else(|| panic!("no line {begin}:\n{go_on}")).trim().to_owned()
    };
    let (segment, key) = (line("Segment: host "), line("KEY="));
    let (host, _) = segment.split_once(", write key as KEY above").unwrap();
    script("plain_clients.py", &[host, &key, &line("Sentry:")]);
    let data_dir = place.join("data");
    let here = Setup { dir: dir.path(), variables: &[("SHOAL_DATA_DIR", data_dir.to_str().unwrap())] };
    let accepted = || {
        let (code, shown, errors) = here.run(&["keys", "show", key.split('.').next().unwrap(), "--json"]);
        assert_eq!(code, 0, "{errors}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["counters"]["received"], shown["counters"]["accepted"], "{shown}");
        shown["counters"]["accepted"].as_u64().unwrap()
    };
    assert_eq!(accepted(), 3, "two of Segment's and one of Sentry's, as the SDKs send them");

    // The line for curl, in a shell, after those before it.
    let pasted =
        |line: &&str| ["export", "KEY=", "curl", "-d"].iter().any(|begin| line.trim().starts_with(begin));
    let curl = go_on.lines().filter(pasted).collect::<Vec<_>>().join("\n");
    let ran = Command::new("bash").args(["-c", &curl]).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains("accepted"), "{ran:?}");
    assert_eq!(accepted(), 4);
    signal("TERM", demo.0.id());
    assert!(until("the demo to end", || demo.0.try_wait().unwrap()).success());
}

/// The lines are pasted into one shell, as a reader does.
#[test]
fn what_the_readme_says_works_when_it_is_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let Pasted { out, errors } = paste(README, dir.path());
    // What the SDKs sent is kept, though they would say nothing if it were not.
    let tables = Tables::read(&Setup { dir: dir.path(), variables: &[] });
    assert_eq!(tables.events("app_open").len(), 2, "curl's and Segment's: {out}\n{errors}");
    assert_eq!(tables.rows("de/crash").len(), 1, "Sentry's: {out}\n{errors}");
    assert!(out.contains("\"taken\"") && out.contains("people"), "{out}\n{errors}");
    assert!(!out.contains("withheld") && !errors.contains("Traceback"), "{out}\n{errors}");
    assert!(Path::new(&dir.path().join("shoal.key")).exists());
    assert!(errors.contains("Keep a copy of it"), "the key file's first creation is told: {errors}");
}

#[test]
fn a_key_made_beside_a_service_of_another_directory_makes_no_second_one() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let serving = Setup { dir: first.path(), variables: &[] };
    let server = serving.serve();
    let address = server.client.0.to_string();
    let variables = [("SHOAL_HTTP_LISTEN", address.as_str())];
    let create = ["keys", "create", "ingest", "--app", "camera", "--regions", "DE"];
    let elsewhere = Setup { dir: second.path(), variables: &variables };
    let (code, out, errors) = elsewhere.run(&create);
    assert_eq!((code, out.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("SHOAL_DATA_DIR") && errors.contains(&address), "{errors}");
    assert!(!elsewhere.data_dir().exists());
    let (code, out, errors) = Setup { dir: first.path(), variables: &variables }.run(&create);
    assert!(code == 0 && !out.is_empty() && !errors.contains("Makes the data directory"), "{errors}");
    assert!(server.terminate().success());
    // A service with TLS is seen too, whatever name its certificate is for, and whether or not it is known that it has one.
    let tls = [("SHOAL_HTTP_TLS_CERT", CERT), ("SHOAL_HTTP_TLS_KEY", KEY)];
    let server = Setup { dir: first.path(), variables: &tls }.serve();
    let address = server.client.0.to_string();
    let variables = [("SHOAL_HTTP_LISTEN", address.as_str()), tls[0], tls[1]];
    for known in [&variables[..], &variables[..1]] {
        let elsewhere = Setup { dir: second.path(), variables: known };
        let (code, out, errors) = elsewhere.run(&create);
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        assert!(errors.contains(&format!("https://{address}")), "{errors}");
        assert!(!elsewhere.data_dir().exists());
    }
    assert!(server.terminate().success());
    // Commands that are about keys which are there make nothing either, and one that is refused says nothing of a directory.
    for command in [&["keys", "list"][..], &["keys", "show", "ing00"], &["keys", "revoke", "ing00"]] {
        let (code, out, errors) = elsewhere.run(command);
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        assert!(
            errors.contains("there is no data directory") && errors.contains("SHOAL_DATA_DIR"),
            "{errors}"
        );
        assert!(!elsewhere.data_dir().exists());
    }
    let several = ["keys", "create", "ingest", "--app", "camera", "--regions", "DE,US"];
    let (code, _, errors) = elsewhere.run(&several);
    assert!(code == 2 && !errors.contains("Makes the data directory"), "{errors}");
    // One that is another program's.
    std::fs::create_dir(elsewhere.data_dir()).unwrap();
    assert_eq!(elsewhere.run(&["keys", "revoke", "ing00"]).0, 1);
    std::fs::remove_dir(elsewhere.data_dir()).expect("nothing was made in it");
    // Nobody answers any more: this may be the first command of a service here.
    let (code, _, errors) = elsewhere.run(&create);
    assert!(code == 0 && errors.contains("Makes the data directory"), "{errors}");
    assert!(elsewhere.data_dir().is_dir());
}
