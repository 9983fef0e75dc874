//! Real SDKs from PyPI, unmodified, pointed at a running service: `tests/sdk/*.py` drive them.
//!
//! Not here: recorded requests of more SDKs (`protocols.rs`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::process::{Going, Setup};
use crate::search::Searcher;
use crate::stage::{POLICY, World, ingest, shipped};
use crate::tables::{Tables, cells, script, text};

/// The made-up person of the scripts.
const USER: &str = "anna.sdk@example.org";
const MARKERS: [&str; 5] = [USER, "+49 30 901820", "203.0.113.77", "device-of-anna", "phone of anna"];

/// A world whose clock is the wall's now, because SDKs stamp their events with it.
fn world() -> World {
    let world = World::new();
    world.set_now_ms(shoal_server::system_clock()());
    world
}

fn assert_none_is_kept(world: &World) {
    let searcher = Searcher::new(&MARKERS);
    let mut hits = searcher.hits_in_files(world.dir());
    hits.extend(searcher.hits(&cells(&world.data_dir())));
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn the_segment_sdk_for_python_delivers_each_message_once() {
    let world = world();
    // The SDK names the country itself, so a key for several regions will do.
    let key = world.key(shipped(ingest(Region::ALL, Some(Programme::UserExperience), Some(POLICY))));
    let host = format!("http://{}", world.client().0);
    script("segment_client.py", &[&host, &key.reveal(), USER, "message"]);
    world.flush();
    let tables = Tables::read(&world.data_dir());
    let mut names: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "event")).collect();
    names.sort_unstable();
    assert_eq!(names, ["app_open", "click", "screen_view"], "the click was sent twice; identify is no event");
    assert_eq!(tables.count(), 3, "nothing is anywhere else");
    let subjects: BTreeSet<&str> = tables.rows("de/usage").iter().map(|row| text(row, "subject")).collect();
    assert_eq!(subjects.len(), 1);
    for (_, row) in tables.events("click") {
        assert_eq!((text(row, "screen"), text(row, "element")), ("device_list", "add"));
        assert_eq!((text(row, "country"), text(row, "app_version")), ("DE", "4.2.0"));
        assert_eq!((text(row, "os"), text(row, "device_model")), ("ios", "iPhone16,2"));
    }
    assert_none_is_kept(&world);
}

#[test]
fn the_sentry_sdk_for_python_delivers_crash_transaction_and_session() {
    let world = world();
    let key = world.keys.asserting.reveal_for_dsn();
    let dsn = format!("http://{key}@{}/42", world.client().0);
    script("sentry_client.py", &[&dsn, USER]);
    world.flush();
    let tables = Tables::read(&world.data_dir());
    let crashes = tables.rows("de/crash");
    assert_eq!(crashes.len(), 1);
    assert_eq!(text(&crashes[0], "exception_type"), "ValueError");
    let message = text(&crashes[0], "message");
    assert!(message.contains("no stream for <identifier> at /Users/<user>/Library"), "{message}");
    assert!(text(&crashes[0], "stack").contains("open_live_view"));
    assert_eq!(text(&crashes[0], "crash_group").len(), 16);
    let loads = tables.events("page_load");
    assert_eq!(loads.len(), 1);
    assert_eq!((loads[0].0, text(loads[0].1, "screen")), ("de/performance", "live_view"));
    let mut states: Vec<&str> =
        tables.events("session").into_iter().map(|(_, row)| text(row, "result")).collect();
    states.sort_unstable();
    assert_eq!(states, ["errored", "exited"], "the session has ended, and it counts an error");
    assert_eq!(tables.count(), 4);
    assert_none_is_kept(&world);
}

/// What the demo prints is pasted into an app as it stands.
#[test]
fn the_demos_lines_for_sdks_keep_what_sdks_send_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, listen) = (dir.path().join("demo"), "127.0.0.1:0");
    let setup = Setup { dir: dir.path(), variables: &[] };
    let mut going = Going(setup.start(&["demo", "--dir", demo.to_str().unwrap(), "--listen", listen]));
    let lines = BufReader::new(going.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = lines.take_while(|line| !line.starts_with("Serving on")).collect();
    let after = |word: &str| told.iter().find_map(|line| line.strip_prefix(word)).unwrap().trim();
    let (host, key) = after("Segment SDK: host ").split_once(", write key ").unwrap();
    script("plain_clients.py", &[host, key, after("Sentry DSN:")]);
    let data_dir = demo.join("data");
    let here = Setup { dir: dir.path(), variables: &[("SHOAL_DATA_DIR", data_dir.to_str().unwrap())] };
    let (code, shown, errors) = here.run(&["keys", "show", key.split('.').next().unwrap(), "--json"]);
    assert_eq!(code, 0, "{errors}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["counters"]["received"], &shown["counters"]["accepted"]),
        (&json!(3), &json!(3)),
        "{shown}"
    );
}
