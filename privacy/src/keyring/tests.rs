//! Tests of the key file's text, and of keys that must not be related.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use shoal_schemas::IdentifierKind;

use super::*;

fn good_file() -> String {
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", "5a".repeat(32))).collect();
    format!("{HEAD_1}\n{lines}")
}

/// One digest of each purpose and scope.
fn digests(keyring: &Keyring) -> Vec<[u8; 16]> {
    let mut all = Vec::new();
    for region in Region::ALL {
        all.push(keyring.event_digester(*region).digest("u-1"));
        for (day, app) in [(1, "u-1"), (11, "u-1"), (1, "1\u{1f}u-1")] {
            all.push(keyring.app_day(*region, day, app).into_bytes());
        }
        for kind in IdentifierKind::ALL {
            all.push(keyring.consent_digester(*region).digest(*kind, "u-1").into_bytes());
        }
        for epoch in [0, 1, 256].map(PseudonymEpoch) {
            all.push(keyring.check_value(*region, epoch));
        }
        for programme in Programme::ALL {
            for epoch in [0, 1, 256].map(|epoch| keyring.derived_epoch(*region, PseudonymEpoch(epoch))) {
                let Some(epoch) = epoch else { continue };
                all.push(epoch.session_digester(*programme).digest("u-1"));
                for kind in IdentifierKind::ALL {
                    let pseudonymiser = epoch.pseudonymiser(*programme);
                    all.push(pseudonymiser.pseudonym(*kind, "u-1").into_bytes());
                }
            }
        }
    }
    all
}

#[test]
fn a_text_gives_back_the_keys_that_wrote_it() {
    for keyring in [Keyring::generate().unwrap(), Keyring::ephemeral()] {
        for keyring in [keyring.migrated().unwrap(), keyring] {
            let text = keyring.to_text();
            let head = if keyring.derives_epochs() { HEAD_1 } else { HEAD };
            assert!(text.starts_with(head) && text.len() < 4096);
            let lines = Region::ALL.len() + keyring.own.len();
            assert_eq!(text.capacity(), 256 + lines * 88, "it never grew, so no copy stayed behind");
            let read = Keyring::parse(&text).ok().unwrap();
            assert!(digests(&keyring) == digests(&read));
            assert!(*read.to_text() == *text);
        }
    }
    let good = good_file();
    assert!(good.lines().all(|line| Keyring::parse(&good).ok().unwrap().to_text().contains(line)));
}

#[test]
fn a_file_of_version_1_becomes_one_from_which_no_epoch_can_be_derived_and_everything_else_is_as_it_was() {
    let before = Keyring::parse(&good_file()).ok().unwrap();
    let after = Keyring::parse(&before.migrated().unwrap().to_text()).ok().unwrap();
    assert!(before.derived_epoch(Region::De, PseudonymEpoch(7)).is_some());
    assert!(after.derived_epoch(Region::De, PseudonymEpoch(7)).is_none());
    assert!(!after.to_text().contains(&"5a".repeat(32)), "the root secret of before is not in it");
    for region in Region::ALL {
        let of = |keyring: &Keyring| {
            [
                keyring.event_digester(*region).digest("e"),
                keyring.consent_digester(*region).digest(IdentifierKind::User, "u").into_bytes(),
                keyring.app_day(*region, 1, "app").into_bytes(),
            ]
        };
        assert!(of(&before) == of(&after));
        let check = |keyring: &Keyring| keyring.check_value(*region, PseudonymEpoch(7));
        assert!(check(&before) != check(&after));
    }
    for purpose in Purpose::all() {
        assert!(before.key(purpose) == after.key(purpose));
    }
}

#[test]
fn one_digit_of_any_line_is_known_by_the_check_value_of_a_region() {
    let new = Keyring::generate().unwrap();
    let migrated = Keyring::parse(&good_file()).ok().unwrap().migrated().unwrap();
    for keyring in [new, migrated] {
        let checks = |keyring: &Keyring| {
            Region::ALL
                .iter()
                .map(|region| keyring.check_value(*region, PseudonymEpoch(7)))
                .collect::<Vec<_>>()
        };
        let text = keyring.to_text().to_string();
        let lines: Vec<&str> = text.lines().collect();
        for at in (0..lines.len()).filter(|at| {
            lines[*at].len() > 64 && !lines[*at].starts_with('#') && !lines[*at].starts_with(ALL)
        }) {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let last = changed[at].pop().unwrap();
            changed[at].push(if last == '0' { '1' } else { '0' });
            let other = Keyring::parse(&changed.join("\n")).ok().unwrap();
            assert!(checks(&other) != checks(&keyring), "line {at}");
        }
    }
}

#[test]
fn files_of_no_two_kinds_or_regions_have_the_same_key() {
    let keyring = Keyring::generate().unwrap();
    let all: HashSet<Vec<u8>> = Purpose::all().map(|purpose| keyring.key(purpose).to_vec()).collect();
    assert_eq!(all.len(), Region::ALL.len() * 7 + 2);
    let files = [Sealed::Log(Region::De), Sealed::Log(Region::Us), Sealed::Audit, Sealed::Ledger];
    let sealed = keyring.sealing_key(files[0]).seal(b"", b"text").unwrap();
    let opens = files.map(|files| keyring.sealing_key(files).open(b"", &sealed).is_some());
    assert_eq!(opens, [true, false, false, false]);
}

#[test]
fn no_two_purposes_regions_programmes_epochs_or_kinds_are_related() {
    for keyring in [Keyring::ephemeral(), Keyring::parse(&good_file()).ok().unwrap()] {
        let all = digests(&keyring);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}

#[test]
fn receipts_of_each_region_are_signed_with_a_key_of_its_own_that_a_migration_leaves_as_it_is() {
    let keyring = Keyring::parse(&good_file()).ok().unwrap();
    let seeds = |keyring: &Keyring| -> Vec<[u8; 32]> {
        Region::ALL.iter().map(|region| *keyring.receipt_seed(*region)).collect()
    };
    let distinct: HashSet<[u8; 32]> = seeds(&keyring).into_iter().collect();
    let consents = Region::ALL.iter().map(|region| *keyring.key(Purpose::Consents(*region)));
    assert_eq!(distinct.len(), 4);
    assert!(consents.into_iter().all(|key| !distinct.contains(&key)));
    assert!(seeds(&keyring.migrated().unwrap()) == seeds(&keyring));
}

#[test]
fn two_keyrings_are_unrelated() {
    let (a, b) = (digests(&Keyring::ephemeral()), digests(&Keyring::ephemeral()));
    assert!(a.iter().all(|d| !b.contains(d)));
}

#[test]
fn digests_never_change_from_version_to_version() {
    let keyring = Keyring::parse(&good_file()).ok().unwrap();
    let epoch = keyring.derived_epoch(Region::De, PseudonymEpoch(7)).unwrap();
    let fixed = [
        epoch.pseudonymiser(Programme::UserExperience).pseudonym(IdentifierKind::User, "u-1").into_bytes(),
        keyring.consent_digester(Region::De).digest(IdentifierKind::User, "u-1").into_bytes(),
        keyring.event_digester(Region::De).digest("u-1"),
        epoch.session_digester(Programme::UserExperience).digest("u-1"),
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
fn what_is_no_text_of_keys_is_refused_and_never_shown() {
    let good = good_file();
    let new = good.replace(HEAD_1, HEAD);
    let migrated = Keyring::parse(&good).ok().unwrap().migrated().unwrap().to_text().to_string();
    let without = |word: &str| -> String {
        migrated.lines().filter(|l| !l.contains(word)).map(|l| format!("{l}\n")).collect()
    };
    assert!(Keyring::parse(&migrated).is_ok() && Keyring::parse(&without("DE consents ")).is_err());
    let cases = [
        String::new(),
        "garbage 5a5a5a\n".to_owned(),
        good.replace("shoal-keys 1", "shoal-keys 3"),
        good.replacen("US ", "US consents ", 1),
        good.replacen("US ", "XX ", 1),
        good.replacen("US ", "DE ", 1),
        good.replacen("US ", "US", 1),
        good.replacen("5a", "5g", 1),
        good.replacen("5a", "", 1),
        good.replacen(&"5a".repeat(32), &"00".repeat(32), 1),
        good.lines().take(3).collect::<Vec<_>>().join("\n"),
        format!("{new}US consents {}\n", "5a".repeat(32)),
        format!("{new}US nothing {}\n", "5a".repeat(32)),
        format!("{new}US ledger-sealed {}\n", "5a".repeat(32)),
        format!("{new}all log-sealed {}\n", "5a".repeat(32)),
        format!("{new}US consents {0}\nUS consents {0}\n", "5a".repeat(32)),
        format!("{new}US consents {}\n", "00".repeat(32)),
    ];
    for case in cases {
        assert_ne!(case, good);
        let error = Keyring::parse(&case).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("5a5a5a"));
    }
}
