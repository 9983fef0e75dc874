//! What the groups of a released part may take in memory, from public facts alone: keys, slots and the noise of the limit.
//!
//! ```text
//! memory of all queries / queries at one time = memory of a query; / spans at one time = memory of a span
//! limit on groups = the smaller of `cells_max` and what a span's memory holds; where that is below the noise of the limit,
//!                   spans run one at a time, and each has the memory of the query
//! ```
//! A pool of memory that runs out while events are read is an oracle: it says that there was one group more. So the limit on
//! groups (`scan/limit.rs`) is chosen such that all groups below it fit, before anything is charged; a query whose limit would
//! have to be below its own noise is refused then. Nothing that is counted while events are read makes a query fail.
//!
//! Invariants: everything here follows from the query, its price and the configuration. Sizes are upper bounds of what the
//! structures take, growth by doubling included, but for the nodes of trees. Public groups, whose number is public, must fit just so.
//! Not here: drawing the limit (`scan/limit.rs`), open files, which a constant bounds (`scan/source.rs`).

use shoal_anonymity::noise::DiscreteGaussian;
use shoal_language::{KeyKind, PrivateQuery, Refusal, Rule};

use crate::sensitivity::SensitivityLayout;

/// Standard deviations of its noise that a limit is above 0: the noise alone passes it once in 10^14 released parts.
const SDS_MIN: f64 = 8.0;
/// A value of a key, and its text: as long as a property may be, and what an allocation takes.
const KEY_BYTES: usize = 32 + 256 + 16;
/// The group's own entries in maps and lists: its number, a head and an index in two totals; twice as many places as there are
/// groups.
const GROUP_BYTES: usize = 208;
/// A number of a group.
const NUMBER_BYTES: usize = 32;
/// A node of a tree: its place in the map of leaves, and its total when the part is finished.
const NODE_BYTES: usize = 120;
/// Nodes of a tree that a group has, on average over all groups that the limit lets in. Groups of few values have few; what is
/// above takes more memory than was planned, which the operator is told (`scan/work.rs`), and fails nothing.
const NODES: usize = 16;

/// How much memory queries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryShare {
    /// Of all queries together, in bytes.
    pub(crate) bytes_max: usize,
    /// Queries that run at one time.
    pub(crate) queries: usize,
    /// Spans of a query that run at one time.
    pub(crate) spans: usize,
}

impl Default for MemoryShare {
    fn default() -> MemoryShare {
        MemoryShare { bytes_max: 384 << 20, queries: 2, spans: 2 }
    }
}

impl MemoryShare {
    /// Of each of so many spans that run at one time, in bytes.
    pub(crate) fn of_a_span(self, spans: usize) -> usize {
        self.bytes_max / self.queries.max(1) / spans.max(1)
    }
}

/// Most bytes of a group: of all that grows with their number while a span is read and noised.
fn group_bytes(query: &PrivateQuery, layout: &SensitivityLayout) -> usize {
    let keys = query.keys().iter().filter(|key| key.kind != KeyKind::Region).count();
    // The sessions of several days have heads and an index of their own.
    let sessions = if layout.sessions.clamps().is_empty() { 0 } else { GROUP_BYTES };
    let numbers = [&layout.daily, &layout.ranged, &layout.sessions].map(|limits| limits.clamps().len());
    let numbers = numbers.into_iter().sum::<usize>();
    let nodes: usize = layout.trees.iter().map(|tree| (tree.grid.nodes() as usize).min(NODES)).sum();
    GROUP_BYTES + sessions + keys * KEY_BYTES + numbers * NUMBER_BYTES + nodes * NODE_BYTES
}

/// The least middle of a limit with this noise.
pub(crate) fn least_limit(noise: &DiscreteGaussian) -> u64 {
    (SDS_MIN * noise.variance().to_f64().sqrt()).ceil() as u64
}

/// How many groups of private keys a span may find, and how many spans may run at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupRoom {
    /// Of each span, before the noise of the limit.
    pub(crate) groups_max: u64,
    pub(crate) spans: usize,
}

/// The room for the groups of a query, given the noise of the limit.
///
/// # Errors
/// [`Rule::Budget`] when the noise of the limit alone is more than fits in memory.
pub(super) fn room(
    query: &PrivateQuery,
    layout: &SensitivityLayout,
    noise: &DiscreteGaussian,
    cells_max: usize,
    memory: MemoryShare,
) -> Result<GroupRoom, Refusal> {
    // What is drawn is at most as far above the middle as its noise goes, but for one released part in 10^14.
    let least = least_limit(noise);
    for spans in [memory.spans.max(1), 1] {
        let fitting = (memory.of_a_span(spans) / group_bytes(query, layout)) as u64;
        let groups_max = fitting.saturating_sub(least).min(cells_max as u64).max(least);
        if groups_max.saturating_add(least) <= fitting {
            return Ok(GroupRoom { groups_max, spans });
        }
    }
    Err(refusal(
        query,
        Rule::Budget,
        "The noise of the limit on groups is larger than the number of groups that memory holds: ask with a higher precision or \
         a smaller sd_max, for fewer keys, or for fewer quantiles.",
    ))
}

/// Whether public groups fit in memory.
///
/// # Errors
/// [`Rule::Cells`] when they do not.
pub(super) fn check_public(
    query: &PrivateQuery,
    layout: &SensitivityLayout,
    memory: MemoryShare,
) -> Result<(), Refusal> {
    let fitting = (memory.of_a_span(memory.spans) / group_bytes(query, layout)) as u64;
    match query.public_cells().is_none_or(|cells| cells <= fitting) {
        true => Ok(()),
        false => {
            let message = "The groups of this query do not fit in memory: ask for fewer keys or quantiles.";
            Err(refusal(query, Rule::Cells, message))
        }
    }
}

fn refusal(query: &PrivateQuery, rule: Rule, message: &str) -> Refusal {
    let suggestion = format!("SELECT COUNT(DISTINCT subject) AS people FROM {}", query.table());
    Refusal::whole(rule, message, suggestion)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_anonymity::budget::Precision;
    use shoal_schemas::Region;

    use super::super::{Accuracy, Caps, ChargedQuery, Threshold, charge};
    use super::*;
    use crate::tests::{engine, grant, now_ms, request};

    async fn charged(sql: &str, accuracy: Accuracy, memory: MemoryShare) -> Result<ChargedQuery, Refusal> {
        let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
        charge(prepared.single().query.clone(), accuracy, &Caps { memory, ..Caps::default() })
    }

    /// Every precision has room for its own noise with the defaults, with one key and with three.
    #[tokio::test]
    async fn the_defaults_hold_every_precision() {
        for precision in [Precision::Low, Precision::Normal, Precision::High] {
            for keys in ["app_version", "app_version, device_model, os"] {
                let sql = format!(
                    "SELECT {keys}, COUNT(*), COUNT(DISTINCT subject), SUM(amount) FROM usage \
                     WHERE day > current_date - 30 GROUP BY {keys}"
                );
                let share = MemoryShare::default();
                let charged = charged(&sql, precision.into(), share).await.unwrap();
                let Threshold { groups, room, .. } = charged.threshold.as_ref().unwrap();
                assert!(room.groups_max >= 2_000, "{keys} at {precision:?}: {room:?}");
                let most = (room.groups_max + least_limit(groups)) as usize;
                let bytes = most * group_bytes(&charged.query, &charged.layout);
                assert!(bytes <= share.of_a_span(room.spans), "{bytes}");
            }
        }
    }

    /// What does not fit is refused before it is paid.
    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        let memory = |bytes_max| MemoryShare { bytes_max, ..MemoryShare::default() };
        let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
        let refused = charged(sql, Accuracy::default(), memory(1 << 20)).await.err().unwrap();
        assert_eq!(refused.rule, Rule::Budget);
        let sql = "SELECT os, COUNT(*) FROM usage WHERE day = current_date GROUP BY os";
        assert!(charged(sql, Accuracy::default(), memory(1 << 20)).await.is_ok());
        let refused = charged(sql, Accuracy::default(), memory(4_000)).await.err().unwrap();
        assert_eq!(refused.rule, Rule::Cells);
    }
}
