//! Checks of names of people: is whoever a label is about named by what follows it, and by how many words?
//!
//! Invariant: behind a label that says so a word that is not known is taken for a name.
//! Not here: what programs call their parts (`words.rs`), names of computers (`hosts.rs`).

use super::{
    numbers::{digits, is_measure, whole},
    words::{ACTING, NAMES, SURNAMES, is_thing, is_thing_but},
};

/// Words that follow a label of a person in a sentence without naming one.
#[rustfmt::skip]
const NOBODY: &[&str] = &[
    "a", "account", "accounts", "action", "adalah", "after", "agent", "already", "also", "always", "an", "and",
    "anonymous", "are", "as", "at", "available", "bad", "be", "because", "been", "before", "being", "belum",
    "bereits", "broken", "but", "by", "can", "cancel", "canceled", "cancelled", "cannot", "changes", "chose",
    "clicked", "closed", "could", "data", "defined", "denied", "did", "disabled", "do", "does", "don't",
    "during", "each", "empty", "enabled", "error", "every", "exceeds", "exists", "expected", "expired",
    "failed", "false", "fehlt", "field", "file", "for", "found", "from", "gagal", "gesture", "guest", "had",
    "has", "hat", "have", "here", "id", "if", "in", "incorrect", "info", "input", "interaction", "invalid", "is", "ist",
    "it", "its", "kann", "kein", "keine", "konnte", "kosong", "leer", "list", "locked", "logged", "login",
    "logout", "may", "me", "missing", "model", "more", "must", "n/a", "name", "need", "needs", "never", "nicht",
    "nil", "no", "none", "not", "not-found", "not-set", "now", "null", "object", "oder", "of", "off", "on",
    "only", "optional", "or", "our", "password", "pending", "please", "pressed", "profile", "read", "request",
    "required", "returned", "root", "selected", "service", "session", "set", "settings", "should", "signed",
    "since", "so", "someone", "soon", "space", "still", "string", "sudah", "system", "taken", "tapped", "telah",
    "tell", "than", "that", "the", "their", "then", "there", "they", "this", "tidak", "to", "token", "too",
    "true", "type", "unavailable", "unbekannt", "und", "undefined", "under", "ungültig", "unknown", "unlocked",
    "unset", "until", "up", "valid", "value", "via", "wait", "waiting", "war", "was", "we", "werden", "were",
    "when", "which", "while", "who", "will", "wird", "with", "without", "would", "wrong", "wurde", "you",
    "your",
];

/// Words of [`NOBODY`] that are names when they begin with a capital.
const NAMES_IN_CAPITALS: &[&str] = &["An", "Can", "Do", "In", "May", "On", "Read", "So", "Soon", "Will"];

/// What a person's name can be, behind a label that says so: no word that tells something else about whoever is meant.
pub(super) fn person(text: &str) -> Option<usize> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches(['.', ',', ';', ':', '!']);
    let is_nobody = NOBODY.contains(&word.to_lowercase().as_str()) && !NAMES_IN_CAPITALS.contains(&word);
    whole(text, !word.is_empty() && !is_nobody && !is_told(word))
}

/// Words between the parts of a name, before the name of the father or the family.
#[rustfmt::skip]
const PATRONYMS: &[&str] = &["a/l", "a/p", "anak", "bin", "binte", "binti", "bt", "d/o", "s/o"];
#[rustfmt::skip]
const PARTICLES: &[&str] = &[
    "al", "da", "das", "de", "del", "den", "der", "di", "dos", "du", "el", "la", "ten", "ter", "van", "vom", "von",
    "zu", "zum", "zur",
];
/// What is before a name and none itself.
const TITLES: &[&str] = &["cik", "dr", "encik", "frau", "herr", "herrn", "mr", "mrs", "prof", "puan"];
/// Parts of a name that begin with a capital, behind the first one.
const CAPITALS_MAX: usize = 4;
/// Letters of what has a dot behind it and ends no sentence: `Anna M. Schmidt`.
const ABBREVIATION_BYTES_MAX: usize = 3;

/// How much of a text is a name, behind a label that says that it is one: up to two more words in small letters belong to it.
pub(super) fn full_name(text: &str) -> Option<usize> {
    person(text).map(|_| name_end(text, 2))
}

/// As [`full_name`], behind a label of a person, where a sentence may follow: one more word in small letters belongs to it.
pub(super) fn person_labelled(text: &str) -> Option<usize> {
    person(text).map(|_| name_end(text, 1))
}

/// A name of two parts and more which begin with capitals, none of them a word of programs or a maker: behind a label that may be
/// of anything.
pub(super) fn capital_name(text: &str) -> Option<usize> {
    capital_names(text).filter(|end| *end == text.len() && text.contains(' '))
}

/// As [`capital_name`], behind a title or in a list, where one part is enough: as many parts as are one.
pub(super) fn capital_names(text: &str) -> Option<usize> {
    let is_part = |word: &&str| {
        let is_word = is_known(word) && !NAMES_IN_CAPITALS.contains(word);
        let is_capital = word.starts_with(char::is_uppercase) && is_name(word);
        let lower = word.trim_end_matches('.').to_lowercase();
        let is_other = is_word || MAKERS.contains(&lower.as_str()) || TITLES.contains(&lower.as_str());
        is_joint(word) || (is_capital && !is_other)
    };
    let parts: Vec<&str> = text.split(' ').take_while(is_part).collect();
    let joints = parts.iter().rev().take_while(|part| is_joint(part)).count();
    Some(parts[..parts.len() - joints].join(" ").len()).filter(|end| *end > 0)
}

/// The name beside an address of mail, in quotes or not: `"Schmidt, Anna"`.
pub(super) fn mail_name(text: &str) -> Option<usize> {
    let name = text.trim_matches('"').replace(", ", " ");
    capital_name(&name).and(Some(text.len()))
}

/// How much of a text is names with commas between, two at the least.
pub(super) fn people(text: &str) -> Option<usize> {
    let mut count = 0;
    let mut end = 0;
    let mut at = 0;
    for member in text.split_inclusive([',', ';']) {
        let name = member.trim_end_matches([',', ';', ' ']);
        let own = name.trim_start();
        let Some(taken) = listed_person(own).map(|_| name_end(own, 1)) else { break };
        count += 1;
        end = at + name.len() - own.len() + taken;
        if taken < own.len() {
            break;
        }
        at += member.len();
    }
    (count > 1).then_some(end)
}

/// The key of a network: no word of sentences or programs.
pub(super) fn network_key(text: &str) -> Option<usize> {
    person_named(text).filter(|_| !is_known(text))
}

/// The first member of a list of people: no word of sentences or programs, and no number of up to three digits, which counts.
pub(super) fn listed_person(text: &str) -> Option<usize> {
    let counts = text.starts_with(|c: char| c.is_ascii_digit()) && digits(text).len() < 4;
    person_named(text.trim_end()).filter(|_| !counts).map(|_| text.trim_end().len())
}

/// Where a name ends that begins a text. So many more words in small letters belong to it, unless sentences and programs have them.
fn name_end(text: &str, mut small: usize) -> usize {
    let words: Vec<&str> = text.split(' ').collect();
    if let [surname, first] = words[..]
        && surname.ends_with(',')
        && capital_names(first).is_some()
    {
        return text.len();
    }
    let mut capitals = CAPITALS_MAX;
    let mut end = words[0].trim_end_matches(',').len();
    let mut at = 1;
    while end == words[..at].join(" ").len() && !ends_sentence(words[at - 1]) {
        let joints = words[at..].iter().take_while(|word| is_joint(word)).count();
        let Some(part) = words.get(at + joints) else { break };
        let name = part.trim_end_matches(',');
        let is_father = joints > 0 && PATRONYMS.contains(&words[at + joints - 1].to_lowercase().as_str());
        let is_capital = is_father || name.starts_with(char::is_uppercase);
        let left = if is_capital { &mut capitals } else { &mut small };
        if *left == 0 || !is_name(name) || (!is_capital && is_known(name)) {
            break;
        }
        *left -= 1;
        end = words[..at + joints].join(" ").len() + 1 + name.len();
        at += joints + 1;
    }
    end
}

/// Whether a word joins the parts of a name.
fn is_joint(word: &str) -> bool {
    PATRONYMS.contains(&word.to_lowercase().as_str()) || PARTICLES.contains(&word)
}

/// Whether a word ends with the dot of a sentence.
fn ends_sentence(word: &str) -> bool {
    word.ends_with('.') && word.len() > ABBREVIATION_BYTES_MAX + 1
}

/// Whether a word is made of letters as names are.
fn is_name(word: &str) -> bool {
    word.starts_with(char::is_alphabetic)
        && word.chars().all(|c| c.is_alphabetic() || matches!(c, '.' | '-' | '\'' | '\u{2019}' | '\u{2bc}'))
}

/// Whether sentences and programs have a word, also with an ending: `saved`, `loading`.
fn is_known(word: &str) -> bool {
    let lower = word.trim_end_matches('.').to_lowercase();
    let stems = ["", "d", "ed", "ing", "s"].iter().filter_map(|ending| lower.strip_suffix(ending));
    NOBODY.contains(&lower.as_str()) || stems.into_iter().any(is_thing)
}

/// Whether a word tells what happened to whoever is meant: `owner: changed`. `Downing` is a name.
fn is_told(word: &str) -> bool {
    let is_form = ["ed", "d", "ing"].iter().filter_map(|ending| word.strip_suffix(ending)).any(is_thing);
    is_form && word.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Names of makers of devices and programs, in small letters.
#[rustfmt::skip]
const MAKERS: &[&str] = &[
    "adobe", "amazon", "apple", "axis", "bosch", "brave", "chrome", "chromium", "dahua", "edge", "explorer", "ezviz",
    "facebook", "firefox", "galaxy", "google", "hikvision", "honor", "huawei", "instagram", "intel", "internet",
    "ipad", "iphone", "linux", "mac", "meta", "microsoft", "mozilla", "nokia", "nvidia", "oneplus", "opera", "oppo",
    "os", "pixel", "qualcomm", "raspberry", "realtek", "redmi", "reolink", "safari", "samsung", "sony", "ubuntu",
    "unix", "vivo", "webkit", "windows", "xiaomi",
];

/// As [`person`], and no word that programs use: `user preferences not found`.
pub(super) fn person_named(text: &str) -> Option<usize> {
    person(text).filter(|_| !is_thing(text))
}

/// As [`person_named`], who does something that only a person does.
pub(super) fn person_acting(text: &str) -> Option<usize> {
    person(text).filter(|_| !is_thing_but(text, &[NAMES, SURNAMES, ACTING]))
}

/// Words before and behind the name of a device that are not its owner's, in whatever case.
#[rustfmt::skip]
const NO_OWNERS: &[&str] = &[
    "account", "adds", "android", "androids", "anybody", "anyone", "app", "apple", "apples", "application", "apps",
    "browser", "camera", "child", "client", "company", "connects", "customer", "detects", "device", "everybody",
    "everyone", "finds", "google", "googles", "guest", "he", "here", "hinten", "home", "host", "house", "how",
    "includes", "it", "let", "lets", "manufacturer", "member", "needs", "nobody", "oben", "opens", "owner", "phone",
    "platform", "requires", "samsung", "samsungs", "selects", "server", "service", "she", "shows", "somebody",
    "someone", "starts", "store", "supports", "system", "tablet", "that", "the", "there", "they", "this", "today",
    "tomorrow", "unten", "user", "users", "uses", "vendor", "vorne", "what", "when", "where", "who", "works",
    "yesterday", "you",
];

/// Whom a device belongs to: `Anna's`, `Annas`, `Will's`, `Mei Ping's`; not `the user's` or `Settings`.
pub(super) fn owner(text: &str) -> Option<usize> {
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let name = last.split(['\'', '\u{2019}', '\u{2bc}', '%']).next().unwrap_or_default();
    let word = name.to_lowercase();
    let stem = word.strip_suffix('s').unwrap_or(&word);
    let is_word = |word: &str| NOBODY.contains(&word) || is_thing(word);
    if [word.as_str(), stem].iter().any(|word| NO_OWNERS.contains(word)) {
        return None;
    }
    let first = text.split_whitespace().next().filter(|first| *first != last).map(str::to_lowercase);
    let is_known = is_word(&word) || is_word(stem);
    // `Mays` is May's, `Settings` are nobody's.
    let is_plural = name == last && word.ends_with('s') && is_word(&word);
    let is_capital = name.starts_with(char::is_uppercase) && !is_plural;
    let is_nobody = match first {
        Some(first) => is_known && (is_word(&first) || NO_OWNERS.contains(&first.as_str())),
        None => is_known && !is_capital,
    };
    whole(text, !word.is_empty() && !is_nobody)
}

/// The name or the number of an account behind `user_id:`: with a sign, a digit or a dot within it.
pub(super) fn account(text: &str) -> Option<usize> {
    let inner = text.trim_end_matches(['.', ',', ';']);
    person(text).filter(|_| inner.bytes().any(|b| !b.is_ascii_alphabetic()))
}

/// As [`account`] behind `user:`, where a number counts something or says how long it took: `{"user":38579}`, `user: 0.35s`.
pub(super) fn account_name(text: &str) -> Option<usize> {
    let inner = text.trim_end_matches(['.', ',', ';']);
    let is_number = inner.bytes().all(|b| b.is_ascii_digit());
    account(text).filter(|_| !is_number && !is_measure(inner))
}

/// As [`account`] behind `account:`, where up to three digits count something.
pub(super) fn account_number(text: &str) -> Option<usize> {
    let is_count = text.len() < 4 && text.bytes().all(|b| b.is_ascii_digit());
    account(text).filter(|_| !is_count && !is_measure(text))
}

#[cfg(test)]
mod tests {
    use super::super::words::{path_home, path_user, path_user_spaced, route_value};
    use super::*;

    #[test]
    fn people_are_told_from_words() {
        for yes in ["anna", "Anna.Schmidt", "u4711", "schmidt@x"] {
            assert!(person(yes).is_some() && route_value(yes).is_some(), "{yes}");
        }
        for no in ["not", "is", "unknown.", "", "Was"] {
            assert!(person(no).is_none(), "{no}");
        }
        for no in ["settings", "list", "0", "UserRepository", "view.kt", "Public", "index.html", "live-view"]
        {
            assert!(route_value(no).is_none(), "{no}");
        }
        for yes in ["bill", "Bill-Bell", "anna-camera", "low", "ping", "dev"] {
            assert!(path_home(yes).is_some() && route_value(yes).is_some(), "{yes}");
        }
        assert!(path_user("page").is_some() && path_home("page").is_none());
        for no in ["All Users", "All%20Users", "Public Desktop", "default user"] {
            assert!(path_user_spaced(no).is_none(), "{no}");
        }
        assert!(path_user_spaced("Ping Pan").is_some() && path_user_spaced("live HTTP").is_none());
        assert!(person_named("preferences").is_none() && person_named("bill").is_some());
        assert!(person_acting("ping").is_some() && person_acting("page").is_some());
        assert!(person_acting("session").is_none() && person_named("page").is_none());
        for yes in ["May", "Will Smith", "Can"] {
            assert!(person(yes).is_some() && person(&yes.to_lowercase()).is_none(), "{yes}");
        }
        assert!(account("395982").is_some() && account_name("395982").is_none());
        assert!(account_name("u395982").is_some() && account_name("0.35s").is_none());
    }

    /// How much of a text is a name.
    fn taken(check: fn(&str) -> Option<usize>, text: &str) -> &str {
        &text[..check(text).unwrap_or(0)]
    }

    #[test]
    fn all_parts_of_a_name_are_taken_and_no_sentence() {
        for (text, name) in [
            ("anna schmidt failed", "anna schmidt"),
            ("anna maria schmidt meier", "anna maria schmidt"),
            ("anna saved", "anna"),
            ("anna role=admin", "anna"),
            ("Anna M. Schmidt-Ng left", "Anna M. Schmidt-Ng left"),
            ("Anna Schmidt. Next", "Anna Schmidt."),
            ("ANNA SCHMIDT not found", "ANNA SCHMIDT"),
            ("van der Berg", "van der Berg"),
            ("Siti binti abdullah now", "Siti binti abdullah"),
            ("Schmidt, Anna", "Schmidt, Anna"),
            ("Anna Schmidt, Camera offline", "Anna Schmidt"),
            ("anna last name: schmidt", "anna"),
            ("changed by the server", ""),
            ("Downing", "Downing"),
            ("could not be read", ""),
        ] {
            assert_eq!(taken(full_name, text), name, "{text}");
        }
        assert_eq!(taken(person_labelled, "anna maria schmidt"), "anna maria");
    }

    #[test]
    fn names_behind_labels_of_anything_begin_with_capitals() {
        for yes in ["Anna Schmidt", "Anna von der Heide", "Ahmad bin Ali", "Will Smith"] {
            assert_eq!(capital_name(yes), Some(yes.len()), "{yes}");
        }
        for no in
            ["Anna", "Front Door", "Mobile Safari", "Samsung Galaxy", "anna schmidt", "Anna 12", "Anna von"]
        {
            assert!(capital_name(no).is_none(), "{no}");
        }
        assert_eq!(taken(capital_names, "Anna Schmidt Camera"), "Anna Schmidt");
        assert!(listed_person("u395982").is_some() && listed_person("395982").is_some());
        assert!(listed_person("3 of 5").is_none() && listed_person("settings").is_none());
        assert_eq!(taken(people, "anna, Bob Miller;carl joined"), "anna, Bob Miller;carl");
        assert!(people("anna, 3").is_none() && people("add, remove").is_none());
        assert!(mail_name("\"Schmidt, Anna\"").is_some() && mail_name("Live View").is_none());
        assert!(network_key("annaswlan").is_some() && network_key("incorrect").is_none());
    }

    #[test]
    fn owners_are_told_from_words() {
        for yes in [
            "Anna's",
            "Annas",
            "Anna Schmidt's",
            "Jonas",
            "Alexa",
            "T\u{fc}rkans",
            "Will's",
            "Mays",
            "Mei Ping's",
            "Adrian Low's",
            "Jimmy Page's",
        ] {
            assert!(owner(yes).is_some(), "{yes}");
        }
        for no in [
            "the user's",
            "The user's",
            "Update user's",
            "your phone\u{2019}s",
            "Requires",
            "Settings",
            "the",
            "Cameras",
            "Let's",
            "It's",
            "will's",
            "add page's",
        ] {
            assert!(owner(no).is_none(), "{no}");
        }
    }
}
