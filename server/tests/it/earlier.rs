//! A data directory that an earlier version left: its events, log, consents, answers, budget and audit are served as if this
//! version had written them.
//!
//! Invariant: the clock stands at the moment at which the directory was left, so nothing has expired, whatever day it is.
//! How the directories were made is in `server/tests/fixtures/README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use shoal_files::Disk;
use shoal_privacy::keyring::{Keyring, Sealed};
use shoal_schemas::{Kind, Region, Registry};
use shoal_storage::{CompactPolicy, DataKeys, KeyPlace, Snapshot, StorageError, Store};

use crate::audit::{lines, verify};
use crate::process::{Setup, library};
use crate::stage::{World, batch, ingest};
use crate::tables::{Stored as _, Tables, text};

/// The directories that are kept, each with what it is the first to have.
const BEFORE_MARKS: &str = "data-2026-11";
const WITH_MARKS: &str = "data-2026-11-29";
const WITH_JOURNAL: &str = "data-2026-11-30";
const ALL: [&str; 3] = [BEFORE_MARKS, WITH_MARKS, WITH_JOURNAL];

/// What is known of a directory, and a world over a copy of it.
fn earlier(name: &str) -> (Value, World) {
    earlier_but(name, |_| {})
}

/// The same, when something was done to the copy first.
fn earlier_but(name: &str, change: impl FnOnce(&Path)) -> (Value, World) {
    let facts = facts(name);
    let packed = std::fs::File::open(fixture(name).join("files.tar.zst")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(zstd::Decoder::new(packed).unwrap()).unpack(dir.path()).unwrap();
    change(dir.path());
    let world = World::over(dir, facts["now_ms"].as_i64().unwrap() + 1, |_| {});
    (facts, world)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn facts(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name).join("facts.json")).unwrap()).unwrap()
}

fn key<'f>(facts: &'f Value, name: &str) -> &'f str {
    facts["keys"][name].as_str().unwrap()
}

/// Every batch that was acknowledged, and how many events it has.
fn batches(facts: &Value) -> Vec<(&Value, u64)> {
    let batches = facts["batches"].as_array().unwrap();
    batches.iter().map(|batch| (batch, batch["events"].as_array().unwrap().len() as u64)).collect()
}

/// A click of now that a person's app sends without a consent.
fn click(world: &World, country: &str, id: &str, user: &str) -> Value {
    let event = json!({"id": id, "event": "click", "time": world.now_ms(), "user_id": user,
        "properties": {"element": "tile"}});
    json!({"country": country, "events": [event]})
}

#[test]
fn the_events_of_an_earlier_version_are_there_once_also_those_of_the_log() {
    ALL.into_iter().for_each(events_are_there_once);
}

fn events_are_there_once(name: &str) {
    let (facts, world) = earlier(name);
    all_are_there_once(&facts, &world);
}

#[test]
fn a_key_file_of_an_earlier_version_is_replaced_and_every_event_and_withdrawal_is_known_again() {
    let libraries = tempfile::tempdir().unwrap();
    let clock = library(libraries.path(), "clock.c");
    for name in ALL {
        // The command is run when the directory was left, too: two days later its event ids are known no more.
        let left_ms = facts(name)["now_ms"].to_string();
        let migrate = |dir: &Path| {
            let variables = [("LD_PRELOAD", clock.as_str()), ("CLOCK_STANDS_AT_MS", &left_ms)];
            let (code, out, errors) = Setup { dir, variables: &variables }.run(&["keys", "migrate"]);
            assert!(code == 0 && out.contains("is of version 2"), "{out}{errors}");
        };
        let (facts, mut world) = earlier_but(name, migrate);
        assert!(
            std::fs::read_to_string(world.dir().join("shoal.key")).unwrap().starts_with("shoal-keys 2\n")
        );
        all_are_there_once(&facts, &world);
        let server = world.key(ingest(Region::ALL, None, None)).reveal();
        let answer = world.client().events(&server, &click(&world, "DE", "of-carla", "carla"));
        assert_eq!(answer["events"][0]["code"], "withdrawn", "{answer}");
        world.restart(|_| {});
    }
}

fn all_are_there_once(facts: &Value, world: &World) {
    let server = world.key(ingest(Region::ALL, None, None)).reveal();
    let mut all = 0;
    for (batch, events) in batches(facts) {
        // The keys of before there were kinds of them are those of apps.
        let answer = world.client().events(key(facts, "app"), batch);
        assert_eq!((&answer["taken"], &answer["rejected"]), (&json!(events), &json!(0)), "{answer}");
        let answer = world.client().events(&server, batch);
        assert_eq!((&answer["duplicate"], &answer["accepted"]), (&json!(events), &json!(0)), "{answer}");
        all += events;
    }
    if facts["nobodys"].is_object() {
        let answer = world.client().events(key(facts, "asserting"), &facts["nobodys"]);
        assert_eq!(answer["taken"], 1, "{answer}");
        all += 1;
    }
    world.flush();
    let tables = Tables::read(world);
    let rows = || tables.0.iter().flat_map(|(table, t)| t.rows.iter().map(move |row| (table, row)));
    let ids: BTreeSet<_> = rows().map(|(table, row)| (table, text(row, "event_id"))).collect();
    assert_eq!((tables.count() as u64, ids.len() as u64), (all, all));
    for table in ["de/usage", "us/usage", "sg/usage", "my/performance", "sg/device"] {
        assert!(!tables.rows(table).is_empty(), "{table}");
    }
}

#[test]
fn the_unit_key_of_an_earlier_versions_day_goes_on() {
    [WITH_MARKS, WITH_JOURNAL].into_iter().for_each(a_unit_key_goes_on);
}

fn a_unit_key_goes_on(name: &str) {
    let (facts, world) = earlier(name);
    let mut later = facts["nobodys"].clone();
    later["events"][0]["id"] = json!("de-nobody-later");
    later["events"][0]["time"] = json!(world.now_ms());
    let answer = world.client().events(key(&facts, "asserting"), &later);
    assert_eq!(answer["taken"], 1, "{answer}");
    world.flush();
    let tables = Tables::read(&world);
    let crashes = tables.rows("de/crash");
    let subjects: BTreeSet<&str> = crashes.iter().map(|row| text(row, "subject")).collect();
    assert_eq!((crashes.len(), subjects.len()), (2, 1), "one network, app and day are one subject");
}

#[test]
fn a_server_key_of_an_earlier_version_is_told_the_codes_and_a_shipped_one_is_not() {
    [WITH_MARKS, WITH_JOURNAL].into_iter().for_each(kinds_of_keys_are_kept);
}

fn kinds_of_keys_are_kept(name: &str) {
    let (facts, world) = earlier(name);
    let told = |name: &str| {
        let answer =
            world.client().events(key(&facts, name), &click(&world, "DE", &format!("of-{name}"), "carla"));
        answer["events"][0]["code"].as_str().map(str::to_owned)
    };
    assert_eq!((told("server").as_deref(), told("app")), (Some("withdrawn"), None));
}

/// A withdrawal that was recorded by an earlier version is in its journal, which outlives an older copy of the records.
#[test]
fn an_older_copy_of_an_earlier_versions_consents_gets_what_its_journal_knows() {
    let put_back = |dir: &Path| {
        std::fs::copy(dir.join("older.redb"), dir.join("data/de/ledger.redb")).unwrap();
    };
    let (facts, world) = earlier_but(WITH_JOURNAL, put_back);
    let answer = world.client().events(key(&facts, "server"), &click(&world, "DE", "of-carla", "carla"));
    assert_eq!(answer["events"][0]["code"], "withdrawn", "{answer}");
    let last = lines(&world).pop().unwrap();
    assert_eq!(
        (&last["act"], &last["journal_lost"]),
        (&json!("withdrawals_replay"), &json!(false)),
        "{last}"
    );
}

#[test]
fn the_consents_and_withdrawals_of_an_earlier_version_are_in_force() {
    ALL.into_iter().for_each(consents_are_in_force);
}

fn consents_are_in_force(name: &str) {
    let (facts, world) = earlier(name);
    let server = world.key(ingest(Region::ALL, None, None)).reveal();
    let outcome = |body: &Value| {
        let answer = world.client().events(&server, body);
        let event = &answer["events"][0];
        event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
    };
    assert_eq!(outcome(&click(&world, "DE", "new-1", "anna")), "accepted");
    assert_eq!(outcome(&click(&world, "US", "new-2", "berta")), "accepted");
    assert_eq!(outcome(&click(&world, "DE", "new-3", "berta")), "no_consent", "it is for one region");
    assert_eq!(outcome(&click(&world, "DE", "new-4", "carla")), "withdrawn");
    let mut carried = click(&world, "DE", "new-5", "carla");
    carried = batch("DE", carried["events"].take().as_array().unwrap().clone());
    assert_eq!(outcome(&carried), "withdrawn", "a consent of before does not come back");

    // A change of an old record starts from what it says; and the same person has the same pseudonym.
    let change =
        json!({"action": "withdraw", "programme": "user-experience", "user_id": "anna", "country": "DE"});
    world.set_now_ms(world.now_ms() + 1);
    world.client().post("/v1/consents", key(&facts, "app"), change.to_string()).expect(200);
    assert_eq!(outcome(&click(&world, "DE", "new-6", "anna")), "withdrawn");
    world.flush();
    let tables = Tables::read(&world);
    let recorded = tables.rows("de/usage").iter().filter(|row| text(row, "consent") == "recorded");
    let subjects: Vec<_> = recorded.map(|row| text(row, "subject")).collect();
    assert_eq!(subjects.len(), 4, "three of before and one of now");
    assert_eq!(subjects.iter().collect::<BTreeSet<_>>().len(), 1, "all of them anna's");
}

/// Whether all that was told then is told now; more may be.
fn is_as_then(now: &Value, then: &Value) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().for_each(|(name, then)| is_as_then(now.get(name).unwrap_or(&Value::Null), then));
        }
        (Value::Array(now), Value::Array(then)) if now.len() == then.len() => {
            now.iter().zip(then).for_each(|(now, then)| is_as_then(now, then));
        }
        _ => assert_eq!(now, then),
    }
}

/// Rows without the upper ends of negative counts, which that version gave too low.
fn comparable(rows: &Value) -> Vec<Value> {
    let mut rows = rows.as_array().unwrap().clone();
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        let is_negative = |(_, value): &(&String, &Value)| value.as_f64().is_some_and(|number| number < 0.0);
        let negative: Vec<String> =
            row.iter().filter(is_negative).map(|(name, _)| format!("{name}_high")).collect();
        negative.iter().for_each(|name| drop(row.remove(name)));
    }
    rows
}

#[test]
fn the_answers_the_budget_and_the_audit_of_an_earlier_version_go_on() {
    ALL.into_iter().for_each(what_was_answered_goes_on);
}

fn what_was_answered_goes_on(name: &str) {
    let (facts, world) = earlier(name);
    let analyst = key(&facts, "analyst");
    let head = |lines: &[&str]| lines.iter().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    let told: Vec<&str> = facts["audit"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let (good, text) = verify(&world, &["--since", &head(&told)]);
    assert!(good, "{text}");
    let count = |head: &str| head.split_once(':').unwrap().0.parse::<u64>().unwrap();
    let more = count(&head(&text.lines().collect::<Vec<_>>())) - count(&head(&told));
    // A start that makes high-water marks for what was spent before leaves a line.
    assert_eq!(more, u64::from(name == BEFORE_MARKS));
    if name == BEFORE_MARKS {
        let last = lines(&world).pop().unwrap();
        assert_eq!((&last["act"], &last["marks_made"]), (&json!("budget_start"), &json!(true)), "{last}");
    }

    let spent = || {
        let budget = world.client().get(facts["budget_path"].as_str().unwrap(), analyst).expect(200).json();
        let mut blocks = budget["blocks"].as_array().unwrap().clone();
        // That version had each statement where it was charged.
        for spent in blocks.iter_mut().flat_map(|block| block["spent_by"].as_array_mut().unwrap()) {
            let at = usize::try_from(spent["query"].as_u64().unwrap()).unwrap();
            let head = spent["part"].as_str().unwrap().replacen(", ", "\n", 1);
            spent["query"] = match budget["queries"][at].as_str().unwrap() {
                "NUMBER OF ROWS" => json!(head.replacen("FROM", "NUMBER OF ROWS OF", 1)),
                asked => json!(format!("{head}\n{asked}")),
            };
        }
        blocks
    };
    let before: Vec<_> = spent();
    let then = facts["budget"]["blocks"].as_array().unwrap();
    assert_eq!(before.len(), then.len());
    for (block, then) in before.iter().zip(then) {
        is_as_then(block, then);
    }
    assert!(then.iter().any(|block| block["rho_spent"] != "0"), "{then:?}");

    for asked in facts["answers"].as_array().unwrap() {
        let question = json!({"sql": asked["sql"]}).to_string();
        let answer = world.client().post("/v1/sql", analyst, question).expect(200).json();
        assert_eq!(comparable(&answer["rows"]), comparable(&asked["rows"]), "the same numbers");
        assert_eq!(answer["cost"]["blocks_charged"], 0, "{}", answer["cost"]);
    }
    assert_eq!(spent(), before, "for nothing");
    let (good, text) = verify(&world, &["--since", &head(&told)]);
    assert!(good, "{text}");
}

/// Merges whatever there is two of.
const EAGER: CompactPolicy = CompactPolicy {
    files_min: 2,
    files_max: 64,
    bytes_small: 32 << 20,
    bytes_max: 256 << 20,
    groups_max: 64,
};

/// The data keys of a world, as a process beside it reads them.
fn data_keys(world: &World) -> Arc<DataKeys> {
    let keyring = Keyring::parse(&std::fs::read_to_string(world.key_file()).unwrap()).unwrap();
    let disk = Arc::new(Disk::new(world.data_key_dir()));
    Arc::new(
        DataKeys::open(KeyPlace::new(disk, Vec::new()), |region| {
            keyring.sealing_key(Sealed::DataKeys(region))
        })
        .unwrap(),
    )
}

/// Of all files of an earlier version none is encrypted, and they are read beside those that this version writes; what a merge makes of
/// them is encrypted, and has digests.
#[test]
fn the_files_of_an_earlier_version_get_their_digests_at_the_next_merge() {
    ALL.into_iter().for_each(files_get_digests);
}

fn files_get_digests(name: &str) {
    let (_, mut world) = earlier(name);
    // What was in the log only is few rows: they become one file of this version with those of before on the same day.
    world.flush();
    world.stop();
    let root = world.data_dir().canonicalize().unwrap();
    let registry = Registry::load(None).unwrap();
    let def = registry.table(Kind::Usage);
    let names: Vec<&str> = def.columns.iter().map(|column| column.name.as_str()).collect();
    let work = async {
        let url = url::Url::from_directory_path(&root).unwrap();
        let store = Store::open_with_keys(&url, Some(data_keys(&world))).await.unwrap();
        let table = store.table(Region::De, def).await.unwrap();
        let before = table.snapshot().await.unwrap();
        let sealed = |snapshot: &Snapshot| -> BTreeSet<bool> {
            snapshot.files().iter().map(|file| file.key.is_some()).collect()
        };
        let report = table.compact(world.now_ms(), EAGER).await.unwrap();
        assert!(report.failed.is_empty());
        let after = table.snapshot().await.unwrap();
        assert!(after.files().iter().all(|file| file.digest.is_some()), "{name}");
        assert_eq!(sealed(&after), BTreeSet::from([true]), "{name}");
        let rows = |snapshot: &Snapshot| snapshot.files().iter().map(|file| file.rows).sum::<u64>();
        assert_eq!(rows(&before), rows(&after));
        // From now on a bit that flips is found.
        let file = after.files()[0].clone();
        let read = || -> Result<u64, StorageError> {
            let mut rows = 0;
            for batch in after.rows(&file, &names, 1024)? {
                rows += batch?.num_rows() as u64;
            }
            Ok(rows)
        };
        assert_eq!(read().unwrap(), file.rows);
        let path = root.join("de/tables/usage").join(&file.path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        assert!(read().is_err(), "{name}");
    };
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}
