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
//! structures take: growth, leaves of trees that no value is in, and the noisy part that is made of them included. Public
//! groups, whose number is public, must fit just so.
//! Not here: drawing the limit (`scan/limit.rs`), files and rows at hand, which have a room of their own (`scan/room.rs`).

use shoal_anonymity::noise::DiscreteGaussian;
use shoal_anonymity::tree::LeafCounts;
use shoal_language::{KeyKind, PrivateQuery, Refusal, Rule, Scalar, Type, Value};

use crate::sensitivity::SensitivityLayout;
use crate::text_bytes::Texts;

/// Standard deviations of its noise that a limit is above 0: the noise alone passes it once in 10^14 released parts.
const SDS_MIN: f64 = 8.0;
/// How much more a list takes than what is in it: it has at most twice as many places as are used, and while it grows the old
/// one is there too.
const LIST_TIMES: usize = 3;
/// The same of a map: seven of eight places are used at the most.
const MAP_TIMES: f64 = 24.0 / 7.0;
/// What an allocation takes besides what is asked for.
const ALLOCATION: usize = 16;
/// A group by itself: its number, in a map by its hash, and its values, in a list.
const GROUP_BYTES: usize = (17.0 * MAP_TIMES) as usize + 1 + LIST_TIMES * 16 + ALLOCATION;
/// A group in one of the totals: its head, and where it is.
const TOTAL_BYTES: usize = LIST_TIMES * 24 + (9.0 * MAP_TIMES) as usize + 1 + 8;
/// A number of a group.
const SUM_BYTES: usize = LIST_TIMES * size_of::<i128>();
/// A number, and a node of a tree, in the noisy part that is made: their bytes, and an eighth of growth. A node is below 2^27,
/// but for trees of billions of values: the nodes of one level add up to all values of the group.
pub(crate) const NUMBER_BYTES: usize = 12;
pub(crate) const NODE_BYTES: usize = 5;
/// A group in the list of those that are shown.
const SHOWN_BYTES: usize = LIST_TIMES * 32;
/// The value of a key in the noisy part, but for its text.
const SEALED_KEY_BYTES: usize = 14;

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

/// Most bytes of a group, of all that grows with their number; and how many groups are shown.
#[derive(Clone, Copy)]
pub(crate) struct GroupSizes {
    /// While a span is read and noised.
    pub(crate) held: usize,
    /// Of a group that is shown, in the noisy part.
    pub(crate) sealed: usize,
    shown_max: u64,
}

impl GroupSizes {
    pub(crate) fn of(query: &PrivateQuery, layout: &SensitivityLayout, shown_max: u64) -> GroupSizes {
        let keys = query.keys().iter().filter(|key| key.kind != KeyKind::Region);
        let all = Texts::of(query);
        let texts =
            |(values, texts): (usize, usize), scalar: &Scalar| (values + 1, texts + text_bytes(all, scalar));
        let (values, texts) = keys.map(|key| &key.scalar).fold((0, 0), texts);
        let totals = [&layout.daily, &layout.ranged, &layout.sessions];
        let numbers = totals.iter().map(|limits| limits.clamps().len()).sum::<usize>();
        // Subjects are counted in the totals of days or of the range, with or without numbers beside them.
        let totals = totals.iter().filter(|limits| !limits.clamps().is_empty()).count() + 1;
        let trees = layout.trees.iter();
        let leaves = trees.clone().map(|tree| LeafCounts::bytes_of_a_cell(&tree.grid)).sum::<usize>();
        let nodes = trees.map(|tree| tree.grid.nodes() as usize).sum::<usize>();
        GroupSizes {
            held: GROUP_BYTES
                + values * size_of::<Value>()
                + texts
                + totals * TOTAL_BYTES
                + numbers * SUM_BYTES
                + leaves,
            sealed: SHOWN_BYTES
                + values * SEALED_KEY_BYTES
                + texts
                + numbers * NUMBER_BYTES
                + nodes * NODE_BYTES,
            // All public groups are shown.
            shown_max: query.public_cells().unwrap_or(shown_max),
        }
    }

    /// How many groups fit in so many bytes.
    fn fitting(self, bytes: usize) -> u64 {
        let (bytes, held, sealed) = (bytes as u64, self.held as u64, self.sealed as u64);
        let all = bytes / (held + sealed);
        match all <= self.shown_max {
            true => all,
            false => bytes.saturating_sub(self.shown_max.saturating_mul(sealed)) / held,
        }
    }
}

/// Most bytes of the text of a key.
fn text_bytes(texts: Texts<'_>, key: &Scalar) -> usize {
    match key.ty() {
        Some(Type::Text) => texts.bytes(key) + ALLOCATION,
        _ => 0,
    }
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
    sizes: &GroupSizes,
    query: &PrivateQuery,
    noise: &DiscreteGaussian,
    cells_max: usize,
    memory: MemoryShare,
) -> Result<GroupRoom, Refusal> {
    // What is drawn is at most as far above the middle as its noise goes, but for one released part in 10^14.
    let least = least_limit(noise);
    for spans in [memory.spans.max(1), 1] {
        let fitting = sizes.fitting(memory.of_a_span(spans));
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
    sizes: &GroupSizes,
    query: &PrivateQuery,
    memory: MemoryShare,
) -> Result<(), Refusal> {
    let fitting = sizes.fitting(memory.of_a_span(memory.spans));
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

    fn sizes(charged: &ChargedQuery) -> GroupSizes {
        GroupSizes::of(&charged.query, &charged.layout, charged.shown_max)
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
                let fitting = sizes(&charged).fitting(share.of_a_span(room.spans));
                assert!(room.groups_max + least_limit(groups) <= fitting, "{room:?} of {fitting}");
            }
        }
    }

    /// Quantiles by a private key are answered at every precision, though each of their nodes has its place.
    #[tokio::test]
    async fn the_defaults_hold_full_trees() {
        const SEVERAL: &str =
            "QUANTILE(duration_ms, 0.5), QUANTILE(duration_ms, 0.99), COUNT(*), AVG(duration_ms)";
        const ONE: &str = "QUANTILE(duration_ms, 0.95)";
        for precision in [Precision::Low, Precision::Normal, Precision::High] {
            let several = if precision == Precision::Low { 0 } else { 29 };
            for (quantiles, days) in [(ONE, 0), (ONE, 29), (SEVERAL, several)] {
                let sql = format!(
                    "SELECT endpoint, {quantiles} FROM performance WHERE day >= current_date - {days} GROUP BY endpoint"
                );
                let charged = charged(&sql, precision.into(), MemoryShare::default()).await;
                let charged = charged.unwrap_or_else(|refused| panic!("{sql} at {precision:?}: {refused:?}"));
                let room = charged.threshold.as_ref().unwrap().room;
                assert!(room.groups_max >= 1_000, "{sql} at {precision:?}: {room:?}");
                let bytes = sizes(&charged);
                assert!(bytes.held > 256 * 2 && bytes.sealed > 510 * 4, "every leaf and node has its place");
            }
        }
    }

    /// As many groups as are said to fit do.
    #[test]
    fn what_fits_fits() {
        for (held, sealed, shown_max) in [(1_600, 2_900, 980), (400, 300, 10_000), (3_000, 10, 1)] {
            for bytes in [0, 1_000, 1 << 20, 96 << 20, 1 << 30] {
                let groups = GroupSizes { held, sealed, shown_max }.fitting(bytes);
                let taken = |groups: u64| groups * held as u64 + groups.min(shown_max) * sealed as u64;
                assert!(
                    taken(groups) <= bytes as u64 && taken(groups + 1) > bytes as u64,
                    "{groups} in {bytes}"
                );
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
