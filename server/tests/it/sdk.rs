//! Real SDKs from PyPI, unmodified, pointed at a running service: `tests/sdk/*.py` drive them.
//!
//! Not here: recorded requests of more SDKs (`protocols.rs`).

use std::collections::BTreeSet;

use shoal_schemas::{Programme, Region};

use crate::search::Searcher;
use crate::stage::{POLICY, World, encrypted_and_clear, ingest, shipped};
use crate::tables::{Tables, cells, script, text};

/// The made-up person of the scripts.
const USER: &str = "anna.sdk@example.org";
const MARKERS: [&str; 5] = [USER, "+49 30 901820", "203.0.113.77", "device-of-anna", "phone of anna"];

/// Runs a test over encrypted tables and over tables in the clear, with a clock that is the wall's now, because SDKs stamp their events
/// with it.
fn now(test: impl Fn(&World)) {
    encrypted_and_clear(
        |_| {},
        |world| {
            world.set_now_ms(shoal_server::system_clock()());
            test(world);
        },
    );
}

/// In no file, in no cell of a copy in the clear, and in no cell of a file in the clear.
fn assert_none_is_kept(world: &World) {
    let searcher = Searcher::new(&MARKERS);
    let mut hits = searcher.hits_in_files(world.dir());
    hits.extend(searcher.hits(&cells(&world)));
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn the_segment_sdk_for_python_delivers_each_message_once() {
    now(segment_sdk);
}

fn segment_sdk(world: &World) {
    // The SDK names the country itself, so a key for several regions will do.
    let key = world.key(shipped(ingest(Region::ALL, Some(Programme::UserExperience), Some(POLICY))));
    let host = format!("http://{}", world.client().0);
    script("segment_client.py", &[&host, &key.reveal(), USER, "message"]);
    world.flush();
    let tables = Tables::read(world);
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
    assert_none_is_kept(world);
}

#[test]
fn the_sentry_sdk_for_python_delivers_crash_transaction_and_session() {
    now(sentry_sdk);
}

fn sentry_sdk(world: &World) {
    let key = world.keys.asserting.reveal_for_dsn();
    let dsn = format!("http://{key}@{}/42", world.client().0);
    script("sentry_client.py", &[&dsn, USER]);
    world.flush();
    let tables = Tables::read(world);
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
    assert_none_is_kept(world);
}
