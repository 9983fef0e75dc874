//! A bit that flips in any file of a service is found, or changes nothing: the start says so, or a request does, or everything is
//! answered as before. No withdrawal is forgotten, no event is lost, no budget comes back.
//!
//! `SHOAL_FLIPS` says how many bits flip, each in a directory as it was left by a service that had stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Setup, until};
use crate::stage::{Keys, NOON_MS, POLICY, TODAY, World, batch, click};
use crate::tables::{copy, files};

const FLIPS: usize = 24;
const PEOPLE: usize = 60;
const QUESTION: &str =
    "SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE region = 'DE' AND day = DATE '2026-11-22'";

fn world() -> World {
    let world = World::new();
    let clicks =
        |first: usize| (first..first + PEOPLE).map(|n| click(&format!("e{n}"), &format!("person-{n}"), "a"));
    for part in 0..2 {
        let answer = world.client().events(&world.keys.app, &batch("DE", clicks(part * PEOPLE).collect()));
        assert_eq!(answer["accepted"], PEOPLE, "{answer}");
        world.flush();
    }
    for (action, user) in [("grant", "anna"), ("grant", "berta"), ("withdraw", "berta")] {
        let change = json!({"action": action, "programme": "user-experience", "policy_version": POLICY,
            "user_id": user, "country": "DE"});
        world.client().post("/v1/consents", &world.keys.app, change.to_string()).expect(200);
    }
    ask(&world).unwrap();
    world
}

fn ask(world: &World) -> Option<Value> {
    let question = json!({"sql": QUESTION, "precision": "high"}).to_string();
    let answer = world.client().post("/v1/sql", &world.keys.analyst, question);
    (answer.status == 200).then(|| crate::query::rows(&answer.json()).first().cloned().unwrap_or_default())
}

/// Everything that must not change; none where a request said that something is wrong.
fn told(world: &World) -> Option<Vec<Value>> {
    let client = || world.client();
    // Reads the list of files of every table.
    let dry = client().post("/v1/retention/runs", &world.keys.officer, json!({"dry_run": true}).to_string());
    let dry: Value = serde_json::from_str(dry.text().lines().last().unwrap_or_default()).ok()?;
    let event = |id: &str, user: &str| click(id, user, "a");
    let known = json!({"country": "DE", "events": [event("x1", "anna"), event("x2", "berta")]}).to_string();
    let resent = batch("DE", vec![event("e7", "person-7")]).to_string();
    let mut all = Vec::new();
    for body in [known, resent] {
        let answer = client().post("/v1/validate", &world.keys.app, body.clone());
        let kept = client().post("/v1/events", &world.keys.app, body);
        if answer.status != 200 || kept.status != 200 {
            return None;
        }
        all.push(kept.json()["events"].clone());
    }
    let budget = client()
        .get(&format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}"), &world.keys.analyst);
    if dry["report"].is_null() || budget.status != 200 {
        return None;
    }
    // Reads every column and file of the day.
    let read = json!({"sql": format!("{QUESTION} AND element = 'a'"), "precision": "high"}).to_string();
    let read = client().post("/v1/sql", &world.keys.analyst, read);
    if read.status != 200 {
        return None;
    }
    let people =
        crate::query::rows(&read.json()).first().and_then(|row| row["people"].as_f64()).unwrap_or(0.0);
    all.push(json!((people - 2.0 * PEOPLE as f64).abs() < 60.0));
    all.extend([dry["report"]["lines"].clone(), budget.json(), ask(world)?]);
    Some(all)
}

/// The directory as it was.
fn restore(from: &Path, to: &Path) {
    for entry in fs::read_dir(to).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    copy(from, to);
}

/// Files that are of one kind: their names differ in digits and regions only.
fn kinds(dir: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files(dir).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0) {
        let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        let parts = name.split('/').map(|part| match part {
            "de" | "us" | "sg" | "my" => "region".to_owned(),
            part => part.chars().filter(|c| !c.is_ascii_hexdigit() && *c != '-').collect(),
        });
        kinds.entry(parts.collect::<Vec<_>>().join("/")).or_default().push(path);
    }
    kinds
}

/// Numbers that look random, the same in every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 1).unwrap()
}

#[test]
fn a_bit_that_flips_in_any_file_is_found_or_changes_nothing() {
    let flips = std::env::var("SHOAL_FLIPS").map_or(FLIPS, |text| text.parse().unwrap());
    let mut world = world();
    let (dir, kept) = (world.dir().to_path_buf(), tempfile::tempdir().unwrap());
    world.stop();
    copy(&dir, kept.path());
    world.try_start().unwrap();
    let expected = told(&world).unwrap();
    assert_eq!(expected[0][0]["status"], "accepted");
    assert_eq!(
        (&expected[0][1]["code"], &expected[1][0]["status"]),
        (&json!("withdrawn"), &json!("duplicate"))
    );
    assert_eq!(expected[2], json!(true));
    world.stop();
    let kinds: Vec<(String, Vec<PathBuf>)> = kinds(kept.path()).into_iter().collect();
    assert!(kinds.len() > 12, "{kinds:?}");
    let (mut state, mut found) = (0x2545_f491_4f6c_dd1d, 0);
    for flip in 0..flips {
        restore(kept.path(), &dir);
        let (kind, files) = &kinds[flip % kinds.len()];
        let file = &files[next(&mut state) % files.len()];
        let mut bytes = fs::read(file).unwrap();
        let bit = next(&mut state) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let place = dir.join(file.strip_prefix(kept.path()).unwrap());
        fs::write(&place, bytes).unwrap();
        world.set_now_ms(NOON_MS);
        let seen = match world.try_start() {
            Ok(()) => {
                let seen = told(&world);
                // What was damaged may keep it from ending in order, which it says.
                let ended = world.try_stop();
                seen.filter(|_| ended.is_ok())
            }
            Err(_) => None,
        };
        match seen {
            None => found += 1,
            Some(seen) => assert!(
                seen == expected,
                "bit {bit} of {kind} changed what is answered: {seen:?}, not {expected:?}"
            ),
        }
    }
    restore(kept.path(), &dir);
    world.try_start().unwrap();
    assert!(found > 0, "none of {flips} was found");
}

/// The files of a service that are small and read as a whole.
const SMALL: [&str; 5] = [
    "data/control/keys.json",
    "data/control/canonical_day.json",
    "data/served-time",
    "data/day-limits",
    "data/de/key-check",
];

#[test]
fn a_bit_that_flips_in_a_small_file_stops_the_start_which_names_the_file_and_what_to_do() {
    let mut world = World::new();
    world.stop();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for name in SMALL {
        let path = world.dir().join(name);
        let whole = fs::read(&path).unwrap();
        for _ in 0..3 {
            let mut bytes = whole.clone();
            let bit = next(&mut state) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let told = world.try_start().err().unwrap_or_else(|| panic!("bit {bit} of {name} was not found"));
            let file = name.rsplit('/').next().unwrap();
            assert!(told.contains(file) && told.contains("back"), "bit {bit} of {name}: {told}");
        }
        fs::write(&path, whole).unwrap();
    }
    world.try_start().unwrap();
}

#[test]
fn a_bit_that_flips_in_a_unit_key_or_its_check_value_makes_no_second_unit_of_a_phone() {
    let mut world = World::with(|config| config.http.trust_forwarded_for = true);
    let crash = |id: &str| {
        json!({"events": [{"id": id, "event": "app_crash", "time": NOON_MS, "country": "DE",
            "properties": {"exception_type": "E", "message": "m"}}]})
    };
    let post = |world: &World, id: &str| {
        let key = format!("Bearer {}", world.keys.asserting.reveal());
        let headers = [("authorization", key.as_str()), ("x-forwarded-for", "198.51.100.77")];
        let body = crash(id).to_string();
        world.client().ask("POST", "/v1/events", &headers, body.as_bytes()).unwrap().expect(200);
    };
    post(&world, "first");
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for name in [format!("data/de/unit-days/{TODAY}"), format!("shoal.key.units/de/{TODAY}.key")] {
        let path = world.dir().join(&name);
        let whole = fs::read(&path).unwrap();
        for flip in 0..3 {
            let mut bytes = whole.clone();
            let bit = next(&mut state) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            world.restart(|_| {});
            post(&world, &format!("{name} {flip}"));
            assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
        }
        fs::write(&path, whole).unwrap();
        world.restart(|_| {});
        post(&world, &name);
    }
    world.flush();
    let tables = crate::tables::Tables::read(&world);
    let subjects: std::collections::BTreeSet<_> =
        tables.rows("de/crash").iter().map(|row| crate::tables::text(row, "subject")).collect();
    assert_eq!(
        (tables.rows("de/crash").len(), subjects.len()),
        (9, 2),
        "the phone, and the app of those without a key"
    );
}

#[test]
fn a_running_service_goes_on_with_its_keys_when_their_file_is_damaged_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let path = setup.data_dir().join("control/keys.json");
    let whole = fs::read_to_string(&path).unwrap();
    // A key that would lose a region without anybody's knowing.
    let unlike = dir.path().join("unlike.json");
    fs::write(&unlike, whole.replacen("\"DE\"", "\"DG\"", 1)).unwrap();
    fs::rename(&unlike, &path).unwrap();
    until("a line of the log", || server.log().contains("access keys could not be read").then_some(()));
    assert!(server.log().contains("put it back from a copy"), "{}", server.log());
    server.client.events(&keys.app, &batch("DE", vec![click("1", "u", "a")]));
    let (code, _, told) = setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    assert!(code != 0 && told.contains("put it back from a copy"), "{code}: {told}");
    fs::write(&unlike, whole).unwrap();
    fs::rename(&unlike, &path).unwrap();
    let (code, made, told) = setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    assert_eq!(code, 0, "{told}");
    let made = made.trim();
    until("the new key", || (server.client.get("/v1/tables", made).status == 200).then_some(()));
    assert!(server.terminate().success());
}

#[test]
fn readiness_says_what_does_not_work() {
    let mut world = World::new();
    assert_eq!(world.client().get("/readyz", "").status, 200);
    world.restart(|config| config.ingest.free_bytes_min = 1 << 60);
    let answer = world.client().get("/readyz", "");
    let told = answer.json();
    assert_eq!((answer.status, told["code"].as_str()), (503, Some("not_ready")), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("events: the disk has less room"), "{told}");
    assert_eq!(world.client().get("/healthz", "").status, 200);
}
