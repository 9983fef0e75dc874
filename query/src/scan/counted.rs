//! What a scan has evaluated: tests see of it what the work depends on. In what is built for use nothing is counted.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// Patterns that were compiled.
    Patterns,
    /// Expressions of each template that are evaluated for each row.
    RowNodes,
    /// Expressions of each template that are evaluated for each text of a dictionary.
    TextNodes,
    /// Rows on which expressions were evaluated.
    Rows,
    /// Expressions times rows.
    OfRows,
    /// Expressions times texts.
    OfTexts,
    /// Rows that were made of a subject's events.
    Made,
    /// Expressions times made rows.
    OfMade,
}

/// Everything that is counted.
#[cfg(test)]
pub(crate) const WHATS: [What; 8] = [
    What::Patterns,
    What::RowNodes,
    What::TextNodes,
    What::Rows,
    What::OfRows,
    What::OfTexts,
    What::Made,
    What::OfMade,
];

/// Counters. A clone counts into the same ones.
#[derive(Clone, Default)]
pub(crate) struct Counted {
    #[cfg(test)]
    counts: Arc<[AtomicU64; WHATS.len()]>,
}

impl Counted {
    /// So many more.
    #[cfg(test)]
    pub(super) fn add(&self, what: What, more: usize) {
        self.counts[what as usize].fetch_add(more as u64, Ordering::Relaxed);
    }

    /// So many more.
    #[cfg(not(test))]
    pub(super) fn add(&self, _: What, _: usize) {}

    /// How many there were since the last call.
    #[cfg(test)]
    pub(crate) fn take(&self) -> std::collections::BTreeMap<What, u64> {
        WHATS.iter().map(|what| (*what, self.counts[*what as usize].swap(0, Ordering::Relaxed))).collect()
    }
}
