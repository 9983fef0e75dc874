//! What bounds the numbers of a private SELECT: the rows of one subject's day in one group, and their measures.
//!
//! Invariants: a bound follows from the registry and the text alone, and is never above the table's. It is that of the
//! events that the conditions let through: what a definition says of one event holds wherever that event alone is asked
//! about, whatever the other events of its table are like.
//! Not here: the bound of an aggregate (`binder`), what conditions say of events (`scope`).

use shoal_schemas::{Class, ColumnRole, EventDef, Measure, Registry, TableDef, columns};

use super::scope::pinned;
use crate::expr::Scalar;

/// What bounds the numbers of a SELECT.
pub(crate) struct Bounds<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) filter: Option<&'a Scalar>,
    /// Whether `event` is a key, so that no group holds two events.
    pub(crate) by_event: bool,
    /// Most rows of one subject in one group, where rows are not events.
    pub(crate) rows_max: Option<u64>,
}

impl Bounds<'_> {
    /// Most rows of one subject's day in one group, of those that an aggregate's filter lets through.
    pub(super) fn rows_max(&self, table: &TableDef, filter: Option<&Scalar>) -> u64 {
        if let Some(rows) = self.rows_max {
            return rows;
        }
        let events = self.events(table, filter);
        let rows = self.together(events.iter().map(|event| u64::from(event.day_max)));
        rows.min(u64::from(table.day_max)).max(1)
    }

    /// Smallest and largest value of a column in the rows that an aggregate's filter lets through; none for a column that
    /// is no measure.
    pub(super) fn values(&self, table: &TableDef, name: &str, filter: Option<&Scalar>) -> Option<(i64, i64)> {
        let most = measure_of(table, name)?;
        let events = self.events(table, filter);
        let own = events.iter().filter_map(|event| measure(event, name)).map(|own| (own.min, own.max));
        let met = own.reduce(|(min, max), (low, high)| (min.min(low), max.max(high)));
        Some(met.unwrap_or((most.min, most.max)))
    }

    /// Most that one subject's day adds to a sum of a column in one group, of the rows that an aggregate's filter lets
    /// through; none for a column that is no measure.
    pub(super) fn day_sum_max(&self, table: &TableDef, name: &str, filter: Option<&Scalar>) -> Option<u64> {
        let most = measure_of(table, name)?;
        let events = self.events(table, filter);
        let own = events.iter().filter_map(|event| measure(event, name));
        let sum = self.together(own.map(|measure| measure.day_sum_max.unsigned_abs()));
        Some(sum.min(most.day_sum_max.unsigned_abs()).max(1))
    }

    /// The events that the filters let through.
    fn events(&self, table: &TableDef, filter: Option<&Scalar>) -> Vec<&EventDef> {
        let pins = [pinned(self.filter, columns::EVENT), pinned(filter, columns::EVENT)];
        let events = self.registry.events().iter().filter(|event| event.kind == table.kind);
        events.filter(|event| pins.iter().flatten().all(|pin| pin.contains(&event.name))).collect()
    }

    /// What events bring to one group that bring so much each: all of them, or the one whose group it is.
    fn together(&self, each: impl Iterator<Item = u64>) -> u64 {
        match self.by_event {
            true => each.max().unwrap_or(0),
            false => each.fold(0, u64::saturating_add),
        }
    }
}

/// A measure as the table has it: for all of its events.
fn measure_of<'t>(table: &'t TableDef, name: &str) -> Option<&'t Measure> {
    match &table.column(name)?.1.role {
        ColumnRole::Measure(measure) => Some(measure),
        _ => None,
    }
}

/// A measure as one event has it; none where it has no such measure.
fn measure<'e>(event: &'e EventDef, name: &str) -> Option<&'e Measure> {
    match &event.property(name)?.class {
        Class::Measure(measure) => Some(measure),
        Class::Identifier(_) | Class::Dimension { .. } | Class::Text | Class::Location | Class::Drop => None,
    }
}
