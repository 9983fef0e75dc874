//! In which forms a change of consent is understood: what it asks for, for which programme, and about whom.
//!
//! | | beside the documented form |
//! |---|---|
//! | action | any letter case; `granted`; every word that refuses (`denied`, `revoke`, `opt_out`, ..), there or in `status`; `"granted": false` |
//! | programme | any letter case, `_` for `-`; a list, for each of them; the key's own, where a withdrawal names none |
//! | identifiers | `userId`, `user.id`, `subject.user_id`, `device` and the like: every place of `wire/places.rs`, as in events |
//!
//! Whoever withdraws is understood wherever that is possible, and is meant under every identifier that is named, of which there are
//! so many at the most; whoever grants says so with the word and names nobody twice. Not here: what a change may say beside (`read.rs`).

use std::borrow::Cow;

use shoal_schemas::{IdentifierKind, Programme};

use crate::{
    refusal::{Refusal, RefusalCode},
    wire::{
        claim::{Claim, denies},
        json::Json,
        named::{self, NO_IDENTIFIER, Named, Said, said},
        spelled,
    },
};

/// Objects in which somebody is named who does not act there, or more than one may be: a withdrawal is understood, and a grant says more.
const BY_THE_WAY: [&str; 3] = ["context", "identifiers", "subjects"];
/// The names of the member that says for which programmes it is.
const PROGRAMME_NAMES: [&str; 4] = ["programme", "programmes", "program", "programs"];
/// Identifiers of one change, at the most: nobody has more, and each is a record in every region.
const IDENTIFIERS_MAX: usize = 16;

/// The identifiers that a change names.
pub(super) type Identifiers<'j> = Vec<(IdentifierKind, Cow<'j, str>)>;

/// A member in whichever spelling its name is; the last one that is not null.
pub(super) fn value<'j, 'a>(of: &'j Json<'a>, name: &str) -> Option<&'j Json<'a>> {
    spelled::at(of, &[name]).into_iter().rev().find(|value| !matches!(value, Json::Null))
}

/// The text of a member, in whichever spelling its name is.
pub(super) fn text<'j>(of: &'j Json<'_>, name: &str) -> Option<&'j str> {
    value(of, name)?.text().map(|text| &**text)
}

/// Whether it says that there is no consent.
pub(super) fn is_refusal(raw: &Json<'_>) -> bool {
    let mut said = ["granted", "status"].into_iter().flat_map(|name| spelled::at(raw, &[name]));
    said.any(|value| matches!(Claim::read(value, false), Some(Ok(claim)) if claim.is_refusal))
}

/// The changes that an object holds which is none itself, as a batch does.
pub(super) fn listed<'j, 'a>(raw: &'j Json<'a>) -> Option<&'j [Json<'a>]> {
    let list = ["consents", "changes", "batch"].into_iter().find_map(|name| value(raw, name))?;
    match list {
        Json::List(changes) if value(raw, "action").is_none() => Some(changes),
        _ => None,
    }
}

/// Whether it is a grant or a withdrawal.
///
/// # Errors
/// When it says neither.
pub(super) fn is_grant(raw: &Json<'_>) -> Result<bool, Refusal> {
    let is_grant = match text(raw, "action") {
        Some(word) if ["grant", "granted"].iter().any(|known| word.trim().eq_ignore_ascii_case(known)) => {
            Some(true)
        }
        Some(word) => denies(word).then_some(false),
        // Without the word nothing is granted.
        None => is_refusal(raw).then_some(false),
    };
    let reason = "action is grant or withdraw: \"action\": \"withdraw\"";
    is_grant.ok_or_else(|| Refusal::new(RefusalCode::UnknownAction, reason))
}

/// The programmes that it is for: each that a list names; that of the key, where a withdrawal names none. And why something that
/// stands there is none.
///
/// # Errors
/// When it names none that there is.
pub(super) fn programmes(
    raw: &Json<'_>,
    is_grant: bool,
    of_key: Option<Programme>,
) -> Result<(Vec<Programme>, Option<Refusal>), Refusal> {
    let (mut named, mut is_wrong) = (Vec::new(), false);
    for value in PROGRAMME_NAMES.into_iter().flat_map(|name| spelled::at(raw, &[name])) {
        let each = match value {
            Json::Null => continue,
            Json::Text(word) if word.trim().is_empty() => continue,
            Json::List(each) => each.as_slice(),
            one => std::slice::from_ref(one),
        };
        is_wrong |= each.is_empty();
        for one in each {
            match one.text().and_then(|word| programme(word)) {
                Some(programme) if named.contains(&programme) => {}
                Some(programme) => named.push(programme),
                None => is_wrong = true,
            }
        }
    }
    if named.is_empty() && !is_wrong && !is_grant {
        named.extend(of_key);
    }
    let reason = "programme is user-experience or device-experience, or a list of them";
    let refused = Refusal::new(RefusalCode::UnknownProgramme, reason);
    match named.is_empty() || (is_grant && is_wrong) {
        true => Err(refused),
        false => Ok((named, is_wrong.then_some(refused))),
    }
}

fn programme(word: &str) -> Option<Programme> {
    Programme::parse(&word.trim().to_ascii_lowercase().replace('_', "-"))
}

/// The identifiers that it names, and why one of them is none or is left out; a number is one in its decimal form. Whoever grants
/// names them where nothing else can stand, and not by the way: beside the action, or in `subject`.
pub(super) fn identifiers<'j>(raw: &'j Json<'_>, is_grant: bool) -> (Identifiers<'j>, Option<Refusal>) {
    let (mut identifiers, mut refused) = (Identifiers::new(), None);
    let is_by_the_way = |name: &str| {
        let first = name.split('.').next().unwrap_or(name);
        BY_THE_WAY.iter().any(|around| spelled::is_spelled(first, &[around]))
    };
    for (name, value) in raw.members().iter().filter(|(name, _)| !(is_grant && is_by_the_way(name))) {
        named::each(name, value, &mut |found| {
            if is_grant && !found.is_sure {
                return;
            }
            if let Err(bad) = take(&found, &mut identifiers) {
                refused.get_or_insert(bad);
            }
        });
    }
    (identifiers, refused)
}

fn take<'j>(found: &Named<'j, '_>, identifiers: &mut Identifiers<'j>) -> Result<(), Refusal> {
    let bad = |reason: String| Refusal::new(RefusalCode::BadIdentifier, reason);
    let value = match said(found.value) {
        Said::Nobody => return Ok(()),
        Said::Identifier(value) => value,
        Said::Damaged => return Err(bad("a part of an identifier is lost".to_owned())),
        Said::Unreadable => return Err(bad(NO_IDENTIFIER.to_owned())),
    };
    if identifiers.iter().any(|(kind, known)| *kind == found.kind && *known == value) {
        return Ok(());
    }
    if identifiers.len() == IDENTIFIERS_MAX {
        let reason =
            format!("a change names more than {IDENTIFIERS_MAX} identifiers; send the others in another one");
        return Err(bad(reason));
    }
    identifiers.push((found.kind, value));
    Ok(())
}

/// Whether two of these are of one kind.
pub(super) fn names_two(named: &Identifiers<'_>) -> bool {
    named.iter().enumerate().any(|(at, (kind, _))| named[..at].iter().any(|(of, _)| of == kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use crate::wire::json::{self, Bounds};

    fn with<T>(text: &str, of: impl FnOnce(&Json<'_>) -> T) -> T {
        let bounds = Bounds {
            depth_max: 8,
            string_bytes_max: 1000,
            strict: false,
            broken: Cell::new(None),
            values_left: Cell::new(1000),
            held: Cell::new(0),
        };
        of(&json::parse(text, &bounds).unwrap())
    }

    #[test]
    fn who_refuses_is_understood_and_who_grants_says_so() {
        for (text, wanted) in [
            (r#"{"action":"withdraw"}"#, Some(false)),
            (r#"{"action":" WITHDRAW "}"#, Some(false)),
            (r#"{"Action":"Withdrawn"}"#, Some(false)),
            (r#"{"action":"revoke"}"#, Some(false)),
            (r#"{"action":"opt-out"}"#, Some(false)),
            (r#"{"action":"OptOut"}"#, Some(false)),
            (r#"{"action":"withdraw","granted":true}"#, Some(false)),
            (r#"{"status":"denied"}"#, Some(false)),
            (r#"{"granted":false}"#, Some(false)),
            (r#"{"action":"grant"}"#, Some(true)),
            (r#"{"action":"Granted"}"#, Some(true)),
            (r#"{"status":"granted"}"#, None),
            (r#"{"granted":true}"#, None),
            (r#"{"action":"allow"}"#, None),
            (r#"{"action":true}"#, None),
            ("{}", None),
        ] {
            let told = with(text, |raw| is_grant(raw).map_err(|refusal| refusal.reason));
            assert_eq!(told.as_ref().ok().copied(), wanted, "{text}");
            assert!(told.err().is_none_or(|reason| reason.contains("\"withdraw\"")), "it names the form");
        }
    }

    #[test]
    fn a_batch_holds_its_changes() {
        for (text, wanted) in [
            (r#"{"consents":[{},{}]}"#, Some(2)),
            (r#"{"sent_at":1,"Changes":[7]}"#, Some(1)),
            (r#"{"batch":{}}"#, None),
            (r#"{"action":"withdraw","changes":[{}]}"#, None),
            ("{}", None),
        ] {
            assert_eq!(with(text, |raw| listed(raw).map(<[Json<'_>]>::len)), wanted, "{text}");
        }
    }

    #[test]
    fn a_programme_is_named_or_the_keys() {
        use Programme::{DeviceExperience, UserExperience};
        for (text, is_grant, of_key, wanted) in [
            (r#"{"programme":"user-experience"}"#, true, None, Some(UserExperience)),
            (r#"{"programme":"User_Experience"}"#, false, None, Some(UserExperience)),
            (r#"{"programme":"device-experience"}"#, false, Some(UserExperience), Some(DeviceExperience)),
            (r#"{"Program":"device-experience"}"#, false, Some(UserExperience), Some(DeviceExperience)),
            (r#"{"programmes":["device-experience"]}"#, true, Some(UserExperience), Some(DeviceExperience)),
            (r#"{"programme":null,"program":" "}"#, false, Some(UserExperience), Some(UserExperience)),
            ("{}", false, Some(DeviceExperience), Some(DeviceExperience)),
            ("{}", true, Some(DeviceExperience), None),
            ("{}", false, None, None),
            (r#"{"programme":"other"}"#, false, Some(UserExperience), None),
        ] {
            let told = with(text, |raw| programmes(raw, is_grant, of_key).ok());
            assert_eq!(told, wanted.map(|one| (vec![one], None)), "{text}");
        }
    }

    #[test]
    fn a_programme_that_is_no_text_is_never_that_of_the_key() {
        use Programme::{DeviceExperience, UserExperience};
        let told = |text: &str, is_grant| {
            let of_key = Some(UserExperience);
            let told = with(text, |raw| programmes(raw, is_grant, of_key));
            told.map(|(named, refused)| (named, refused.is_some())).map_err(|refusal| refusal.code.as_str())
        };
        let both = vec![DeviceExperience, UserExperience];
        for text in [
            r#"{"programme":["device-experience","user-experience"]}"#,
            r#"{"programs":["Device_Experience","user-experience","device-experience"]}"#,
            r#"{"program":"device-experience","programme":"user-experience","programmes":null}"#,
        ] {
            let mut named = told(text, false).unwrap();
            named.0.sort_by_key(|programme| *programme != DeviceExperience);
            assert_eq!(named, (both.clone(), false), "{text}");
        }
        for value in ["{}", r#"{"name":"device-experience"}"#, "[]", "[null]", "true", "false", "7", "[[]]"] {
            for name in ["programme", "Programmes", "program"] {
                let text = format!(r#"{{"{name}":{value}}}"#);
                assert_eq!(told(&text, false), Err("unknown_programme"), "{text}");
                assert_eq!(told(&text, true), Err("unknown_programme"), "{text}");
            }
        }
        // What can be read of a withdrawal counts, and the rest is told.
        let text = r#"{"programme":["device-experience",7]}"#;
        assert_eq!(told(text, false), Ok((vec![DeviceExperience], true)));
        assert_eq!(told(text, true), Err("unknown_programme"));
    }

    #[test]
    fn identifiers_are_found_where_clients_put_them() {
        use IdentifierKind::{Device, Install, Serial, User};
        let found = |text: &str| {
            with(text, |raw| {
                let (named, refused) = identifiers(raw, false);
                let named: Vec<_> = named.into_iter().map(|(kind, id)| (kind, id.into_owned())).collect();
                (named, refused.is_some())
            })
        };
        for (text, wanted) in [
            (r#"{"user_id":"u"}"#, (User, "u")),
            (r#"{"userId":7}"#, (User, "7")),
            (r#"{"user":{"id":"u"}}"#, (User, "u")),
            (r#"{"user":"u"}"#, (User, "u")),
            (r#"{"subject":{"user_id":"u"}}"#, (User, "u")),
            (r#"{"Subject":{"UserID":"u"}}"#, (User, "u")),
            (r#"{"subject.user_id":"u"}"#, (User, "u")),
            (r#"{"anonymousId":"i"}"#, (Install, "i")),
            (r#"{"subject":{"install_id":"i"}}"#, (Install, "i")),
            (r#"{"device":{"id":"d"}}"#, (Device, "d")),
            (r#"{"serialNumber":"s"}"#, (Serial, "s")),
            (r#"{"install":"i"}"#, (Install, "i")),
            (r#"{"installation_id":"i"}"#, (Install, "i")),
            (r#"{"install":{"id":"i"}}"#, (Install, "i")),
            (r#"{"device":"d"}"#, (Device, "d")),
            (r#"{"serial":5}"#, (Serial, "5")),
            (r#"{"device":{"serial":"s"}}"#, (Serial, "s")),
            (r#"{"context":{"device_id":"d"}}"#, (Device, "d")),
            (r#"{"context":{"device":{"id":"d"}}}"#, (Device, "d")),
            (r#"{"identifiers":{"install_id":"i"}}"#, (Install, "i")),
            (r#"{"subjects":[{"install_id":"i"}]}"#, (Install, "i")),
            (r#"{"subject":[7,{"install":"i"}]}"#, (Install, "i")),
        ] {
            assert_eq!(found(text), (vec![(wanted.0, wanted.1.to_owned())], false), "{text}");
        }
        assert_eq!(found(r#"{"user_id":"u","subject":{"user_id":"u"},"user":null}"#).0.len(), 1);
        assert_eq!(found(r#"{"user_id":"u","subject":{"user_id":"v"}}"#).0.len(), 2);
        assert_eq!(found(r#"{"subject":"u","id":"u"}"#), (vec![], false), "of which kind is not said");
        assert_eq!(found(r#"{"user_id":12.5,"install_id":"i"}"#), (vec![(Install, "i".to_owned())], true));
        for bad in ["true", "[\"u\"]", "{}", "1.5", "1e300", &format!("\"{}\"", "u".repeat(257))] {
            for name in ["user_id", "user", "device", "subject.device_id"] {
                // An object may be about somebody.
                if bad != "{}" || name.ends_with("_id") {
                    assert_eq!(found(&format!(r#"{{"{name}":{bad}}}"#)), (vec![], true), "{name} {bad}");
                }
            }
        }
        let zeros = format!(r#"{{"user_id":"{}","install_id":" ","user":null}}"#, "0".repeat(300));
        assert_eq!(found(&zeros), (vec![], false), "nobody is meant");
        // Whoever grants names somebody where nothing else can stand.
        let granted = |text: &str| with(text, |raw| identifiers(raw, true).0.len());
        for around in ["context", "Context", "identifiers", "subjects"] {
            let within = format!(r#"{{"{around}":{{"device_id":"d"}},"{around}.user_id":"u"}}"#);
            assert_eq!((granted(&within), found(&within).0.len()), (0, 2), "{around}");
        }
        assert_eq!(granted(r#"{"subject":{"user_id":"u"},"user.id":"u"}"#), 1);
        assert_eq!(granted(r#"{"device":"C6N","install":"i","serial":1,"device_id":"d","user":"u"}"#), 2);
        // As many as there may be, each once, and that there are more.
        let list = |count: usize| {
            let members: Vec<String> =
                (0..count).map(|at| format!(r#""user_id":"u{at}","user_id":"u0""#)).collect();
            found(&format!("{{{}}}", members.join(",")))
        };
        for (count, wanted) in [(16, (16, false)), (17, (16, true)), (400, (16, true))] {
            let (named, is_refused) = list(count);
            assert_eq!((named.len(), is_refused), wanted, "{count}");
        }
    }
}
