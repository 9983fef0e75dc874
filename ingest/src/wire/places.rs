//! The names under which an identifier may stand, and the places in which: one list, by which changes of consent and events of all
//! forms are read, so that whoever has withdrawn is known in an event that names them in the same form.
//!
//! ```text
//! user_id     install_id, installation_id, anonymous_id     device_id     serial_number            in any spelling: userId, USER-ID
//! user        install, installation                         device        serial                   an identifier, or an object: {"id": ..}
//! subject, subjects, identifiers, context                                                          an object with any of these, or a list of such
//! subject.user_id, user.id                                                                         dots in a name are steps, too
//! ```
//! Invariant: nothing else says where an identifier stands, but for the documented fields of a protocol, which are all in it.
//! Not here: values, and how objects are gone through (`named.rs`).

use shoal_schemas::IdentifierKind::{self, Device, Install, Serial, User};

/// Longest identifier, in bytes.
pub(crate) const IDENTIFIER_BYTES_MAX: usize = 256;
/// Longest of the names, in letters and digits.
const LETTERS_MAX: usize = 16;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An identifier of this kind, and nothing else.
    Identifier(IdentifierKind),
    /// An identifier of this kind, or an object about whoever has it.
    Somebody(IdentifierKind),
    /// An object, or a list of objects, in which identifiers may stand.
    Around,
}

/// What a name stands for, and about whom the object is in which it stands, which the dots in it may say.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) within: Option<IdentifierKind>,
}

/// Whether a name may be one of these, told by its first letter: it is asked of every name that is not known otherwise.
pub(super) fn may_be(name: &str) -> bool {
    let first = name.bytes().find(u8::is_ascii_alphanumeric);
    first.is_some_and(|first| matches!(first | 0x20, b'u' | b'i' | b'a' | b'd' | b's' | b'c'))
}

/// What a name stands for in an object about somebody, or about nobody.
pub(super) fn find(name: &str, mut within: Option<IdentifierKind>) -> Option<Found> {
    if !may_be(name) {
        return None;
    }
    let mut parts = name.split('.');
    let mut place = of(parts.next()?, within)?;
    for part in parts {
        within = match place {
            Place::Identifier(_) => return None,
            Place::Somebody(kind) => Some(kind),
            Place::Around => None,
        };
        place = of(part, within)?;
    }
    Some(Found { place, within })
}

/// Whether the value of a name is an identifier, or an object about somebody: what is too long or too deep there is not absent. A
/// context says more than that, and one that is too large is left out.
pub(super) fn is_whose(name: &str) -> bool {
    let is_context = || name.trim().eq_ignore_ascii_case("context");
    find(name, None).is_some_and(|found| found.place != Place::Around || !is_context())
}

fn letters(name: &str) -> Option<([u8; LETTERS_MAX], usize)> {
    let (mut letters, mut len) = ([0; LETTERS_MAX], 0);
    for byte in name.bytes().filter(u8::is_ascii_alphanumeric) {
        *letters.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    Some((letters, len))
}

fn of(part: &str, within: Option<IdentifierKind>) -> Option<Place> {
    let (letters, len) = letters(part)?;
    Some(match letters.get(..len)? {
        b"id" => Place::Identifier(within?),
        b"userid" => Place::Identifier(User),
        b"installid" | b"installationid" | b"anonymousid" => Place::Identifier(Install),
        b"deviceid" => Place::Identifier(Device),
        b"serialnumber" => Place::Identifier(Serial),
        b"user" => Place::Somebody(User),
        b"install" | b"installation" => Place::Somebody(Install),
        b"device" => Place::Somebody(Device),
        b"serial" => Place::Somebody(Serial),
        b"subject" | b"subjects" | b"identifiers" | b"context" => Place::Around,
        _ => return None,
    })
}

/// The field of the native protocol that has an identifier of this kind; none for sessions, which nobody withdraws for.
pub(crate) fn field(kind: IdentifierKind) -> &'static str {
    match kind {
        User => "user_id",
        Install => "install_id",
        Device => "device_id",
        Serial => "serial_number",
        IdentifierKind::Session => "session_id",
    }
}

/// The kinds of identifiers under which somebody is known.
pub(crate) const KINDS: [IdentifierKind; 4] = [User, Install, Device, Serial];

/// Some of the kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) fn insert(&mut self, kind: IdentifierKind) {
        self.0 |= 1 << kind as u8;
    }

    pub(crate) fn contains(self, kind: IdentifierKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in either.
    pub(crate) fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Their fields, in the order of the protocol.
    pub(crate) fn fields(self) -> impl Iterator<Item = &'static str> {
        KINDS.into_iter().filter(move |kind| self.contains(*kind)).map(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_place_in_every_spelling() {
        for (name, wanted) in [
            ("user_id", Place::Identifier(User)),
            ("userId", Place::Identifier(User)),
            ("USER-ID", Place::Identifier(User)),
            ("$user_id", Place::Identifier(User)),
            ("user.id", Place::Identifier(User)),
            ("subject.user_id", Place::Identifier(User)),
            ("Subject.User.ID", Place::Identifier(User)),
            ("context.device.serialNumber", Place::Identifier(Serial)),
            ("anonymousId", Place::Identifier(Install)),
            ("installation.id", Place::Identifier(Install)),
            ("user", Place::Somebody(User)),
            ("Device", Place::Somebody(Device)),
            ("device.serial", Place::Somebody(Serial)),
            ("identifiers", Place::Around),
        ] {
            assert_eq!(find(name, None).map(|found| found.place), Some(wanted), "{name}");
        }
        for name in [
            "",
            "id",
            ".",
            "user.",
            "user_id.id",
            "subject.id",
            "username",
            "device_model",
            "session_id",
            "installed",
            "serials",
            "context.consent",
            "a_very_long_name_of_a_user_id",
        ] {
            assert!(find(name, None).is_none(), "{name}");
        }
        assert_eq!(find("ID", Some(Device)).map(|found| found.place), Some(Place::Identifier(Device)));
        assert!(is_whose("user") && is_whose("context.user_id") && !is_whose("Context") && !is_whose("name"));
    }

    #[test]
    fn kinds_are_told_as_fields() {
        let mut kinds = Kinds::default();
        assert!(kinds.is_empty());
        [Serial, User, Serial].into_iter().for_each(|kind| kinds.insert(kind));
        assert_eq!(kinds.fields().collect::<Vec<_>>(), ["user_id", "serial_number"]);
        assert!(kinds.contains(User) && !kinds.contains(Install));
    }
}
