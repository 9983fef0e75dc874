//! From the declared properties to the columns of the tables.
//!
//! Invariants: the same definitions give the same columns in the same order; a property that several events of one
//! kind declare is one column, with one meaning; a column's name is never that of a system column.

use std::collections::BTreeMap;

use super::fault::{Faults, unknown};
use super::property::{cap_keys, domain_of, sentence, within};
use super::raw::{self, File};
use super::system::{CommonRoles, day_column, system_columns};
use crate::{
    Class, ColumnDef, ColumnRole, ColumnType, Domain, EventDef, Kind, Measure, PropertyDef, TableDef,
    ValueType, columns,
};

/// A table with more columns is several kinds.
const COLUMNS_MAX: usize = 256;
/// The names that `common.toml` declares.
const COMMON: [&str; 7] = [
    columns::APP,
    columns::APP_VERSION,
    columns::COUNTRY,
    columns::DEVICE_MODEL,
    columns::EVENT,
    columns::OS,
    columns::OS_VERSION,
];
/// Names that mean something else in an analyst's statement or are made by Shoal.
const RESERVED: [&str; 3] = ["region", CRASH_GROUP, STACK];
/// Derived from `frames`: the fingerprint of a crash.
const CRASH_GROUP: &str = "crash_group";
/// Derived from `frames`: its scrubbed text.
const STACK: &str = "stack";

/// Checks `common.toml`. `event` is declared there for its `keys_max` and text; its values are the events.
pub(super) fn common(files: &[File<raw::Common>], faults: &mut Faults) -> CommonRoles {
    let mut roles = CommonRoles::new();
    let Some(file) = files.first() else {
        faults.at_file("common.toml", "is missing");
        return roles;
    };
    let source = &file.source;
    for (name, column) in &file.body.columns {
        let column = column.get_ref();
        if !COMMON.contains(&name.get_ref().as_str()) {
            let reason = unknown("column", name.get_ref(), &COMMON);
            faults.at(source, name.span(), reason);
            continue;
        }
        let doc = sentence(source, &column.doc, faults);
        let keys = within(source, &column.keys_max, 1..=1_000, "keys_max", faults);
        let domain = domain_of(source, &column.domain, column.values.as_ref(), faults);
        let Some(domain) = domain else { continue };
        if name.get_ref() == columns::EVENT && domain != Domain::Private {
            let reason = "the values of `event` are the declared events: write domain = \"private\"";
            faults.at(source, column.domain.span(), reason);
        }
        let keys_max = cap_keys(source, &column.keys_max, keys, &domain, faults);
        let role = ColumnRole::Dimension { domain, keys_max };
        roles.insert(name.get_ref().clone(), (doc, role));
    }
    for name in COMMON {
        if !file.body.columns.contains_key(name) {
            faults.at_file(&source.name, format!("column `{name}` is missing"));
        }
    }
    roles
}

/// The tables, in the order of [`Kind::ALL`]; gives every stored property its column.
pub(super) fn tables(
    events: &mut [EventDef],
    files: &[File<raw::Event>],
    common: &CommonRoles,
    faults: &mut Faults,
) -> Vec<TableDef> {
    let mut tables = Vec::new();
    for kind in Kind::ALL.iter().copied() {
        let names: Vec<String> = of_kind(events, kind).map(|e| e.name.clone()).collect();
        let day_max = of_kind(events, kind).map(|e| e.day_max).max();
        let Some(day_max) = day_max else {
            faults.at_file("events", format!("no event of kind `{kind}` is declared"));
            continue;
        };
        let mut list = system_columns(common, names);
        let declared = declared(events, kind, files, faults);
        if declared.len() + list.len() > COLUMNS_MAX {
            let reason = format!("table `{kind}` has more than {COLUMNS_MAX} columns");
            faults.at_file("events", reason);
        }
        list.extend(declared.into_values());
        list.push(day_column());
        tables.push(TableDef::new(kind, list, day_max));
    }
    for event in events.iter_mut() {
        let Some(table) = tables.iter().find(|t| t.kind == event.kind) else {
            continue;
        };
        for property in &mut event.properties {
            property.column = match (property.ty, &property.class) {
                (ValueType::Frames, _) | (_, Class::Identifier(_) | Class::Drop) => None,
                _ => table.column(&property.name).map(|(at, _)| at),
            };
        }
    }
    tables
}

fn of_kind(events: &[EventDef], kind: Kind) -> impl Iterator<Item = &EventDef> {
    events.iter().filter(move |e| e.kind == kind)
}

/// The declared columns of a kind in the order of their names, merged over its events.
fn declared(
    events: &[EventDef],
    kind: Kind,
    files: &[File<raw::Event>],
    faults: &mut Faults,
) -> BTreeMap<String, ColumnDef> {
    let mut list: BTreeMap<String, ColumnDef> = BTreeMap::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut places: Vec<_> = of_kind(events, kind).map(|e| (Place::new(files, &e.name), e)).collect();
    places.sort_by_key(|(place, _)| place.is_overlay()); // stable: by name otherwise
    for (place, event) in places {
        for property in &event.properties {
            let name = property.name.as_str();
            if columns::is_system(name) || RESERVED.contains(&name) {
                let reason = format!("`{name}` is the name of a column that Shoal makes itself");
                place.fault(name, reason, faults);
                continue;
            }
            for column in columns_of(property, place.keys_max(name)) {
                let owner = first.entry(column.name.clone()).or_insert(event.name.clone());
                match list.get_mut(&column.name) {
                    None => drop(list.insert(column.name.clone(), column)),
                    Some(known) => {
                        if let Err(what) = merge(known, column) {
                            let reason = format!(
                                "`{name}` has another {what} in `{owner}`; one column of `{kind}` has one meaning"
                            );
                            place.fault(name, reason, faults);
                        }
                    }
                }
            }
        }
    }
    list
}

/// Where an event is declared, for faults that are found late.
struct Place<'a> {
    file: Option<&'a File<raw::Event>>,
}

impl<'a> Place<'a> {
    fn new(files: &'a [File<raw::Event>], event: &str) -> Place<'a> {
        let file = files.iter().find(|f| f.body.name.get_ref() == event);
        Place { file }
    }

    fn is_overlay(&self) -> bool {
        self.file.is_some_and(|f| f.source.is_overlay)
    }

    fn fault(&self, property: &str, reason: String, faults: &mut Faults) {
        let Some(file) = self.file else { return };
        let key = file.body.properties.keys().find(|k| k.get_ref() == property);
        let span = key.map_or(file.source.start(), |k| k.span());
        faults.at(&file.source, span, reason);
    }

    /// `keys_max` as written: `frames` has it for the derived `crash_group`.
    fn keys_max(&self, property: &str) -> u32 {
        let raw = self.file.and_then(|f| f.body.properties.get(property));
        let keys = raw.and_then(|p| p.get_ref().keys_max.as_ref());
        keys.and_then(|k| u32::try_from(*k.get_ref()).ok()).unwrap_or(1)
    }
}

/// The columns that a property is kept in: none, one, or the two that frames become.
fn columns_of(property: &PropertyDef, keys_max: u32) -> Vec<ColumnDef> {
    let column = |name: &str, doc: &str, ty, role| ColumnDef {
        name: name.to_owned(),
        doc: doc.to_owned(),
        ty,
        role,
        nullable: true,
    };
    let ty = match property.ty {
        ValueType::Text { .. } => ColumnType::Text,
        ValueType::Number { .. } => ColumnType::Integer,
        ValueType::Boolean => ColumnType::Boolean,
        ValueType::Frames => {
            let group = ColumnRole::Dimension { domain: Domain::Private, keys_max };
            let doc = "Fingerprint of the frames: crashes with the same cause have the same one.";
            return vec![
                column(CRASH_GROUP, doc, ColumnType::Text, group),
                column(STACK, &property.doc, ColumnType::Text, ColumnRole::Hidden),
            ];
        }
    };
    let role = match &property.class {
        Class::Identifier(_) | Class::Drop => return Vec::new(),
        Class::Text | Class::Location => ColumnRole::Hidden,
        Class::Dimension { domain, keys_max } => {
            ColumnRole::Dimension { domain: domain.clone(), keys_max: *keys_max }
        }
        Class::Measure(measure) => ColumnRole::Measure(measure.clone()),
    };
    vec![column(&property.name, &property.doc, ty, role)]
}

/// Takes another event's declaration of the same column in: bounds and domains widen, the meaning stays.
fn merge(known: &mut ColumnDef, other: ColumnDef) -> Result<(), &'static str> {
    if known.ty != other.ty {
        return Err("type");
    }
    match (&mut known.role, other.role) {
        (ColumnRole::Hidden, ColumnRole::Hidden) => Ok(()),
        (ColumnRole::Measure(a), ColumnRole::Measure(b)) => merge_measure(a, &b),
        (
            ColumnRole::Dimension { domain: a, keys_max },
            ColumnRole::Dimension { domain: b, keys_max: keys },
        ) => {
            *keys_max = (*keys_max).max(keys);
            match (a, b) {
                (Domain::Private, Domain::Private) => Ok(()),
                (Domain::Listed(a), Domain::Listed(b)) => {
                    let new: Vec<String> = b.into_iter().filter(|v| !a.contains(v)).collect();
                    a.extend(new);
                    Ok(())
                }
                _ => Err("domain"),
            }
        }
        _ => Err("class"),
    }
}

fn merge_measure(known: &mut Measure, other: &Measure) -> Result<(), &'static str> {
    if known.unit != other.unit {
        return Err("unit");
    }
    if known.scale != other.scale {
        return Err("scale");
    }
    known.min = known.min.min(other.min);
    known.max = known.max.max(other.max);
    known.day_sum_max = known.day_sum_max.max(other.day_sum_max);
    Ok(())
}
