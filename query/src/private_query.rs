//! Stage 2's output: everything that may touch events, as a closed value. What runs on events is built from it alone.
//!
//! Invariants: fields are private to the crate and only `bind` makes one. Bounds (`l0`, `linf`) come from the registry,
//! never from data. [`PrivateQuery`]'s text form is canonical and holds no value of an event, only of the statement.
//! Not here: prices and noise (`charge.rs`), what stands above a release (`free.rs`).

use std::fmt;

use shoal_schemas::{Kind, Programme, Region};

use crate::calendar::{Grain, HOUR_MS, day_text};
use crate::expr::{Scalar, Value, fixed_point_text};

/// Most groups of one subject's day that count.
pub(crate) const L0_MAX: u64 = 24;

/// What is asked of the events of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateQuery {
    pub(crate) table: Kind,
    pub(crate) regions: Vec<Region>,
    pub(crate) days: DayRange,
    /// The first readable day of each programme that is read. Earlier days have expired.
    pub(crate) cutoffs: Vec<(Programme, i32)>,
    /// What a row is.
    pub(crate) shape: Shape,
    pub(crate) filter: Option<Scalar>,
    /// What other events a subject must have, or must not have.
    pub(crate) members: Vec<Membership>,
    pub(crate) keys: Vec<Key>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// Most groups of one subject's day that count, within one time bucket of days.
    pub(crate) l0: u32,
    pub(crate) notes: Vec<String>,
}

/// What a row is: what the keys and aggregates of the query are over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// An event.
    Events,
    /// A subject, over all days of the query, with values made of its events that pass the query's filter.
    Subjects(PerSubject),
    /// A step that a subject has reached: step n counts when the events of steps 1 to n happened in this order, the last
    /// no more than `within_ms` after the first.
    Funnel { steps: Vec<Scalar>, within_ms: i64 },
    /// A period in which a subject came back: its cohort is the period of its first event that meets `cohort`; period 0
    /// is the cohort itself, and period n counts when an event that meets `back` happened n periods later.
    Retention { cohort: Scalar, back: Scalar, period: Grain },
}

/// The rows of a subquery that groups by `subject`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PerSubject {
    /// What it is grouped by besides the subject: [`Scalar::PersonKey`] by position.
    pub(crate) keys: Vec<Scalar>,
    /// The row's values: [`Scalar::Person`] by position.
    pub(crate) values: Vec<PersonValue>,
    /// Which rows are kept: the subquery's HAVING and the outer WHERE, over the row's keys and values.
    pub(crate) having: Option<Scalar>,
}

/// One value of a subject's row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PersonValue {
    pub(crate) op: PersonOp,
    pub(crate) filter: Option<Scalar>,
    /// Decimal places.
    pub(crate) scale: u8,
    /// The value is clamped to these units; null stays null.
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// How a value is made of a subject's events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PersonOp {
    Rows,
    Present(Scalar),
    /// COUNT(DISTINCT ..) of a column, of the day or of sessions.
    Distinct(Scalar),
    Sessions,
    Sum(Scalar),
    Min(Scalar),
    Max(Scalar),
}

/// `subject IN (SELECT subject FROM .. WHERE ..)`, over the same regions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Membership {
    pub(crate) table: Kind,
    pub(crate) days: DayRange,
    pub(crate) cutoffs: Vec<(Programme, i32)>,
    pub(crate) filter: Option<Scalar>,
    pub(crate) negated: bool,
}

/// Whole days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    pub(crate) first: i32,
    pub(crate) last: i32,
}

impl DayRange {
    /// All days, oldest first.
    pub(crate) fn days(self) -> impl Iterator<Item = i32> {
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
pub(crate) struct Key {
    pub(crate) scalar: Scalar,
    pub(crate) kind: KeyKind,
}

/// How a key's values become known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyKind {
    /// Each region is a release of its own anyway.
    Region,
    /// The bucket of the day, or the hour.
    Time(Grain),
    /// All values are public: every one is shown, zero-filled.
    Public(Vec<Value>),
    /// A value is shown only when enough subjects have it.
    Private,
}

/// One noisy number of each group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) filter: Option<Scalar>,
    /// What one subject's day changes in one group at the most.
    pub(crate) linf: u64,
    pub(crate) unit: Option<String>,
    /// Decimal places of the number.
    pub(crate) scale: u8,
}

/// What is counted or summed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AggregateOp {
    /// COUNT(*).
    Rows,
    /// COUNT(expression).
    Present(Scalar),
    /// SUM of a bounded number.
    Sum(Scalar),
    /// COUNT(DISTINCT subject): released for a bucket of days at once, the others day by day.
    Subjects,
    /// COUNT(DISTINCT session), a day's sessions counted on their day.
    Sessions,
    /// A quantile of a measure's values, in millionths, over the measure's grid: values are between two of its edges, which
    /// are in units of 10^-scale and ascend. Quantiles of one measure with one filter share a release.
    Quantile { measure: Scalar, millionths: u32, edges: Vec<i64> },
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

    /// The (region, day) blocks that are read.
    pub fn blocks(&self) -> u64 {
        self.days.len().saturating_mul(self.regions.len() as u64)
    }

    /// The grain of the time key that is a day or coarser, or that of the hours' days; none when time is no key.
    pub(crate) fn grain(&self) -> Option<Grain> {
        self.keys.iter().find_map(|key| match key.kind {
            KeyKind::Time(grain) => Some(grain),
            _ => None,
        })
    }

    /// Whether any key's values are private, so that every group needs enough subjects.
    pub(crate) fn is_thresholded(&self) -> bool {
        self.keys.iter().any(|key| key.kind == KeyKind::Private)
    }

    /// The buckets of days: their first calendar day, and the days of the range in them.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        for day in self.days.days() {
            let start = self.grain().map_or(self.days.first, |grain| grain.bucket(day));
            match buckets.last_mut() {
                Some(bucket) if bucket.start == start => bucket.days.last = day,
                _ => buckets.push(Bucket { start, days: DayRange { first: day, last: day } }),
            }
        }
        buckets
    }

    /// How many groups one bucket of one region shows when all keys are public.
    pub(crate) fn public_cells(&self) -> Option<u64> {
        self.keys.iter().try_fold(1_u64, |cells, key| match &key.kind {
            KeyKind::Region => Some(cells),
            KeyKind::Time(Grain::Hour) => cells.checked_mul(24),
            KeyKind::Time(_) => Some(cells),
            KeyKind::Public(values) => cells.checked_mul(values.len() as u64),
            KeyKind::Private => None,
        })
    }
}

/// Days that share a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) start: i32,
    pub(crate) days: DayRange,
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            AggregateOp::Rows => f.write_str("count(*)")?,
            AggregateOp::Present(item) => write!(f, "count({item})")?,
            AggregateOp::Sum(measure) => write!(f, "sum({measure})")?,
            AggregateOp::Subjects => f.write_str("count(DISTINCT subject)")?,
            AggregateOp::Sessions => f.write_str("count(DISTINCT session)")?,
            AggregateOp::Quantile { measure, millionths, .. } => {
                write!(f, "quantile({measure}, {millionths} / 1000000)")?
            }
        }
        match &self.filter {
            Some(filter) => write!(f, " FILTER (WHERE {filter})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PersonValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            PersonOp::Rows => f.write_str("count(*)")?,
            PersonOp::Present(item) => write!(f, "count({item})")?,
            PersonOp::Distinct(item) => write!(f, "count(DISTINCT {item})")?,
            PersonOp::Sessions => f.write_str("count(DISTINCT session)")?,
            PersonOp::Sum(item) => write!(f, "sum({item})")?,
            PersonOp::Min(item) => write!(f, "min({item})")?,
            PersonOp::Max(item) => write!(f, "max({item})")?,
        }
        if let Some(filter) = &self.filter {
            write!(f, " FILTER (WHERE {filter})")?;
        }
        let (min, max) = (fixed_point_text(self.min, self.scale), fixed_point_text(self.max, self.scale));
        write!(f, " within {min} and {max}")
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "NOT " } else { "" };
        let (first, last) = (day_text(self.days.first), day_text(self.days.last));
        write!(f, "subject {not}IN {} DAYS {first} TO {last}", self.table)?;
        match &self.filter {
            Some(filter) => write!(f, " WHERE {filter}"),
            None => Ok(()),
        }
    }
}

impl Shape {
    /// What a row is, a line each; nothing for events.
    fn write(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Shape::Events => Ok(()),
            Shape::Subjects(PerSubject { keys, values, having }) => {
                writeln!(f, "A ROW FOR EACH SUBJECT")?;
                for (at, key) in keys.iter().enumerate() {
                    writeln!(f, "  AND key_{at} = {key}")?;
                }
                for (at, value) in values.iter().enumerate() {
                    writeln!(f, "  WITH value_{at} = {value}")?;
                }
                match having {
                    Some(having) => writeln!(f, "  HAVING {having}"),
                    None => Ok(()),
                }
            }
            Shape::Funnel { steps, within_ms } => {
                writeln!(f, "A ROW FOR EACH STEP OF A SUBJECT WITHIN {} HOURS", within_ms / HOUR_MS)?;
                steps.iter().enumerate().try_for_each(|(at, step)| writeln!(f, "  STEP {}: {step}", at + 1))
            }
            Shape::Retention { cohort, back, period } => {
                writeln!(f, "A ROW FOR EACH {} OF A SUBJECT", period.as_str())?;
                writeln!(f, "  COHORT: {cohort}")?;
                writeln!(f, "  BACK: {back}")
            }
        }
    }
}

impl PrivateQuery {
    /// The whole question as text: two that ask the same, however they are written, have the same.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// What is asked of each day: without regions, days and time keys that are a day or coarser. Equal texts have equal
    /// answers for one region's day, whatever window and grain they are asked in.
    #[cfg(test)]
    pub(crate) fn canonical_of_a_day(&self) -> String {
        let mut text = format!("FROM {}\n", self.table);
        let is_coarse =
            |key: &Key| matches!(key.kind, KeyKind::Time(Grain::Day | Grain::Week | Grain::Month));
        let keys: Vec<&Key> =
            self.keys.iter().filter(|key| !is_coarse(key) && key.kind != KeyKind::Region).collect();
        // Writing to a text cannot fail.
        let _ = self.write(&mut text, &keys);
        text
    }

    fn write(&self, f: &mut dyn fmt::Write, keys: &[&Key]) -> fmt::Result {
        self.shape.write(f)?;
        if let Some(filter) = &self.filter {
            writeln!(f, "WHERE {filter}")?;
        }
        for member in &self.members {
            writeln!(f, "WHERE {member}")?;
        }
        for key in keys {
            let kind = match &key.kind {
                KeyKind::Region | KeyKind::Time(_) => "public".to_owned(),
                KeyKind::Public(values) => format!("public, {} values", values.len()),
                KeyKind::Private => "private, above the threshold".to_owned(),
            };
            writeln!(f, "KEY {} ({kind})", key.scalar)?;
        }
        let each = match self.shape {
            Shape::Events => "one subject's day",
            Shape::Subjects(_) | Shape::Funnel { .. } | Shape::Retention { .. } => "one subject",
        };
        for aggregate in &self.aggregates {
            let linf = aggregate.linf;
            writeln!(f, "AGGREGATE {aggregate} (at most {linf} of {each} in one group)")?;
        }
        write!(f, "GROUPS OF {} {}", each.to_uppercase(), self.l0)
    }
}

impl fmt::Display for PrivateQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.regions.iter().map(|r| r.as_str()).collect();
        writeln!(f, "FROM {} IN {}", self.table, names.join(", "))?;
        let (first, last) = (day_text(self.days.first), day_text(self.days.last));
        writeln!(f, "DAYS {first} TO {last}")?;
        for (programme, day) in &self.cutoffs {
            writeln!(f, "PROGRAMME {programme} SINCE {}", day_text(*day))?;
        }
        let keys: Vec<&Key> = self.keys.iter().collect();
        self.write(f, &keys)
    }
}
