//! Which spellings of an identifier mean the same subject, and which mean nobody.
//!
//! ```text
//! spelled     as it was sent, trimmed; what was known before there was a canonical form is under it
//! canonical   without characters that nobody sees (U+FEFF, U+200B, soft hyphens, ..), NFKC, trimmed; without letter case for
//!             installs, devices and serials, and for a UUID of any kind
//! ```
//! Invariants: the canonical form of a canonical form is itself; two spellings that look the same because they differ in Unicode's
//! form alone or in what takes no room, or that differ in letter case where it does not count, have one canonical form. A placeholder is what programs send when they know no
//! identifier: it names nobody, and taking it for a person would make one of thousands.
//! Not here: digests (`pseudonym.rs`, `consent.rs`), which numbers are identifiers (`shoal-ingest`, `wire`).

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use shoal_schemas::IdentifierKind;

use crate::fold::takes_no_room;

/// The two forms of an identifier. No `Debug`: it names somebody.
pub struct Forms<'a> {
    spelled: &'a str,
    canonical: Cow<'a, str>,
}

impl<'a> Forms<'a> {
    /// The forms of what was sent.
    pub fn of(kind: IdentifierKind, value: &'a str) -> Forms<'a> {
        let spelled = value.trim();
        Forms { spelled, canonical: canonical(kind, spelled) }
    }

    /// As it was sent, trimmed.
    pub fn spelled(&self) -> &str {
        self.spelled
    }

    /// The form under which it is known from now on.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

fn canonical(kind: IdentifierKind, spelled: &str) -> Cow<'_, str> {
    let normal = nfkc(spelled);
    let folds = match kind {
        IdentifierKind::Install | IdentifierKind::Device | IdentifierKind::Serial => true,
        IdentifierKind::User | IdentifierKind::Session => is_uuid(&normal),
    };
    if !folds {
        return normal;
    }
    match normal.is_ascii() {
        true if !normal.bytes().any(|b| b.is_ascii_uppercase()) => normal,
        true => Cow::Owned(normal.to_ascii_lowercase()),
        // Through upper case, so that letters with several small forms (a final sigma, a long s) have one. Folding may
        // leave a text that is not composed.
        false => Cow::Owned(nfkc(&fold(&normal)).into_owned()),
    }
}

fn fold(text: &str) -> String {
    let large = text.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    large.flat_map(char::to_lowercase).collect()
}

/// Unicode's form NFKC of what is seen of a text, trimmed: some of its spaces are other characters before.
fn nfkc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    if text.contains(takes_no_room) {
        let seen: String = text.chars().filter(|c| !takes_no_room(*c)).collect();
        return Cow::Owned(composed(&seen).into_owned());
    }
    composed(text)
}

fn composed(text: &str) -> Cow<'_, str> {
    match ComposingNormalizerBorrowed::new_nfkc().normalize(text) {
        Cow::Borrowed(same) => Cow::Borrowed(same.trim()),
        Cow::Owned(normal) => Cow::Owned(normal.trim().to_owned()),
    }
}

/// Whether it is 32 hexadecimal digits, with hyphens at the places of a UUID or without any, perhaps in braces.
fn is_uuid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text).as_bytes();
    let is_hyphen = |at: usize| inner.len() == 36 && matches!(at, 8 | 13 | 18 | 23);
    matches!(inner.len(), 32 | 36)
        && inner.iter().enumerate().all(|(at, b)| match is_hyphen(at) {
            true => *b == b'-',
            false => b.is_ascii_hexdigit(),
        })
}

/// The longest text that is looked at for a placeholder other than zeros, in bytes: the zero UUID in quotes and braces.
const PLACEHOLDER_BYTES_MAX: usize = 48;

/// What stands around a word that means nothing: `(null)`, `"undefined"`.
const AROUND: [char; 10] = ['"', '\'', '`', '(', ')', '<', '>', '{', '}', ' '];

/// Words that mean nobody, in small letters. Beside them: nothing at all, and whatever has no other digit than zeros, or
/// none but `f` in a UUID.
const NOBODY: [&str; 20] = [
    "undefined",
    "null",
    "nil",
    "none",
    "nan",
    "[object object]",
    "object object",
    "-1",
    "anonymous",
    "unknown",
    "guest",
    "n/a",
    "true",
    "false",
    "not_authenticated",
    "uninitialized",
    // What telemetry SDKs send once they were told to forget an installation.
    "c0ffeec0-ffee-c0ff-eec0-ffeec0ffeec0",
    // One device id that a whole generation of phones had, and the hardware address that systems show in its place.
    "9774d56d682e549c",
    "02:00:00:00:00:00",
    "020000000000",
];

/// Whether this names nobody: a word that programs send where they have no identifier, or an identifier of zeros.
pub fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    if is_zero(value.trim_matches(AROUND)) {
        return true;
    }
    if value.len() > PLACEHOLDER_BYTES_MAX {
        return false;
    }
    if value.is_ascii() {
        return is_nobody(value);
    }
    let folded = canonical(IdentifierKind::Install, value);
    is_nobody(&folded)
}

fn is_nobody(text: &str) -> bool {
    let word = text.trim_matches(AROUND);
    let is_all_ones = || is_uuid(word) && word.bytes().all(|b| matches!(b, b'f' | b'F' | b'-'));
    is_zero(word) || is_all_ones() || NOBODY.iter().any(|nobody| word.eq_ignore_ascii_case(nobody))
}

fn is_zero(word: &str) -> bool {
    word.bytes().all(|b| matches!(b, b'0' | b'-' | b':' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use IdentifierKind::{Device, Install, Serial, Session, User};

    fn canonical_of(kind: IdentifierKind, value: &str) -> String {
        Forms::of(kind, value).canonical().to_owned()
    }

    #[test]
    fn spellings_of_one_identifier_have_one_form() {
        for kind in [User, Install, Device, Serial, Session] {
            for (one, other) in [
                ("zoe\u{308}", "zo\u{eb}"),
                ("３９５９８２", "395982"),
                (" anna ", "anna"),
                ("\u{a0}anna", "anna"),
                ("ﬁsh", "fish"),
                ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
                ("6F9619FF8B86D011B42D00CF4FC964FF", "6f9619ff8b86d011b42d00cf4fc964ff"),
            ] {
                assert_eq!(canonical_of(kind, one), canonical_of(kind, other), "{one} {kind:?}");
            }
        }
        for c in [
            '\u{feff}',
            '\u{200b}',
            '\u{200d}',
            '\u{2060}',
            '\u{ad}',
            '\u{fe0f}',
            '\u{34f}',
            '\u{3164}',
            '\u{e0041}',
        ] {
            for one in [
                format!("an{c}na"),
                format!("{c}anna"),
                format!(" anna{c} "),
                format!("{c} anna {c}"),
                format!("a{c}nn{c}a"),
            ] {
                for kind in [User, Install, Device, Serial, Session] {
                    assert_eq!(canonical_of(kind, &one), "anna", "{c:?} {kind:?}");
                    assert_eq!(Forms::of(kind, &one).spelled(), one.trim(), "records of before are under it");
                }
            }
            assert_eq!(canonical_of(User, &format!("zoe{c}\u{308}")), "zo\u{eb}");
            assert!(is_placeholder(&c.to_string()) && is_placeholder(&format!("un{c}defined")));
        }
        for kind in [Install, Device, Serial] {
            for (one, other) in
                [("7J0A123PAZ", "7j0a123paz"), ("ΟΔΟΣ", "οδος"), ("Ｃ６Ｎ", "c6n"), ("STRAẞE", "strasse")]
            {
                assert_eq!(canonical_of(kind, one), canonical_of(kind, other), "{one} {kind:?}");
            }
        }
        assert_ne!(canonical_of(User, "Anna"), canonical_of(User, "anna"), "accounts may differ in case");
        assert_ne!(canonical_of(User, "0395982"), canonical_of(User, "395982"));
        assert_eq!(Forms::of(Install, " AbC ").spelled(), "AbC");
    }

    #[test]
    fn every_character_has_a_form_that_stays() {
        for c in (0..0x2_0000).chain(0xe_0000..0xe_1000).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            for kind in [User, Install] {
                let once = canonical_of(kind, &text);
                assert_eq!(canonical_of(kind, &once), once, "{:x} {kind:?}", u32::from(c));
            }
        }
    }

    #[test]
    fn placeholders_are_nobody() {
        for value in [
            "",
            "  ",
            "undefined",
            "null",
            "None",
            "NaN",
            "[object Object]",
            "0",
            "-1",
            "anonymous",
            "Anonymous",
            "unknown",
            "UNKNOWN",
            "00000000-0000-0000-0000-000000000000",
            "00000000000000000000000000000000",
            "(null)",
            "<null>",
            "\"undefined\"",
            "{00000000-0000-0000-0000-000000000000}",
            "ｎｕｌｌ",
            "0.0",
            "-",
            "n/a",
            "00:00:00:00:00:00",
            "000000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "guest",
            "nil",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        assert!(is_placeholder(&"0".repeat(64)), "the digest of nobody");
        for value in [
            "1",
            "10",
            "u",
            "anna",
            "nullable",
            "none-of-them",
            "395982",
            "-12",
            "0a",
            "anonymous7",
            "ff",
            "00000000-0000-0000-0000-000000000001",
            "unknown@example.com",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_forms(value in ".{0,40}") {
            for kind in [User, Install] {
                let once = canonical_of(kind, &value);
                prop_assert_eq!(&canonical_of(kind, &once), &once);
            }
            is_placeholder(&value);
        }

        #[test]
        fn letter_case_does_not_count_in_serials(value in "[a-zA-Z0-9-]{1,24}") {
            prop_assert_eq!(canonical_of(Serial, &value.to_uppercase()), canonical_of(Serial, &value));
        }
    }
}
