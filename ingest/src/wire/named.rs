//! Whom the members of an object name, wherever that may stand (`places.rs`), and whether what stands there is an identifier.
//!
//! Invariant: what is not null, and no identifier, is told all the same: whom it means is not known, and nobody must take it for
//! nobody. Not here: what an event makes of them (`taken.rs`), the names (`places.rs`), which identifiers name nobody (`shoal-privacy`, `identifier.rs`).

use std::borrow::Cow;

use shoal_privacy::identifier::is_placeholder;
use shoal_schemas::IdentifierKind::{self, Device, Serial, User};

use super::{
    json::{Json, is_damaged},
    places::{self, Found, IDENTIFIER_BYTES_MAX, Place},
};

/// Why something is no identifier.
pub(crate) const NO_IDENTIFIER: &str =
    "an identifier must be a string of at most 256 bytes, or a whole number of less than 2^64";

/// What stands in the place of an identifier.
pub(crate) struct Named<'j, 'a> {
    pub(crate) kind: IdentifierKind,
    pub(crate) value: &'j Json<'a>,
    /// Whether it can be nothing else. What an event calls its `device` may be a model, and its `serial` a number of its own: whoever
    /// withdraws under it is known by it, and nobody else.
    pub(crate) is_sure: bool,
}

/// Tells each place of an identifier in a member of an event, or of a change of consent.
pub(crate) fn each<'j, 'a>(name: &str, value: &'j Json<'a>, tell: &mut dyn FnMut(Named<'j, 'a>)) {
    member(name, value, None, tell);
}

fn member<'j, 'a>(
    name: &str,
    value: &'j Json<'a>,
    within: Option<IdentifierKind>,
    tell: &mut dyn FnMut(Named<'j, 'a>),
) {
    let Some(Found { place, within }) = places::find(name, within) else { return };
    let mut all = |of: &'j Json<'a>, about| {
        of.members().iter().for_each(|(name, value)| member(name, value, about, tell));
    };
    match (place, value) {
        (_, Json::Null) => {}
        (Place::Somebody(kind), Json::Map(_)) => all(value, Some(kind)),
        // Some programs write an object without members so.
        (Place::Somebody(_), Json::List(items)) if items.is_empty() => {}
        (Place::Around, Json::List(items)) => items.iter().for_each(|item| all(item, None)),
        // Whoever was in it is lost.
        (Place::Around, Json::Beyond) => tell(Named { kind: User, value, is_sure: true }),
        (Place::Around, _) => all(value, None),
        (Place::Identifier(kind), _) => tell(Named { kind, value, is_sure: true }),
        (Place::Somebody(kind), _) => {
            let is_of_device = kind == Serial && within == Some(Device);
            tell(Named { kind, value, is_sure: kind == User || is_of_device });
        }
    }
}

/// An identifier beside the one that stands in the field of its kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Also<'a> {
    pub(crate) kind: IdentifierKind,
    pub(crate) value: Cow<'a, str>,
    /// Whether it can be nothing else.
    pub(crate) is_sure: bool,
}

/// What stands in the place of an identifier under another name than the field's.
pub(in crate::wire) struct OtherNamed<'a> {
    pub(in crate::wire) kind: IdentifierKind,
    pub(in crate::wire) value: Json<'a>,
    pub(in crate::wire) is_sure: bool,
}

/// What the value in the place of an identifier says.
pub(crate) enum Said<'a> {
    /// Nobody: it is null, empty, or nothing but zeros.
    Nobody,
    /// This. It may be a placeholder.
    Identifier(Cow<'a, str>),
    /// A part of it was lost on its way.
    Damaged,
    /// Something, and not which: it is too long, a number whose digits are lost, or no text and no number.
    Unreadable,
}

/// What a value says in the place of an identifier.
pub(crate) fn said<'a>(value: &Json<'a>) -> Said<'a> {
    match value {
        Json::Null => Said::Nobody,
        Json::Text(text) if text.trim().is_empty() => Said::Nobody,
        Json::Text(text) if is_damaged(text) => Said::Damaged,
        Json::Text(text) if text.len() > IDENTIFIER_BYTES_MAX && is_placeholder(text) => Said::Nobody,
        _ => match value.identifier().filter(|id| id.len() <= IDENTIFIER_BYTES_MAX) {
            Some(id) => Said::Identifier(id),
            None => Said::Unreadable,
        },
    }
}
