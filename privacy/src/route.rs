//! Paths and addresses become templates: `/account/4711?tab=2` is `/account/{}`, whoever sends it and however it is written.
//!
//! ```text
//! GET https://anna@host:8080/v1/users/anna-1/alarms;v=1?token=..#top     ->  GET /v1/users/{}/alarms
//! myapp://account/4711    /device/7J0A123PAZ00001    %2Faccount%2F4711   ->  /account/{}  /device/{}  /account/{}
//! ```
//! Invariants: of a path only parts are kept that name a route: words that programs use, a plain word in small letters that
//! does not follow the name of a collection (`users`, `devices`), a version, a placeholder. Everything else (digits, capitals,
//! hyphens and dots with an unknown word, other scripts, long or random words) is `{}`. A template's template is itself.
//! A text without a slash is a name (`route/name.rs`): of it numbers of two digits and more go, with what looks like one of many,
//! `user-4711` and `profile:anna`, unless they are a known word, a version, or a small number beside a word that counts.
//! What no rule can know: a name in small letters where a route's word may stand (`/foo/anna`).
//! Not here: which properties are paths (`shoal-ingest`, `value.rs`), paths in free text (`patterns/path_*.toml`).

use std::borrow::Cow;

use crate::fold::{decode, fold};

mod name;
mod vocabulary;

pub(crate) use vocabulary::is_named;
use vocabulary::{COLLECTIONS, PLACEHOLDER, is_version};

/// Parts of a path that are looked at. What is deeper is one value.
const PARTS_MAX: usize = 24;
/// Longest plain word of a route, in bytes.
const WORD_BYTES_MAX: usize = 24;
/// Words with this many letters are looked at for whether they can be spoken.
const SPOKEN_BYTES_MIN: usize = 8;
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
/// Schemes whose addresses have a host before their path. Of others, which apps make up, the host is a part of the path.
const HOSTED: &[&str] =
    &["http", "https", "ws", "wss", "rtsp", "rtsps", "rtmp", "ftp", "sftp", "smb", "file", "mqtt"];

/// Whether a text has the form of a path or an address, whatever it is said to be.
pub fn is_path(text: &str) -> bool {
    // Most texts have nothing of what makes a path one, and that is told at one look.
    if !text.bytes().any(|byte| matches!(byte, b'/' | b'%' | b'W' | b'w') || !byte.is_ascii()) {
        return false;
    }
    let (method, place) = split_method(text.trim());
    let begins = |with: &str| place.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let is_begun = ["/", "./", "../", "~/", "%2f", "www.", "\u{ff0f}"].into_iter().any(begins);
    is_begun || place.contains("://") || (method.is_some() && place.contains('/'))
}

/// Whether a text is a request: a method and a path, or an address of the web.
pub fn is_request(text: &str) -> bool {
    let (method, place) = split_method(text.trim());
    let scheme = place.split_once("://").map(|(scheme, _)| scheme);
    method.is_some()
        || scheme.is_some_and(|scheme| HOSTED.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// The template of a path or an address, with its method when it has one; of a text that is neither, that of a name.
pub fn template(text: &str) -> Cow<'_, str> {
    let (method, place) = split_method(text.trim());
    let meant = meaning(place);
    let has_query = meant.split_once('?').is_some_and(|(_, query)| query.contains('='));
    let place = match meant.contains('/') || has_query {
        true => parts(path_of(&meant)),
        false => match name::template(&meant) {
            Some(template) => template,
            None => return Cow::Borrowed(text),
        },
    };
    let template = match method {
        Some(method) => format!("{method} {place}"),
        None => place,
    };
    if template == text { Cow::Borrowed(text) } else { Cow::Owned(template) }
}

/// The template of the path in the name of a span or a transaction, without its method and whatever else is beside it. A name
/// without a path stays when it is made of words, and is a placeholder otherwise.
pub fn endpoint(name: &str) -> String {
    let meant = meaning(name);
    match meant.split_whitespace().find(|word| word.contains('/')) {
        Some(place) => parts(path_of(place)),
        None => {
            let is_name = meant.len() <= 64
                && meant.bytes().all(|b| b.is_ascii_alphabetic() || b"-_.{}:<>".contains(&b));
            if is_name { meant.into_owned() } else { PLACEHOLDER.to_owned() }
        }
    }
}

/// The method in front of a path, and the rest without the protocol's version.
fn split_method(text: &str) -> (Option<&str>, &str) {
    let (method, place) = match text.split_once(char::is_whitespace) {
        Some((method, place)) if METHODS.contains(&method) => (Some(method), place.trim()),
        _ => (None, text),
    };
    let place = match place.rsplit_once(" HTTP/") {
        Some((place, _)) => place,
        None => place,
    };
    (method, place)
}

fn meaning(text: &str) -> Cow<'_, str> {
    let folded = fold(text);
    match decode(&folded) {
        Some(decoded) => Cow::Owned(decoded),
        None => folded,
    }
}

/// The path of an address: without scheme, user, host, port, query and fragment.
fn path_of(place: &str) -> &str {
    let path = match place.split_once("://") {
        Some((scheme, rest)) if HOSTED.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            after_host(rest)
        }
        Some((_, rest)) => rest,
        None => match place.strip_prefix("//") {
            Some(rest) => after_host(rest),
            None if place.starts_with("www.") => after_host(place),
            None => place,
        },
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

fn after_host(rest: &str) -> &str {
    match rest.find(['/', '?', '#']) {
        Some(at) => &rest[at..],
        None => "/",
    }
}

/// The parts of a path, each as it is kept.
fn parts(path: &str) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    let mut out = String::with_capacity(path.len());
    let mut before = "";
    for (count, part) in path.split('/').enumerate() {
        if count > 0 {
            out.push('/');
        }
        if count == PARTS_MAX {
            out.push_str(PLACEHOLDER);
            break;
        }
        // Parameters of a part, as in `/list;jsessionid=..`.
        let part = part.split(';').next().unwrap_or_default();
        out.push_str(if is_kept(part, before) { part } else { PLACEHOLDER });
        before = part;
    }
    // Two slashes at the beginning would be a host's.
    let doubled = out.bytes().take_while(|b| *b == b'/').count().saturating_sub(1);
    out.drain(..doubled);
    out
}

fn is_kept(part: &str, before: &str) -> bool {
    let is_empty = matches!(part, "" | "." | ".." | "*" | "**" | PLACEHOLDER);
    if is_empty || is_version(part) || is_placeholder(part) || is_named(part) {
        return true;
    }
    let collection = before.to_ascii_lowercase();
    let names_one = COLLECTIONS.binary_search(&collection.as_str()).is_ok();
    !names_one && is_plain_word(part)
}

/// `{id}`, `:id`, `<id>`, `[id]`, also with a type.
fn is_placeholder(part: &str) -> bool {
    let is_made_of = |name: &str, others: &[u8]| {
        (1..=WORD_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphabetic() || others.contains(&b))
    };
    let inner = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
        .or_else(|| part.strip_prefix('<')?.strip_suffix('>'))
        .or_else(|| part.strip_prefix('[')?.strip_suffix(']'));
    inner.is_some_and(|name| is_made_of(name, b"_-:.*"))
        || part.strip_prefix(':').is_some_and(|name| is_made_of(name, b"_-"))
}

/// A word in small letters that can be spoken: neither a run of hexadecimal digits nor one of consonants.
fn is_plain_word(part: &str) -> bool {
    if part.len() > WORD_BYTES_MAX || !part.bytes().all(|b| b.is_ascii_lowercase()) {
        return false;
    }
    if part.len() < SPOKEN_BYTES_MIN {
        return true;
    }
    let is_hex = part.bytes().all(|b| b.is_ascii_hexdigit());
    let vowels = part.bytes().filter(|b| b"aeiouy".contains(b)).count();
    let consonants = part.split(|c| "aeiouy".contains(c)).map(str::len).max().unwrap_or(0);
    !is_hex && vowels * 5 >= part.len() && consonants < 7
}

#[cfg(test)]
mod tests;
