//! The keys of what is stored: rotated and destroyed by commands, kept in a second place, and a key file of before that is replaced.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::audit::lines;
use crate::process::Setup;
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, batch, click};
use crate::tables::copy;

const YESTERDAY: &str = "2026-11-21";

/// A command over the directory of a world.
fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    Setup { dir, variables: &[] }.run(arguments)
}

/// The same, which must succeed.
fn done(dir: &Path, arguments: &[&str]) -> Value {
    let (code, out, errors) = run(dir, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{errors}");
    serde_json::from_str(&out).unwrap()
}

/// Clicks of so many people on a day that is so many days before today.
fn send(world: &World, days_ago: i64, people: std::ops::Range<usize>) {
    let events = people.map(|n| {
        let mut event = click(&format!("{days_ago}-{n}"), &format!("user-{n}"), "tile");
        event["time"] = json!(NOON_MS - days_ago * DAY_MS);
        event
    });
    let answer = world.client().events(&world.keys.app, &batch("DE", events.collect()));
    assert_eq!(answer["rejected"], 0, "{answer}");
    world.flush();
}

/// Rows of `de/usage`.
fn held(world: &World) -> u64 {
    let status = done(world.dir(), &["status"]);
    let tables = status["rows"].as_array().unwrap();
    tables
        .iter()
        .filter(|t| t["region"] == "DE" && t["kind"] == "usage")
        .map(|t| t["rows"].as_u64().unwrap())
        .sum()
}

fn keys_of(world: &World, of: &str) -> Vec<Value> {
    let all = done(world.dir(), &["keys", "list", "--stored"]);
    all.as_array().unwrap().iter().filter(|key| key["of"] == of).cloned().collect()
}

#[test]
fn tables_in_the_clear_are_encrypted_by_a_command_that_can_be_repeated() {
    let mut world = World::with(|config| config.storage.encrypt = false);
    send(&world, 0, 0..20);
    send(&world, 1, 0..30);
    let (code, _, errors) = run(world.dir(), &["tables", "encrypt"]);
    assert!(code != 0 && errors.contains("in the clear"), "{errors}");
    assert_eq!(keys_of(&world, "de/usage").len(), 0);
    world.restart(|config| config.storage.encrypt = true);
    let encrypt = ["tables", "encrypt", "--table", "de/usage"];
    let done_first = done(world.dir(), &encrypt);
    assert_eq!(
        done_first["tables"],
        json!([{"table": "de/usage", "files": 2, "rows": 50, "left": 0}]),
        "{done_first}"
    );
    assert_eq!(keys_of(&world, "de/usage").len(), 2);
    assert_eq!(done(world.dir(), &["tables", "encrypt"])["tables"].as_array().unwrap().len(), 16);
    assert_eq!(done(world.dir(), &encrypt)["tables"][0]["files"], 0, "there are none any more");
    assert_eq!(held(&world), 50);
    // What was in the clear has left the disk.
    let parquet: Vec<_> = crate::tables::files(&world.data_dir().join("de/tables/usage"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .filter(|path| !path.to_str().unwrap().contains("_delta_log"))
        .collect();
    assert_eq!(parquet.len(), 2);
    assert!(parquet.iter().all(|path| fs::read(path).unwrap().ends_with(b"PARE")));
    let acts: Vec<Value> = lines(&world).into_iter().filter(|line| line["act"] == "table_encrypt").collect();
    assert_eq!(acts.len(), 1 + 1 + 16 + 1, "each try has a line");
    assert_eq!((&acts[1]["rows"], &acts[1]["outcome"]), (&json!(50), &json!("done")));
}

#[test]
fn a_day_gets_another_key_and_then_goes_with_all_of_its_keys_while_the_service_runs() {
    let world = World::new();
    send(&world, 0, 0..20);
    send(&world, 1, 0..30);
    assert_eq!(keys_of(&world, "de/usage").len(), 2);
    let rotated = done(world.dir(), &["keys", "rotate", "--table", "de/usage", "--day", TODAY]);
    assert_eq!((&rotated["files"], &rotated["rows"]), (&json!(1), &json!(20)));
    assert_eq!(keys_of(&world, "de/usage").len(), 3, "backups need the key of before");

    let shred = ["keys", "shred", "--table", "de/usage", "--day", YESTERDAY];
    let told = done(world.dir(), &shred);
    assert!(told["would_destroy"].as_str().unwrap().contains(YESTERDAY), "{told}");
    assert_eq!(held(&world), 50, "without --yes nothing is done");
    let shredded = done(world.dir(), &[&shred[..], &["--yes"]].concat());
    assert_eq!((&shredded["keys"], &shredded["rows"]), (&json!(1), &json!(30)));
    assert_eq!(held(&world), 20);
    // What comes for this day from now on has a key of its own.
    send(&world, 1, 100..103);
    assert_eq!(held(&world), 23);
    let sql = format!("SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{YESTERDAY}' AND region = 'DE'");
    world.client().sql(&world.keys.analyst, &sql);

    let acts: Vec<Value> = lines(&world).into_iter().filter(|line| !line["table"].is_null()).collect();
    let told: Vec<_> =
        acts.iter().map(|line| (&line["act"], &line["outcome"], &line["day"], &line["rows"])).collect();
    assert_eq!(
        told,
        [
            (&json!("data_key_rotate"), &json!("done"), &json!(TODAY), &json!(20)),
            (&json!("stored_key_shred"), &json!("done"), &json!(YESTERDAY), &json!(30)),
        ]
    );
    let number = acts[1]["id"].as_str().unwrap();
    let receipt = done(world.dir(), &["receipt", "show", number, "--region", "DE"])["receipts"][0].clone();
    let receipt: Value = serde_json::from_str(receipt.as_str().unwrap()).unwrap();
    let value = |name: &str| receipt["openings"][name]["value"].clone();
    assert_eq!(
        (value("kept.table"), value("kept.day"), value("count.keys"), value("count.rows")),
        (json!(["usage"]), json!([YESTERDAY]), json!(1), json!(30))
    );
}

#[test]
fn events_that_come_while_their_day_is_destroyed_are_kept_under_a_new_key_or_go_with_it_and_are_counted() {
    const BATCHES: usize = 60;
    let world = World::with(|config| config.ingest.flush_interval_ms = 50);
    let shred = ["keys", "shred", "--table", "de/usage", "--day", TODAY, "--yes"];
    let mut destroyed = 0;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for at in 0..BATCHES {
                let events =
                    (0..10).map(|n| click(&format!("{at}-{n}"), &format!("user-{at}-{n}"), "tile")).collect();
                let answer = world.client().events(&world.keys.app, &batch("DE", events));
                assert_eq!(answer["accepted"], 10, "{answer}");
                world.flush();
            }
        });
        while !sending.is_finished() {
            destroyed += done(world.dir(), &shred)["rows"].as_u64().unwrap();
        }
        sending.join().unwrap();
    });
    world.flush();
    assert_eq!(destroyed + held(&world), 10 * BATCHES as u64, "{destroyed} went with their keys");
    send(&world, 0, 1_000..1_005);
    let rows = done(world.dir(), &["keys", "rotate", "--table", "de/usage", "--day", TODAY])["rows"].as_u64();
    assert_eq!(rows, Some(held(&world)), "what is left can be read");
}

#[test]
fn a_day_whose_keys_were_destroyed_is_unreadable_in_a_copy_of_before_with_the_keys_of_today() {
    let mut world = World::new();
    send(&world, 0, 0..20);
    send(&world, 1, 0..30);
    world.stop();
    let before = world.dir().join("copy-of-before");
    copy(&world.data_dir(), &before);
    done(world.dir(), &["keys", "shred", "--table", "de/usage", "--day", YESTERDAY, "--yes"]);
    fs::remove_dir_all(world.data_dir()).unwrap();
    copy(&before, &world.data_dir());
    let (code, _, errors) = run(world.dir(), &["keys", "rotate", "--table", "de/usage", "--day", YESTERDAY]);
    assert!(code != 0 && errors.contains("no key to replace"), "{errors}");
    // The other day is whole.
    let rotated = done(world.dir(), &["keys", "rotate", "--table", "de/usage", "--day", TODAY]);
    assert_eq!(rotated["rows"], 20);
}

#[test]
fn an_epoch_is_forgotten_by_hand_once_it_is_over_and_its_late_events_are_rejected() {
    let world = World::new();
    send(&world, 0, 0..3);
    let of_epochs = |world: &World| keys_of(world, "pseudonym epoch");
    let in_germany = |key: &Value| key["id"].as_str().unwrap().starts_with("de/");
    let mut epochs: Vec<Value> = of_epochs(&world).into_iter().filter(in_germany).collect();
    epochs.retain(|key| key["state"] == "in use");
    let now = epochs.iter().find(|key| {
        let (first, last) = key["days"].as_str().unwrap().split_once(" to ").unwrap();
        (first..=last).contains(&TODAY)
    });
    let now = now.unwrap()["id"].as_str().unwrap().to_owned();
    // By the clock of this machine it may be over: the world's clock counts, because the service does it.
    let (code, _, errors) = run(world.dir(), &["keys", "shred", "--epoch", &now, "--yes"]);
    assert!(code == 3 && errors.contains("this epoch is not over"), "{errors}");
    let before =
        epochs.iter().map(|key| key["id"].as_str().unwrap()).filter(|id| *id < now.as_str()).max().unwrap();
    let shredded = done(world.dir(), &["keys", "shred", "--epoch", before, "--yes"]);
    assert_eq!(shredded["keys"], 1);
    let state =
        |id: &str| of_epochs(&world).into_iter().find(|key| key["id"] == id).unwrap()["state"].clone();
    assert_eq!((state(before), state(&now)), (json!("destroyed"), json!("in use")));

    for unknown in ["de/2026-09-05.90", "de/2031-01-01.90", "de/9999-12-31.4000000000", "de/2026-09-04.0"] {
        let (code, _, errors) = run(world.dir(), &["keys", "shred", "--epoch", unknown, "--yes"]);
        assert!(code == 3 && errors.contains("there is no such epoch"), "{unknown}: {errors}");
    }

    let days = |id: &str| id.split_once('/').unwrap().1.split_once('.').unwrap().0.to_owned();
    let late = |id: &str, day: &str| {
        let mut event = click(id, "anna", "tile");
        event["time"] = json!(format!("{day}T12:00:00Z"));
        world.client().events(&world.keys.app, &batch("DE", vec![event]))["events"][0]["code"].clone()
    };
    assert_eq!(late("late", &days(before)), "too_old");
    assert_eq!(late("in-time", &days(&now)), Value::Null);
}

#[test]
fn a_disk_of_keys_that_is_lost_is_put_back_from_its_replica_and_nothing_starts_without() {
    let dir = tempfile::tempdir().unwrap();
    let replica = dir.path().join("replica");
    let mut world = World::with(|config| config.data_key_replicas = vec![replica.clone()]);
    world.jobs_ran(2);
    send(&world, 0, 0..20);
    let of = replica.display().to_string();
    let setup = Setup { dir: world.dir(), variables: &[("SHOAL_DATA_KEY_REPLICAS", &of)] };
    let (code, out, errors) = setup.run(&["keys", "escrow"]);
    assert!(code == 0 && out.contains("is up to date"), "{out}{errors}");
    world.stop();
    let keys = world.dir().join("shoal.key.data");
    fs::remove_dir_all(&keys).unwrap();
    let told = world.try_start().unwrap_err();
    assert!(told.contains("lost") || told.contains("is gone"), "{told}");
    copy(&replica, &keys);
    world.try_start().unwrap();
    send(&world, 0, 20..25);
    assert_eq!(held(&world), 25);
    // A replica that is away keeps every key where it is.
    fs::rename(&replica, dir.path().join("unmounted")).unwrap();
    let (code, _, errors) =
        run(world.dir(), &["keys", "shred", "--table", "de/usage", "--day", TODAY, "--yes"]);
    assert!(code == 3 && errors.contains("no replica of the keys"), "{errors}");
    assert_eq!(keys_of(&world, "de/usage").len(), 1);
}
