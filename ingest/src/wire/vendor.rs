//! A vendor's event becomes one of Shoal's, by the rules in `defs/vendors/`.
//!
//! A name that is itself a declared event maps to itself. Of the properties, in this order and the first one counts:
//! constants of the rule, properties named by the rule (a dotted path into any of the roots), what the protocol itself
//! says (a duration, the frames of a crash), properties that have the declared name already. The rest is passed on
//! under its own name, for `stages/validate.rs` to drop and count.

use std::borrow::Cow;

use shoal_schemas::{EventDef, EventRule, Protocol, Registry, ValueType};

use super::{batch::Property, json::Json};

/// A vendor's event with Shoal's definition.
pub(super) struct Mapped<'a> {
    pub(super) def: &'a EventDef,
    rule: Option<&'a EventRule>,
}

/// Where the properties of a vendor's event are.
pub(super) struct Sources<'x, 'a> {
    /// Objects in which a rule's paths are looked up, in this order. The first one's members are the event's own
    /// properties: those that have a declared name are taken, the others counted.
    pub(super) roots: &'x [&'x Json<'a>],
    /// What the protocol says itself, under Shoal's names.
    pub(super) computed: Vec<(&'static str, Json<'a>)>,
}

/// The event that a vendor's name stands for.
pub(super) fn find<'a>(registry: &'a Registry, protocol: Protocol, name: &str) -> Option<Mapped<'a>> {
    if let Some(rule) = registry.vendor(protocol).rule(name) {
        return Some(Mapped { def: registry.event(&rule.to)?, rule: Some(rule) });
    }
    Some(Mapped { def: registry.event(name)?, rule: None })
}

impl<'a> Mapped<'a> {
    /// Appends the event's properties.
    pub(super) fn properties(&self, sources: Sources<'_, 'a>, out: &mut Vec<Property<'a>>) {
        let start = out.len();
        let mut used: Vec<&str> = Vec::new();
        if let Some(rule) = self.rule {
            for (name, text) in &rule.constants {
                put(out, start, name, constant(self.def, name, text));
            }
            for (path, name) in &rule.properties {
                let found = sources.roots.iter().find_map(|root| root.path(path));
                if let Some(value) = found.filter(|v| !matches!(v, Json::Null)) {
                    put(out, start, name, value.clone());
                    used.push(path.split('.').next().unwrap_or(path));
                }
            }
        }
        for (name, value) in sources.computed {
            if let Some(property) = self.def.property(name) {
                put(out, start, &property.name, value);
            }
        }
        let own = sources.roots.first().map_or(&[][..], |root| root.members());
        let first = out.len();
        // Of a name that stands twice the last counts that is not null; they stay in the order of the event. Those that are not
        // declared come behind them: there may be any number of these, and none is compared with another.
        for (name, value) in own.iter().rev() {
            if let Some(property) = self.def.property(name) {
                put(out, start, &property.name, value.clone());
            }
        }
        out[first..].reverse();
        for (name, _) in own.iter().rev() {
            if self.def.property(name).is_none() && !used.contains(&&**name) {
                out.push((name.clone(), Json::Null));
            }
        }
    }
}

/// Adds a declared property, unless it is there already. So far there are only declared ones, each once.
fn put<'a>(out: &mut Vec<Property<'a>>, start: usize, name: &'a str, value: Json<'a>) {
    let is_new = out[start..].iter().all(|(present, _)| present != name);
    if is_new && !matches!(value, Json::Null) {
        out.push((Cow::Borrowed(name), value));
    }
}

/// A constant of a rule, as the type that its property has.
fn constant<'a>(def: &EventDef, name: &str, text: &'a str) -> Json<'a> {
    match def.property(name).map(|p| p.ty) {
        Some(ValueType::Boolean) => Json::Boolean(text == "true"),
        Some(ValueType::Number { .. }) => text.parse().map_or(Json::Null, Json::Float),
        _ => Json::Text(Cow::Borrowed(text)),
    }
}
