//! Nothing that is put back, taken away or copied brings budget back, or gives fresh noise for an old charge; and what cannot
//! be known keeps the service from starting until somebody accepts it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use shoal_files::Sealing;
use shoal_privacy::keyring::{Keyring, Sealed};
use shoal_schemas::calendar::day_of;
use shoal_storage::{BudgetLedger, DayLimits, LedgerFiles};

use crate::audit::{lines, verify};
use crate::ledger::{ask, block, sql, world};
use crate::process::Setup;
use crate::query::rows;
use crate::stage::{DAY_MS, NOON_MS, World};
use crate::tables::{Stored as _, copy};

fn pay(world: &World, mark: &str) -> serde_json::Value {
    ask(world, &json!({"sql": sql(mark)})).expect(200).json()
}

/// The price of a question, in billionths of rho.
const PRICE: u64 = 2_000_000;

/// What was spent of today's usage in DE, in billionths of rho.
fn spent(world: &World) -> u64 {
    block(world)["rho_spent"].as_str().unwrap().parse::<shoal_anonymity::budget::Rho>().unwrap().nano()
}

/// The three files that know what was spent of today's usage in DE.
fn files(world: &World) -> [PathBuf; 3] {
    let data = world.data_dir();
    let mark = |dir: PathBuf| dir.join("de/budget.witness");
    [data.join("ledger/budget.redb"), mark(data.clone()), mark(world.marks_dir())]
}

/// `shoal budget accept-restore`.
fn accept(world: &World, more: &[&str]) -> (i32, String, String) {
    let setup = Setup { dir: world.dir(), variables: &[] };
    assert_eq!(setup.data_dir(), world.data_dir());
    setup.run(&[&["budget", "accept-restore"], more].concat())
}

/// Takes a file away from under a stopped service, or puts these bytes of before in its place: it does not start over that.
fn is_refused_without(world: &mut World, file: &Path, older: Option<&[u8]>) {
    world.stop();
    match older {
        None => fs::remove_file(file).unwrap(),
        Some(older) => fs::write(file, older).unwrap(),
    }
    let refused = world.try_start().unwrap_err();
    assert!(refused.contains(file.to_str().unwrap()) && refused.contains("accept-restore"), "{refused}");
}

/// Somebody accepts what became of this file.
fn is_accepted(world: &World, file: &Path, key: &[&str]) {
    let (code, out, errors) = accept(world, key);
    assert!(code == 0 && out.contains(file.to_str().unwrap()), "{out}{errors}");
}

#[test]
fn a_data_directory_that_is_put_back_gives_no_fresh_noise_for_an_old_charge() {
    let mut world = world();
    let first = pay(&world, "a");
    let before = spent(&world);
    world.stop();
    let yesterday = world.dir().join("yesterday");
    copy(&world.data_dir(), &yesterday);
    for round in 1..=3 {
        world.restart(|_| {});
        let charged = pay(&world, "b")["cost"]["blocks_charged"].clone();
        assert_eq!(charged, json!(1), "its answer went with the newer data, its charge did not");
        assert_eq!(spent(&world), before + round * PRICE);
        assert_eq!(rows(&pay(&world, "a")), rows(&first), "what the copy knows is free");
        world.stop();
        copy(&yesterday, &world.data_dir());
    }
    world.restart(|_| {});
    assert_eq!(spent(&world), before + 3 * PRICE);
    let started = lines(&world).pop().unwrap();
    assert_eq!(
        (&started["act"], &started["numbers_raised"]),
        (&json!("budget_start"), &json!(1)),
        "{started}"
    );
    assert!(verify(&world, &[]).0);
}

#[test]
fn a_mark_that_is_gone_or_older_keeps_the_service_from_starting_until_it_is_accepted() {
    let mut world = world();
    pay(&world, "a");
    world.stop();
    let [_, beside, apart] = files(&world);
    let older = [&beside, &apart].map(|file| fs::read(file).unwrap());
    world.restart(|_| {});
    let answer = pay(&world, "b");
    let total = spent(&world);
    for (file, older) in [(&beside, &older[0]), (&apart, &older[1])] {
        for is_gone in [true, false] {
            is_refused_without(&mut world, file, (!is_gone).then_some(&older[..]));
            let setup = Setup { dir: world.dir(), variables: &[] };
            let (code, _, errors) = setup.run(&["serve"]);
            assert!(code == 1 && errors.contains("accept-restore"), "{errors}");
            assert_eq!(accept(&world, &["--key", &world.keys.analyst]).0, 2, "an analyst does not accept");
            assert!(world.try_start().is_err());
            let key: &[&str] = if is_gone { &[] } else { &["--key", &world.keys.officer] };
            is_accepted(&world, file, key);
            let line = lines(&world).pop().unwrap();
            let role = if is_gone { "operator" } else { "officer" };
            assert_eq!(
                (&line["act"], &line["role"]),
                (&json!("budget_accept_restore"), &json!(role)),
                "{line}"
            );
            assert!(accept(&world, &[]).1.contains("nothing was changed"));
            world.try_start().unwrap();
            let (code, _, errors) = accept(&world, &[]);
            assert!(code == 2 && errors.contains("running"), "{errors}");
            assert_eq!(spent(&world), total);
            assert_eq!(rows(&pay(&world, "b")), rows(&answer));
        }
    }
    let (_, shown, _) = Setup { dir: world.dir(), variables: &[] }.run(&["audit", "show"]);
    assert!(shown.contains("budget_accept_restore") && verify(&world, &[]).0, "{shown}");
}

#[test]
fn a_record_of_limits_that_is_gone_or_older_keeps_the_service_from_starting() {
    let mut world = world();
    let places = [world.data_dir(), world.marks_dir()].map(|dir| dir.join("day-limits"));
    let older = places.clone().map(|file| fs::read(file).unwrap());
    world.restart(|config| config.ingest.subject_day_events_max = 5);
    for (file, older) in places.iter().zip(&older) {
        for is_gone in [true, false] {
            is_refused_without(&mut world, file, (!is_gone).then_some(&older[..]));
            is_accepted(&world, file, &[]);
            world.try_start().unwrap();
            assert_eq!(fs::read(&places[0]).unwrap(), fs::read(&places[1]).unwrap(), "both say the same");
        }
    }
}

/// The limits of a subject's day that a stopped service's files know.
fn limits(world: &World) -> DayLimits {
    let text = fs::read_to_string(world.key_file()).unwrap();
    let key = Keyring::parse(&text).unwrap().sealing_key(Sealed::Ledger);
    let sealing = Sealing { key, is_writing: false };
    let files =
        LedgerFiles::read_sealed(&world.data_dir(), &world.marks_dir(), Some(&sealing), None).unwrap();
    BudgetLedger::of(files).unwrap().day_limits().unwrap()
}

#[test]
fn a_clock_that_is_behind_at_a_start_leaves_no_stored_day_without_the_limit_of_before() {
    let mut world = world();
    world.flush();
    world.set_now_ms(NOON_MS - 30 * DAY_MS);
    world.restart(|config| config.ingest.subject_day_events_max = 5);
    world.stop();
    let day = day_of(NOON_MS);
    assert_eq!(limits(&world).most_on(day), 500, "its rows came in under it");
}

#[test]
fn what_is_stored_is_counted_once_a_restore_is_accepted_by_which_a_limit_may_be_lost() {
    let mut world = world();
    pay(&world, "a");
    world.stop();
    let day = day_of(NOON_MS);
    assert!(!limits(&world).is_counted(day));
    let records = [world.data_dir(), world.marks_dir()].map(|dir| dir.join("day-limits"));
    let all = files(&world).into_iter().chain(records);
    let older: Vec<(PathBuf, Vec<u8>)> = all.map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    world.restart(|config| config.ingest.subject_day_events_max = 5_000);
    pay(&world, "b");
    world.restart(|config| config.ingest.subject_day_events_max = 500);
    world.stop();
    assert_eq!(limits(&world).most_on(day), 5_000);
    older.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    let refused = world.try_start().unwrap_err();
    assert!(refused.contains("older than the audit"), "{refused}");
    let (code, out, errors) = accept(&world, &[]);
    assert!(code == 0, "{out}{errors}");
    let accepted = limits(&world);
    assert!(accepted.most_on(day) == 500 && accepted.is_counted(day), "nobody knows how many there may be");
    world.try_start().unwrap();
    pay(&world, "b");
}

#[test]
fn a_ledger_that_is_put_back_with_all_its_marks_is_known_by_the_audit() {
    let mut world = world();
    pay(&world, "a");
    world.stop();
    let older = files(&world).map(|file| (file.clone(), fs::read(file).unwrap()));
    world.restart(|_| {});
    pay(&world, "b");
    pay(&world, "c");
    let total = spent(&world);
    world.stop();
    older.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    let refused = world.try_start().unwrap_err();
    assert!(refused.contains("older than the audit") && refused.contains("accept-restore"), "{refused}");
    let (code, out, errors) = accept(&world, &[]);
    assert!(code == 0 && out.contains("(1 blocks)"), "{out}{errors}");
    world.try_start().unwrap();
    let accepted = spent(&world);
    assert!(
        (total..=total + PRICE).contains(&accepted),
        "at the price that the audit tells: {accepted}, {total}"
    );
    assert_eq!(pay(&world, "b")["cost"]["blocks_charged"], json!(1), "and the answer is paid anew");
    let again = spent(&world);
    assert!(again >= accepted + PRICE, "{again}");
    world.restart(|_| {});
    assert_eq!(spent(&world), again);
}

#[test]
fn an_audit_that_is_put_back_or_begun_anew_is_known_by_the_ledger() {
    let mut world = world();
    pay(&world, "a");
    world.stop();
    let data = world.data_dir();
    let (audit, head) = (data.join("audit"), data.join("ledger/audit.head"));
    let kept = world.dir().join("kept");
    copy(&audit, &kept);
    let kept_head = fs::read(&head).unwrap();
    world.restart(|_| {});
    pay(&world, "b");
    let total = spent(&world);
    // The start has compared them with the line of "a" in it; that of "b" is after it.
    world.restart(|_| {});
    world.stop();
    copy(&kept, &audit);
    fs::write(&head, kept_head).unwrap();
    let refused = world.try_start().unwrap_err();
    assert!(refused.contains("older or another audit"), "{refused}");
    assert_eq!(accept(&world, &[]).0, 0);
    world.try_start().unwrap();
    assert_eq!(spent(&world), total);
    world.stop();
    fs::remove_dir_all(&audit).unwrap();
    fs::remove_file(&head).unwrap();
    assert!(world.try_start().unwrap_err().contains("older or another audit"));
    assert_eq!(accept(&world, &[]).0, 0);
    world.try_start().unwrap();
    assert_eq!(spent(&world), total);
}

#[test]
fn a_ledger_of_before_the_upgrade_without_its_marks_is_no_upgrade_again() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-2026-11");
    let facts: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.join("facts.json")).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let unpack = |to: &Path| {
        let packed = fs::File::open(fixture.join("files.tar.zst")).unwrap();
        tar::Archive::new(zstd::Decoder::new(packed).unwrap()).unpack(to).unwrap();
    };
    unpack(dir.path());
    let mut world = World::over(dir, facts["now_ms"].as_i64().unwrap() + 1, |_| {});
    world.stop();
    let before = world.dir().join("before");
    unpack(&before);
    let audit = |name: &str| name == "audit" || name == "audit.head";
    for place in ["", "ledger", "de", "us", "sg", "my"] {
        for entry in fs::read_dir(before.join("data").join(place)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let to = world.data_dir().join(place).join(&name);
            if entry.path().is_file() && !audit(&name) {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    for region in ["de", "us", "sg", "my"] {
        let name = format!("data/{region}/budget.witness");
        if !before.join(&name).exists() {
            fs::remove_file(world.dir().join(name)).unwrap();
        }
    }
    fs::remove_dir_all(world.marks_dir()).unwrap();
    fs::remove_file(world.data_dir().join("day-limits")).unwrap();
    let refused = world.try_start().unwrap_err();
    assert!(refused.contains("the audit says were there before"), "{refused}");
    assert_eq!(accept(&world, &[]).0, 0);
    world.try_start().unwrap();
}
