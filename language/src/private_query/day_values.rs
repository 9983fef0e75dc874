//! How the days of a bucket divide among the values of keys that follow from the day: a weekday, a month, a `CASE` of days.
//!
//! A subject that is active on each day is in one group of each weekday, so that the groups of its bucket are those of its
//! day times the values that its days have.
//!
//! Invariants: keys are read as they are on one day, with the day and all that follows from it as constants. Two days whose
//! keys read alike have the same groups; days whose keys read otherwise may have others, so that there are never more
//! values than are told. Everything follows from the query alone.
//! Not here: how many groups one day has (`bind/group_keys.rs`).

use std::collections::{BTreeMap, HashMap};

use shoal_schemas::calendar::{DAY_MS, HOUR_MS, start_of};

use super::{Aggregate, AggregateOp, DayRange, KeyKind, PrivateQuery, Shape};
use crate::calendar::{Grain, part_of};
use crate::expr::{Arithmetic, Compare, Scalar, Shared, TimePart, Value, normal_of};

/// What the days of a bucket have of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayValues {
    /// The most different ways in which the keys read on its days; 1 where they do not depend on the day.
    pub values: u64,
    /// The most days on which one group can be.
    pub days: u64,
    /// Whether the day alone decides the group.
    pub is_one_group: bool,
}

impl DayValues {
    /// Of these keys, in buckets of these days. The largest of each number, should the buckets differ.
    pub(crate) fn of(keys: &[&Scalar], buckets: &[DayRange]) -> DayValues {
        let longest = buckets.iter().map(|days| days.len()).max().unwrap_or(1).max(1);
        let moving: Vec<&Scalar> = keys.iter().copied().filter(|key| follows_from_day(key)).collect();
        let is_one_group = keys.iter().all(|key| is_of_day(key));
        if moving.is_empty() || longest == 1 {
            return DayValues { values: 1, days: longest, is_one_group };
        }
        let mut read: HashMap<Vec<Shared<Scalar>>, usize> = HashMap::new();
        let mut of_day: BTreeMap<i32, (usize, bool)> = BTreeMap::new();
        let (mut values, mut most) = (1, 1);
        for bucket in buckets {
            let mut counts: HashMap<usize, u64> = HashMap::new();
            let mut is_certain = true;
            for day in bucket.days() {
                let (value, is_constant) = *of_day.entry(day).or_insert_with(|| {
                    let mut spot = Spot { day, known: HashMap::new() };
                    let own: Vec<Shared<Scalar>> =
                        moving.iter().map(|key| spot.on(&Shared::new((*key).clone()))).collect();
                    let is_constant = own.iter().all(|key| matches!(key.as_ref(), Scalar::Value(_)));
                    let next = read.len();
                    (*read.entry(own).or_insert(next), is_constant)
                });
                *counts.entry(value).or_default() += 1;
                is_certain &= is_constant;
            }
            values = values.max(counts.len() as u64);
            // Keys that read otherwise may have the same value all the same, unless they are constants.
            most = most.max(match is_certain {
                true => counts.into_values().max().unwrap_or(1),
                false => bucket.len(),
            });
        }
        DayValues { values, days: most, is_one_group }
    }
}

/// Whether an expression can have another value on another day.
pub(crate) fn follows_from_day(scalar: &Scalar) -> bool {
    scalar.any(&|inner| {
        matches!(inner, Scalar::Day | Scalar::Time(_))
            || matches!(inner, Scalar::Part(part) if *part != TimePart::Hour)
    })
}

/// Whether all that an expression is made of follows from the day.
pub(crate) fn is_of_day(scalar: &Scalar) -> bool {
    !scalar.any(&|inner| match inner {
        Scalar::Time(Grain::Hour) | Scalar::Part(TimePart::Hour) => true,
        Scalar::Day | Scalar::Time(_) | Scalar::Part(_) | Scalar::Value(_) => false,
        other => {
            let mut is_leaf = true;
            other.each(&mut |_| is_leaf = false);
            is_leaf
        }
    })
}

/// A day on which expressions are read, and how those that others are made of read on it.
struct Spot {
    day: i32,
    known: HashMap<Shared<Scalar>, Shared<Scalar>>,
}

impl Spot {
    fn on(&mut self, item: &Shared<Scalar>) -> Shared<Scalar> {
        if let Some(known) = self.known.get(item) {
            return known.clone();
        }
        let own = match item.as_ref() {
            Scalar::Day => Scalar::Value(Value::Day(self.day)),
            Scalar::Time(grain) if *grain != Grain::Hour => {
                Scalar::Value(Value::Time(start_of(grain.bucket(self.day))))
            }
            Scalar::Part(TimePart::DayNumber) => Scalar::Value(Value::Number(self.day.into(), 0)),
            Scalar::Part(part) => match part_of(self.day, part.as_str()) {
                Some(number) => Scalar::Value(Value::Number(number, 0)),
                None => Scalar::Part(*part),
            },
            Scalar::Compare(op, left, right) => self.compared(*op, left, right),
            Scalar::In(of, values) if **of == Scalar::Time(Grain::Hour) => {
                let own = values.iter().filter(|value| self.has(value)).cloned().collect();
                Scalar::In(of.clone(), own)
            }
            other => folded(other.clone().map(&mut |inner| self.on(&inner))),
        };
        let own = normal_of(&own.into());
        self.known.insert(item.clone(), own.clone());
        own
    }

    /// Whether a time is of the day; what is no time is.
    fn has(&self, value: &Value) -> bool {
        match value {
            Value::Time(ms) => (0..DAY_MS).contains(&ms.saturating_sub(start_of(self.day))),
            _ => true,
        }
    }

    /// A comparison; the hours of the day are all before a time, or after it, if it is of another day.
    fn compared(&mut self, op: Compare, left: &Shared<Scalar>, right: &Shared<Scalar>) -> Scalar {
        let (Scalar::Time(Grain::Hour), Scalar::Value(Value::Time(ms))) = (left.as_ref(), right.as_ref())
        else {
            return Scalar::Compare(op, self.on(left), self.on(right));
        };
        let first = start_of(self.day);
        let last = first.saturating_add(DAY_MS - HOUR_MS);
        let (all, none) = match op {
            Compare::Lt => (last < *ms, first >= *ms),
            Compare::LtEq => (last <= *ms, first > *ms),
            Compare::Gt => (first > *ms, last <= *ms),
            Compare::GtEq => (first >= *ms, last < *ms),
            Compare::Eq => (false, last < *ms || first > *ms),
            Compare::NotEq => (last < *ms || first > *ms, false),
        };
        match all || none {
            true => Scalar::Value(Value::Boolean(all)),
            false => Scalar::Compare(op, left.clone(), right.clone()),
        }
    }
}

/// The value of what is made of constants, where it can be told here; what is left, normal forms tell or nothing does.
fn folded(item: Scalar) -> Scalar {
    let constant = |item: &Shared<Scalar>| match item.as_ref() {
        Scalar::Value(value) => Some(value.clone()),
        _ => None,
    };
    let boolean = |is_true| Some(Scalar::Value(Value::Boolean(is_true)));
    let known = match &item {
        Scalar::In(of, values) => constant(of).and_then(|value| match value {
            Value::Null => Some(Scalar::Value(Value::Null)),
            value if values.contains(&value) => boolean(true),
            _ if values.contains(&Value::Null) => Some(Scalar::Value(Value::Null)),
            _ => boolean(false),
        }),
        Scalar::IsNull(of) => constant(of).and_then(|value| boolean(value == Value::Null)),
        Scalar::Arithmetic(op, left, right) => match (constant(left), constant(right)) {
            (Some(Value::Number(a, scale)), Some(Value::Number(b, other))) => {
                computed(*op, (a, scale), (b, other))
            }
            _ => None,
        },
        Scalar::Bucket { item: of, edges, labels } => match constant(of) {
            Some(Value::Number(units, _)) => {
                labels.get(edges.partition_point(|edge| *edge <= units)).cloned().map(Scalar::Value)
            }
            _ => None,
        },
        _ => None,
    };
    known.unwrap_or(item)
}

fn computed(op: Arithmetic, (a, scale): (i64, u8), (b, other): (i64, u8)) -> Option<Scalar> {
    let number = |units: Option<i64>, scale| Some(Scalar::Value(Value::Number(units?, scale)));
    match op {
        Arithmetic::Add if scale == other => number(a.checked_add(b), scale),
        Arithmetic::Subtract if scale == other => number(a.checked_sub(b), scale),
        Arithmetic::Multiply => number(a.checked_mul(b), scale.saturating_add(other)),
        Arithmetic::Add | Arithmetic::Subtract => None,
    }
}

impl PrivateQuery {
    /// How the days of its buckets divide among the values of its keys. Rows that are not events have keys of their own.
    pub fn day_values(&self) -> DayValues {
        let buckets: Vec<DayRange> = self.buckets().iter().map(|bucket| bucket.days).collect();
        let is_read = |kind: &KeyKind| !matches!(kind, KeyKind::Region | KeyKind::Windows(_));
        let keys: Vec<&Scalar> = match self.shape {
            Shape::Events => {
                self.keys.iter().filter(|key| is_read(&key.kind)).map(|key| &key.scalar).collect()
            }
            Shape::Subjects(_) | Shape::Funnel { .. } | Shape::Retention { .. } => Vec::new(),
        };
        DayValues::of(&keys, &buckets)
    }

    /// Most groups of one subject that count within a bucket of days: those of its day, in each value that the days have.
    pub fn groups_of_bucket(&self) -> u32 {
        let groups = u64::from(self.l0).saturating_mul(self.day_values().values);
        let most = self.public_cells().map_or(groups, |cells| groups.min(cells.max(u64::from(self.l0))));
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// What one subject changes in one group of a bucket at the most, where its days are not bounded one by one: events with
    /// memberships, whose bound is that of a day for each day that the group can have.
    pub fn linf_of_bucket(&self, aggregate: &Aggregate) -> u64 {
        let adds_up = !matches!(aggregate.op, AggregateOp::Subjects | AggregateOp::Quantile { .. });
        match self.shape == Shape::Events && !self.members.is_empty() && adds_up {
            true => aggregate.linf.saturating_mul(self.day_values().days),
            false => aggregate.linf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-16, a Monday.
    const MONDAY: i32 = 20_773;

    fn case(when: Scalar) -> Scalar {
        let text = |text: &str| Shared::new(Scalar::Value(Value::Text(text.to_owned())));
        Scalar::Case { branches: vec![(when.into(), text("a"))], otherwise: Some(text("b")) }
    }

    fn found(keys: &[&Scalar], days: i32) -> (u64, u64, bool) {
        let days = DayRange { first: MONDAY, last: MONDAY + days - 1 };
        let DayValues { values, days, is_one_group } = DayValues::of(keys, &[days]);
        (values, days, is_one_group)
    }

    #[test]
    fn days_divide_among_the_values_of_their_keys() {
        let os = Scalar::Column { name: "os".to_owned(), ty: crate::expr::Type::Text };
        let dow = || Scalar::Part(TimePart::Dow);
        let weekend = case(Scalar::In(dow().into(), vec![Value::Number(0, 0), Value::Number(6, 0)]));
        let before = |days: i32| case(Scalar::test(Compare::Lt, Scalar::Day, Value::Day(MONDAY + days)));
        let hour = |hours: i64| {
            let at = Value::Time(start_of(MONDAY) + hours * HOUR_MS);
            case(Scalar::test(Compare::Lt, Scalar::Time(Grain::Hour), at))
        };
        assert_eq!(found(&[], 9), (1, 9, true));
        assert_eq!(found(&[&os], 9), (1, 9, false));
        assert_eq!(found(&[&dow()], 5), (5, 1, true));
        assert_eq!(found(&[&dow()], 15), (7, 3, true));
        assert_eq!(found(&[&dow(), &os], 15), (7, 3, false));
        assert_eq!(found(&[&weekend], 14), (2, 10, true));
        assert_eq!(found(&[&dow(), &weekend], 14), (7, 2, true));
        assert_eq!(found(&[&before(2)], 9), (2, 7, true));
        assert_eq!(found(&[&before(20)], 9), (1, 9, true));
        assert_eq!(found(&[&Scalar::Part(TimePart::Month)], 20), (2, 15, true));
        let next = Scalar::Value(Value::Number(1, 0));
        let next = Scalar::Arithmetic(Arithmetic::Multiply, dow().into(), next.into());
        assert_eq!(found(&[&next], 9), (7, 2, true));
        // The hour at which it changes divides its day, and the days before from those after.
        assert_eq!(found(&[&hour(31)], 9), (3, 9, false));
        assert_eq!(found(&[&hour(24)], 9), (2, 8, false));
        // What is mixed reads otherwise on other days, but may have one value on all.
        let mixed = Scalar::Coalesce(vec![os.into(), weekend.into()]);
        assert_eq!(found(&[&mixed], 14), (2, 14, false));
        assert_eq!(found(&[&mixed], 1), (1, 1, false));
    }
}
