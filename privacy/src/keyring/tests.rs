//! Tests of the key file's text, and of keys that must not be related.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use shoal_schemas::IdentifierKind;

use super::*;

fn good_file() -> String {
    let lines: String = Region::ALL.iter().map(|r| format!("{r} {}\n", "5a".repeat(32))).collect();
    format!("{HEAD}\n{lines}")
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
            for epoch in [0, 1, 256].map(PseudonymEpoch) {
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
fn a_text_gives_back_the_keys_that_wrote_it() {
    let keyring = Keyring::generate().unwrap();
    let text = keyring.to_text();
    assert!(text.starts_with(HEAD) && text.len() < 1024);
    assert_eq!(text.capacity(), 256 + Region::ALL.len() * 68, "it never grew, so no copy stayed behind");
    let read = Keyring::parse(&text).ok().unwrap();
    assert!(digests(&keyring) == digests(&read));
    assert!(*read.to_text() == *text);
    let good = good_file();
    assert!(good.lines().all(|line| Keyring::parse(&good).ok().unwrap().to_text().contains(line)));
}

#[test]
fn no_two_purposes_regions_programmes_epochs_or_kinds_are_related() {
    for keyring in [Keyring::ephemeral(), Keyring::parse(&good_file()).ok().unwrap()] {
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
    let keyring = Keyring::parse(&good_file()).ok().unwrap();
    let pseudonymiser = keyring.pseudonymiser(Region::De, Programme::UserExperience, PseudonymEpoch(7));
    let fixed = [
        pseudonymiser.pseudonym(IdentifierKind::User, "u-1").into_bytes(),
        keyring.consent_digester(Region::De).digest(IdentifierKind::User, "u-1").into_bytes(),
        keyring.event_digester(Region::De).digest("u-1"),
        keyring.session_digester(Region::De, Programme::UserExperience, PseudonymEpoch(7)).digest("u-1"),
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
    ];
    for case in cases {
        assert_ne!(case, good);
        let error = Keyring::parse(&case).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("5a5a5a"));
    }
}
