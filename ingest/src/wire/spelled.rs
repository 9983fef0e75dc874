//! Values at a path of names that may be spelled otherwise than it is documented: in another letter case, with other separators,
//! or with the dots of the path in one name.
//!
//! ```text
//! consent.categoryPreferences    {"consent": {"categoryPreferences": ..}}    {"consent.categoryPreferences": ..}
//!                                {"Consent": {"category_preferences": ..}}   {"CONSENT.categorypreferences": ..}
//! ```
//! Whoever refuses is understood in all of these, and whoever agrees in the documented one alone (`said.rs`).
//! Not here: the documented place (`Json::get`, `Json::path`).

use super::json::Json;

/// Every value at a path, in the order in which they stand.
pub(crate) fn at<'j, 'a>(of: &'j Json<'a>, path: &[&str]) -> Vec<&'j Json<'a>> {
    let mut found = Vec::new();
    reach(of, path, &mut found);
    found
}

fn reach<'j, 'a>(of: &'j Json<'a>, path: &[&str], found: &mut Vec<&'j Json<'a>>) {
    if path.is_empty() {
        return found.push(of);
    }
    for (name, value) in of.members() {
        for taken in 1..=path.len() {
            if is_spelled(name, &path[..taken]) {
                reach(value, &path[taken..], found);
            }
        }
    }
}

/// Whether a name is that of all these parts together.
pub(crate) fn is_spelled(name: &str, parts: &[&str]) -> bool {
    let mut given = name.split('.');
    parts.iter().all(|part| given.next().is_some_and(|given| is_same(given, part))) && given.next().is_none()
}

/// Whether a name, or the first part of one with dots, begins with the letters of this word.
pub(in crate::wire) fn begins(name: &str, word: &str) -> bool {
    let mut given = letters(name);
    word.bytes().all(|letter| given.next() == Some(letter))
}

fn is_same(given: &str, part: &str) -> bool {
    letters(given).eq(letters(part))
}

fn letters(of: &str) -> impl Iterator<Item = u8> + '_ {
    of.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_beginning_of_a_name_is_known_in_every_spelling() {
        for name in ["consent", "Consent", " CON-sent.granted", "consentManagement", "consents"] {
            assert!(begins(name, "consent"), "{name}");
        }
        for name in ["", "c", "country", "a.consent", "con.text"] {
            assert!(!begins(name, "consent"), "{name}");
        }
    }

    fn object<'a>(name: &'a str, value: Json<'a>) -> Json<'a> {
        Json::Map(vec![(Cow::Borrowed(name), value)])
    }

    #[test]
    fn a_path_is_found_in_every_spelling() {
        let leaf = || Json::Boolean(false);
        for of in [
            object("consent", object("categoryPreferences", leaf())),
            object("consent.categoryPreferences", leaf()),
            object("Consent", object("category_preferences", leaf())),
            object(" CONSENT.Category-Preferences", leaf()),
        ] {
            let found = at(&of, &["consent", "categoryPreferences"]);
            assert!(matches!(found[..], [Json::Boolean(false)]));
        }
        for of in [
            object("consents", object("categoryPreferences", leaf())),
            object("consent.categoryPreferences.x", leaf()),
            object("consent", leaf()),
            object("", object("consent", object("categoryPreferences", leaf()))),
            Json::Null,
        ] {
            assert!(at(&of, &["consent", "categoryPreferences"]).is_empty());
        }
        let both =
            Json::Map(vec![(Cow::Borrowed("user_id"), leaf()), (Cow::Borrowed("userId"), Json::Integer(1))]);
        assert_eq!(at(&both, &["user_id"]).len(), 2, "all of them count");
    }
}
