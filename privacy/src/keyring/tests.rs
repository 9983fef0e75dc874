//! Tests of the key file, and of keys that must not be related.
#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt};

use shoal_schemas::IdentifierKind;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn write_file(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn good_file() -> String {
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", "5a".repeat(32))).collect();
    format!("{HEAD}\n{lines}")
}

/// One digest of each purpose and scope.
fn digests(keyring: &Keyring) -> Vec<[u8; 16]> {
    let mut all = Vec::new();
    for region in Region::ALL {
        all.push(keyring.event_digester(*region).digest("u-1"));
        for kind in IdentifierKind::ALL {
            all.push(keyring.consent_digester(*region).digest(*kind, "u-1").into_bytes());
        }
        for programme in Programme::ALL {
            for epoch in [0, 1, 256].map(Epoch) {
                all.push(keyring.session_digester(*region, *programme, epoch).digest("u-1"));
                for kind in IdentifierKind::ALL {
                    let pseudonymiser = keyring.pseudonymiser(*region, *programme, epoch);
                    all.push(pseudonymiser.pseudonym(*kind, "u-1").into_bytes());
                }
            }
        }
    }
    all
}

#[test]
fn is_made_once_for_its_owner_alone_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/shoal.keys");
    let made = Keyring::open_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else stays");
    let text = fs::read(&path).unwrap();
    let read = Keyring::open_or_create(&path).unwrap();
    assert!(digests(&made) == digests(&read));
    assert_eq!(fs::read(&path).unwrap(), text);
}

#[test]
fn two_that_start_at_once_have_the_same_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shoal.keys");
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| digests(&Keyring::open_or_create(&path).unwrap()))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(all.iter().all(|d| *d == all[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn no_two_purposes_regions_programmes_epochs_or_kinds_are_related() {
    for keyring in [Keyring::ephemeral(), parse(&good_file()).ok().unwrap()] {
        let all = digests(&keyring);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}

#[test]
fn two_keyrings_are_unrelated() {
    let (a, b) = (digests(&Keyring::ephemeral()), digests(&Keyring::ephemeral()));
    assert!(a.iter().all(|d| !b.contains(d)));
}

#[test]
fn digests_never_change_from_version_to_version() {
    let keyring = parse(&good_file()).ok().unwrap();
    let pseudonymiser = keyring.pseudonymiser(Region::De, Programme::UserExperience, Epoch(7));
    let fixed = [
        pseudonymiser.pseudonym(IdentifierKind::User, "u-1").into_bytes(),
        keyring.consent_digester(Region::De).digest(IdentifierKind::User, "u-1").into_bytes(),
        keyring.event_digester(Region::De).digest("u-1"),
        keyring.session_digester(Region::De, Programme::UserExperience, Epoch(7)).digest("u-1"),
    ];
    assert_eq!(fixed.map(hex::encode), FIXED);
}

/// Made once with the key file of [`good_file`]; when these change, nobody finds a subject or a consent again.
const FIXED: [&str; 4] = [
    "d74a7e8fd8f68af29fb53aedd61f06a0",
    "f76a7a5e0380e42c59fcdeaab47373d1",
    "97fe58f8abfb61b9fd09fe3d0bc9b718",
    "534201eb96bba1d8bf59e047f173e623",
];

#[test]
fn a_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k");
    for bad in [0o640, 0o604, 0o660, 0o644, 0o610] {
        write_file(&path, &good_file(), bad);
        let error = Keyring::open_or_create(&path).err().unwrap();
        assert!(matches!(error, KeyError::Mode { mode, .. } if mode == bad));
        assert!(error.to_string().contains("chmod 600"));
    }
    for good in [0o600, 0o400] {
        write_file(&path, &good_file(), good);
        assert!(Keyring::open_or_create(&path).is_ok());
    }
}

#[test]
fn what_is_no_key_file_is_refused_untouched_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k");
    let good = good_file();
    let secret = "5a5a5a";
    let cases = [
        String::new(),
        "garbage 5a5a5a\n".to_owned(),
        good.replace("shoal-keys 1", "shoal-keys 2"),
        good.replacen("US ", "XX ", 1),
        good.replacen("US ", "DE ", 1),
        good.replacen("US ", "US", 1),
        good.replacen("5a", "5g", 1),
        good.replacen("5a", "", 1),
        good.replacen(&"5a".repeat(32), &"00".repeat(32), 1),
        good.lines().take(3).collect::<Vec<_>>().join("\n"),
        format!("{good}{}", "#".repeat(20_000)),
    ];
    for case in cases {
        assert_ne!(case, good);
        write_file(&path, &case, 0o600);
        let error = Keyring::open_or_create(&path).err().unwrap();
        assert!(matches!(error, KeyError::Format { .. }));
        assert!(!format!("{error} {error:?}").contains(secret));
        assert_eq!(fs::read_to_string(&path).unwrap(), case);
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Keyring::open_or_create(&path), Err(KeyError::Format { .. })));
    assert!(Keyring::open_or_create(directory.path()).is_err());
}
