//! The values that an expression can have, as far as the registry tells.
//!
//! Invariants: a domain and an interval hold every value that any row can give; they follow from the registry, never
//! from data. Numbers stay within [`INTERVAL_MAX`], so that nothing overflows.

use std::collections::BTreeSet;

use shoal_schemas::{ColumnRole, Domain, Kind, Region, Registry, TableDef, columns};

use super::{Arithmetic, Scalar, TimePart, Type, Value};
use crate::calendar::Grain;
use crate::casing::Casing;

/// Largest number that an expression may reach, in units.
pub(crate) const INTERVAL_MAX: i64 = 1 << 52;

/// What is known about values without looking at events.
pub(crate) struct Public<'a> {
    pub(crate) table: &'a TableDef,
    /// The declared events of the table; nothing else can be in its column `event`.
    pub(crate) events: BTreeSet<Value>,
}

impl<'a> Public<'a> {
    pub(crate) fn of(registry: &'a Registry, kind: Kind) -> Public<'a> {
        let events = registry.events().iter().filter(|event| event.kind == kind);
        Public { table: registry.table(kind), events: texts(events.map(|event| event.name.clone())) }
    }
}

impl Scalar {
    /// Every value it can have in this region, NULL among them where possible; none when the registry does not list them.
    pub(crate) fn domain(&self, public: &Public<'_>) -> Option<BTreeSet<Value>> {
        let boolean = || [Value::Null, Value::Boolean(false), Value::Boolean(true)].into();
        match self {
            Scalar::Column { name, ty } => {
                if *ty == Type::Boolean {
                    return Some(boolean());
                }
                if name == columns::EVENT {
                    return Some(public.events.clone());
                }
                let (_, column) = public.table.column(name)?;
                let ColumnRole::Dimension { domain: Domain::Listed(values), .. } = &column.role else {
                    return None;
                };
                let texts = values.iter().map(|v| Value::Text(v.clone()));
                Some(texts.chain(column.nullable.then_some(Value::Null)).collect())
            }
            Scalar::Region => Some(texts(Region::ALL.iter().map(|r| r.as_str().to_owned()))),
            Scalar::Day | Scalar::Time(_) => None,
            Scalar::Value(value) => Some([value.clone()].into()),
            Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::Like { .. } => Some(boolean()),
            Scalar::IsNull(_) => Some([Value::Boolean(false), Value::Boolean(true)].into()),
            Scalar::Case { branches, otherwise } => {
                let mut all = BTreeSet::new();
                for (_, then) in branches {
                    all.extend(then.domain(public)?);
                }
                match otherwise {
                    Some(otherwise) => all.extend(otherwise.domain(public)?),
                    None => all.extend([Value::Null]),
                }
                Some(all)
            }
            Scalar::Coalesce(items) => {
                let mut all = BTreeSet::new();
                for item in items {
                    all.extend(item.domain(public)?);
                }
                Some(all)
            }
            Scalar::Upper(item) => Some(mapped(item.domain(public)?, |text| Casing::Upper.of(text))),
            Scalar::Lower(item) => Some(mapped(item.domain(public)?, |text| Casing::Lower.of(text))),
            Scalar::Bucket { labels, .. } => Some(labels.iter().cloned().chain([Value::Null]).collect()),
            Scalar::Part(part) => {
                let (first, last) = part.range()?;
                Some((first..=last).map(|n| Value::Number(n, 0)).collect())
            }
            Scalar::Arithmetic(..)
            | Scalar::Least(_)
            | Scalar::Greatest(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => None,
        }
    }

    /// How many values of it one subject's day usually shows; a larger number is always safe, it only costs noise. It has no more
    /// than the columns and times that it is made of have together.
    pub(crate) fn keys_max(&self, public: &Public<'_>) -> u64 {
        let mut leaves: Vec<&Scalar> = Vec::new();
        self.leaves(&mut leaves);
        let together = leaves.iter().fold(1_u64, |all, leaf| all.saturating_mul(leaf.keys_of_form(public)));
        self.keys_of_form(public).min(together)
    }

    /// The different columns, times and values of subjects that it is made of.
    fn leaves<'s>(&'s self, found: &mut Vec<&'s Scalar>) {
        let mut is_leaf = true;
        self.each(&mut |inner| {
            is_leaf = false;
            inner.as_ref().leaves(found);
        });
        if is_leaf && !found.contains(&self) {
            found.push(self);
        }
    }

    /// The same, as far as the outermost expression tells.
    fn keys_of_form(&self, public: &Public<'_>) -> u64 {
        let listed = self.domain(public).map_or(u64::MAX, |d| d.len() as u64);
        let shown = match self {
            Scalar::Column { name, .. } => match public.table.column(name).map(|(_, c)| &c.role) {
                Some(ColumnRole::Dimension { keys_max, .. }) => u64::from(*keys_max),
                _ => u64::MAX,
            },
            Scalar::Region | Scalar::Day => 1,
            Scalar::Time(Grain::Hour) => 24,
            Scalar::Time(_) => 1,
            Scalar::Part(TimePart::Hour) => 24,
            Scalar::Part(_) => 1,
            Scalar::Upper(item) | Scalar::Lower(item) => item.keys_of_form(public),
            Scalar::Coalesce(items) => {
                items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.keys_of_form(public)))
            }
            Scalar::Least(items) | Scalar::Greatest(items) => {
                items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.keys_of_form(public)))
            }
            // One of the values behind the conditions.
            Scalar::Case { branches, otherwise } => {
                let then = branches.iter().map(|(_, then)| then.keys_of_form(public));
                let otherwise = otherwise.as_ref().map_or(1, |item| item.keys_of_form(public));
                then.fold(otherwise, u64::saturating_add)
            }
            Scalar::Value(_) => 1,
            Scalar::PersonKey { .. }
            | Scalar::Person { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period
            | Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::IsNull(_)
            | Scalar::Like { .. }
            | Scalar::Arithmetic(..)
            | Scalar::Bucket { .. } => u64::MAX,
        };
        shown.min(listed).max(1)
    }

    /// Whether it reads a measure as a value (and so cannot be a key).
    pub(crate) fn shows_measure(&self, table: &TableDef) -> bool {
        match self {
            Scalar::Column { name, .. } => {
                table.column(name).is_some_and(|(_, c)| matches!(c.role, ColumnRole::Measure(_)))
            }
            Scalar::Case { branches, otherwise } => {
                branches.iter().any(|(_, then)| then.shows_measure(table))
                    || otherwise.as_ref().is_some_and(|o| o.shows_measure(table))
            }
            Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
                items.iter().any(|item| item.shows_measure(table))
            }
            Scalar::Arithmetic(_, left, right) => left.shows_measure(table) || right.shows_measure(table),
            Scalar::Region
            | Scalar::Day
            | Scalar::Time(_)
            | Scalar::Value(_)
            | Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::IsNull(_)
            | Scalar::Like { .. }
            | Scalar::Upper(_)
            | Scalar::Lower(_)
            | Scalar::Bucket { .. }
            | Scalar::Part(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => false,
        }
    }

    /// The smallest and largest number that it can be, in units; `None` when they are not known or beyond [`INTERVAL_MAX`].
    /// NULL does not widen them. `leaf` knows the columns and the values of a subject's row.
    pub(crate) fn interval(&self, leaf: &dyn Fn(&Scalar) -> Option<(i64, i64)>) -> Option<(i64, i64)> {
        let hull = |items: &mut dyn Iterator<Item = &Scalar>| {
            let mut all: Option<(i64, i64)> = None;
            for item in items.filter(|item| **item != Scalar::Value(Value::Null)) {
                let (lo, hi) = item.interval(leaf)?;
                all = Some(all.map_or((lo, hi), |(a, b)| (a.min(lo), b.max(hi))));
            }
            all
        };
        let (lo, hi) = match self {
            Scalar::Value(Value::Number(units, _)) => Some((*units, *units)),
            Scalar::Column { .. } | Scalar::Person { .. } | Scalar::PersonKey { .. } => leaf(self),
            Scalar::Part(part) => part.range(),
            Scalar::Case { branches, otherwise } => {
                hull(&mut branches.iter().map(|(_, then)| then.as_ref()).chain(otherwise.as_deref()))
            }
            // The smallest of some is not above any of them that is never null; the hull is always right.
            Scalar::Coalesce(items) => hull(&mut items.iter().map(AsRef::as_ref)),
            Scalar::Least(items) | Scalar::Greatest(items) => {
                let is_least = matches!(self, Scalar::Least(_));
                let (lo, hi) = hull(&mut items.iter().map(AsRef::as_ref))?;
                // Constants are never null, so they cap.
                items.iter().try_fold((lo, hi), |(lo, hi), item| match item.as_ref() {
                    Scalar::Value(Value::Number(units, _)) if is_least => Some((lo, hi.min(*units))),
                    Scalar::Value(Value::Number(units, _)) => Some((lo.max(*units), hi)),
                    _ => Some((lo, hi)),
                })
            }
            Scalar::Arithmetic(op, left, right) => {
                let ((a, b), (c, d)) = (left.interval(leaf)?, right.interval(leaf)?);
                match op {
                    Arithmetic::Add => Some((a.checked_add(c)?, b.checked_add(d)?)),
                    Arithmetic::Subtract => Some((a.checked_sub(d)?, b.checked_sub(c)?)),
                    Arithmetic::Multiply => {
                        let all =
                            [a.checked_mul(c)?, a.checked_mul(d)?, b.checked_mul(c)?, b.checked_mul(d)?];
                        Some((*all.iter().min()?, *all.iter().max()?))
                    }
                }
            }
            Scalar::Bucket { labels, .. } => {
                let units = labels.iter().filter_map(|label| match label {
                    Value::Number(units, _) => Some(*units),
                    Value::Null | Value::Boolean(_) | Value::Day(_) | Value::Time(_) | Value::Text(_) => None,
                });
                Some((units.clone().min()?, units.max()?))
            }
            Scalar::Region
            | Scalar::Day
            | Scalar::Time(_)
            | Scalar::Value(_)
            | Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::IsNull(_)
            | Scalar::Like { .. }
            | Scalar::Upper(_)
            | Scalar::Lower(_)
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => None,
        }?;
        (lo >= -INTERVAL_MAX && hi <= INTERVAL_MAX).then_some((lo, hi))
    }

    /// The measure whose absolute value it never exceeds.
    pub(crate) fn within(&self, table: &TableDef) -> Option<String> {
        let plain = |item: &&Scalar| !matches!(item, Scalar::Value(Value::Number(0, _) | Value::Null));
        let one_of = |items: &mut dyn Iterator<Item = &Scalar>| {
            let mut names = Vec::new();
            for item in items {
                names.push(item.within(table)?);
            }
            names.dedup();
            let name = names.pop()?;
            names.is_empty().then_some(name)
        };
        match self {
            Scalar::Column { name, .. } => self.shows_measure(table).then(|| name.clone()),
            Scalar::Case { branches, otherwise } => {
                let values = branches.iter().map(|(_, then)| then.as_ref());
                one_of(&mut values.chain(otherwise.as_deref()).filter(plain))
            }
            Scalar::Coalesce(items) => one_of(&mut items.iter().map(AsRef::as_ref).filter(plain)),
            Scalar::Least(items) => {
                let is_cap = |item: &Scalar| matches!(item, Scalar::Value(Value::Number(n, _)) if *n >= 0);
                one_of(&mut items.iter().map(AsRef::as_ref).filter(|item| !is_cap(item)))
            }
            Scalar::Region
            | Scalar::Day
            | Scalar::Time(_)
            | Scalar::Value(_)
            | Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::IsNull(_)
            | Scalar::Like { .. }
            | Scalar::Upper(_)
            | Scalar::Lower(_)
            | Scalar::Arithmetic(..)
            | Scalar::Greatest(_)
            | Scalar::Bucket { .. }
            | Scalar::Part(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => None,
        }
    }

    /// The unit of a number that is made of measures of one unit; none for a product, and where units differ.
    pub(crate) fn unit(&self, table: &TableDef) -> Option<String> {
        let mut units = BTreeSet::new();
        for name in self.names() {
            if let Some((_, column)) = table.column(name)
                && let ColumnRole::Measure(measure) = &column.role
            {
                units.insert(measure.unit.as_str());
            }
        }
        let one = units.pop_first().filter(|_| units.is_empty())?;
        let is_product = self.any(&|item| matches!(item, Scalar::Arithmetic(Arithmetic::Multiply, ..)));
        (!is_product).then(|| one.to_owned())
    }

    /// The columns it reads.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        if let Scalar::Column { name, .. } = self {
            names.push(name.as_str());
        }
        self.each(&mut |inner| names.extend(inner.names()));
        names
    }
}

fn texts(values: impl Iterator<Item = String>) -> BTreeSet<Value> {
    values.map(Value::Text).collect()
}

fn mapped(domain: BTreeSet<Value>, change: fn(&str) -> String) -> BTreeSet<Value> {
    let each = |value| match value {
        Value::Text(text) => Value::Text(change(&text)),
        other => other,
    };
    domain.into_iter().map(each).collect()
}
