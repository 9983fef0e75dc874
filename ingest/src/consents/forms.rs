//! In which forms a change of consent is understood: what it asks for, for which programme, and about whom.
//!
//! | | beside the documented form |
//! |---|---|
//! | action | any letter case; `granted`; every word that refuses (`denied`, `revoke`, `opt_out`, ..), there or in `status`; `"granted": false` |
//! | programme | any letter case, `_` for `-`; the key's own, where a withdrawal names none |
//! | identifiers | `userId`, `user.id`, `subject.user_id`, `device.id` and the like |
//!
//! Whoever withdraws is understood wherever that is possible, and is meant under every identifier that is named, of which there are
//! so many at the most; whoever grants says so with the word and names nobody twice. Not here: what a change may say beside (`read.rs`).

use std::borrow::Cow;

use shoal_schemas::{IdentifierKind, Programme};

use crate::{
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::IDENTIFIER_BYTES_MAX,
        claim::{Claim, denies},
        json::Json,
        spelled,
    },
};

/// Identifiers of one change, at the most: nobody has more, and each is a record in every region.
const IDENTIFIERS_MAX: usize = 16;

/// Where identifiers of each kind stand.
const PLACES: [(IdentifierKind, &[&[&str]]); 4] = [
    (
        IdentifierKind::User,
        &[
            &["user_id"],
            &["user"],
            &["user", "id"],
            &["user", "user_id"],
            &["subject", "user_id"],
            &["subject", "user"],
            &["subject", "user", "id"],
        ],
    ),
    (
        IdentifierKind::Install,
        &[
            &["install_id"],
            &["anonymous_id"],
            &["install", "id"],
            &["subject", "install_id"],
            &["subject", "anonymous_id"],
        ],
    ),
    (
        IdentifierKind::Device,
        &[&["device_id"], &["device", "id"], &["device", "device_id"], &["subject", "device_id"]],
    ),
    (
        IdentifierKind::Serial,
        &[&["serial_number"], &["device", "serial_number"], &["subject", "serial_number"]],
    ),
];

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

/// The programme that it is for; that of the key, where a withdrawal names none.
///
/// # Errors
/// When it names none that there is.
pub(super) fn programme(
    raw: &Json<'_>,
    is_grant: bool,
    of_key: Option<Programme>,
) -> Result<Programme, Refusal> {
    let named = match text(raw, "programme") {
        Some(word) => Programme::parse(&word.trim().to_ascii_lowercase().replace('_', "-")),
        None => of_key.filter(|_| !is_grant),
    };
    let reason = "programme is user-experience or device-experience";
    named.ok_or_else(|| Refusal::new(RefusalCode::UnknownProgramme, reason))
}

/// The identifiers that it names, and why one of them is none or is left out; a number is one in its decimal form.
pub(super) fn identifiers<'j>(raw: &'j Json<'_>) -> (Identifiers<'j>, Option<Refusal>) {
    let (mut named, mut refused) = (Identifiers::new(), None);
    for (kind, places) in PLACES {
        for value in places.iter().flat_map(|place| spelled::at(raw, place)) {
            // An object about somebody is no identifier, and what is in it is looked for.
            if matches!(value, Json::Map(_)) {
                continue;
            }
            let is_known =
                |value: &Cow<'_, str>| named.iter().any(|(of, known)| *of == kind && known == value);
            match identifier(value) {
                Ok(None) => {}
                Ok(Some(value)) if is_known(&value) => {}
                Ok(Some(value)) if named.len() < IDENTIFIERS_MAX => named.push((kind, value)),
                Ok(Some(_)) => {
                    refused.get_or_insert_with(too_many);
                }
                Err(bad) => {
                    refused.get_or_insert(bad);
                }
            }
        }
    }
    (named, refused)
}

/// Whether two of these are of one kind.
pub(super) fn names_two(named: &Identifiers<'_>) -> bool {
    named.windows(2).any(|two| two[0].0 == two[1].0)
}

fn too_many() -> Refusal {
    let reason =
        format!("a change names more than {IDENTIFIERS_MAX} identifiers; send the others in another one");
    Refusal::new(RefusalCode::BadIdentifier, reason)
}

fn identifier<'j>(value: &'j Json<'_>) -> Result<Option<Cow<'j, str>>, Refusal> {
    let is_blank = |text: &Cow<'_, str>| text.trim().is_empty();
    if matches!(value, Json::Null) || value.text().is_some_and(is_blank) {
        return Ok(None);
    }
    let bad = |reason: String| Refusal::new(RefusalCode::BadIdentifier, reason);
    let named = value.identifier().ok_or_else(|| {
        bad("an identifier must be a string, or a whole number of less than 2^64".to_owned())
    })?;
    if named.len() > IDENTIFIER_BYTES_MAX {
        return Err(bad(format!("an identifier is longer than {IDENTIFIER_BYTES_MAX} bytes")));
    }
    Ok(Some(named))
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
            ("{}", false, Some(DeviceExperience), Some(DeviceExperience)),
            ("{}", true, Some(DeviceExperience), None),
            ("{}", false, None, None),
            (r#"{"programme":"other"}"#, false, Some(UserExperience), None),
        ] {
            assert_eq!(with(text, |raw| programme(raw, is_grant, of_key).ok()), wanted, "{text}");
        }
    }

    #[test]
    fn identifiers_are_found_where_clients_put_them() {
        use IdentifierKind::{Device, Install, Serial, User};
        let found = |text: &str| {
            with(text, |raw| {
                let (named, refused) = identifiers(raw);
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
        ] {
            assert_eq!(found(text), (vec![(wanted.0, wanted.1.to_owned())], false), "{text}");
        }
        assert_eq!(found(r#"{"user_id":"u","subject":{"user_id":"u"},"user":null}"#).0.len(), 1);
        assert_eq!(found(r#"{"user_id":"u","subject":{"user_id":"v"}}"#).0.len(), 2);
        assert_eq!(found(r#"{"subject":"u","id":"u"}"#), (vec![], false), "of which kind is not said");
        assert_eq!(found(r#"{"user_id":12.5,"install_id":"i"}"#), (vec![(Install, "i".to_owned())], true));
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
