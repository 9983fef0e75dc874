//! What other definitions make different, and whether they may take the place of those in force while a service runs.
//!
//! Rows in the log and in the tables, statements that are being answered and apps in the field keep the meaning they had. So about
//! whatever is in force a reload may change what an overlay may change about the embedded definitions (`load/overlay.rs`), and less:
//! nothing that is kept may become `drop`, because rows in the log may have it, and no country may leave or move. Bounds, texts,
//! retention, policy versions, controllers and vendors' names may change, lists of values grow.
//!
//! Invariant: everything that may not is told, not only the first. Not here: what the tables on the disk allow (`shoal-storage`).

use serde::{Deserialize, Serialize};

use crate::{
    Class, ColumnDef, ColumnRole, Domain, EventDef, Kind, Programme, PropertyDef, Protocol, Region, Registry,
    ValueType, columns,
};

/// What other definitions make different. Names are those of definitions, so nothing here is of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Events that are new.
    pub events_added: Vec<String>,
    /// Properties that are new for an event that was there, as `event.property`.
    pub properties_added: Vec<String>,
    /// Files whose definitions say something else about what was there.
    pub files_changed: Vec<String>,
}

impl Changes {
    /// Whether nothing is different.
    pub fn is_none(&self) -> bool {
        *self == Changes::default()
    }
}

impl Registry {
    /// What `next` makes different, when it may take the place of these definitions while they are in use.
    ///
    /// # Errors
    /// Everything about it that may not, each as `file: reason`.
    pub fn changes_to(&self, next: &Registry) -> Result<Changes, Vec<String>> {
        let mut refused = Refused::default();
        for old in self.events() {
            let file = event_file(&old.name);
            match next.event(&old.name) {
                Some(new) => event(&mut refused.of(&file), old, new),
                None => refused.of(&file).note(format!("event `{}` is declared no longer", old.name)),
            }
        }
        for (old, new) in common(self).iter().zip(&common(next)) {
            if let (Some(old_domain), Some(new_domain)) = (domain_of(&old.role), domain_of(&new.role)) {
                domain(&mut refused.of("common.toml"), &old.name, old_domain, new_domain);
            }
        }
        for old in self.countries() {
            let reason = match next.region_of(old.country) {
                Some(region) if region == old.region => continue,
                Some(region) => format!("{} lives in {}; it cannot move to {region}", old.name, old.region),
                None => format!("{} is listed no longer", old.name),
            };
            refused.of("countries.toml").note(reason);
        }
        if refused.reasons.is_empty() { Ok(differences(self, next)) } else { Err(refused.reasons) }
    }
}

/// What may not be.
#[derive(Default)]
struct Refused {
    reasons: Vec<String>,
}

impl Refused {
    fn of<'r>(&'r mut self, file: &'r str) -> OfFile<'r> {
        OfFile { file, reasons: &mut self.reasons }
    }
}

/// The same, about one file.
struct OfFile<'r> {
    file: &'r str,
    reasons: &'r mut Vec<String>,
}

impl OfFile<'_> {
    fn note(&mut self, reason: String) {
        let told = format!("{}: {reason}", self.file);
        if !self.reasons.contains(&told) {
            self.reasons.push(told);
        }
    }
}

fn event_file(name: &str) -> String {
    format!("events/{name}.toml")
}

fn event(refused: &mut OfFile<'_>, old: &EventDef, new: &EventDef) {
    if old.kind != new.kind {
        refused.note(format!("`kind` is `{}`; it cannot change to `{}`", old.kind, new.kind));
    }
    if old.programme != new.programme {
        refused.note(format!("`programme` is `{}`; it cannot change to `{}`", old.programme, new.programme));
    }
    for before in &old.properties {
        match new.property(&before.name) {
            Some(after) => property(refused, before, after),
            None => refused.note(format!("property `{}` is declared no longer", before.name)),
        }
    }
    let is_demanded = |p: &&PropertyDef| p.required && old.property(&p.name).is_none_or(|p| !p.required);
    for demanded in new.properties.iter().filter(is_demanded) {
        let reason = "cannot become required: apps in the field do not send it";
        refused.note(format!("property `{}` {reason}", demanded.name));
    }
}

fn property(refused: &mut OfFile<'_>, old: &PropertyDef, new: &PropertyDef) {
    let name = &old.name;
    let is_same_type = match (old.ty, new.ty) {
        (ValueType::Text { .. }, ValueType::Text { .. }) => true,
        (old, new) => old == new,
    };
    if !is_same_type {
        refused.note(format!("property `{name}` cannot change its type or its scale"));
    }
    match (&old.class, &new.class) {
        (Class::Dimension { domain: before, .. }, Class::Dimension { domain: after, .. }) => {
            domain(refused, name, before, after);
        }
        (Class::Measure(before), Class::Measure(after)) => {
            if (&before.unit, before.scale) != (&after.unit, after.scale) {
                refused.note(format!("property `{name}` cannot change its unit or its scale"));
            }
        }
        (Class::Dimension { .. }, Class::Text) => {}
        (before, after) if before == after => {}
        (_, Class::Drop) => refused
            .note(format!("property `{name}` cannot become `drop` while rows that have it are in the log")),
        _ => refused.note(format!("property `{name}` cannot change its class")),
    }
}

fn domain(refused: &mut OfFile<'_>, name: &str, old: &Domain, new: &Domain) {
    match (old, new) {
        (Domain::Private, Domain::Private) => {}
        (Domain::Listed(before), Domain::Listed(after)) => {
            for value in before.iter().filter(|value| !after.contains(value)) {
                refused.note(format!("value `{value}` of `{name}` is listed no longer"));
            }
        }
        _ => refused.note(format!("`{name}` cannot change its domain")),
    }
}

fn domain_of(role: &ColumnRole) -> Option<&Domain> {
    match role {
        ColumnRole::Dimension { domain, .. } => Some(domain),
        _ => None,
    }
}

/// The columns that every table has. The values of `event` are the events themselves, which are looked at one by one.
fn common(registry: &Registry) -> Vec<ColumnDef> {
    let table = registry.table(Kind::Usage);
    let all = table.columns.iter().filter(|column| columns::is_system(&column.name)).cloned();
    all.map(|column| match column.role {
        ColumnRole::Dimension { keys_max, .. } if column.name == columns::EVENT => {
            let role = ColumnRole::Dimension { domain: Domain::Private, keys_max };
            ColumnDef { role, ..column }
        }
        _ => column,
    })
    .collect()
}

/// What is different, whether it may be or not.
fn differences(old: &Registry, new: &Registry) -> Changes {
    let mut changes = Changes::default();
    let mut note = |is_changed: bool, file: String| {
        if is_changed {
            changes.files_changed.push(file);
        }
    };
    note(common(old) != common(new), "common.toml".to_owned());
    note(old.countries() != new.countries(), "countries.toml".to_owned());
    for before in old.events() {
        let is_same = new.event(&before.name).is_some_and(|after| is_same(before, after));
        note(!is_same, event_file(&before.name));
    }
    for of in Programme::ALL {
        note(old.programme(*of) != new.programme(*of), format!("programmes/{of}.toml"));
    }
    for of in Region::ALL {
        let file = format!("regions/{}.toml", of.as_str().to_ascii_lowercase());
        note(old.region(*of) != new.region(*of), file);
    }
    let days = |registry: &Registry| {
        let of = |programme: &Programme| {
            Kind::ALL.iter().map(|kind| registry.retention_days(*programme, *kind)).collect::<Vec<_>>()
        };
        Programme::ALL.iter().map(of).collect::<Vec<_>>()
    };
    note(days(old) != days(new), "retention.toml".to_owned());
    for of in Protocol::ALL {
        note(old.vendor(*of) != new.vendor(*of), format!("vendors/{of}.toml"));
    }
    for event in new.events() {
        match old.event(&event.name) {
            None => changes.events_added.push(event.name.clone()),
            Some(known) => {
                let added = event.properties.iter().filter(|p| known.property(&p.name).is_none());
                changes.properties_added.extend(added.map(|p| format!("{}.{}", event.name, p.name)));
            }
        }
    }
    changes
}

/// Whether an event says the same of all that it said before. Positions follow from the other definitions, and examples change
/// nothing.
fn is_same(old: &EventDef, new: &EventDef) -> bool {
    let plain = |property: &PropertyDef| PropertyDef { column: None, ..property.clone() };
    let same =
        |before: &PropertyDef| new.property(&before.name).is_some_and(|after| plain(before) == plain(after));
    (&old.doc, old.day_max) == (&new.doc, new.day_max) && old.properties.iter().all(same)
}
