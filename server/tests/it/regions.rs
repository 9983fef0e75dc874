//! Two regions never share a directory, and the pseudonyms of one person in two regions, programmes or epochs are unrelated.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shoal_schemas::Region;

use crate::stage::{DAY_MS, NOON_MS, World, batch, click, consent, ingest};
use crate::tables::{Tables, files, text};

/// One country of each region, and the region's directory.
const PLACES: [(&str, &str); 4] = [("US", "us"), ("FR", "de"), ("SG", "sg"), ("MY", "my")];

fn subjects(tables: &Tables) -> BTreeSet<String> {
    tables.0.values().flat_map(|t| &t.rows).map(|row| text(row, "subject").to_owned()).collect()
}

#[test]
fn every_file_belongs_to_one_region() {
    let mut world = World::new();
    for (country, directory) in PLACES {
        world
            .client()
            .events(&world.keys.app, &batch(country, vec![click(country, "anna", &directory.repeat(2))]));
        let consent = json!({"action": "grant", "programme": "user-experience", "policy_version": "2026-1",
            "user_id": "anna", "country": country});
        world.client().post("/v1/consents", &world.keys.app, consent.to_string()).expect(200);
    }
    world.flush();
    let tables = Tables::read(&world);
    for (country, directory) in PLACES {
        let rows = tables.rows(&format!("{directory}/usage"));
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (text(&rows[0], "country"), text(&rows[0], "element")),
            (country, directory.repeat(2).as_str())
        );
    }
    world.stop();
    let root = world.data_dir();
    let mut tops = BTreeSet::new();
    for file in files(&root) {
        let inside = file.strip_prefix(&root).unwrap();
        let top = inside.iter().next().unwrap().to_str().unwrap().to_owned();
        // The lock of the whole directory is empty; the record of limits has a few numbers of settings, and the mark of the time
        // six of times.
        if inside.iter().count() == 1 {
            let most = BTreeMap::from([(".lock", 0), ("day-limits", 64), ("served-time", 128)]);
            let size = std::fs::metadata(&file).unwrap().len();
            assert!(most.get(top.as_str()).is_some_and(|most| size <= *most), "{top} of {size} bytes");
            continue;
        }
        tops.insert(top);
    }
    // Beside the regions: what is of the service itself, and of no person. The ledger has anonymous answers only.
    let own = ["control", "ledger"].map(str::to_owned);
    assert_eq!(
        tops,
        BTreeSet::from(["de", "my", "sg", "us"].map(str::to_owned)).into_iter().chain(own).collect()
    );
}

#[test]
fn no_region_by_default_and_none_that_the_key_may_not_write_to() {
    let world = World::new();
    let code = |key: &str, body: &Value| world.client().events(key, body)["events"][0]["code"].clone();
    let nowhere = json!({"consent": consent(), "events": [click("1", "u", "a")]});
    assert_eq!(code(&world.keys.app, &nowhere), "no_region");
    let unknown = batch("XX", vec![click("2", "u", "a")]);
    assert_eq!(code(&world.keys.app, &unknown), "unknown_country");
    let german = world.key(ingest(&[Region::De], None, None)).reveal();
    assert_eq!(code(&german, &batch("US", vec![click("3", "u", "a")])), "region_not_allowed");
    // With one region only there is no doubt.
    assert_eq!(world.client().events(&german, &nowhere)["accepted"], 1);
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.count(), 1);
    assert_eq!(text(&tables.rows("de/usage")[0], "country"), "ZZ");
}

#[test]
fn one_person_has_unrelated_pseudonyms_in_regions_programmes_and_epochs() {
    let mut world = World::new();
    let epoch_days = 90;
    let events = |id: &str, time_ms: i64| {
        let fault = json!({"id": format!("{id}-fault"), "event": "device_fault", "time": time_ms, "user_id": "anna",
            "session_id": "one", "properties": {"fault_code": "SD"}});
        let mut press = click(&format!("{id}-press"), "anna", "a");
        press["time"] = json!(time_ms);
        press["session_id"] = json!("one");
        vec![press.clone(), fault, {
            press["id"] = json!(format!("{id}-again"));
            press
        }]
    };
    let before = NOON_MS - epoch_days * DAY_MS / 2 - 50 * DAY_MS;
    for (country, _) in PLACES {
        for (epoch, time_ms) in [("old", before), ("new", NOON_MS)] {
            let body = batch(country, events(&format!("{country}-{epoch}"), time_ms));
            let answer = world.client().events(&world.keys.app, &body);
            // Device faults are kept for over a year, presses of the user-experience programme for 180 days.
            assert_eq!(answer["accepted"], 3, "{answer}");
        }
    }
    world.flush();
    let tables = Tables::read(&world);
    // 4 regions, 2 programmes, 2 epochs; twice the same within each.
    assert_eq!(tables.count(), 24);
    assert_eq!(subjects(&tables).len(), 16);
    let all = tables.0.values().flat_map(|t| &t.rows);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let digests = all.flat_map(|row| ["subject", "session", "event_id"].map(|c| text(row, c)));
    for digest in digests {
        assert_eq!(digest.len(), 32);
        seen.insert(digest);
    }
    assert_eq!(seen.len(), 16 + 16 + 24, "no digest of one purpose is one of another");

    // Other keys, other pseudonyms: nothing is derived from the identifier alone.
    let first = subjects(&tables);
    world.stop();
    let other = World::new();
    for (country, _) in PLACES {
        other.client().events(&other.keys.app, &batch(country, events(country, NOON_MS)));
    }
    other.flush();
    assert!(subjects(&Tables::read(&other)).is_disjoint(&first));
}

#[test]
fn the_key_file_is_private_outside_the_data_and_keeps_pseudonyms_across_restarts() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::new();
    world.client().events(&world.keys.app, &batch("DE", vec![click("1", "anna", "a")]));
    world.restart(|_| {});
    world.client().events(&world.keys.app, &batch("DE", vec![click("2", "anna", "b")]));
    world.flush();
    assert_eq!(subjects(&Tables::read(&world)).len(), 1);
    let file = world.dir().join("shoal.key");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(!file.starts_with(world.data_dir()));
    let text = std::fs::read_to_string(&file).unwrap();
    let secrets: Vec<&str> = text.split_whitespace().filter(|w| w.len() == 64).collect();
    assert_eq!(secrets.len(), 4);
    world.stop();
    let searcher = crate::search::Searcher::new(&secrets);
    assert!(searcher.hits_in_files(&world.data_dir()).is_empty());
}
