//! What an event, or its batch, makes of identifiers that stand under another name than that of the field: they are taken as the field
//! where that says nobody, and beside it otherwise.
//!
//! Invariant: nothing that stands in the place of an identifier is taken for absent, unless it says nobody or is damaged.
//! Not here: where identifiers stand (`places.rs`, `named.rs`), what follows from those beside the fields (`stages/permit.rs`).

use std::borrow::Cow;

use shoal_privacy::identifier::is_placeholder;
use shoal_schemas::IdentifierKind;

use super::{
    batch::Common,
    named::{Also, NO_IDENTIFIER, Named, Said, said},
};

/// Identifiers that an event names beside those of its fields, at the most.
const ALSO_MAX: usize = 16;

/// What became of what stands in the place of an identifier under another name than the field's.
pub(in crate::wire) enum Taken {
    /// It says nobody, or is taken as the field.
    Nothing,
    /// The field says another one.
    Beside,
    /// A part of it is lost.
    Damaged,
    /// It is none, for this reason.
    Unreadable(&'static str),
}

impl<'a> Common<'a> {
    /// Takes what stands in the place of an identifier under another name than the field's: as the field, where that says nobody, or
    /// beside it. It is known when the fields are.
    pub(in crate::wire) fn take_named(&mut self, of: &Named<'_, 'a>) -> Taken {
        let value = match said(of.value) {
            Said::Nobody => return Taken::Nothing,
            Said::Damaged => return Taken::Damaged,
            Said::Identifier(value) => value,
            Said::Unreadable => {
                self.unreadable.insert(of.kind);
                return Taken::Unreadable(NO_IDENTIFIER);
            }
        };
        let is_known = |known: &Cow<'a, str>| *known == value;
        if self.named(of.kind).is_some_and(is_known)
            || self.also.iter().any(|also| also.kind == of.kind && is_known(&also.value))
        {
            return Taken::Nothing;
        }
        if of.is_sure && self.named(of.kind).is_none_or(|known| is_placeholder(known)) {
            *self.slot(of.kind) = Some(value);
            return Taken::Nothing;
        }
        if self.also.len() == ALSO_MAX {
            self.unreadable.insert(of.kind);
            return Taken::Unreadable("there are more than 16 others");
        }
        self.also.push(Also { kind: of.kind, value, is_sure: of.is_sure });
        Taken::Beside
    }

    fn slot(&mut self, kind: IdentifierKind) -> &mut Option<Cow<'a, str>> {
        match kind {
            IdentifierKind::User => &mut self.user,
            IdentifierKind::Install => &mut self.install,
            IdentifierKind::Device => &mut self.device,
            IdentifierKind::Serial => &mut self.serial,
            IdentifierKind::Session => &mut self.session,
        }
    }
}
