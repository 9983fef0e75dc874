//! A private query as text: canonical, and without a value of an event.
//!
//! Invariants: two queries that ask the same have the same text, however they are written. Not here: the text of an
//! expression (`expr/text.rs`).

use std::fmt;

use super::windows::Runs;
use super::{
    Aggregate, AggregateOp, Key, KeyKind, Membership, PerSubject, PersonOp, PersonValue, PrivateQuery, Shape,
};
use crate::calendar::day_text;
use crate::expr::fixed_point_text;
use shoal_schemas::calendar::HOUR_MS;

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
    pub fn canonical_of_a_day(&self) -> String {
        let mut text = format!("FROM {}\n", self.table);
        let is_coarse = |key: &Key| {
            use crate::calendar::Grain;
            matches!(key.kind, KeyKind::Time(Grain::Day | Grain::Week | Grain::Month))
        };
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
                KeyKind::Windows(all) => format!("windows, {}", Runs(all)),
                KeyKind::Public(values) => format!("public, {} values", values.len()),
                KeyKind::Private => "private, above the threshold".to_owned(),
            };
            writeln!(f, "KEY {} ({kind})", key.scalar)?;
        }
        let is_of_day = self.shape == Shape::Events;
        let each = if is_of_day { "one subject's day" } else { "one subject" };
        for aggregate in &self.aggregates {
            // With a membership, who counts is decided for all days at once, and so is how much.
            let bounded = if self.members.is_empty() { each } else { "one subject" };
            let linf = self.linf_of_bucket(aggregate);
            writeln!(f, "AGGREGATE {aggregate} (at most {linf} of {bounded} in one group)")?;
        }
        write!(f, "GROUPS OF {} {}", each.to_uppercase(), self.l0)?;
        let groups = self.groups_of_bucket();
        match self.is_distinct_over_days() && groups > self.l0 {
            true => write!(f, "\nGROUPS OF ONE SUBJECT {groups}"),
            false => Ok(()),
        }
    }

    /// Whether something of it is bounded for a subject over all days of a bucket, and not for each day.
    fn is_distinct_over_days(&self) -> bool {
        let is_people = |aggregate: &Aggregate| aggregate.op == AggregateOp::Subjects;
        self.shape == Shape::Events && (!self.members.is_empty() || self.aggregates.iter().any(is_people))
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
