//! Checks of words: is it a secret, or a word that programs and sentences have?
//!
//! Invariant: a word that is not known is taken for a value where a value can stand.
//! Not here: what programs call parts of paths (`route/vocabulary.rs`), numbers (`numbers.rs`), names of
//! people (`people.rs`) and of computers (`hosts.rs`).

use super::numbers::{Makeup, whole};
use crate::route;

/// A secret rather than a word of a sentence: a digit, two cases or another character in it, or 16 characters.
pub(super) fn credential(text: &str) -> Option<usize> {
    let has = |test: fn(&u8) -> bool| text.bytes().any(|b| test(&b));
    let cases = has(u8::is_ascii_lowercase) && text.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let other = text.trim_end_matches(['.', ',', ';', ':']).bytes().any(|b| !b.is_ascii_alphabetic());
    whole(text, other || cases || text.len() >= 16)
}

/// Methods and forms that are said of secrets: `token base64 decode failed`.
#[rustfmt::skip]
const METHODS: &[&str] = &[
    "aes128", "aes256", "argon2id", "base64", "base64url", "ed25519", "es256", "hs256", "oauth2", "pbkdf2",
    "rs256", "secp256k1", "secp256r1", "sha224", "sha256", "sha384", "sha512", "utf8mb4", "v1beta1", "x25519",
];

/// What follows a label of a secret with nothing but a blank between: letters and digits, which take turns twice, or
/// both cases as well.
pub(super) fn random(text: &str) -> Option<usize> {
    let makeup = Makeup::of(text);
    let mixed = makeup.digits >= 1 && makeup.letters() >= 1 && text.len() >= 6;
    let cases = makeup.small > 0 && makeup.capitals > 0;
    let is_version = text.bytes().next().is_some_and(|b| b.is_ascii_digit()) && text.contains('.');
    let is_method = METHODS.contains(&text.trim_end_matches('.').to_ascii_lowercase().as_str());
    whole(text, mixed && !is_version && !is_method && (makeup.turns >= 2 || cases || makeup.digits >= 2))
}

/// A long run of base64 characters that looks random: it changes between small, large and digit more often than names
/// in programs and paths do. Names that compilers make, and those of constants, are none.
pub(super) fn base64(text: &str) -> Option<usize> {
    if is_mangled(text) {
        return None;
    }
    let changes = Changes::of(text);
    let often = (changes.digits >= 2 && changes.per_cent >= 33) || changes.per_cent >= 55;
    let short_words = changes.digits >= 1 && changes.per_cent >= 38 && changes.small_run_max <= 6;
    whole(text, often || short_words)
}

/// As [`base64`], for runs that are too short to be told by their length: all three kinds, three digits, and every second
/// character of another kind than the one before it.
pub(super) fn base64_short(text: &str) -> Option<usize> {
    let makeup = Makeup::of(text);
    let changes = Changes::of(text);
    let kinds = makeup.digits >= 3 && makeup.small >= 3 && makeup.capitals >= 3;
    whole(text, kinds && changes.per_cent >= 50 && !is_mangled(text))
}

/// A name that a compiler made, or one of a constant: `TLS_RSA_WITH_AES_128_GCM_SHA256`.
fn is_mangled(text: &str) -> bool {
    let is_constant = text.contains('_') && !text.bytes().any(|b| b.is_ascii_lowercase());
    is_constant || ["_Z", "__Z", "___Z", "_R", "_T0", "$s"].iter().any(|begin| text.starts_with(begin))
}

struct Changes {
    digits: usize,
    per_cent: usize,
    /// Longest run of small letters.
    small_run_max: usize,
}

impl Changes {
    fn of(text: &str) -> Changes {
        let class = |b: u8| match b {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            _ => 3,
        };
        let bytes = text.as_bytes();
        let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
        let changes = bytes.windows(2).filter(|w| class(w[0]) != class(w[1])).count();
        let runs = bytes.split(|b| !b.is_ascii_lowercase()).map(<[u8]>::len);
        Changes {
            digits,
            per_cent: 100 * changes / bytes.len().max(1),
            small_run_max: runs.max().unwrap_or(0),
        }
    }
}

/// Folders of users that every machine has, and the next parts of routes in apps (`/home/feed`).
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "alarms", "all", "all users", "cdrom", "dashboard", "default", "default user", "detail", "details",
    "device", "devices", "events", "feed", "floppy", "guest", "index", "index.htm", "index.html",
    "index.php", "list", "main", "overview", "profile", "public", "runner", "screen", "settings", "shared",
    "tab", "tabs", "usb", "view",
];

/// Names of people among the words of programs.
pub(super) const NAMES: &[&str] = &["alexa", "bell", "bill", "skip"];
/// Names among those words that few screens have, so that who follows `/home/` is a person.
pub(super) const SURNAMES: &[&str] = &["dev", "di", "lan", "low", "pan", "ping"];
/// Names among those words, where only a person can be meant: who has logged in.
#[rustfmt::skip]
pub(super) const ACTING: &[&str] = &[
    "best", "block", "brand", "day", "gift", "mine", "page", "post", "price", "small", "story",
];

/// Whether a text is made of words that programs use, and not of names that are among them.
pub(super) fn is_thing(text: &str) -> bool {
    is_thing_but(text, &[NAMES])
}

/// Whether a text is made of words that programs use, and not of these names alone.
pub(super) fn is_thing_but(text: &str, names: &[&[&str]]) -> bool {
    let is_name = |part: &str| names.iter().any(|names| names.contains(&part.to_ascii_lowercase().as_str()));
    route::is_named(text) && !text.split(['-', '_', '.']).all(is_name)
}

/// A name of a person in a path, not one that every machine has.
pub(super) fn path_user(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase().replace("%20", " ");
    let first = lower.split(' ').next().unwrap_or_default();
    whole(text, !COMMON.contains(&lower.as_str()) && !COMMON.contains(&first))
}

/// As [`path_user`], where a route of an app can stand as well: `/home/feed`.
pub(super) fn path_home(text: &str) -> Option<usize> {
    path_user(text).filter(|_| !is_thing_but(text, &[NAMES, SURNAMES]))
}

/// As [`path_user`], for several words. After `GET /home/live` another word follows, too.
pub(super) fn path_user_spaced(text: &str) -> Option<usize> {
    let first = text.split([' ', '%']).next().unwrap_or_default();
    let is_route = first.starts_with(|c: char| c.is_ascii_lowercase()) && path_home(first).is_none();
    path_user(text).filter(|_| !is_route)
}

/// What follows the name of a collection of people in a path: not a word of routes or programs, nor a file of code.
pub(super) fn route_value(text: &str) -> Option<usize> {
    let is_profile_number = text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    path_home(text).filter(|_| !is_profile_number && !is_code_file(text))
}

/// `UserView.kt`, `index.html`.
fn is_code_file(text: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "c", "cc", "cpp", "cs", "css", "dart", "go", "h", "html", "java", "jpg", "js", "json", "jsx", "kt",
        "m", "mjs", "mm", "php", "png", "py", "rb", "rs", "scala", "svg", "swift", "ts", "tsx", "vue", "xml",
    ];
    text.rsplit_once('.').is_some_and(|(name, ending)| !name.contains('@') && ENDINGS.contains(&ending))
}

/// A street with a house's number: not a word of computers that ends as streets do.
pub(super) fn street(text: &str) -> Option<usize> {
    const PLACES: &[&str] =
        &["speicherplatz", "steckplatz", "arbeitsplatz", "sitzplatz", "stellplatz", "ladeplatz", "signalweg"];
    const DRIVES: &[&str] = &[
        "google", "flash", "hard", "disk", "thumb", "cloud", "network", "shared", "usb", "tape", "one",
        "state",
    ];
    let lower = text.to_lowercase();
    let is_drive = lower
        .strip_suffix(" drive")
        .and_then(|before| before.split_whitespace().next_back())
        .is_some_and(|kind| DRIVES.contains(&kind));
    whole(text, !is_drive && !PLACES.iter().any(|place| lower.starts_with(place)))
}

/// What is assigned to a name: not how a program's language begins a text, `Optional("` or `b'`.
pub(super) fn assigned(text: &str) -> Option<usize> {
    let is_beginning = text.len() == 1 && text.bytes().all(|b| b"bBuUrR".contains(&b));
    whole(text, !is_beginning && text != "Optional(" && text != "Some(")
}

/// A password rather than a word of a sentence.
pub(super) fn password(text: &str) -> Option<usize> {
    credential(text).and(assigned(text))
}

/// What begins with a sign within quotes: not what stands for something that is gone already.
pub(super) fn quoted(text: &str) -> Option<usize> {
    let name = text.strip_prefix('<').and_then(|name| name.split_once('>')).map(|(name, _)| name);
    let is_placeholder = name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    whole(text, !is_placeholder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_is_told_from_names_in_programs() {
        assert!(base64("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").is_some());
        for no in [
            "com/example/camera/live/LiveViewControllerDelegateImplementation",
            "_ZNSt6vectorIiSaIiEE9push_backERKiZZ4mainE3fooNSt6stringE",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "getUserProfileHttp2ConnectionManagerFactory",
        ] {
            assert!(base64(no).is_none(), "{no}");
        }
        assert!(
            base64_short("q0Xk2vT9bLr8Zm3YpW5s").is_some() && base64_short("getUtf8ViewForHttp2").is_none()
        );
        assert!(random("8f3a9c1d").is_some() && random("expired").is_none() && random("2.14.1b3").is_none());
        assert!(random("sha256").is_none() && random("Camera1").is_some());
    }

    #[test]
    fn values_are_told_from_what_stands_for_them() {
        assert!(quoted("&k9#Lm2x").is_some() && quoted("<k9>x").is_some() && quoted("<secret>").is_none());
        assert!(assigned("b").is_none() && assigned("Optional(").is_none() && assigned("bob").is_some());
        assert!(password("Some(").is_none() && password("hunter2").is_some() && password("wrong").is_none());
        assert!(street("Musterstra\u{df}e 12").is_some() && street("12 Oak Drive").is_some());
        assert!(street("Steckplatz 12").is_none() && street("403 Google Drive").is_none());
    }
}
