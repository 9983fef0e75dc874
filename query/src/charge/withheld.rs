//! The two ends between which a number of a group that is not shown must lie.
//!
//! A group is withheld from a released part when it has fewer than `k_min` subjects there, or when their noisy number does not
//! reach the threshold. So with the chance of an interval it has at most `subjects_min + z sd` of them, and each adds no more
//! than its clamp.
//! Invariant: the ends follow from the text and the registry alone.
//! Not here: who uses them (`release`, and the postprocessing).

use shoal_anonymity::budget::Z_95;

use super::{ChargedQuery, Place, Subjects};
use shoal_language::{AggregateOp, KeyKind};

/// How much of a group may be missing from a sum of released parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Withheld {
    subjects_min: f64,
    sd: f64,
}

impl ChargedQuery {
    /// Says from how many subjects on groups are shown. It is `None` when every group is.
    pub(crate) fn withheld(&self) -> Option<Withheld> {
        let threshold = self.threshold.as_ref()?;
        let noise = match &threshold.subjects {
            Subjects::Asked(at) => self.noise.get(*at)?,
            Subjects::Own(noise) => noise,
        };
        let sd = noise.variance().to_f64().sqrt();
        Some(Withheld { subjects_min: threshold.subjects_min as f64, sd })
    }

    /// Returns how many released parts are added up in one group, at the most.
    pub(crate) fn parts_of_a_group(&self) -> u64 {
        let regions = match self.query.keys().iter().any(|key| key.kind == KeyKind::Region) {
            true => 1,
            false => self.query.regions().len() as u64,
        };
        let days = if self.is_daily() { self.days_of_a_bucket() } else { 1 };
        regions.max(1).saturating_mul(days)
    }

    fn days_of_a_bucket(&self) -> u64 {
        self.query.buckets().iter().map(|bucket| bucket.days.len()).max().unwrap_or(1).max(1)
    }

    /// Returns what one subject of a released part adds to an aggregate at the most, in units of the aggregate. A quantile has no such
    /// number.
    fn of_one_subject(&self, aggregate: usize) -> Option<f64> {
        let days = match self.layout.slots.get(aggregate)? {
            Place::Daily(_) | Place::Sessions(_) if !self.is_daily() => self.days_of_a_bucket(),
            Place::Daily(_) | Place::Ranged(_) | Place::Sessions(_) => 1,
            Place::Tree(_) => return None,
        };
        let asked = self.query.aggregates().get(aggregate)?;
        let linf = if asked.op == AggregateOp::Subjects { 1 } else { asked.linf.saturating_mul(days) };
        Some(linf as f64)
    }
}

impl Withheld {
    /// Returns about how many people a group needs to be shown.
    pub(crate) fn shown_from(self) -> u64 {
        self.subjects_min.max(0.0) as u64
    }

    /// Returns the lowest and the highest value, in units, that an aggregate can have in a group that is missing from so many
    /// released parts.
    pub(crate) fn ends(self, charged: &ChargedQuery, aggregate: usize, parts: u64) -> Option<(i64, i64)> {
        let asked = charged.query.aggregates().get(aggregate)?;
        if let AggregateOp::Quantile { edges, .. } = &asked.op {
            return Some((*edges.first()?, *edges.last()?));
        }
        let parts = parts as f64;
        let subjects = parts * self.subjects_min + Z_95 * self.sd * parts.sqrt();
        // A float beyond 64 bits becomes the largest number of them.
        let most = (subjects.max(0.0) * charged.of_one_subject(aggregate)?).ceil() as i64;
        match asked.op {
            AggregateOp::Sum(_) => Some((-most, most)),
            _ => Some((0, most)),
        }
    }
}
