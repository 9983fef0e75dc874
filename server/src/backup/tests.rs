//! A backup and the copying of a restore, stopped at every step, in memory. Not here: the rest of a restore, and the commands
//! (`tests/it/backup.rs`, `tests/it/backup_broken.rs`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use shoal_files::{Disk, Faulty, Memory, Objects, Source};
use shoal_storage::BudgetLedger;

use super::making::{Made, Making};
use super::manifest::{MANIFEST, Manifest};
use super::names::UNFINISHED;
use super::place::Place;
use super::restore::{Targets, fill};
use super::running::audit;
use super::stopping::{Stopping, Wanted};
use super::verify::verified;
use crate::config::Config;
use crate::error::Error;
use crate::outside::check_outside;

type Medium = Faulty<Memory>;

fn place(medium: &Medium) -> Place {
    Place::over(std::sync::Arc::new(medium.clone()))
}

/// The files of a data directory at some moment: two stay, two have one content, and two change, one of them without a change of
/// its length.
fn files(moment: i64) -> Vec<(String, Vec<u8>)> {
    let changing = format!("{{\"moment\": {moment}}}");
    let of = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
    vec![
        of("de/dedup/1-1-7.run", moment.to_le_bytes().as_slice()),
        of("de/tables/usage/a.parquet", &[7; 3000]),
        of("de/key-check", b"the same"),
        of("us/key-check", b"the same"),
        of("control/keys.json", changing.as_bytes()),
    ]
}

/// Makes the backup of a moment, as a service does: its ledger makes a copy of itself first.
fn make(medium: &Medium, moment: i64) -> Result<Made, Error> {
    let place = place(medium);
    place.clear()?;
    let (to, name) = place.scratch("budget.redb");
    BudgetLedger::in_memory()?.copy_to(to, &name)?;
    let mut making = Making::begin(&place, moment)?;
    making.scratch("ledger/budget.redb", "budget.redb")?;
    for (path, bytes) in files(moment) {
        making.source(&path, &bytes.as_slice())?;
    }
    making.finish()
}

/// The moment of the backup that is there, which is whole; none when there is none.
async fn found(medium: &Medium, what: &str) -> Option<i64> {
    let place = place(medium);
    let manifest = place.manifest().unwrap()?;
    let moment = manifest.made_at_ms;
    let verified = verified(&place, manifest).await;
    assert_eq!(verified.faults, Vec::<String>::new(), "{what}");
    let to = Memory::new();
    fill(&place, &verified.manifest, &Targets { data: &to, tables: &to }, &mut || Ok(())).unwrap();
    for (path, bytes) in files(moment) {
        assert_eq!(to.read(&path).unwrap(), bytes, "{what}: {path}");
    }
    Some(moment)
}

fn names(medium: &Medium, folder: &str) -> BTreeSet<String> {
    medium.list(folder).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// Nothing is there but a backup.
fn is_alone(medium: &Medium, what: &str) {
    let manifest = Manifest::decode(&medium.read(MANIFEST).unwrap()).unwrap();
    let digests: BTreeSet<_> = manifest.files.iter().map(|file| file.digest).collect();
    assert_eq!(names(medium, "objects").len(), digests.len(), "{what}");
    assert_eq!(names(medium, "").len(), digests.len() + 1, "{what}: {:?}", names(medium, ""));
}

/// The disk after a whole backup of the first moment.
fn first() -> Medium {
    let medium = Medium::default();
    make(&medium, 1).unwrap();
    medium.after_power_cut(0)
}

#[tokio::test]
async fn a_backup_that_stops_at_any_step_is_whole_or_leaves_the_one_before() {
    for before in [None, Some(1)] {
        let start = before.map_or_else(Medium::default, |_| first());
        let whole = start.after_power_cut(0);
        make(&whole, 2).unwrap();
        let steps = whole.operations();
        assert!(steps > 25, "{steps}");
        let mut seen = BTreeSet::new();
        // Where there is none before, a fifth of the steps, with the last: the others are the same.
        for at in (0..steps).rev().step_by(if before.is_none() { 5 } else { 1 }) {
            let what = format!("over {before:?}, stopped at {at} of {steps}");
            let medium = start.after_power_cut(0);
            medium.crash_at(at);
            assert!(make(&medium, 2).is_err(), "{what}: nobody is told that it is made");
            let next = medium.after_power_cut(at);
            let moment = found(&next, &what).await;
            assert!(moment == before || moment == Some(2), "{what}: {moment:?}");
            seen.insert(moment);
            // Whatever is left, the next one is made, and takes it away.
            make(&next, 3).unwrap();
            assert_eq!(found(&next, &what).await, Some(3));
            is_alone(&next, &what);
        }
        assert_eq!(seen, BTreeSet::from([before, Some(2)]));
    }
}

#[tokio::test]
async fn backups_that_fail_each_night_do_not_fill_the_disk_and_leave_the_one_before() {
    let mut medium = first();
    let whole = medium.after_power_cut(0);
    make(&whole, 2).unwrap();
    // Before the manifest, after which only what is old is removed.
    let late = whole.operations() - 6;
    let mut left = BTreeSet::new();
    for night in 2..8 {
        medium.crash_at(late);
        assert!(make(&medium, night).is_err());
        medium = medium.after_power_cut(0);
        assert_eq!(found(&medium, "in the morning").await, Some(1));
        left.insert(names(&medium, "").len());
    }
    assert_eq!(left.len(), 1, "no night leaves more than the one before: {left:?}");
    medium.refuse_writes(Some(std::io::ErrorKind::StorageFull));
    assert!(make(&medium, 9).is_err());
    is_alone(&medium, "what the nights have left goes also when there is no room");
    assert_eq!(found(&medium, "on a full disk").await, Some(1));
}

#[tokio::test]
async fn what_has_not_changed_is_not_copied_again_and_what_has_under_the_same_name_is() {
    let medium = first();
    let kept = names(&medium, "objects");
    let made = make(&medium, 2).unwrap();
    assert!(made.copied_files < made.files && made.copied_files >= 2, "{made:?}");
    assert_eq!(found(&medium, "the second").await, Some(2));
    assert!(names(&medium, "objects").intersection(&kept).count() >= 2);
    let again = make(&medium, 2).unwrap();
    // The copy of the ledger may have other bytes each time.
    assert!(again.copied_files <= 1, "{again:?}");
}

#[tokio::test]
async fn an_object_that_was_changed_is_named_and_made_again_once_it_is_removed() {
    let medium = first();
    let place = place(&medium);
    let manifest = place.manifest().unwrap().unwrap();
    let file = manifest.files.iter().find(|file| file.path.ends_with(".parquet")).unwrap();
    let object = place.path(&file.digest);
    let name = object.strip_prefix(medium.path("")).unwrap().to_str().unwrap().to_owned();
    medium.flip(&name, 1500);
    let faults = verified(&place, manifest.clone()).await.faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    let told = format!("was changed: remove {}, and make the backup again", object.display());
    assert!(faults[0].contains(&told), "{faults:?}");
    let to = Memory::new();
    let to = Targets { data: &to, tables: &to };
    assert!(fill(&place, &manifest, &to, &mut || Ok(())).is_err(), "it is not put back");
    medium.remove(&[&name]).unwrap();
    make(&medium, 2).unwrap();
    assert_eq!(found(&medium, "made again").await, Some(2));
}

#[test]
fn a_restore_that_stops_at_any_step_leaves_nothing_or_what_says_that_it_is_not_finished() {
    let medium = first();
    let place = place(&medium);
    let manifest = place.manifest().unwrap().unwrap();
    let whole = Medium::default();
    let fill = |to: &Medium| fill(&place, &manifest, &Targets { data: to, tables: to }, &mut || Ok(()));
    fill(&whole).unwrap();
    assert!(whole.read(UNFINISHED).is_ok(), "the copying is not all of it");
    let mut nothing = 0;
    for at in 0..whole.operations() {
        let to = Medium::default();
        to.crash_at(at);
        assert!(fill(&to).is_err());
        let left = to.after_power_cut(at);
        match names(&left, "").is_empty() {
            true => nothing += 1,
            false => assert!(left.read(UNFINISHED).is_ok(), "{at}"),
        }
        // A second one over it is refused, and goes well in another place.
        assert!(names(&left, "").is_empty() || fill(&left).is_err(), "{at}");
    }
    assert!(nothing <= 1, "{nothing}");
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
        let to = Medium::default();
        to.refuse_writes(Some(kind));
        assert!(fill(&to).is_err() && names(&to, "").is_empty());
    }
}

#[test]
fn what_may_stop_a_restore_is_asked_when_the_records_of_consent_are_there_and_nothing_else() {
    let medium = Medium::default();
    let place = place(&medium);
    let mut making = Making::begin(&place, 1).unwrap();
    for path in ["control/keys.json", "de/ledger.redb", "us/tables/usage/a.parquet"] {
        making.source(path, &path.as_bytes()).unwrap();
    }
    making.finish().unwrap();
    let manifest = place.manifest().unwrap().unwrap();
    let to = Medium::default();
    let targets = Targets { data: &to, tables: &to };
    let refused = fill(&place, &manifest, &targets, &mut || Err(Error::Service("lost".into())));
    assert!(refused.is_err());
    assert_eq!(names(&to, ""), BTreeSet::from(["de/ledger.redb".to_owned(), UNFINISHED.to_owned()]));
}

/// A file that is so long that it is read in three parts. After the first one nobody wants the backup any more.
struct Long {
    wanted: Mutex<Option<Wanted>>,
    parts: Mutex<u64>,
}

impl Source for Long {
    fn length(&self) -> std::io::Result<u64> {
        Ok(3 << 20)
    }

    fn read_at(&self, _: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        buffer.fill(7);
        *self.parts.lock().unwrap() += 1;
        drop(self.wanted.lock().unwrap().take());
        Ok(())
    }
}

#[tokio::test]
async fn a_backup_that_nobody_wants_any_more_stops_within_a_file() {
    let medium = first();
    let place = place(&medium);
    let stopping = Stopping::default();
    let wanted = Mutex::new(Some(stopping.unless_wanted()));
    let long = Long { wanted, parts: Mutex::new(0) };
    let mut making = Making::begin(&place, 2).unwrap().until(stopping);
    making.source("first", &b"first".as_slice()).unwrap();
    let told = making.source("long", &long).unwrap_err().to_string();
    assert!(told.contains("nobody waits for it"), "{told}");
    assert_eq!(*long.parts.lock().unwrap(), 1, "the rest of it is not read");
    assert!(making.source("next", &b"next".as_slice()).is_err() && making.finish().is_err());
    assert_eq!(found(&medium, "given up").await, Some(1));
}

#[test]
fn an_audit_whose_head_cannot_be_read_is_no_audit_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path()).private();
    disk.put("audit/00000000000000000001.jsonl", b"{}\n").unwrap();
    let medium = Medium::default();
    let place = place(&medium);
    audit(&mut Making::begin(&place, 1).unwrap(), &disk).unwrap();
    std::fs::create_dir(dir.path().join("ledger/audit.head")).unwrap();
    let told = audit(&mut Making::begin(&place, 1).unwrap(), &disk).unwrap_err().to_string();
    assert!(told.contains("audit.head"), "{told}");
}

#[test]
fn a_backup_lies_outside_of_everything_that_must_not_be_with_it_however_its_path_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let defaults = Config::load(None, std::iter::empty()).unwrap();
    let config = Config { data_dir: at("v/data"), key_file: at("keys/shoal.key"), ..defaults };
    std::fs::create_dir_all(at("v/data")).unwrap();
    std::fs::create_dir_all(at("backup")).unwrap();
    std::os::unix::fs::symlink(at("v"), at("link")).unwrap();
    let refused = [
        "v",
        "v/data/backup",
        "link/data/backup",
        "backup/none/../../v/data/backup",
        "v/data.budget",
        "v/data.withdrawals/new",
        "keys",
        "keys/backup",
        "keys/shoal.key.units/backup",
    ];
    for path in refused {
        let told = check_outside("a backup", &at(path), &config).unwrap_err().to_string();
        assert!(told.contains("outside of"), "{path}: {told}");
    }
    for path in ["backup", "backup/new", "v/data.backup", "v/data/../backup"] {
        assert!(check_outside("a backup", &at(path), &config).is_ok(), "{path}");
    }
    // Keys in one directory with the data, as in a first trial: the backup may lie beside them.
    let config = Config { key_file: at("v/shoal.key"), ..config };
    assert!(check_outside("a backup", &at("v/backup"), &config).is_ok());
    assert!(check_outside("a backup", Path::new("/none/backup"), &config).is_ok());
}
