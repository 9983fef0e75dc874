//! What a file of the overlay may change about the embedded file that it replaces: by addition only.
//!
//! An app in the field and a row in a table keep the meaning they had: no property goes, no type, unit or scale
//! changes, no class gets weaker, nothing becomes required, no listed value goes. Bounds (`day_max`, `keys_max`,
//! `min`, `max`, `day_sum_max`) may change: noise is scaled to them when a question is asked. Lists (countries,
//! retention, vendors) are merged entry by entry instead; what their entries may change is said where they are read.

use toml::Spanned;

use super::fault::Faults;
use super::raw::{Common, Event, File, Programme, Property, Region};
use super::source::Source;

/// `events/<name>.toml`.
pub(super) fn event(old: &File<Event>, new: &File<Event>, faults: &mut Faults) {
    let source = &new.source;
    same(source, "name", &old.body.name, &new.body.name, faults);
    same(source, "kind", &old.body.kind, &new.body.kind, faults);
    same(source, "programme", &old.body.programme, &new.body.programme, faults);
    for (name, before) in &old.body.properties {
        let found = new.body.properties.get_key_value(name.get_ref().as_str());
        match found {
            None => {
                let reason = format!("property `{}` is missing: a definition grows only", name.get_ref());
                faults.at(source, new.body.name.span(), reason);
            }
            Some((key, after)) => property(source, key, before.get_ref(), after.get_ref(), faults),
        }
    }
    for (name, after) in &new.body.properties {
        if after.get_ref().required && !old.body.properties.contains_key(name.get_ref().as_str()) {
            let reason =
                "a new property of a known event cannot be required: apps in the field do not send it";
            faults.at(source, name.span(), reason);
        }
    }
}

fn property(source: &Source, name: &Spanned<String>, old: &Property, new: &Property, faults: &mut Faults) {
    same(source, "type", &old.ty, &new.ty, faults);
    let (before, after) = (old.class.get_ref().as_str(), new.class.get_ref().as_str());
    if before != after && !stronger(before, after) {
        let reason = format!("class `{after}` is weaker than the declared `{before}`");
        faults.at(source, new.class.span(), reason);
    }
    if before == after {
        let options = [
            ("domain", &old.domain, &new.domain),
            ("unit", &old.unit, &new.unit),
            ("identifier", &old.identifier, &new.identifier),
        ];
        for (key, old, new) in options {
            match (old, new) {
                (Some(old), Some(new)) => same(source, key, old, new, faults),
                (None, None) => {}
                _ => faults.at(source, name.span(), format!("`{key}` cannot appear or go")),
            }
        }
        let scale = |p: &Property| p.scale.as_ref().map_or(0, |s| *s.get_ref());
        if scale(old) != scale(new) {
            let reason = format!("`scale` is {}; it cannot change to {}", scale(old), scale(new));
            faults.at(source, name.span(), reason);
        }
        grown(source, old.values.as_ref(), new.values.as_ref(), name, faults);
    }
    if new.required && !old.required {
        let reason = "cannot become required: apps in the field do not send it";
        faults.at(source, name.span(), reason);
    }
}

/// Whether values of the second class are better protected than those of the first.
fn stronger(old: &str, new: &str) -> bool {
    matches!((old, new), (_, "drop") | ("dimension", "text"))
}

/// `common.toml`.
pub(super) fn common(old: &File<Common>, new: &File<Common>, faults: &mut Faults) {
    for (name, before) in &old.body.columns {
        let Some((key, after)) = new.body.columns.get_key_value(name.get_ref().as_str()) else {
            continue; // said once, by the check of the file itself
        };
        let (before, after) = (before.get_ref(), after.get_ref());
        same(&new.source, "domain", &before.domain, &after.domain, faults);
        grown(&new.source, before.values.as_ref(), after.values.as_ref(), key, faults);
    }
}

/// `programmes/<name>.toml`: versions come and go, the age does not go down.
pub(super) fn programme(old: &File<Programme>, new: &File<Programme>, faults: &mut Faults) {
    same(&new.source, "programme", &old.body.programme, &new.body.programme, faults);
    let (before, after) = (&old.body.age_min, &new.body.age_min);
    if after.get_ref() < before.get_ref() {
        let reason = format!("age_min is {}; it cannot go down", before.get_ref());
        faults.at(&new.source, after.span(), reason);
    }
}

/// `regions/<name>.toml`: another name or controller is fine.
pub(super) fn region(old: &File<Region>, new: &File<Region>, faults: &mut Faults) {
    same(&new.source, "region", &old.body.region, &new.body.region, faults);
}

fn same(source: &Source, key: &str, old: &Spanned<String>, new: &Spanned<String>, faults: &mut Faults) {
    if old.get_ref() != new.get_ref() {
        let (old, found) = (old.get_ref(), new.get_ref().escape_debug());
        let reason = format!("`{key}` is `{old}`; it cannot change to `{found}`");
        faults.at(source, new.span(), reason);
    }
}

/// Every listed value is still listed.
fn grown(
    source: &Source,
    old: Option<&Spanned<Vec<Spanned<String>>>>,
    new: Option<&Spanned<Vec<Spanned<String>>>>,
    name: &Spanned<String>,
    faults: &mut Faults,
) {
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    for value in old.get_ref() {
        if !new.get_ref().contains(value) {
            let reason = format!(
                "value `{}` of `{}` is missing: a domain grows only",
                value.get_ref(),
                name.get_ref()
            );
            faults.at(source, new.span(), reason);
        }
    }
}
