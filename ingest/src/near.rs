//! Names in a request that nothing has, and the declared ones that were probably meant.
//!
//! Invariants: what is suggested is a declared name, never a word of the body; it follows from the request and the definitions alone,
//! so whoever holds a shipped key may be told; the work is bounded: so many unknown names of a request are compared, each with every
//! declared name once.
//! Not here: how near names are (`shoal_schemas::nearest`), by which names others call fields (`wire/native/unknown.rs`).

use std::borrow::Cow;

use serde::Serialize;

/// Unknown names of one request that are compared, at the most: so many of fields, and so many of events and properties.
const COMPARED_MAX: u32 = 32;
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

/// What was probably meant in one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Near {
    compared: u32,
    compared_fields: u32,
    found: Vec<Meant>,
}

impl Near {
    /// Whether one more name of an event or a property may be compared with all declared ones.
    pub(crate) fn may_compare(&mut self) -> bool {
        one_more(&mut self.compared)
    }

    /// Whether one more name of a field may be compared with all fields of the protocol.
    pub(crate) fn may_compare_field(&mut self) -> bool {
        one_more(&mut self.compared_fields)
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

fn one_more(compared: &mut u32) -> bool {
    let may = *compared < COMPARED_MAX;
    *compared += u32::from(may);
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_and_suggesting_have_an_end() {
        let mut near = Near::default();
        assert_eq!((0..100).filter(|_| near.may_compare()).count(), COMPARED_MAX as usize);
        for event in 0..100 {
            near.property(&event.to_string(), "screen");
            near.field("time");
        }
        let found = near.into_found();
        assert_eq!(found.len(), SUGGESTED_MAX);
        assert_eq!(found[1], Meant { name: Cow::Borrowed("time"), event: None, count: 100 });
    }
}
