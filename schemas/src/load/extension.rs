//! A file of the overlay that adds properties to a known event: it names the event and what is new, and repeats nothing.
//!
//! ```toml
//! extends = "click"                # events/click.toml
//! [properties.column]              # as in an event of one's own; never required
//! ```
//! What comes out is the event's whole file with the additions in it, so that everything after it knows one form.
//! Not here: what a file may change (`overlay`), what a property may say (`property`).

use super::fault::Faults;
use super::overlay;
use super::raw::{Event, Extension, File};
use super::source::Source;
use crate::nearest::nearest;

/// Whether a file is one that extends an event.
pub(super) fn is_one(source: &Source) -> bool {
    source.is_overlay
        && toml::from_str::<toml::Table>(&source.text).is_ok_and(|table| table.contains_key("extends"))
}

/// Puts what a file adds into the event that it names.
pub(super) fn add(events: &mut [File<Event>], file: File<Extension>, faults: &mut Faults) {
    let File { source, body } = file;
    let (name, at) = (body.extends.get_ref().clone(), body.extends.span());
    let Some(known) = events.iter_mut().find(|event| *event.body.name.get_ref() == name) else {
        let near = nearest(&name, events.iter().map(|event| event.body.name.get_ref().as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let reason = format!("extends `{}`, which is no embedded event{near}", name.escape_debug());
        return faults.at(&source, at, reason);
    };
    if source.stem() != name {
        let reason = format!("what extends `{name}` belongs in events/{name}.toml");
        return faults.at(&source, at, reason);
    }
    let mut whole = known.body.clone();
    // Faults of the event as a whole are of this file: the embedded one has none.
    whole.name = body.extends;
    for (property, definition) in body.properties {
        if whole.properties.contains_key(property.get_ref().as_str()) {
            let reason = format!(
                "property `{}` is declared already: to change it, write the whole file of the event",
                property.get_ref().escape_debug()
            );
            faults.at(&source, property.span(), reason);
            continue;
        }
        whole.properties.insert(property, definition);
    }
    whole.pass.extend(body.pass);
    whole.fail.extend(body.fail);
    let whole = File { source, body: whole };
    overlay::event(known, &whole, faults);
    *known = whole;
}
