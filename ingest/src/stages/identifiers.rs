//! The identifiers of an event, and which of them its subject may be.
//!
//! Invariants: there is one answer to whose an event is: whom it is kept or withheld for is whom its decisions are recorded for.
//! What is stated beside the identifiers of an event is known too, so that it stays in no text.
//! Not here: their canonical forms, and which of them name nobody (`shoal-privacy`, `identifier.rs`).

use std::borrow::Cow;

use shoal_privacy::identifier::is_placeholder;
use shoal_schemas::{Class, EventDef, IdentifierKind, Programme, PropertyDef, ValueType};

use crate::{
    answer::{Code, Rejection},
    wire::{
        batch::{Common, OtherIdentifier, Property},
        json::Json,
        named::Also,
    },
};

/// The identifiers of an event. What names nobody is none, so that the next one may be the subject.
#[derive(Default)]
pub(crate) struct Identifiers<'a> {
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) install: Option<Cow<'a, str>>,
    pub(crate) device: Option<Cow<'a, str>>,
    pub(crate) serial: Option<Cow<'a, str>>,
    pub(crate) session: Option<Cow<'a, str>>,
    /// What is stated beside these.
    pub(crate) others: Vec<OtherIdentifier<'a>>,
    /// Others that it names: whoever has withdrawn under one of them is meant. They are no subjects.
    pub(crate) also: Vec<Also<'a>>,
    /// So many named nobody.
    pub(crate) placeholders: u64,
}

impl<'a> Identifiers<'a> {
    /// Those that an event says, or else its batch.
    pub(crate) fn of(own: &Common<'a>, shared: &Common<'a>) -> Identifiers<'a> {
        let (mut placeholders, mut others) = (0, Vec::new());
        others.extend(own.others.iter().chain(&shared.others).cloned());
        let mut pick = |own: &Option<Cow<'a, str>>, shared: &Option<Cow<'a, str>>| {
            let mut said = [own, shared].into_iter().flatten();
            let picked = said.find(|value| {
                let is_placeholder = is_placeholder(value);
                placeholders += u64::from(is_placeholder);
                !is_placeholder
            });
            // What a batch says of events that say otherwise.
            let more = said.find(|value| Some(*value) != picked && !is_placeholder(value));
            others.extend(more.map(|value| OtherIdentifier { kind: None, value: value.clone() }));
            picked.cloned()
        };
        Identifiers {
            user: pick(&own.user, &shared.user),
            install: pick(&own.install, &shared.install),
            device: pick(&own.device, &shared.device),
            serial: pick(&own.serial, &shared.serial),
            session: pick(&own.session, &shared.session),
            others,
            also: also(own, shared),
            placeholders,
        }
    }

    /// Further names of the same person, under which consent may be recorded.
    pub(crate) fn also_named(&self) -> impl Iterator<Item = (IdentifierKind, &str)> + Clone {
        self.others.iter().filter_map(|other| Some((other.kind?, &*other.value)))
    }

    /// All that must stay in no text.
    pub(crate) fn stated(&self) -> impl Iterator<Item = &str> + Clone {
        let own = [&self.user, &self.install, &self.device, &self.serial, &self.session];
        own.into_iter().flatten().chain(self.others.iter().map(|other| &other.value)).map(|value| &**value)
    }

    /// Whether an identifier that a batch states, and that is none, may be that of an event: its subject is not known then. It is
    /// where the event says one of the same kind itself, or one that comes before it.
    pub(crate) fn is_behind_unreadable_of(&self, shared: &Common<'a>, programme: Programme) -> bool {
        if shared.unreadable.is_empty() {
            return false;
        }
        for kind in order(programme) {
            let named = self.get(kind);
            let is_own = named.is_some() && named.as_ref() != shared.named(kind);
            if shared.unreadable.contains(kind) && !is_own {
                return true;
            }
            if named.is_some() {
                return false;
            }
        }
        false
    }

    fn get(&self, kind: IdentifierKind) -> &Option<Cow<'a, str>> {
        match kind {
            IdentifierKind::User => &self.user,
            IdentifierKind::Install => &self.install,
            IdentifierKind::Device => &self.device,
            IdentifierKind::Serial => &self.serial,
            IdentifierKind::Session => &self.session,
        }
    }

    /// Those under which consent may be recorded.
    pub(crate) fn named(&self) -> [(IdentifierKind, Option<&str>); 4] {
        [
            (IdentifierKind::User, self.user.as_deref()),
            (IdentifierKind::Install, self.install.as_deref()),
            (IdentifierKind::Device, self.device.as_deref()),
            (IdentifierKind::Serial, self.serial.as_deref()),
        ]
    }

    /// Takes the properties of an event that are identifiers, as [`Identifiers::take`] does, and leaves out what is none.
    pub(crate) fn take_all(&mut self, def: &EventDef, properties: &[Property<'a>]) {
        for (name, value) in properties.iter().rev().filter(|(_, value)| !matches!(value, Json::Null)) {
            if let Some(property) = def.property(name)
                && let Class::Identifier(kind) = property.class
            {
                let _ = self.take(property, kind, value);
            }
        }
    }

    /// What may be the subject of an event of this programme: the first identifier that there is.
    pub(crate) fn subject(&self, programme: Programme) -> Option<(IdentifierKind, &str)> {
        let may_be = |kind: &IdentifierKind| {
            programme == Programme::DeviceExperience || *kind != IdentifierKind::Serial
        };
        let mut kinds = order(programme).into_iter().filter(may_be);
        kinds.find_map(|kind| Some((kind, self.get(kind).as_deref()?)))
    }

    /// Takes a property that is an identifier: it counts where the event itself, or its batch, says none of its kind.
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
        if is_placeholder(&text) {
            self.placeholders += 1;
            return Ok(());
        }
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
        match slot {
            Some(said) if *said != text => self.others.push(OtherIdentifier { kind: None, value: text }),
            Some(_) => {}
            None => *slot = Some(text),
        }
        Ok(())
    }
}

/// The kinds in the order in which they are looked at for a subject. A serial number is none where people use apps, and is the last.
fn order(programme: Programme) -> [IdentifierKind; 4] {
    use IdentifierKind::{Device, Install, Serial, User};
    match programme {
        Programme::UserExperience => [User, Install, Device, Serial],
        Programme::DeviceExperience => [Serial, Device, Install, User],
    }
}

/// What an event names beside the identifiers that it has, and what its batch does of a kind of which the event says none.
fn also<'a>(own: &Common<'a>, shared: &Common<'a>) -> Vec<Also<'a>> {
    let says = |kind| own.named(kind).is_some_and(|value| !is_placeholder(value));
    let of_batch = shared.also.iter().filter(|also| !says(also.kind));
    own.also.iter().chain(of_batch).filter(|also| !is_placeholder(&also.value)).cloned().collect()
}
