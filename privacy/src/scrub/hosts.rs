//! Checks of names of computers, and of domains behind an at sign.
//!
//! Not here: names of people (`people.rs`), words (`words.rs`).

use super::numbers::whole;
use super::people::person;
use super::words::is_thing;

/// What names of platforms are made of: `x86_64-linux-gnu`, `arm64-v8a`.
#[rustfmt::skip]
const PLATFORM: &[&str] = &[
    "32", "64", "aarch64", "amd64", "android", "androideabi", "apple", "arm", "arm64", "armeabi", "armv7",
    "armv7a", "bit", "darwin", "eabihf", "gnu", "gnueabihf", "i386", "i686", "linux", "msvc", "musl", "pc",
    "unknown", "v7a", "v8a", "win", "windows", "x64", "x86",
];

fn is_platform(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.split(['-', '_', '.']).all(|part| PLATFORM.contains(&part))
}

/// The name of a computer: one that Windows makes up has a digit behind the hyphen; `gms.internal` may be a package, and is a
/// host only with a digit or a hyphen in it. `.env.local` is a file.
pub(super) fn host(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let has_digit = lower.bytes().any(|b| b.is_ascii_digit());
    let is_made_up = !lower.contains('.');
    let may_be_package = lower.ends_with(".internal") || lower.ends_with(".corp");
    let is_platform = lower.split_once('-').is_some_and(|(_, rest)| is_platform(rest));
    let is_host = match (is_made_up, may_be_package) {
        (true, _) => has_digit && !is_platform,
        (_, true) => has_digit || lower.contains('-'),
        _ => !lower.ends_with("env.local"),
    };
    whole(text, is_host)
}

/// What follows a label of a computer's name: a name without dots, which has a digit or a hyphen beside its letters.
pub(super) fn host_name(text: &str) -> Option<usize> {
    let has_letter = text.bytes().any(|b| b.is_ascii_alphabetic());
    let is_joined = text.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'_');
    let is_public = text.trim_end_matches('.').contains('.');
    person(text).filter(|_| has_letter && is_joined && !is_public && !is_thing(text) && !is_platform(text))
}

/// The name of a computer that ends with what it is: `Anna-PC`. `Windows-PC` and `my-laptop` are nobody's.
pub(super) fn host_owned(text: &str) -> Option<usize> {
    let whose = text.split('-').next().unwrap_or_default();
    whole(text, !is_thing(whose) && !is_platform(whose))
}

/// Names of phones that their maker gave them: `Pixel 8 Pro`.
#[rustfmt::skip]
const MODELS: &[&str] = &[
    "galaxy", "google", "honor", "huawei", "ipad", "iphone", "macbook", "nokia", "oneplus", "oppo", "pixel",
    "redmi", "samsung", "sony", "vivo", "xiaomi",
];

/// What follows the name of a model, beside numbers.
#[rustfmt::skip]
const VARIANTS: &[&str] = &[
    "air", "edge", "fe", "flip", "fold", "lite", "max", "mini", "note", "plus", "pro", "se", "tab", "ultra",
];

/// Whether all words are of the name of a model. `iPhone Anna` is somebody's.
fn is_model(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower.split_whitespace();
    let is_part = |word: &str| {
        MODELS.contains(&word) || VARIANTS.contains(&word) || word.bytes().any(|b| b.is_ascii_digit())
    };
    words.next().is_some_and(|first| MODELS.contains(&first)) && words.all(is_part)
}

/// Endings of domains and of names within clusters, beside those of two letters.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "app", "arpa", "biz", "cloud", "com", "dev", "edu", "gov", "info", "int", "live", "mil", "mobi", "name", "net",
    "online", "org", "page", "pro", "run", "shop", "site", "store", "svc", "tech", "test", "top", "travel", "web",
    "xyz", "zone",
];

/// A public domain. `anna.schmidt` is none.
fn is_public(host: &str) -> bool {
    let ending = host.trim_end_matches('.').rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ending.len() == 2 || ENDINGS.contains(&ending))
}

/// The name of a computer behind a label that says so, whatever it is made of. A public domain is none.
pub(super) fn host_plain(text: &str) -> Option<usize> {
    let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches('.').to_lowercase();
    let is_known = first == "localhost" || is_thing(&first) || is_platform(&first);
    person(text).filter(|_| !is_public(&first) && !is_model(text) && !is_known)
}

/// Who is at a computer without a domain, `anna@annas-mbp`: neither of them made of words that programs use.
pub(super) fn email_host(text: &str) -> Option<usize> {
    let (who, host) = text.split_once('@').unwrap_or_default();
    let is_class = who.contains('.') && who.bytes().any(|b| b.is_ascii_uppercase());
    whole(text, !is_class && !is_thing(host) && !is_platform(host))
}

/// An address of mail: its domain is not the scale of a picture (`icon@2x.png`), a version (`react@18.3.0-canary.rc`), nor an
/// object with a method (`View@3f2a1b.onDraw`).
pub(super) fn email(text: &str) -> Option<usize> {
    let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
    let (first, rest) = domain.split_once('.').unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_picture = matches!(rest, "png" | "jpg" | "jpeg" | "gif" | "webp" | "svg" | "pdf" | "heic");
    let is_scale = is_picture && first.strip_suffix('x').is_some_and(is_number);
    let is_latest = rest == "tgz" && matches!(first, "latest" | "next" | "beta" | "canary");
    let mut numbers = rest.splitn(2, '.');
    let patch = numbers.by_ref().nth(1).and_then(|after| after.split_once('-'));
    let minor = rest.split('.').next().unwrap_or_default();
    let is_version = is_number(first) && is_number(minor) && patch.is_some_and(|(patch, _)| is_number(patch));
    let is_hash = (5..=8).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_hexdigit())
        && first.bytes().any(|b| b.is_ascii_digit());
    let is_method = rest.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && rest.bytes().any(|b| b.is_ascii_uppercase())
        && !rest.contains('.');
    let is_object = is_hash && is_method;
    whole(text, !is_scale && !is_latest && !is_version && !is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_computers_are_told_from_platforms_and_domains() {
        for yes in
            ["anna", "ANNA-PC", "arm64-anna", "annasnas", "iPhone Anna", "anna.schmidt", "Galaxy Anna Ng"]
        {
            assert!(host_plain(yes).is_some(), "{yes}");
        }
        for no in [
            "api.example.com",
            "example.dev.",
            "Pixel 8",
            "Pixel Pro",
            "Samsung Galaxy",
            "localhost",
            "unknown",
            "x86_64-linux-gnu",
        ] {
            assert!(host_plain(no).is_none(), "{no}");
        }
        assert!(host_name("arm64-anna").is_some() && host_name("arm64-v8a").is_none());
        assert!(host_owned("ANNA-PC").is_some() && host_owned("my-laptop").is_none());
        assert!(host("win-4F7K2LM").is_some() && host("win-amd64").is_none());
    }

    #[test]
    fn who_is_at_a_computer_is_told_from_objects_and_versions() {
        assert!(email_host("anna@annas-mbp").is_some() && email_host("anna@arm64-v8a").is_none());
        assert!(email_host("com.example.View@x-y").is_none() && email_host("player@live-view").is_none());
    }

    #[test]
    fn mail_is_told_from_files_versions_and_objects() {
        for yes in
            ["anna@2x.com", "anna@1.2.example.com", "anna@3f2a1b.de", "a@[192.168.1.2]", "a@b.c.onDraw"]
        {
            assert!(email(yes).is_some(), "{yes}");
        }
        for no in ["icon@2x.png", "react@18.3.0-canary.rc", "lodash@latest.tgz", "View@3f2a1b.onDraw"] {
            assert!(email(no).is_none(), "{no}");
        }
    }
}
