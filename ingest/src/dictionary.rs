//! The names that rows of the log refer to by position: of events, and of the columns of each table.
//!
//! Invariant: a segment has the names of one set of definitions, and every row in it was made by these; so its rows mean the same
//! whatever is in force when they are read. Not here: its bytes in a segment (`log/segment.rs`), rows (`stages/row.rs`), who gives
//! them to a batch (`stages/clean.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_schemas::{Kind, Registry};

/// The names that rows refer to by position, as of the definitions that they were made by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dictionary {
    /// When the segment was begun, in what is served, ms; 0 outside of one.
    pub(crate) opened_ms: i64,
    /// Names of events.
    pub(crate) events: Vec<String>,
    /// Names of columns, for each kind in `Kind::ALL`.
    pub(crate) columns: Vec<Vec<String>>,
}

impl Dictionary {
    /// The registry's names.
    pub(crate) fn of(registry: &Registry) -> Dictionary {
        let columns = |kind: &Kind| {
            let table = registry.table(*kind);
            table.columns.iter().map(|c| c.name.clone()).collect()
        };
        Dictionary {
            opened_ms: 0,
            events: registry.events().iter().map(|e| e.name.clone()).collect(),
            columns: Kind::ALL.iter().map(columns).collect(),
        }
    }

    /// Whether every position means the same in both.
    pub(crate) fn means_the_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || (&self.events, &self.columns) == (&other.events, &other.columns)
    }

    /// The names of a segment that is begun when so much was served.
    pub(crate) fn opened(&self, opened_ms: i64) -> Dictionary {
        Dictionary { opened_ms, ..self.clone() }
    }
}
