//! A key file of version 1 with data beside it: migrated in one go, and cut off at every step.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use shoal_schemas::IdentifierKind;

use super::*;
use crate::file_keys::audit_place;

const NOW_MS: i64 = 1_796_000_000_000;

/// A directory of before, with check values of two epochs.
struct World {
    dir: tempfile::TempDir,
    config: Config,
    before: Keyring,
    registry: Registry,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::embedded(dir.path()).unwrap();
        let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", "5a".repeat(32))).collect();
        let text = format!("shoal-keys 1\n{lines}");
        fs::write(&config.key_file, &text).unwrap();
        fs::set_permissions(&config.key_file, fs::Permissions::from_mode(0o600)).unwrap();
        let before = Keyring::parse(&text).ok().unwrap();
        for epoch in [200, 230] {
            key_check::check(&config.data_dir, &config.key_file, &before, PseudonymEpoch(epoch)).unwrap();
        }
        World { dir, config, before, registry: Registry::load(None).unwrap() }
    }

    fn migrate(&self) -> Result<Option<u64>, Error> {
        let audit = startup::build_audit(&self.config)?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(migrate(&self.config, &audit, &self.registry, NOW_MS))
    }

    /// Everything is as it has to be after a migration.
    fn check(&self) {
        let after = key_file::open(&self.config).unwrap();
        assert!(after.is_migrated_from(&self.before) && !after.derives_epochs());
        let store = startup::build_epoch_keys(&self.config, &after);
        for region in Region::ALL {
            for number in 200..=230 {
                let scope = epoch_scope(*region, number, self.config.ingest.epoch_days);
                let Kept::Keys(kept) = store.read(scope).unwrap() else {
                    panic!("epoch {number} has no keys")
                };
                let derived = self.before.derived_epoch(*region, PseudonymEpoch(number)).unwrap();
                assert!(kept[..] == *derived.bytes(), "people keep their pseudonyms");
            }
        }
        assert!(key_check::compare(&self.config.data_dir, &self.config.key_file, &after).unwrap() > 0);
        let told = key_check::compare(&self.config.data_dir, &self.config.key_file, &self.before);
        assert!(told.is_err(), "the key file of before is not taken any more");
        assert!(!self.dir.path().join("shoal.key.new").exists());
    }
}

fn digest(keyring: &Keyring) -> [u8; 16] {
    keyring.consent_digester(Region::De).digest(IdentifierKind::User, "u-1").into_bytes()
}

#[test]
fn people_keep_their_pseudonyms_and_nothing_of_the_root_secrets_stays() {
    let world = World::new();
    // Whoever has the file open sees what becomes of its bytes.
    let open = fs::File::open(&world.config.key_file).unwrap();
    assert_eq!(world.migrate().unwrap(), Some(31 * 4));
    world.check();
    let mut left = String::new();
    std::io::Read::read_to_string(&mut &open, &mut left).unwrap();
    assert!(!left.contains("5a"), "the file of before is overwritten");
    let after = key_file::open(&world.config).unwrap();
    assert!(digest(&after) == digest(&world.before), "consents are found again");
    assert_eq!(world.migrate().unwrap(), None, "a second one changes nothing");
    world.check();
    let mode = fs::metadata(&world.config.key_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut lines = Vec::new();
    let place = audit_place(&world.config).unwrap();
    shoal_audit::verify(&place, &mut |line| lines.push(String::from_utf8(line.text.to_vec()).unwrap()))
        .unwrap();
    assert!(
        lines.len() == 1 && lines[0].contains("key_file_migrate"),
        "the new key file reads the line of before"
    );
}

#[test]
fn one_that_was_cut_off_at_any_step_is_begun_again_and_ends_as_if_it_had_not_been() {
    let next = |world: &World| next(&world.config, &world.before).unwrap();
    let keep = |world: &World, after: &Keyring| {
        keep_epochs(&world.config, &world.before, after, &world.registry, NOW_MS).unwrap()
    };
    let steps: [&dyn Fn(&World); 4] =
        [&|_| {}, &|world| drop(next(world)), &|world| assert!(keep(world, &next(world)) > 0), &|world| {
            keep(world, &next(world));
            replace(&world.config).unwrap();
        }];
    for (at, step) in steps.iter().enumerate() {
        let world = World::new();
        step(&world);
        // A start in between has the keys of before, or the new ones.
        let keyring = key_file::open(&world.config).unwrap();
        let epoch = PseudonymEpoch(230);
        key_check::check(&world.config.data_dir, &world.config.key_file, &keyring, epoch).unwrap();
        assert_eq!(world.migrate().unwrap().is_some(), at < 3, "step {at}");
        world.check();
    }
}

#[test]
fn a_configuration_with_epochs_of_another_length_splits_nobody() {
    let mut world = World::new();
    world.config.ingest.epoch_days = 30;
    let told = world.migrate().unwrap_err().to_string();
    assert!(told.contains("ingest.epoch_days is 30"), "{told}");
    world.config.ingest.epoch_days = 90;
    assert!(world.migrate().unwrap().is_some());
    world.check();
}

#[test]
fn the_wrong_key_file_is_not_migrated() {
    let world = World::new();
    fs::write(&world.config.key_file, world.before.to_text().replacen("5a", "5b", 1)).unwrap();
    assert!(world.migrate().is_err());
    assert!(!world.dir.path().join("shoal.key.new").exists());
    assert!(!Path::new(&world.config.data_key_dir()).exists());
}
