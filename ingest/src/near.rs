//! Names in a request that nothing has, and the declared ones that were probably meant.
//!
//! Invariants: what is suggested is a declared name, never a word of the body; it follows from the request and the definitions alone,
//! so whoever holds a shipped key may be told; the work is bounded: so many unknown names of a request are compared, each with every
//! declared name once.
//! Not here: how near names are (`shoal_schemas::nearest`), by which names others call fields (`wire/native/unknown.rs`).

use std::borrow::Cow;

use serde::Serialize;
use shoal_schemas::nearest::{BYTES_MAX, nearest};

/// Different unknown names of one request that are compared, at the most: so many of fields, and so many of events and properties.
const COMPARED_MAX: usize = 32;
/// Names that an answer suggests, at the most.
const SUGGESTED_MAX: usize = 16;

/// A declared name that was probably meant by one that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Meant {
    /// A field of the protocol, or a property.
    pub name: Cow<'static, str>,
    /// The event whose property it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// So many names were left out that probably mean it.
    pub count: u64,
}

/// What an unknown name is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Among {
    /// The fields of the protocol.
    Fields,
    /// The events that the key may send.
    Events,
    /// The properties of the event with this index.
    Properties(u16),
}

/// A name that was compared, and the position of what it is near to. No `Debug`: it is a word of the body.
#[derive(Clone)]
struct Compared {
    among: Among,
    name: Box<str>,
    at: Option<usize>,
}

/// What was probably meant in one request. No `Debug`: it holds words of the body.
#[derive(Clone, Default)]
pub(crate) struct Near {
    /// The same name is in each event of its kind, and is compared once.
    compared: Vec<Compared>,
    found: Vec<Meant>,
}

impl Near {
    /// The position of the declared name that an unknown one is near to; none as well when too many were compared.
    pub(crate) fn find<'n>(
        &mut self,
        among: Among,
        name: &str,
        declared: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<usize> {
        if name.len() > BYTES_MAX {
            return None;
        }
        let is_same = |before: &&Compared| before.among == among && *before.name == *name;
        if let Some(before) = self.compared.iter().find(is_same) {
            return before.at;
        }
        let are_fields = among == Among::Fields;
        let alike = self.compared.iter().filter(|before| (before.among == Among::Fields) == are_fields);
        if alike.count() >= COMPARED_MAX {
            return None;
        }
        let found = nearest(name, declared.clone());
        let at = found.and_then(|found| declared.into_iter().position(|one| one == found));
        self.compared.push(Compared { among, name: name.into(), at });
        at
    }

    /// A field of the protocol was probably meant.
    pub(crate) fn field(&mut self, name: &'static str) {
        self.note(Cow::Borrowed(name), None);
    }

    /// A property of an event was probably meant.
    pub(crate) fn property(&mut self, event: &str, name: &str) {
        self.note(Cow::Owned(name.to_owned()), Some(event));
    }

    fn note(&mut self, name: Cow<'static, str>, event: Option<&str>) {
        let is_same = |meant: &Meant| meant.name == name && meant.event.as_deref() == event;
        if let Some(at) = self.found.iter().position(is_same) {
            self.found[at].count += 1;
        } else if self.found.len() < SUGGESTED_MAX {
            self.found.push(Meant { name, event: event.map(str::to_owned), count: 1 });
        }
    }

    /// What the answer says.
    pub(crate) fn into_found(self) -> Vec<Meant> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_and_suggesting_have_an_end() {
        let mut near = Near::default();
        let mut find = |among, name: &str| near.find(among, name, ["screen", "click"].into_iter());
        // The same name is compared once, and with each event's properties.
        for _ in 0..100 {
            assert_eq!(find(Among::Properties(1), "clik"), Some(1));
        }
        assert_eq!(find(Among::Properties(2), "clik"), Some(1));
        let names = (0..100).map(|at| format!("screen{at}"));
        let compared = names.filter(|name| find(Among::Events, name).is_some()).count();
        assert_eq!(compared, COMPARED_MAX - 2);
        assert_eq!(find(Among::Properties(1), "clik"), Some(1), "what was compared stays known");
        assert_eq!(find(Among::Fields, "scren"), Some(0), "fields have room of their own");
        assert_eq!(find(Among::Fields, &"scren".repeat(20)), None);
        for event in 0..100 {
            near.property(&event.to_string(), "screen");
            near.field("time");
        }
        let found = near.into_found();
        assert_eq!(found.len(), SUGGESTED_MAX);
        assert_eq!(found[1], Meant { name: Cow::Borrowed("time"), event: None, count: 100 });
    }
}
