//! Receipts of acts on persons: what they say, who believes them, and that there is one of each, whatever happened in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::access_keys::Scope;

use crate::process::{Setup, until};
use crate::stage::{DAY_MS, Keys, World, batch, click};
use crate::table_copies::OFTEN;
use crate::tables::{Tables, files};

fn of(n: usize, id: &str) -> Value {
    click(&format!("{id}-{n}"), &format!("person-{n}"), "a")
}

/// The verifier that is in the documents, over these files: whether it believes them, and what it says.
fn python(key: &str, files: &[&Path]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify_receipt.py");
    let python = std::env::var("SHOAL_TEST_PYTHON").expect("./test sets it");
    let output = Command::new(python).arg(script).arg(key).args(files).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A service of the binary, and its command line.
struct Commands<'a>(Setup<'a>);

impl Commands<'_> {
    fn prints(&self, arguments: &[&str]) -> String {
        let (code, told, errors) = self.0.run(arguments);
        assert!(code == 0, "{arguments:?}: {errors}");
        told
    }

    /// Erases a person, and answers the request.
    fn erase(&self, person: &str, more: &[&str]) -> String {
        let arguments = [&["subject", "erase"], more].concat();
        let (code, told, errors) = self.0.run_with(&format!("{{\"user_id\":\"{person}\"}}\n"), &arguments);
        assert!(code == 0, "{errors}");
        told.split_whitespace().nth(1).unwrap().trim_end_matches(':').to_owned()
    }

    fn written(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.dir.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Whether both verifiers believe what is in a file; they must agree.
    fn is_believed(&self, key: &str, path: &Path) -> bool {
        let of_binary = self.0.run(&["receipt", "verify", path.to_str().unwrap(), "--key", key]);
        let of_python = python(key, &[path]);
        assert_eq!(of_binary.0 == 0, of_python.0, "{of_binary:?}{of_python:?}");
        of_python.0
    }
}

fn entry_of(document: &str) -> Value {
    let document: Value = serde_json::from_str(document).unwrap();
    serde_json::from_str(document["entry"].as_str().unwrap()).unwrap()
}

#[test]
fn an_erasure_has_one_receipt_that_two_verifiers_believe_until_a_bit_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let commands = Commands(Setup { dir: dir.path(), variables: &[OFTEN] });
    let setup = &commands.0;
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let sent = batch("DE", (0..20).map(|n| of(n, "u")).collect());
    assert_eq!(server.client.events(&keys.app, &sent)["accepted"], 20);
    until("the flush", || (Tables::read(setup).count() == 20).then_some(()));
    assert!(server.terminate().success());
    let before = dir.path().join("before");
    crate::tables::copy(&setup.data_dir(), &before);
    let server = setup.serve();
    let request = commands.erase("person-3", &["--wait"]);
    let key = commands.prints(&["receipt", "key", "--region", "DE"]).trim().to_owned();
    let show = ["receipt", "show", &request, "--region", "DE"];
    let full = commands.prints(&show);
    let document: Value = serde_json::from_str(&full).unwrap();
    let value = |name: &str| document["openings"][name]["value"].clone();
    assert_eq!((value("count.rows"), value("count.files")), (json!(1), json!(1)));
    assert!(value("removed")["files"].as_u64().unwrap() >= 1, "{document}");
    assert_eq!(value("told.programmes"), json!(["user-experience", "device-experience"]));
    let receipt = commands.written("receipt.json", &full);
    assert!(commands.is_believed(&key, &receipt));
    for at in (0..full.len() - 1).step_by(full.len() / 23) {
        let mut bytes = full.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = dir.path().join("changed.json");
        fs::write(&changed, bytes).unwrap();
        assert!(!commands.is_believed(&key, &changed), "byte {at}");
    }
    // Killed, and over data from before: it is erased again, and the receipt is the one that there was.
    server.kill();
    fs::remove_dir_all(setup.data_dir()).unwrap();
    fs::rename(&before, setup.data_dir()).unwrap();
    let server = setup.serve();
    until("the erasure", || (Tables::read(setup).count() == 19).then_some(()));
    assert_eq!(commands.prints(&show), full);
    // Killed on its way, whenever that is.
    let mut requests = vec![request];
    let mut server = server;
    for n in 4..8 {
        requests.push(commands.erase(&format!("person-{n}"), &["--regions", "DE"]));
        for _ in 0..15 * (n - 4) {
            server.client.get("/healthz", "").expect(200);
        }
        server.kill();
        server = setup.serve();
    }
    until("the erasures", || (Tables::read(setup).count() == 15).then_some(()));
    let told = || commands.prints(&["receipt", "chain", "--region", "DE"]);
    let chain =
        until("the receipts", || Some(told()).filter(|chain| chain.lines().count() == requests.len()));
    let path = commands.written("chain.jsonl", &chain);
    commands.prints(&["receipt", "verify", path.to_str().unwrap(), "--chain", "--key", &key]);
    let (is_good, told) = python(&key, &[&path, &receipt]);
    assert!(is_good, "{told}");
    // Nothing on the disk tells who it was.
    let places = setup.data_dir().with_file_name("data.withdrawals").join("receipts");
    assert!(files(&places).len() > 5);
    for path in files(&places) {
        let bytes = fs::read(&path).unwrap();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!has(b"person-"), "{}", path.display());
        let is_opening = path.components().any(|part| part.as_os_str() == "openings");
        assert!(!is_opening || !has(b"told.") && !has(b"removed"), "{}: openings are sealed", path.display());
    }
    assert!(server.terminate().success());
}

fn personal(world: &World, key: &str, request: &Value, region: &str) -> Vec<String> {
    let path = format!("/v1/subjects/requests/{}/receipt?region={region}", request.as_str().unwrap());
    let told = world.client().get(&path, key).expect(200).json();
    assert_eq!(told["public_key"].as_str().unwrap().len(), 64);
    told["receipts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn receipts(world: &World, key: &str, told: &Value, number: usize) -> Vec<String> {
    until("the receipts", || {
        Some(personal(world, key, &told["request"], "DE")).filter(|receipts| receipts.len() == number)
    })
}

/// What a document has, without what is random in each: names, and how long each value is.
fn form_of(document: &str) -> Value {
    let mut entry = entry_of(document);
    for name in ["seq", "prev", "request", "sig"] {
        entry[name] = json!(entry[name].to_string().len());
    }
    for commitment in entry["commitments"].as_object_mut().unwrap().values_mut() {
        *commitment = json!(commitment.to_string().len());
    }
    let document: Value = serde_json::from_str(document).unwrap();
    let openings = document["openings"].as_object().unwrap().iter();
    let openings: Vec<Value> = openings.map(|(name, opening)| json!([name, opening["value"]])).collect();
    json!({"entry": entry, "openings": openings, "kind": document["kind"]})
}

#[test]
fn the_receipt_of_a_person_who_was_never_there_is_of_the_same_form() {
    let world = World::new();
    let sent = batch("DE", (0..20).map(|n| of(n, "u")).collect());
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], 20);
    world.flush();
    let service =
        world.key(Scope::Account { app: "camera".into(), regions: vec![Region::De] }).reveal().to_owned();
    let receipt = |person: &str| {
        let body = json!({"subjects": [{"user_id": person}], "regions": ["DE"]});
        let told = world.client().post("/v1/subjects/erase", &service, body.to_string()).expect(200).json();
        receipts(&world, &service, &told, 1).remove(0)
    };
    let (known, unknown) = (receipt("person-3"), receipt("nobody"));
    assert_eq!(Tables::read(&world).count(), 19);
    assert_eq!(form_of(&known), form_of(&unknown));
    assert_eq!(entry_of(&known)["role"], "account-service");
    assert!(
        !known.contains("count.") || entry_of(&known)["commitments"]["count.rows"].is_string(),
        "{known}"
    );
    let openings = form_of(&known)["openings"].clone();
    assert_eq!(openings, json!([["told.programmes", ["user-experience", "device-experience"]]]));
    let elsewhere = "/v1/subjects/requests/1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10/receipt?region=US";
    let refused = world.client().get(elsewhere, &service);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("not_allowed")));
    let unclear = world.client().get(&elsewhere.replace("US", "EU"), &service);
    assert_eq!((unclear.status, unclear.json()["code"].as_str()), (422, Some("bad_request")));
    let unknown = world.client().get(&elsewhere.replace("US", "DE"), &service);
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (404, Some("no_such_request")));
}

#[test]
fn restrictions_exclusions_and_their_ends_have_receipts_and_lost_ones_are_written_again() {
    let mut world = World::new();
    let officer = world.keys.officer.clone();
    let post = |world: &World, path: &str, body: &Value| {
        world.client().post(path, &officer, body.to_string()).expect(200).json()
    };
    let body = json!({"subjects": [{"user_id": "person-1"}], "regions": ["DE"], "ground": "accuracy", "review_on": "2026-12-31"});
    let restricted = post(&world, "/v1/subjects/restrict", &body);
    let body = json!({"subjects": [{"user_id": "person-2"}], "regions": ["DE"]});
    let excluded = post(&world, "/v1/subjects/exclude", &body);
    let acts = |told: &Value, world: &World, number: usize| -> Vec<Value> {
        let receipts = receipts(world, &officer, told, number);
        receipts.iter().map(|receipt| entry_of(receipt)["act"].clone()).collect()
    };
    assert_eq!(acts(&restricted, &world, 1), ["subject_restrict"]);
    assert_eq!(acts(&excluded, &world, 1), ["subject_exclude"]);
    let said = form_of(&receipts(&world, &officer, &restricted, 1)[0])["openings"].clone();
    let both = json!(["user-experience", "device-experience"]);
    let all =
        json!([["told.ground", ["accuracy"]], ["told.programmes", both], ["told.review_on", ["2026-12-31"]]]);
    assert_eq!(said, all);
    world.pass_ms(60_000);
    for told in [&restricted, &excluded] {
        let path = format!("/v1/subjects/requests/{}/lift", told["request"].as_str().unwrap());
        post(&world, &path, &json!({"informed": true}));
    }
    assert_eq!(acts(&restricted, &world, 2), ["subject_restrict", "subject_lift"]);
    assert_eq!(acts(&excluded, &world, 2), ["subject_exclude", "subject_lift"]);
    let before = receipts(&world, &officer, &restricted, 2);
    world.restart(|_| {});
    assert_eq!(receipts(&world, &officer, &restricted, 2), before, "nothing is written twice");
    // What a crash has kept from being written is written at the next start.
    world.stop();
    fs::remove_dir_all(world.data_dir().with_file_name("data.withdrawals").join("receipts")).unwrap();
    world.try_start().unwrap();
    let again = receipts(&world, &officer, &restricted, 2);
    assert_eq!(
        again.iter().map(|receipt| form_of(receipt)).collect::<Vec<_>>(),
        before.iter().map(|receipt| form_of(receipt)).collect::<Vec<_>>(),
        "with the times and roles of before"
    );
}

#[test]
fn a_chain_that_is_not_as_it_was_written_keeps_the_service_from_starting_until_it_is_back_or_moved_away() {
    let mut world = World::new();
    let body = json!({"subjects": [{"user_id": "person-1"}], "regions": ["DE"], "ground": "accuracy", "review_on": "2026-12-31"});
    let officer = world.keys.officer.clone();
    let told = world.client().post("/v1/subjects/restrict", &officer, body.to_string()).expect(200).json();
    let before = receipts(&world, &officer, &told, 1);
    world.stop();
    let dir = world.data_dir().with_file_name("data.withdrawals/receipts/de");
    let line = files(&dir.join("chain")).remove(0);
    let good = fs::read(&line).unwrap();
    let mut changed = good.clone();
    changed[100] ^= 1;
    for bad in [&changed[..], &good[..good.len() - 20]] {
        fs::write(&line, bad).unwrap();
        let refused = world.try_start().unwrap_err();
        assert!(refused.contains("receipts of DE") && refused.contains(dir.to_str().unwrap()), "{refused}");
        assert!(refused.contains("from a copy") && refused.contains("move it away"), "{refused}");
    }
    fs::write(&line, &good).unwrap();
    world.try_start().unwrap();
    assert_eq!(receipts(&world, &officer, &told, 1), before);
    world.stop();
    fs::write(&line, &changed).unwrap();
    fs::rename(&dir, dir.with_file_name("damaged")).unwrap();
    world.try_start().unwrap();
    assert_eq!(form_of(&receipts(&world, &officer, &told, 1)[0]), form_of(&before[0]), "a new chain begins");
}

/// The full documents of the runs of retention in a region.
fn runs(commands: &Commands<'_>, region: &str) -> Vec<Value> {
    let chain = commands.prints(&["receipt", "chain", "--region", region]);
    let lines = chain.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shown = |line: Value| {
        let number = line["request"].as_str().unwrap().to_owned();
        let document = commands.prints(&["receipt", "show", &number, "--region", region]);
        let key = commands.prints(&["receipt", "key", "--region", region]).trim().to_owned();
        assert!(commands.is_believed(&key, &commands.written("run.json", &document)));
        serde_json::from_str(&document).unwrap()
    };
    lines.filter(|line| line["act"] == "retention_run").map(shown).collect()
}

#[test]
fn what_retention_removes_has_one_receipt_also_when_a_run_is_cut_off() {
    let mut world = World::new();
    let officer = world.keys.officer.clone();
    let noon_ms = world.now_ms();
    let send = |world: &World, id: &str, days: std::ops::Range<i64>| {
        let event = |ago: i64| {
            let mut event = of(1, &format!("{id}-{ago}"));
            event["time"] = json!(noon_ms - ago * DAY_MS);
            event
        };
        let events: Vec<Value> = days.map(event).collect();
        let number = events.len();
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", events))["accepted"], number);
        world.flush();
    };
    send(&world, "a", 0..4);
    let run = |world: &World| {
        let asked = json!({"accept_clock": crate::stage::day_text(world.now_ms()), "accept_share": true});
        let answer = world.client().post("/v1/retention/runs", &officer, asked.to_string()).expect(200);
        let last: Value = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
        assert_eq!(last["report"]["failed"], json!([]), "{last}");
    };
    let dir = world.dir().to_owned();
    let commands = Commands(Setup { dir: &dir, variables: &[] });
    run(&world);
    assert!(runs(&commands, "DE").is_empty(), "nothing was past its time");
    // The oldest two days go.
    let kept_days = 180;
    world.set_now_ms(noon_ms + (kept_days - 1) * DAY_MS);
    run(&world);
    assert_eq!(Tables::read(&world).count(), 2);
    let told = runs(&commands, "DE");
    let value = |document: &Value, name: &str| document["openings"][name]["value"].clone();
    assert_eq!(told.len(), 1);
    assert_eq!((value(&told[0], "count.rows"), value(&told[0], "count.files")), (json!(2), json!(2)));
    assert_eq!(
        (entry_of_value(&told[0])["role"].as_str(), told[0]["tables"].as_array().unwrap().len()),
        (Some("officer"), 1)
    );
    assert!(runs(&commands, "US").is_empty());
    run(&world);
    assert_eq!(runs(&commands, "DE"), told, "nothing more went");
    // The place of receipts fails, and the process ends: the next start writes what is missing.
    let openings = world.data_dir().with_file_name("data.withdrawals/receipts/de/openings");
    let aside = dir.join("aside");
    fs::rename(&openings, &aside).unwrap();
    fs::write(&openings, "").unwrap();
    world.set_now_ms(noon_ms + kept_days * DAY_MS);
    run(&world);
    assert_eq!(Tables::read(&world).count(), 1, "retention does not wait for a receipt");
    let begun = world.data_dir().join("de/retention-run.json");
    assert!(begun.exists());
    world.stop();
    fs::remove_file(&openings).unwrap();
    fs::rename(&aside, &openings).unwrap();
    world.try_start().unwrap();
    until("the receipt", || (!begun.exists()).then_some(()));
    let told = runs(&commands, "DE");
    assert_eq!((told.len(), value(&told[1], "count.rows")), (2, json!(1)));
    // And by the command, over data that nobody serves.
    world.stop();
    let accept = ["--accept-clock", &crate::stage::real_day(), "--accept-share"];
    commands.prints(&[&["retention", "run", "--once"][..], &accept].concat());
    world.try_start().unwrap();
    let roles =
        runs(&commands, "DE").iter().map(|run| entry_of_value(run)["role"].clone()).collect::<Vec<_>>();
    assert_eq!(roles, ["officer", "officer"], "by its clock nothing is past its time");
}

fn entry_of_value(document: &Value) -> Value {
    entry_of(&document.to_string())
}
