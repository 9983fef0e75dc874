//! What an event is made of. A property that no definition names is dropped and counted, never stored.

use crate::{IdentifierKind, Kind, Programme};

/// One declared event.
#[derive(Clone, Debug)]
pub struct EventDef {
    /// The event's name, `[a-z][a-z0-9_]{0,63}`.
    pub name: String,
    /// Position in [`crate::Registry::events`].
    pub index: u16,
    /// Which table it goes to.
    pub kind: Kind,
    /// Whose consent it needs.
    pub programme: Programme,
    /// What the event means, one sentence.
    pub doc: String,
    /// How many of these one subject's day contributes to an answer at the most (Linf of COUNT(*)).
    pub day_max: u32,
    /// The declared properties, in the order of their names.
    pub properties: Vec<PropertyDef>,
    /// JSON texts of native events that must be accepted. Examples are judged as if received at
    /// `2026-11-20T12:00:00Z`, with consent for [`EventDef::programme`] asserted and the country `DE` given.
    pub pass: Vec<String>,
    /// JSON texts of native events that must be rejected, each with the stable code of the reason.
    pub fail: Vec<(String, String)>,
}

impl EventDef {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&PropertyDef> {
        self.properties.binary_search_by(|p| p.name.as_str().cmp(name)).ok().map(|i| &self.properties[i])
    }
}

/// One declared property of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyDef {
    /// The property's name; also its column's.
    pub name: String,
    /// What the property means, one sentence.
    pub doc: String,
    /// What a value looks like on the wire.
    pub ty: ValueType,
    /// How it is protected, and what an analyst may do with it.
    pub class: Class,
    /// Smallest and largest valid value of a number of any class but `drop`, in units of 10^-scale; none for other
    /// types. For a measure the same as its own bounds.
    pub bounds: Option<(i64, i64)>,
    /// An event without it is rejected.
    pub required: bool,
    /// Its position in [`crate::TableDef::columns`]; none for identifiers, `frames` and dropped properties.
    pub column: Option<u16>,
}

/// The type of a value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A string of at most this many bytes.
    Text {
        /// Longest accepted value in bytes of UTF-8.
        bytes_max: u32,
    },
    /// A number, kept as an integer of units of 10^-scale. `scale` 0 is an integer.
    Number {
        /// Decimal places kept.
        scale: u8,
    },
    /// `true` or `false`.
    Boolean,
    /// A list of stack frames, which becomes the columns `crash_group` and `stack`.
    Frames,
}

/// The protection class. A definition may be replaced by a stronger class only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Becomes the pseudonym; the value itself is forgotten.
    Identifier(IdentifierKind),
    /// May be filtered and grouped by. A boolean's domain is always listed: `false`, `true`. A number's domain is
    /// always private, within [`PropertyDef::bounds`].
    Dimension {
        /// Whether every value is known in advance.
        domain: Domain,
        /// How many values of it one subject's day usually has; bounds L0 of a query that groups by it.
        keys_max: u32,
    },
    /// May be summed and averaged, within bounds.
    Measure(Measure),
    /// Scrubbed and kept; not queryable.
    Text,
    /// Coarsened before it is kept.
    Location,
    /// Known, and never kept.
    Drop,
}

/// The values a dimension can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Public: all of them, in the order answers show them. An answer shows every value.
    Listed(Vec<String>),
    /// Private: an answer shows a value only when enough subjects have it.
    Private,
}

/// The bounds of a measure. Values are integers of units of 10^-scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Unit, as `ms`, `1`, `EUR`.
    pub unit: String,
    /// Decimal places kept.
    pub scale: u8,
    /// Smallest valid value.
    pub min: i64,
    /// Largest valid value.
    pub max: i64,
    /// What one subject's day contributes to one group of a SUM at the most, in absolute value (Linf of SUM).
    pub day_sum_max: i64,
}

impl Measure {
    /// The edges between which quantiles and histograms tell values apart: [`grid`] of its bounds.
    pub fn grid(&self) -> Vec<i64> {
        grid(self.min, self.max)
    }
}

/// Most intervals of a grid: the leaves of a tree of eight levels.
const GRID_INTERVALS_MAX: usize = 256;
/// Steps of one doubling, so that an edge is at most a sixteenth above the one before it where there is room.
const GRID_STEPS: [u32; 4] = [16, 8, 4, 2];

/// Edges from `min` to `max`, both included, ascending, at most 257 of them: whole steps near zero, then as many steps for
/// each doubling of the distance from zero as there is room for. It follows from the bounds alone.
///
/// Units are those of `min` and `max`. Of a number that can be one value only there are two edges: it, and one above.
pub fn grid(min: i64, max: i64) -> Vec<i64> {
    let max = max.max(min.saturating_add(1));
    if max.saturating_sub(min) <= GRID_INTERVALS_MAX as i64 {
        return (min..=max).collect();
    }
    let mut edges = Vec::new();
    for steps in GRID_STEPS {
        edges = doubling_edges(min, max, i64::from(steps));
        if edges.len() <= GRID_INTERVALS_MAX + 1 {
            break;
        }
    }
    edges.truncate(GRID_INTERVALS_MAX + 1);
    if let Some(last) = edges.last_mut() {
        *last = max;
    }
    edges
}

fn doubling_edges(min: i64, max: i64, steps: i64) -> Vec<i64> {
    let mut above = vec![0_i64];
    let (mut edge, mut width) = (0_i64, 1_i64);
    let reach = min.unsigned_abs().max(max.unsigned_abs());
    while edge.unsigned_abs() < reach {
        // `2 * steps` steps of 1, then `steps` of each doubled width.
        if edge >= 2 * steps && edge == width.saturating_mul(2 * steps) {
            width = width.saturating_mul(2);
        }
        edge = edge.saturating_add(width);
        above.push(edge);
    }
    let below = above.iter().skip(1).rev().map(|edge| -edge);
    let all = below.chain(above.iter().copied()).filter(|edge| min < *edge && *edge < max);
    std::iter::once(min).chain(all).chain(std::iter::once(max)).collect()
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn a_grid_ascends_from_bound_to_bound_and_has_at_most_256_intervals() {
        let bounds =
            [(0, 1), (0, 255), (0, 256), (0, 257), (1, 50), (0, 10_000), (0, 120_000), (0, 86_400_000)];
        let more = [(-50, 1 << 52), (-(1 << 52), 1 << 52), (1_000_000, 1_000_900), (7, 7), (0, 1 << 20)];
        for (min, max) in bounds.into_iter().chain(more) {
            let edges = grid(min, max);
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{min} {max}: {edges:?}");
            assert!(edges.len() <= 257, "{min} {max}: {}", edges.len());
            assert_eq!((edges[0], edges[edges.len() - 1]), (min, max.max(min + 1)));
        }
    }

    #[test]
    fn steps_are_small_against_the_value() {
        for pair in grid(0, 120_000).windows(2).filter(|pair| pair[0] >= 16) {
            assert!((pair[1] - pair[0]) * 16 <= pair[0], "{pair:?}");
        }
    }
}
