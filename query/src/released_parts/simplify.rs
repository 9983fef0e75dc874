//! An expression as it reads on certain days of one region: what the days and the region decide is decided, and what can
//! be written in two ways is written in one.
//!
//! So `day >= '2026-11-20' AND event = 'click'` reads `event = 'click'` on every day from the 20th on, and a window that
//! moves by a day asks the same of the days it keeps.
//! Invariants: the expression has the same value for every row of these days and this region (three-valued: null stays
//! null); expressions that are not known here are left as they are.

use shoal_schemas::Region;

use shoal_language::DayRange;
use shoal_language::calendar::Grain;
use shoal_language::{Compare, Scalar, Shared, Value};
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, start_of};

/// Where an expression is read.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) region: Region,
    pub(super) days: DayRange,
}

const TRUE: Scalar = Scalar::Value(Value::Boolean(true));
const FALSE: Scalar = Scalar::Value(Value::Boolean(false));

impl Spot {
    /// The smallest and the largest value of a region, day or time here; times are steps of their grain.
    fn range(&self, item: &Scalar) -> Option<(Value, Value)> {
        let DayRange { first, last } = self.days;
        match item {
            Scalar::Region => {
                let text = Value::Text(self.region.as_str().to_owned());
                Some((text.clone(), text))
            }
            Scalar::Day => Some((Value::Day(first), Value::Day(last))),
            Scalar::Time(Grain::Hour) => {
                let last = start_of(last) + DAY_MS - HOUR_MS;
                Some((Value::Time(start_of(first)), Value::Time(last)))
            }
            Scalar::Time(grain) => {
                let time = |day| Value::Time(start_of(grain.bucket(day)));
                Some((time(first), time(last)))
            }
            _ => None,
        }
    }

    /// What a comparison with a literal is here, if it is the same for all rows.
    fn decide(&self, op: Compare, item: &Scalar, literal: &Value) -> Option<bool> {
        let (low, high) = self.range(item)?;
        let same_type = std::mem::discriminant(&low) == std::mem::discriminant(literal);
        if !same_type {
            return None;
        }
        let (all, none) = match op {
            Compare::Lt => (high < *literal, low >= *literal),
            Compare::LtEq => (high <= *literal, low > *literal),
            Compare::Gt => (low > *literal, high <= *literal),
            Compare::GtEq => (low >= *literal, high < *literal),
            Compare::Eq => (low == high && low == *literal, *literal < low || *literal > high),
            Compare::NotEq => (*literal < low || *literal > high, low == high && low == *literal),
        };
        match (all, none) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// The expression as it reads here.
    pub(super) fn simplify(&self, scalar: &Scalar) -> Scalar {
        match scalar {
            Scalar::Compare(op, left, right) => self.compare(*op, self.simplify(left), self.simplify(right)),
            Scalar::And(..) => self.join(scalar, true),
            Scalar::Or(..) => self.join(scalar, false),
            Scalar::Not(item) => match self.simplify(item) {
                Scalar::Value(Value::Boolean(b)) => Scalar::Value(Value::Boolean(!b)),
                Scalar::Not(inner) => inner.into_node(),
                other => Scalar::Not(other.into()),
            },
            Scalar::In(item, values) => self.list(self.simplify(item), values),
            Scalar::IsNull(item) => match self.simplify(item) {
                item if self.range(&item).is_some() => FALSE,
                item => Scalar::IsNull(item.into()),
            },
            Scalar::Like { item, pattern, any_case } => {
                let (item, pattern) = (self.simplify(item).into(), pattern.clone());
                Scalar::Like { item, pattern, any_case: *any_case }
            }
            Scalar::Case { branches, otherwise } => self.case(branches, otherwise.as_ref()),
            Scalar::Coalesce(items) => Scalar::Coalesce(self.all(items)),
            Scalar::Least(items) => Scalar::Least(self.all(items)),
            Scalar::Greatest(items) => Scalar::Greatest(self.all(items)),
            Scalar::Upper(item) => Scalar::Upper(self.simplify(item).into()),
            Scalar::Lower(item) => Scalar::Lower(self.simplify(item).into()),
            Scalar::Arithmetic(op, left, right) => {
                Scalar::Arithmetic(*op, self.simplify(left).into(), self.simplify(right).into())
            }
            Scalar::Bucket { item, edges, labels } => {
                let (edges, labels) = (edges.clone(), labels.clone());
                Scalar::Bucket { item: self.simplify(item).into(), edges, labels }
            }
            other => other.clone(),
        }
    }

    fn all(&self, items: &[Shared<Scalar>]) -> Vec<Shared<Scalar>> {
        items.iter().map(|item| self.simplify(item).into()).collect()
    }

    /// A literal on the right; two expressions in the order of their texts.
    fn compare(&self, op: Compare, left: Scalar, right: Scalar) -> Scalar {
        let is_literal = |s: &Scalar| matches!(s, Scalar::Value(_));
        let flip = match (is_literal(&left), is_literal(&right)) {
            (true, false) => true,
            (false, true) => false,
            _ => left.to_string() > right.to_string(),
        };
        let (op, left, right) = if flip { (op.flipped(), right, left) } else { (op, left, right) };
        if let Scalar::Value(literal) = &right
            && let Some(decided) = self.decide(op, &left, literal)
        {
            return Scalar::Value(Value::Boolean(decided));
        }
        Scalar::Compare(op, left.into(), right.into())
    }

    fn list(&self, item: Scalar, values: &[Value]) -> Scalar {
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        if values.contains(&Value::Null) {
            return Scalar::In(item.into(), values);
        }
        let decided: Vec<Option<bool>> =
            values.iter().map(|value| self.decide(Compare::Eq, &item, value)).collect();
        if decided.contains(&Some(true)) {
            return TRUE;
        }
        if decided.iter().all(|d| *d == Some(false)) && !values.is_empty() {
            return FALSE;
        }
        match values.as_slice() {
            [one] => self.compare(Compare::Eq, item, Scalar::Value(one.clone())),
            _ => Scalar::In(item.into(), values),
        }
    }

    /// ANDs (or ORs) as one flat list: sorted, each arm once, without arms that decide nothing.
    fn join(&self, scalar: &Scalar, is_and: bool) -> Scalar {
        let (neutral, absorbing) = if is_and { (TRUE, FALSE) } else { (FALSE, TRUE) };
        let mut arms = Vec::new();
        self.arms(scalar, is_and, &mut arms);
        if arms.contains(&absorbing) {
            return absorbing;
        }
        arms.retain(|arm| *arm != neutral);
        let mut sorted: Vec<(String, Scalar)> = arms.into_iter().map(|a| (a.to_string(), a)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.dedup_by(|a, b| a.0 == b.0);
        let join = |left: Scalar, right: Scalar| match is_and {
            true => Scalar::And(left.into(), right.into()),
            false => Scalar::Or(left.into(), right.into()),
        };
        sorted.into_iter().map(|(_, arm)| arm).reduce(join).unwrap_or(neutral)
    }

    fn arms(&self, scalar: &Scalar, is_and: bool, out: &mut Vec<Scalar>) {
        match (scalar, is_and) {
            (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
                self.arms(left, is_and, out);
                self.arms(right, is_and, out);
            }
            _ => match (self.simplify(scalar), is_and) {
                (simplified @ Scalar::And(..), true) | (simplified @ Scalar::Or(..), false) => {
                    flatten(simplified, is_and, out);
                }
                (simplified, _) => out.push(simplified),
            },
        }
    }

    /// A CASE without the branches that are never taken here.
    fn case(
        &self,
        branches: &[(Shared<Scalar>, Shared<Scalar>)],
        otherwise: Option<&Shared<Scalar>>,
    ) -> Scalar {
        let mut kept = Vec::with_capacity(branches.len());
        for (when, then) in branches {
            match self.simplify(when) {
                when if when == FALSE => {}
                when if when == TRUE && kept.is_empty() => return self.simplify(then),
                when => kept.push((when.into(), self.simplify(then).into())),
            }
        }
        let otherwise = otherwise.map(|otherwise| self.simplify(otherwise));
        match (kept.is_empty(), otherwise) {
            (true, Some(otherwise)) => otherwise,
            (true, None) => Scalar::Value(Value::Null),
            (false, otherwise) => Scalar::Case { branches: kept, otherwise: otherwise.map(Shared::new) },
        }
    }
}

/// The arms of what has been simplified already.
fn flatten(scalar: Scalar, is_and: bool, out: &mut Vec<Scalar>) {
    match (scalar, is_and) {
        (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
            flatten(left.into_node(), is_and, out);
            flatten(right.into_node(), is_and, out);
        }
        (other, _) => out.push(other),
    }
}
