//! What an event's file may say, its examples included.
//!
//! Not here: whether an example is accepted or rejected; the gate decides that, and its tests run every example.

use std::collections::BTreeMap;

use toml::Spanned;

use super::fault::Faults;
use super::property::{is_name, property, sentence, within};
use super::raw::{self, File};
use super::source::Source;
use crate::{EventDef, Kind, Programme, PropertyDef};

/// An event with more is several events.
const PROPERTIES_MAX: usize = 64;
/// Positions are 16 bits wide; far below that, a registry is unreadable.
const EVENTS_MAX: usize = 4_096;
/// Events of one name that one subject's day may count.
const DAY_MAX: i64 = 10_000;

/// A member of a closed set by its name, or a fault that lists the members.
macro_rules! member {
    ($set:ty, $source:expr, $text:expr, $faults:expr) => {{
        let text: &toml::Spanned<String> = $text;
        let found = <$set>::parse(text.get_ref());
        if found.is_none() {
            let names: Vec<&str> = <$set>::ALL.iter().map(|m| m.as_str()).collect();
            let reason = $crate::load::fault::unknown("name", text.get_ref(), &names);
            $faults.at($source, text.span(), reason);
        }
        found
    }};
}
pub(super) use member;

/// Checks all events and sorts them by name. Columns are not assigned yet.
pub(super) fn events(files: &[File<raw::Event>], faults: &mut Faults) -> Vec<EventDef> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut events = Vec::new();
    for file in files {
        let (source, name) = (&file.source, &file.body.name);
        if let Some(first) = seen.insert(name.get_ref(), &source.name) {
            let reason = format!(
                "event `{}` is already declared in {first}; to add to it, use a file of that name",
                name.get_ref().escape_debug()
            );
            faults.at(source, name.span(), reason);
            continue;
        }
        events.extend(event(file, faults));
    }
    if let (Some(file), true) = (files.last(), files.len() > EVENTS_MAX) {
        faults.at(&file.source, file.source.start(), format!("more than {EVENTS_MAX} events"));
        events.truncate(EVENTS_MAX);
    }
    if files.is_empty() {
        faults.at_file("events", "no event is declared");
    }
    events.sort_by(|a, b| a.name.cmp(&b.name));
    for (index, event) in events.iter_mut().enumerate() {
        event.index = u16::try_from(index).unwrap_or(u16::MAX);
    }
    events
}

fn event(file: &File<raw::Event>, faults: &mut Faults) -> Option<EventDef> {
    let (source, raw) = (&file.source, &file.body);
    let name = raw.name.get_ref();
    if !is_name(name) {
        let reason = format!("event name `{}` must match [a-z][a-z0-9_]{{0,63}}", name.escape_debug());
        faults.at(source, raw.name.span(), reason);
    } else if name != source.stem() {
        let reason = format!("event `{name}` belongs in events/{name}.toml");
        faults.at(source, raw.name.span(), reason);
    }
    let kind = member!(Kind, source, &raw.kind, faults);
    let programme = member!(Programme, source, &raw.programme, faults);
    let doc = sentence(source, &raw.doc, faults);
    let day_max = within(source, &raw.day_max, 1..=DAY_MAX, "day_max", faults);
    let properties = properties(source, raw, kind, faults);
    for example in &raw.pass {
        pass_example(source, &example.json, raw, faults);
    }
    for example in &raw.fail {
        fail_example(source, example, faults);
    }
    if raw.pass.is_empty() || raw.fail.is_empty() {
        faults.at(source, raw.name.span(), "needs at least one [[pass]] and one [[fail]] example");
    }
    Some(EventDef {
        name: name.clone(),
        index: 0,
        kind: kind?,
        programme: programme?,
        doc,
        day_max: u32::try_from(day_max).ok()?,
        properties,
        pass: raw.pass.iter().map(|e| e.json.get_ref().clone()).collect(),
        fail: raw.fail.iter().map(|e| (e.json.get_ref().clone(), e.code.get_ref().clone())).collect(),
    })
}

fn properties(
    source: &Source,
    raw: &raw::Event,
    kind: Option<Kind>,
    faults: &mut Faults,
) -> Vec<PropertyDef> {
    if raw.properties.len() > PROPERTIES_MAX {
        let reason = format!("more than {PROPERTIES_MAX} properties");
        faults.at(source, raw.name.span(), reason);
    }
    for (name, def) in &raw.properties {
        let frames = def.get_ref().ty.get_ref() == "frames";
        if frames && (name.get_ref() != "frames" || kind.is_some_and(|k| k != Kind::Crash)) {
            let reason = "type `frames` is for the property `frames` of a crash event";
            faults.at(source, name.span(), reason);
        }
    }
    raw.properties
        .iter()
        .take(PROPERTIES_MAX)
        .filter_map(|(name, def)| property(source, name, def, faults))
        .collect()
}

/// A pass example is a JSON object of this event with every required property, and no undeclared one.
fn pass_example(source: &Source, json: &Spanned<String>, raw: &raw::Event, faults: &mut Faults) {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(json.get_ref());
    let value = match parsed {
        Ok(serde_json::Value::Object(value)) => value,
        Ok(_) => return faults.at(source, json.span(), "an example is a JSON object"),
        Err(error) => {
            let reason = format!("the example is not JSON: {error}");
            return faults.at(source, json.span(), reason);
        }
    };
    if value.get("event").and_then(|v| v.as_str()) != Some(raw.name.get_ref()) {
        let reason = format!("the example's `event` is not `{}`", raw.name.get_ref().escape_debug());
        faults.at(source, json.span(), reason);
    }
    let empty = serde_json::Map::new();
    let properties = match value.get("properties") {
        Some(serde_json::Value::Object(properties)) => properties,
        Some(_) => return faults.at(source, json.span(), "the example's `properties` is not an object"),
        None => &empty,
    };
    for (name, def) in &raw.properties {
        if def.get_ref().required && !properties.contains_key(name.get_ref()) {
            let reason = format!("the example lacks the required `{}`", name.get_ref().escape_debug());
            faults.at(source, json.span(), reason);
        }
    }
    for name in properties.keys() {
        if !raw.properties.contains_key(name.as_str()) {
            let reason = format!("the example's property `{}` is not declared", name.escape_debug());
            faults.at(source, json.span(), reason);
        }
    }
}

/// A fail example is any text with a code; most are JSON, but need not be.
fn fail_example(source: &Source, example: &raw::FailExample, faults: &mut Faults) {
    if !is_name(example.code.get_ref()) {
        let reason = "a code is a lower-case name, as `out_of_bounds`";
        faults.at(source, example.code.span(), reason);
    }
    if example.json.get_ref().is_empty() {
        faults.at(source, example.json.span(), "the example is empty");
    }
}
