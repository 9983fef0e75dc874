//! Everything that may touch events, as a closed value. What runs on events is built from it alone.
//!
//! Invariants: only this crate makes a [`PrivateQuery`], and no other crate can change one: its fields are read through
//! accessors. Bounds (`l0`, `linf`) come from the registry, never from data. [`PrivateQuery`]'s text form is canonical and
//! holds no value of an event, only of the statement.
//!
//! - `text`: the text form; `key_units`: units of keys; `windows`: what is asked of windows of days; `by_hand`: with the feature of this name, what tests
//!   change
//! - `day_values`: what keys that follow from the day do to the bounds of a bucket of days
//!
//! Not here: prices and noise (`shoal-query`, `charge`), the text that postprocesses a release (`question`).

#[cfg(feature = "by-hand")]
mod by_hand;
mod day_values;
mod key_units;
mod sizes;
mod text;
mod windows;

use shoal_schemas::{Kind, Programme, Region};

use crate::calendar::Grain;
use crate::expr::{Scalar, Value};

pub use self::day_values::DayValues;
pub(crate) use self::day_values::{follows_from_day, is_of_day};
pub use self::sizes::Sizes;

/// Most groups of one subject's day that count.
pub(crate) const L0_MAX: u64 = 24;

/// What is asked of the events of one table. The accessors say what each field is.
///
/// Another crate can own one and read it:
///
/// ```
/// fn first_day(query: &shoal_language::PrivateQuery) -> i32 {
///     query.days().first
/// }
/// ```
/// It can neither change a field, nor make a query out of one that is there:
///
/// ```compile_fail,E0616
/// fn longer(mut query: shoal_language::PrivateQuery) -> shoal_language::PrivateQuery {
///     query.days.first = 0;
///     query
/// }
/// ```
/// ```compile_fail,E0594
/// fn longer(query: &mut shoal_language::PrivateQuery) {
///     query.members()[0].days.first = 0;
/// }
/// ```
/// ```compile_fail,E0451
/// fn wider(query: shoal_language::PrivateQuery) -> shoal_language::PrivateQuery {
///     shoal_language::PrivateQuery { filter: None, ..query }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateQuery {
    pub(crate) table: Kind,
    pub(crate) regions: Vec<Region>,
    pub(crate) days: DayRange,
    pub(crate) cutoffs: Vec<(Programme, i32)>,
    pub(crate) shape: Shape,
    pub(crate) filter: Option<Scalar>,
    pub(crate) members: Vec<Membership>,
    pub(crate) keys: Vec<Key>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) l0: u32,
    /// What the reader of an answer should know; the notes of the question have them.
    pub(crate) notes: Vec<String>,
}

/// What a row is: what the keys and aggregates of the query are over.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// An event.
    Events,
    /// A subject, over all days of the query, with values made of its events that pass the query's filter.
    Subjects(PerSubject),
    /// A step that a subject has reached: step n counts when the events of steps 1 to n happened in this order, the last
    /// no more than `within_ms` after the first.
    Funnel {
        /// Conditions over events, in their order.
        steps: Vec<Scalar>,
        /// Most milliseconds from the first step to the last.
        within_ms: i64,
    },
    /// A period in which a subject came back: its cohort is the period of its first event that meets `cohort`; period 0
    /// is the cohort itself, and period n counts when an event that meets `back` happened n periods later.
    Retention {
        /// Which event begins.
        cohort: Scalar,
        /// Which event is a return.
        back: Scalar,
        /// Days, weeks or months.
        period: Grain,
    },
}

/// The rows of a subquery that groups by `subject`.
#[derive(Clone, Debug, PartialEq)]
pub struct PerSubject {
    /// What it is grouped by besides the subject: [`Scalar::PersonKey`] by position.
    pub keys: Vec<Scalar>,
    /// The row's values: [`Scalar::Person`] by position.
    pub values: Vec<PersonValue>,
    /// Which rows are kept: the subquery's HAVING and the outer WHERE, over the row's keys and values.
    pub having: Option<Scalar>,
}

/// One value of a subject's row.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonValue {
    /// How it is made.
    pub op: PersonOp,
    /// Which events count; `None` is all.
    pub filter: Option<Scalar>,
    /// Decimal places.
    pub scale: u8,
    /// The value is clamped to these units; null stays null.
    pub min: i64,
    /// The upper end of the clamp.
    pub max: i64,
}

/// How a value is made of a subject's events.
#[derive(Clone, Debug, PartialEq)]
pub enum PersonOp {
    /// COUNT(*).
    Rows,
    /// COUNT(expression).
    Present(Scalar),
    /// COUNT(DISTINCT ..) of a column, of the day or of sessions.
    Distinct(Scalar),
    /// COUNT(DISTINCT session).
    Sessions,
    /// SUM of a bounded number.
    Sum(Scalar),
    /// The smallest value.
    Min(Scalar),
    /// The largest value.
    Max(Scalar),
}

/// `subject IN (SELECT subject FROM .. WHERE ..)`, over the same regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// The table.
    pub table: Kind,
    /// The days that are read, and paid for.
    pub days: DayRange,
    /// The first readable day of each programme that is read.
    pub cutoffs: Vec<(Programme, i32)>,
    /// Which events count; `None` is all.
    pub filter: Option<Scalar>,
    /// Whether the subject must not have such an event.
    pub negated: bool,
}

/// Whole days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// The first day, since 1970-01-01.
    pub first: i32,
    /// The last day.
    pub last: i32,
}

impl DayRange {
    /// All days, oldest first.
    pub fn days(self) -> impl Iterator<Item = i32> {
        self.first..=self.last
    }

    /// How many.
    pub fn len(self) -> u64 {
        u64::try_from(i64::from(self.last) - i64::from(self.first) + 1).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.last < self.first
    }
}

/// One thing that is grouped by.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The expression.
    pub scalar: Scalar,
    /// How its values become known.
    pub kind: KeyKind,
}

/// How a key's values become known.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyKind {
    /// Each region is a release of its own anyway.
    Region,
    /// The bucket of the day, or the hour.
    Time(Grain),
    /// The day that a window belongs to. A window is days, which other windows may have too: each is released, and paid, by
    /// itself, and is shown also when it is empty.
    Windows(Vec<Bucket>),
    /// All values are public: every one is shown, zero-filled.
    Public(Vec<Value>),
    /// A value is shown only when enough subjects have it.
    Private,
}

/// One noisy number of each group.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What is counted or summed.
    pub op: AggregateOp,
    /// Which events count; `None` is all.
    pub filter: Option<Scalar>,
    /// What one subject's day changes in one group at the most, or one subject where rows are not events.
    pub linf: u64,
    /// `ms`, `events`, `subjects` ..
    pub unit: Option<String>,
    /// Decimal places of the number.
    pub scale: u8,
}

/// What is counted or summed.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregateOp {
    /// COUNT(*).
    Rows,
    /// COUNT(expression).
    Present(Scalar),
    /// SUM of a bounded number.
    Sum(Scalar),
    /// COUNT(DISTINCT subject): released for a bucket of days at once.
    Subjects,
    /// COUNT(DISTINCT session): released for a bucket of days at once, so that a session of two days counts once.
    Sessions,
    /// A quantile of a measure's values, in millionths, over the measure's grid: values are between two of its edges, which
    /// are in units of 10^-scale and ascend. Quantiles of one measure with one filter share a release.
    Quantile {
        /// The number.
        measure: Scalar,
        /// The quantile, 0 to 1,000,000.
        millionths: u32,
        /// The grid, ascending.
        edges: Vec<i64>,
    },
}

impl AggregateOp {
    /// The expression that it is computed from; `None` where it counts rows, subjects or sessions.
    pub fn argument(&self) -> Option<&Scalar> {
        match self {
            AggregateOp::Present(item) | AggregateOp::Sum(item) => Some(item),
            AggregateOp::Quantile { measure, .. } => Some(measure),
            AggregateOp::Rows | AggregateOp::Subjects | AggregateOp::Sessions => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn argument_mut(&mut self) -> Option<&mut Scalar> {
        match self {
            AggregateOp::Present(item) | AggregateOp::Sum(item) => Some(item),
            AggregateOp::Quantile { measure, .. } => Some(measure),
            AggregateOp::Rows | AggregateOp::Subjects | AggregateOp::Sessions => None,
        }
    }
}

impl PrivateQuery {
    /// The table.
    pub fn table(&self) -> Kind {
        self.table
    }

    /// The regions, each a release of its own.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The days that are read, and paid for.
    pub fn days(&self) -> DayRange {
        self.days
    }

    /// The first readable day of each programme that is read. Earlier days have expired.
    pub fn cutoffs(&self) -> &[(Programme, i32)] {
        &self.cutoffs
    }

    /// What a row is.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Which events count; `None` is all.
    pub fn filter(&self) -> Option<&Scalar> {
        self.filter.as_ref()
    }

    /// What other events a subject must have, or must not have.
    pub fn members(&self) -> &[Membership] {
        &self.members
    }

    /// What is grouped by.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The noisy numbers of each group.
    pub fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// Most groups of one subject's day that count, within one time bucket of days.
    pub fn l0(&self) -> u32 {
        self.l0
    }

    /// The grain of the time key that is a day or coarser, or that of the hours' days; none when time is no key.
    pub fn grain(&self) -> Option<Grain> {
        self.keys.iter().find_map(|key| match key.kind {
            KeyKind::Time(grain) => Some(grain),
            _ => None,
        })
    }

    /// Whether any key's values are private, so that every group needs enough subjects.
    pub fn is_thresholded(&self) -> bool {
        self.keys.iter().any(|key| key.kind == KeyKind::Private)
    }

    /// The buckets of its days, or its windows.
    pub fn buckets(&self) -> Vec<Bucket> {
        self.windows().map_or_else(|| self.buckets_of(self.days), <[Bucket]>::to_vec)
    }

    /// The buckets of these days of it: their first calendar day, and the days of the range in them. Of windows, which are
    /// read one by one, days are those of one window.
    pub fn buckets_of(&self, days: DayRange) -> Vec<Bucket> {
        if self.windows().is_some() {
            return vec![Bucket { start: days.first, days }];
        }
        let mut buckets: Vec<Bucket> = Vec::new();
        for day in days.days() {
            let start = self.grain().map_or(days.first, |grain| grain.bucket(day));
            match buckets.last_mut() {
                Some(bucket) if bucket.start == start => bucket.days.last = day,
                _ => buckets.push(Bucket { start, days: DayRange { first: day, last: day } }),
            }
        }
        buckets
    }

    /// How many groups one bucket of one region shows when all keys are public.
    pub fn public_cells(&self) -> Option<u64> {
        self.keys.iter().try_fold(1_u64, |cells, key| match &key.kind {
            KeyKind::Region => Some(cells),
            KeyKind::Time(Grain::Hour) => cells.checked_mul(24),
            KeyKind::Time(_) | KeyKind::Windows(_) => Some(cells),
            KeyKind::Public(values) => cells.checked_mul(values.len() as u64),
            KeyKind::Private => None,
        })
    }
}

/// Days that share a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The first calendar day of the bucket, which may be before the range; of a window, the day that it belongs to.
    pub start: i32,
    /// The days of the range that are in it.
    pub days: DayRange,
}
