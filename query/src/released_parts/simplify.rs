//! An expression as it reads on certain days of one region: what the days and the region decide is decided, and what can
//! be written in two ways is written in one.
//!
//! So `day >= '2026-11-20' AND event = 'click'` reads `event = 'click'` on every day from the 20th on, and a window that
//! moves by a day asks the same of the days it keeps.
//! Invariants: the expression has the same value for every row of these days and this region (three-valued: null stays
//! null); expressions that are not known here are left as they are. What several expressions share is simplified once.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use shoal_schemas::Region;

use shoal_language::DayRange;
use shoal_language::calendar::Grain;
use shoal_language::{Compare, Scalar, Shared, Value};
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, start_of};

/// Where an expression is read, and how those that others are made of read there.
pub(super) struct Spot {
    region: Region,
    days: DayRange,
    known: RefCell<HashMap<Shared<Scalar>, Shared<Scalar>>>,
    /// Expressions that were looked at.
    steps: Cell<u64>,
    /// Parts of expressions that were written as texts, everything that is shared at each use.
    written: Cell<u64>,
}

/// The arms of a list of AND (or OR), each once.
#[derive(Default)]
struct Arms {
    all: Vec<Shared<Scalar>>,
    taken: HashSet<Shared<Scalar>>,
    /// What has been looked through, as it was written.
    looked_at: HashSet<Shared<Scalar>>,
}

const TRUE: Scalar = Scalar::Value(Value::Boolean(true));
const FALSE: Scalar = Scalar::Value(Value::Boolean(false));

impl Spot {
    /// On these days of a region.
    pub(super) fn new(region: Region, days: DayRange) -> Spot {
        Spot { region, days, known: RefCell::default(), steps: Cell::default(), written: Cell::default() }
    }

    fn count(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Expressions that were looked at.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// How much work it has been: expressions that were looked at, and parts of expressions that were written.
    pub(super) fn work(&self) -> u64 {
        self.steps.get().saturating_add(self.written.get())
    }

    /// An expression as a text, to be put in order by.
    fn text(&self, item: &Shared<Scalar>) -> String {
        self.written.set(self.written.get().saturating_add(item.size()));
        item.to_string()
    }

    /// The expression as it reads here, for a text that is made of it.
    pub(super) fn written(&self, scalar: &Scalar) -> Scalar {
        let item = Shared::new(self.simplify(scalar));
        self.written.set(self.written.get().saturating_add(item.size()));
        item.into_node()
    }

    /// The smallest and the largest value of a region, day or time here; times are steps of their grain.
    pub(super) fn range(&self, item: &Scalar) -> Option<(Value, Value)> {
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
        self.count();
        match scalar {
            Scalar::Compare(op, left, right) => self.compare(*op, self.shared(left), self.shared(right)),
            Scalar::And(left, right) => self.join([left, right], true),
            Scalar::Or(left, right) => self.join([left, right], false),
            Scalar::Not(item) => {
                let item = self.shared(item);
                match item.as_ref() {
                    Scalar::Value(Value::Boolean(b)) => Scalar::Value(Value::Boolean(!b)),
                    Scalar::Not(inner) => inner.clone().into_node(),
                    _ => Scalar::Not(item),
                }
            }
            Scalar::In(item, values) => self.list(self.shared(item), values),
            Scalar::IsNull(item) => {
                let item = self.shared(item);
                if self.range(&item).is_some() { FALSE } else { Scalar::IsNull(item) }
            }
            Scalar::Case { branches, otherwise } => self.case(branches, otherwise.as_ref()),
            other => other.clone().map(&mut |inner| self.shared(&inner)),
        }
    }

    /// The same of an expression that others are made of.
    fn shared(&self, item: &Shared<Scalar>) -> Shared<Scalar> {
        if let Some(known) = self.known.borrow().get(item) {
            return known.clone();
        }
        let made = Shared::new(self.simplify(item));
        self.known.borrow_mut().insert(item.clone(), made.clone());
        made
    }

    /// A literal on the right; two expressions in the order of their texts.
    fn compare(&self, op: Compare, left: Shared<Scalar>, right: Shared<Scalar>) -> Scalar {
        let is_literal = |s: &Scalar| matches!(s, Scalar::Value(_));
        let flip = match (is_literal(&left), is_literal(&right)) {
            (true, false) => true,
            (false, true) => false,
            _ => self.text(&left) > self.text(&right),
        };
        let (op, left, right) = if flip { (op.flipped(), right, left) } else { (op, left, right) };
        if let Scalar::Value(literal) = right.as_ref()
            && let Some(decided) = self.decide(op, &left, literal)
        {
            return Scalar::Value(Value::Boolean(decided));
        }
        Scalar::Compare(op, left, right)
    }

    fn list(&self, item: Shared<Scalar>, values: &[Value]) -> Scalar {
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        if values.contains(&Value::Null) {
            return Scalar::In(item, values);
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
            [one] => self.compare(Compare::Eq, item, Scalar::Value(one.clone()).into()),
            _ => Scalar::In(item, values),
        }
    }

    /// ANDs (or ORs) as one flat list: sorted, each arm once, without arms that decide nothing.
    fn join(&self, sides: [&Shared<Scalar>; 2], is_and: bool) -> Scalar {
        let (neutral, absorbing) = if is_and { (TRUE, FALSE) } else { (FALSE, TRUE) };
        let mut arms = Arms::default();
        self.arms(sides, is_and, &mut arms);
        let mut arms = arms.all;
        if arms.iter().any(|arm| **arm == absorbing) {
            return absorbing;
        }
        arms.retain(|arm| **arm != neutral);
        let mut sorted: Vec<(String, Shared<Scalar>)> =
            arms.into_iter().map(|arm| (self.text(&arm), arm)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.dedup_by(|a, b| a.0 == b.0);
        let join = |left: Shared<Scalar>, right: Shared<Scalar>| -> Shared<Scalar> {
            match is_and {
                true => Scalar::And(left, right).into(),
                false => Scalar::Or(left, right).into(),
            }
        };
        sorted.into_iter().map(|(_, arm)| arm).reduce(join).map_or(neutral, Shared::into_node)
    }

    fn arms(&self, sides: [&Shared<Scalar>; 2], is_and: bool, arms: &mut Arms) {
        for side in sides {
            if !arms.looked_at.insert(side.clone()) {
                continue;
            }
            match (side.as_ref(), is_and) {
                (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
                    self.count();
                    self.arms([left, right], is_and, arms);
                }
                _ => arms.take(self.shared(side), is_and),
            }
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
            match self.shared(when) {
                when if *when == FALSE => {}
                when if *when == TRUE && kept.is_empty() => return self.shared(then).into_node(),
                when => kept.push((when, self.shared(then))),
            }
        }
        let otherwise = otherwise.map(|otherwise| self.shared(otherwise));
        match (kept.is_empty(), otherwise) {
            (true, Some(otherwise)) => otherwise.into_node(),
            (true, None) => Scalar::Value(Value::Null),
            (false, otherwise) => Scalar::Case { branches: kept, otherwise },
        }
    }
}

impl Arms {
    /// Adds what has been simplified already: itself, or its own arms.
    fn take(&mut self, item: Shared<Scalar>, is_and: bool) {
        match (item.as_ref(), is_and) {
            (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
                self.take(left.clone(), is_and);
                self.take(right.clone(), is_and);
            }
            _ => {
                if self.taken.insert(item.clone()) {
                    self.all.push(item);
                }
            }
        }
    }
}
