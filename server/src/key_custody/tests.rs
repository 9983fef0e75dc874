//! A key file that moves between custodies of files. Tokens and services: `custody/tests/it`, and `server/tests/it/custody.rs`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use shoal_privacy::pseudonym::PseudonymEpoch;
use shoal_schemas::{IdentifierKind, Region};

use super::*;
use crate::doctor;

const NOW_MS: i64 = 1_796_000_000_000;
/// A secret of an earlier version's file.
const SECRET: &str = "5a5a5a5a";

struct World {
    dir: tempfile::TempDir,
    config: Config,
}

impl World {
    /// A data directory with a key file in the clear, and check values of it.
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::embedded(dir.path()).unwrap();
        let keyring = key_file::open_or_create(&config).unwrap();
        fs::create_dir_all(&config.data_dir).unwrap();
        key_check::check(&config.data_dir, &config.key_file, &keyring, PseudonymEpoch(230)).unwrap();
        World { dir, config }
    }

    /// With a file of wrapping keys from now on.
    fn wrapping(mut self) -> World {
        self.config.keys.wrapping_file = Some(self.dir.path().join("elsewhere/wrapping"));
        self
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.config.key_file).unwrap()
    }

    /// Opens it as another process does, which has unwrapped nothing.
    fn digest(&self) -> [u8; 16] {
        let config = Config { unwrapped: Default::default(), ..self.config.clone() };
        let keyring = key_file::open_or_create(&config).unwrap();
        keyring.consent_digester(Region::De).digest(IdentifierKind::User, "u-1").into_bytes()
    }

    fn moved(&self, wanted: Wanted) -> Result<Moved, String> {
        rewrap(&self.config, wanted, NOW_MS).map_err(|error| error.to_string())
    }

    fn acts(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        shoal_audit::verify(&audit_place(&self.config).unwrap(), &mut |line| {
            lines.push(serde_json::from_slice(line.text).unwrap());
        })
        .unwrap();
        lines
    }

    fn names(&self) -> Vec<String> {
        let is_of_the_key = |name: &String| name.starts_with("shoal.key");
        let names =
            fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(is_of_the_key).collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn a_key_file_is_wrapped_wrapped_anew_and_put_back_into_the_clear_with_the_same_secrets() {
    let mut world = World::new();
    let (clear, digest) = (world.text(), world.digest());
    world = world.wrapping();
    let moved = world.moved(Wanted::Wrap).unwrap();
    assert_eq!((moved.before.custody, moved.after.custody), (None, Some("file")));
    let wrapped = world.text();
    assert!(wrapped.starts_with("shoal-keys 3\n"));
    for secret in clear.split_whitespace().filter(|word| word.len() == 64) {
        assert!(!wrapped.contains(secret) && !wrapped.contains(&secret[..16]));
    }
    assert_eq!(world.digest(), digest);
    let path = world.config.keys.wrapping_file.clone().unwrap();
    shoal_custody::WrappingFile::new(&path).add_version().unwrap();
    assert_eq!(world.digest(), digest, "older versions unwrap");
    let moved = world.moved(Wanted::Rewrap).unwrap();
    assert_eq!([moved.before.version, moved.after.version], [Some("1".to_owned()), Some("2".to_owned())]);
    assert_ne!(world.text(), wrapped);
    assert_eq!(world.digest(), digest);
    let moved = world.moved(Wanted::InTheClear).unwrap();
    assert_eq!((moved.before.custody, moved.after.custody), (Some("file"), None));
    assert!(*world.text() == clear, "it is as it was");
    world.config.keys.wrapping_file = None;
    assert_eq!(world.digest(), digest);
    let lines = world.acts();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["act"], &line["before"]["version"], &line["after"]["version"]))
        .collect();
    let act = serde_json::json!("key_file_rewrap");
    let (none, one, two) = (serde_json::Value::Null, serde_json::json!("1"), serde_json::json!("2"));
    assert_eq!(told, [(&act, &none, &one), (&act, &one, &two), (&act, &two, &none)]);
    assert_eq!(world.names(), ["shoal.key", "shoal.key.lock"], "nothing else stays");
}

#[test]
fn what_cannot_be_is_told_and_changes_nothing() {
    let world = World::new();
    let clear = world.text();
    let told = world.moved(Wanted::Wrap).unwrap_err();
    assert!(told.contains("nothing was changed") && told.contains("keys.wrapping_file"), "{told}");
    let world = world.wrapping();
    for wanted in [Wanted::Rewrap, Wanted::InTheClear] {
        assert!(world.moved(wanted).unwrap_err().contains("shoal keys wrap"));
    }
    assert_eq!(world.text(), clear);
    world.moved(Wanted::Wrap).unwrap();
    let wrapped = world.text();
    assert!(world.moved(Wanted::Wrap).unwrap_err().contains("wrapped already"));
    let mut no_custody = World { dir: tempfile::tempdir().unwrap(), config: world.config.clone() };
    no_custody.config.keys.wrapping_file = None;
    assert!(no_custody.moved(Wanted::Rewrap).unwrap_err().contains("--in-the-clear"));
    let held = KeyFilePlace::lock(&world.config.key_file).unwrap();
    assert!(world.moved(Wanted::Rewrap).unwrap_err().contains("another command"));
    drop(held);
    fs::remove_dir_all(world.config.data_dir.join("audit")).unwrap();
    fs::write(world.config.data_dir.join("audit"), "").unwrap();
    assert!(world.moved(Wanted::Rewrap).is_err(), "without a line nothing is done");
    assert_eq!(world.text(), wrapped);
    assert_eq!(world.names(), ["shoal.key", "shoal.key.lock"]);
}

#[test]
fn the_wrong_key_file_is_not_wrapped() {
    let world = World::new().wrapping();
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", SECRET.repeat(8))).collect();
    let wrong = format!("shoal-keys 2\n{lines}");
    fs::write(&world.config.key_file, &wrong).unwrap();
    let told = world.moved(Wanted::Wrap).unwrap_err();
    assert!(told.contains("withdrawals") && !told.contains(SECRET), "{told}");
    assert_eq!(world.text(), wrong);
    assert!(!world.dir.path().join("elsewhere").exists(), "no wrapping keys were made");
}

#[test]
fn a_start_refuses_a_key_file_that_is_kept_otherwise_or_whose_custody_is_away_and_says_what_to_do() {
    let mut world = World::new().wrapping();
    let refused = |config: &Config| key_file::open_or_create(config).err().unwrap().to_string();
    let told = refused(&world.config);
    assert!(told.contains("is in the clear") && told.contains("run: shoal keys wrap."), "{told}");
    assert!(key_file::open(&world.config).is_ok(), "whoever only looks can");
    world.moved(Wanted::Wrap).unwrap();
    assert!(key_file::open_or_create(&world.config).is_ok());
    let fresh = |config: &Config| Config { unwrapped: Default::default(), ..config.clone() };
    let mut clear = fresh(&world.config);
    clear.keys.wrapping_file = None;
    let told = refused(&clear);
    assert!(told.contains("custody of `file`") && told.contains("rewrap --in-the-clear"), "{told}");
    let mut elsewhere = fresh(&world.config);
    elsewhere.keys.custody = shoal_custody::Kind::Transit;
    let told = refused(&elsewhere);
    assert!(told.contains("custody of `transit`. To move it there run: shoal keys rewrap."), "{told}");
    let path = world.config.keys.wrapping_file.clone().unwrap();
    fs::rename(&path, path.with_extension("away")).unwrap();
    let told = refused(&fresh(&world.config));
    assert!(told.contains("file of wrapping keys") && told.contains("cannot be read"), "{told}");
    assert!(key_file::open_or_create(&world.config).is_ok(), "this process has unwrapped it");
    assert!(!path.exists(), "no wrapping keys are made beside what others wrapped");
    key_file::look(&world.config.key_file).unwrap();
    world.config = fresh(&world.config);
    assert!(world.moved(Wanted::Rewrap).is_err() && !path.exists());
    let outcomes = |config: &Config| {
        let checks = doctor::checks(config, &doctor::Served::Not, NOW_MS);
        checks.into_iter().find(|check| check.check == "custody").unwrap()
    };
    assert_eq!(outcomes(&world.config).outcome, doctor::Outcome::Fail);
    fs::rename(path.with_extension("away"), &path).unwrap();
    let check = outcomes(&world.config);
    assert!(check.outcome == doctor::Outcome::Ok && check.found.contains("version 1"), "{}", check.found);
    shoal_custody::WrappingFile::new(&path).add_version().unwrap();
    let check = outcomes(&world.config);
    assert!(check.outcome == doctor::Outcome::Warn && check.found.contains("version 2"), "{}", check.found);
}

#[test]
fn a_key_file_is_made_in_its_custody_and_migrated_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::embedded(dir.path()).unwrap();
    config.keys.wrapping_file = Some(dir.path().join("elsewhere/wrapping"));
    let made = key_file::open_or_create(&config).unwrap();
    let written = fs::read_to_string(&config.key_file).unwrap();
    assert!(written.starts_with("shoal-keys 3\n"));
    let again = key_file::open(&Config { unwrapped: Default::default(), ..config.clone() }).unwrap();
    assert!(*made.to_text() == *again.to_text());
    // One of version 1, in custody.
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", SECRET.repeat(8))).collect();
    write(&config.key_file, &format!("shoal-keys 1\n{lines}"));
    rewrap(&config, Wanted::Wrap, NOW_MS).unwrap();
    let audit = crate::startup::build_audit(&config).unwrap();
    let registry = shoal_schemas::Registry::load(None).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let migrated = crate::key_migration::migrate(&config, &audit, &registry, NOW_MS);
    assert!(runtime.block_on(migrated).unwrap().is_some());
    let text = fs::read_to_string(&config.key_file).unwrap();
    assert!(text.starts_with("shoal-keys 3\n") && !text.contains(SECRET));
    let after = key_file::open(&config).unwrap();
    assert!(after.is_migrated() && !after.derives_epochs());
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
