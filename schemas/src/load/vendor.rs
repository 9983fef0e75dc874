//! What a vendor's mapping may say: its rules set declared properties of declared events, and each can be reached.
//!
//! Not checked: that a rule sets every required property; the protocol sets some itself, and a sender may use the declared
//! names. Not here: what the protocol sets itself (`shoal-ingest`, `wire/`).

use toml::Spanned;

use super::event::member;
use super::fault::Faults;
use super::raw::{self, File};
use super::source::Source;
use crate::vendor::matches;
use crate::{Class, Domain, EventDef, EventRule, PropertyDef, Protocol, ValueType, VendorMap};

/// Longest vendor name or path, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// The maps, in the order of [`Protocol::ALL`]. An overlay's rules come before the embedded ones, so that they win;
/// one with the same `from` takes its place.
pub(super) fn vendors(
    files: &[File<raw::Vendor>],
    events: &[EventDef],
    faults: &mut Faults,
) -> [VendorMap; Protocol::ALL.len()] {
    let mut maps: [VendorMap; Protocol::ALL.len()] = Default::default();
    for file in files {
        let (source, raw) = (&file.source, &file.body);
        let Some(protocol) = member!(Protocol, source, &raw.protocol, faults) else {
            continue;
        };
        if protocol == Protocol::Native {
            let reason = "the native protocol uses the declared names; it has no mapping";
            faults.at(source, raw.protocol.span(), reason);
            continue;
        }
        if source.stem() != protocol.as_str() {
            let reason = format!("the mapping of {protocol} belongs in vendors/{protocol}.toml");
            faults.at(source, raw.protocol.span(), reason);
        }
        let mut rules: Vec<EventRule> = Vec::new();
        for raw in &raw.rules {
            reachable(source, &raw.from, &rules, faults);
            rules.extend(rule(source, raw, events, faults));
        }
        let map = &mut maps[protocol.index()].events;
        let new = |r: &EventRule| !rules.iter().any(|n| n.from.eq_ignore_ascii_case(&r.from));
        let kept: Vec<EventRule> = map.drain(..).filter(new).collect();
        map.extend(rules);
        map.extend(kept);
    }
    maps
}

/// A rule behind one that takes all its names never runs.
fn reachable(source: &Source, from: &Spanned<String>, before: &[EventRule], faults: &mut Faults) {
    let name = from.get_ref();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let reason = format!("`from` is 1 to {NAME_BYTES_MAX} bytes long");
        faults.at(source, from.span(), reason);
    }
    let head = name.strip_suffix('*').unwrap_or(name);
    if head.contains('*') {
        faults.at(source, from.span(), "`*` stands at the end only");
    }
    if let Some(first) = before.iter().find(|r| matches(&r.from, name)) {
        let reason = format!("is never reached: the rule for `{}` takes it", first.from.escape_debug());
        faults.at(source, from.span(), reason);
    }
}

fn rule(source: &Source, raw: &raw::Rule, events: &[EventDef], faults: &mut Faults) -> Option<EventRule> {
    let Some(event) = events.iter().find(|e| e.name == *raw.to.get_ref()) else {
        let reason = format!("event `{}` is not declared", raw.to.get_ref().escape_debug());
        faults.at(source, raw.to.span(), reason);
        return None;
    };
    // TOML tables have no order of their own; the order in the file decides which source of a property is tried first.
    let mut pairs: Vec<_> = raw.properties.iter().collect();
    pairs.sort_by_key(|(from, _)| from.span().start);
    let mut properties = Vec::new();
    for (from, to) in pairs {
        target(source, event, to, faults);
        let path = from.get_ref();
        if path.len() > NAME_BYTES_MAX || path.split('.').any(str::is_empty) {
            faults.at(source, from.span(), "a vendor's property is names joined by dots");
        }
        properties.push((path.clone(), to.get_ref().clone()));
    }
    let mut constants = Vec::new();
    for (name, value) in &raw.constants {
        if let Some(property) = target(source, event, name, faults) {
            constant(source, property, value, faults);
        }
        if properties.iter().any(|(_, to)| to == name.get_ref()) {
            let reason = format!("`{}` is set twice by this rule", name.get_ref().escape_debug());
            faults.at(source, name.span(), reason);
        }
        constants.push((name.get_ref().clone(), value.get_ref().clone()));
    }
    Some(EventRule { from: raw.from.get_ref().clone(), to: event.name.clone(), properties, constants })
}

fn target<'e>(
    source: &Source,
    event: &'e EventDef,
    name: &Spanned<String>,
    faults: &mut Faults,
) -> Option<&'e PropertyDef> {
    let found = event.property(name.get_ref());
    if found.is_none() {
        let reason =
            format!("property `{}` is not declared by event `{}`", name.get_ref().escape_debug(), event.name);
        faults.at(source, name.span(), reason);
    }
    found
}

/// A constant is a value that the property accepts.
fn constant(source: &Source, property: &PropertyDef, value: &Spanned<String>, faults: &mut Faults) {
    let text = value.get_ref();
    let listed = match &property.class {
        Class::Dimension { domain: Domain::Listed(values), .. } => values.contains(text),
        _ => true,
    };
    let fits = match property.ty {
        ValueType::Text { bytes_max } => text.len() <= bytes_max as usize,
        ValueType::Boolean => text == "true" || text == "false",
        ValueType::Number { .. } => number(property, text),
        ValueType::Frames => false,
    };
    if !listed || !fits {
        let reason = format!("is not a value of `{}`", property.name);
        faults.at(source, value.span(), reason);
    }
}

/// Whether a whole number lies within the bounds.
fn number(property: &PropertyDef, text: &str) -> bool {
    let (ValueType::Number { scale }, Ok(value)) = (property.ty, text.parse::<i64>()) else {
        return false;
    };
    let scaled = 10_i64.checked_pow(u32::from(scale)).and_then(|f| value.checked_mul(f));
    match (scaled, property.bounds) {
        (Some(scaled), Some((min, max))) => min <= scaled && scaled <= max,
        (scaled, None) => scaled.is_some(),
        (None, _) => false,
    }
}
