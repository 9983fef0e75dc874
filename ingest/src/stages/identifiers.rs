//! The identifiers of an event, and which of them its subject may be.
//!
//! Not here: their canonical forms, and which of them name nobody (`shoal-privacy`, `identifier.rs`).

use std::borrow::Cow;

use shoal_schemas::{IdentifierKind, Programme, PropertyDef, ValueType};

use crate::{
    answer::{Code, Rejection},
    wire::json::Json,
};

/// The identifiers of an event.
#[derive(Default)]
pub(crate) struct Identifiers<'a> {
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) install: Option<Cow<'a, str>>,
    pub(crate) device: Option<Cow<'a, str>>,
    pub(crate) serial: Option<Cow<'a, str>>,
    pub(crate) session: Option<Cow<'a, str>>,
}

impl<'a> Identifiers<'a> {
    /// What may be the subject of an event of this programme: the first identifier that there is.
    pub(crate) fn subject(&self, programme: Programme) -> Option<(IdentifierKind, &str)> {
        use IdentifierKind::{Device, Install, Serial, User};
        let Identifiers { user, install, device, serial, .. } = self;
        let named: &[(IdentifierKind, &Option<Cow<'_, str>>)] = match programme {
            Programme::UserExperience => &[(User, user), (Install, install), (Device, device)],
            Programme::DeviceExperience => {
                &[(Serial, serial), (Device, device), (Install, install), (User, user)]
            }
        };
        named.iter().find_map(|(kind, value)| Some((*kind, value.as_deref()?)))
    }

    /// Takes a property that is an identifier: it counts where the event itself says none of its kind.
    ///
    /// # Errors
    /// When it is no text or number, or too long.
    pub(crate) fn take(
        &mut self,
        def: &PropertyDef,
        kind: IdentifierKind,
        value: &Json<'a>,
    ) -> Result<(), Rejection> {
        let Some(text) = value.identifier() else {
            return Err(Rejection::property(Code::WrongType, &def.name, "must be a string"));
        };
        if let ValueType::Text { bytes_max } = def.ty
            && text.len() > bytes_max as usize
        {
            let reason = format!("longer than {bytes_max} bytes");
            return Err(Rejection::property(Code::TooLong, &def.name, reason));
        }
        let slot = match kind {
            IdentifierKind::User => &mut self.user,
            IdentifierKind::Install => &mut self.install,
            IdentifierKind::Device => &mut self.device,
            IdentifierKind::Serial => &mut self.serial,
            IdentifierKind::Session => &mut self.session,
        };
        slot.get_or_insert(text);
        Ok(())
    }
}
