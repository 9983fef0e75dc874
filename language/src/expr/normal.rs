//! The normal form: one form for all spellings of the same condition, so that they share an answer.
//!
//! Invariants: the normal form has the same value for every row, NULL among the values (three-valued logic); where only
//! "true or not" matters ([`filter`]), it is true for the same rows. Lists of AND and OR are flat, sorted, without
//! repetition, and balanced, so that nothing nests deeply. NOT stands before tests only. Numbers and days are compared
//! by `<=` and `>=`; a time that is compared with the first moment of a bucket is a comparison of days.
//! An expression that is in normal form says so ([`Shared`]) and is left as it is, so that what a name stands for is made
//! normal once, however often it is used. Not here: which days and regions a condition means (`bind/scope.rs`).

use std::collections::BTreeSet;

use super::times::{Times, time};
use super::{Compare, Scalar, Shared, Value};

/// The normal form of a condition that is used as a filter: unknown counts as false.
pub fn filter(condition: impl Into<Shared<Scalar>>) -> Option<Scalar> {
    kept(&condition.into()).map(Shared::into_node)
}

/// The normal form.
pub fn normal(item: impl Into<Shared<Scalar>>) -> Scalar {
    normal_of(&item.into()).into_node()
}

/// The normal form of an expression that is shared; the same one when it is in normal form.
pub(crate) fn normal_of(item: &Shared<Scalar>) -> Shared<Scalar> {
    match item.is_normal() {
        true => item.clone(),
        false => Shared::of_normal(made(item)),
    }
}

fn kept(condition: &Shared<Scalar>) -> Option<Shared<Scalar>> {
    let whole = normal_of(&known(&normal_of(condition)));
    (*whole != Scalar::TRUE).then_some(whole)
}

/// Without the `coalesce(.., false)` of IS TRUE, where unknown counts as false anyway.
fn known(condition: &Shared<Scalar>) -> Shared<Scalar> {
    let both = |left: &Shared<Scalar>, right: &Shared<Scalar>| {
        let sides = (known(left), known(right));
        (sides.0 != *left || sides.1 != *right).then_some(sides)
    };
    match condition.as_ref() {
        Scalar::And(left, right) => both(left, right)
            .map_or_else(|| condition.clone(), |(left, right)| Scalar::And(left, right).into()),
        Scalar::Or(left, right) => both(left, right)
            .map_or_else(|| condition.clone(), |(left, right)| Scalar::Or(left, right).into()),
        Scalar::Coalesce(items) => match items.as_slice() {
            [item, otherwise] if **otherwise == Scalar::FALSE => known(item),
            _ => condition.clone(),
        },
        _ => condition.clone(),
    }
}

fn made(item: &Scalar) -> Scalar {
    match item {
        Scalar::Not(inner) => negated(inner),
        Scalar::And(left, right) => arms(left, right, true),
        Scalar::Or(left, right) => arms(left, right, false),
        Scalar::Compare(op, left, right) => compare(*op, normal_of(left), normal_of(right)),
        Scalar::In(item, values) => one_of(normal_of(item), values.clone()),
        Scalar::Case { branches, otherwise } => case(branches, otherwise.as_ref()),
        Scalar::Coalesce(items) => coalesce(items),
        Scalar::Least(items) => Scalar::Least(sorted(items.iter().map(normal_of))),
        Scalar::Greatest(items) => Scalar::Greatest(sorted(items.iter().map(normal_of))),
        other => other.clone().map(&mut |inner| normal_of(&inner)),
    }
}

fn sorted(items: impl Iterator<Item = Shared<Scalar>>) -> Vec<Shared<Scalar>> {
    let mut items: Vec<(String, Shared<Scalar>)> = items.map(|item| (item.to_string(), item)).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    items.dedup_by(|a, b| a.0 == b.0);
    items.into_iter().map(|(_, item)| item).collect()
}

fn not(item: &Shared<Scalar>) -> Shared<Scalar> {
    Scalar::Not(item.clone()).into()
}

/// NOT of an expression, moved inside.
fn negated(item: &Shared<Scalar>) -> Scalar {
    match item.as_ref() {
        Scalar::Not(inner) => normal_of(inner).into_node(),
        Scalar::And(left, right) => arms(&not(left), &not(right), false),
        Scalar::Or(left, right) => arms(&not(left), &not(right), true),
        Scalar::Compare(op, left, right) => {
            let op = match op {
                Compare::Eq => Compare::NotEq,
                Compare::NotEq => Compare::Eq,
                Compare::Lt => Compare::GtEq,
                Compare::LtEq => Compare::Gt,
                Compare::Gt => Compare::LtEq,
                Compare::GtEq => Compare::Lt,
            };
            compare(op, normal_of(left), normal_of(right))
        }
        Scalar::Value(Value::Boolean(b)) => Scalar::Value(Value::Boolean(!b)),
        Scalar::Value(Value::Null) => Scalar::Value(Value::Null),
        _ => {
            let known = normal_of(item);
            match known.as_ref() {
                // The normal form may be of another kind (a list of one value, a constant) and is negated as that.
                Scalar::Compare(..)
                | Scalar::And(..)
                | Scalar::Or(..)
                | Scalar::Not(_)
                | Scalar::Value(Value::Boolean(_) | Value::Null) => negated(&known),
                _ => Scalar::Not(known),
            }
        }
    }
}

fn flat(item: &Shared<Scalar>, is_and: bool, out: &mut Vec<Shared<Scalar>>) {
    match (item.as_ref(), is_and) {
        (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
            flat(left, is_and, out);
            flat(right, is_and, out);
        }
        // Raw arms may become lists when they are normal.
        _ => flat_normal(normal_of(item), is_and, out),
    }
}

fn flat_normal(item: Shared<Scalar>, is_and: bool, out: &mut Vec<Shared<Scalar>>) {
    match (item.as_ref(), is_and) {
        (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
            flat_normal(left.clone(), is_and, out);
            flat_normal(right.clone(), is_and, out);
        }
        _ => out.push(item),
    }
}

/// A list of AND (or OR): constants folded, tests of one thing joined, sorted, balanced.
fn arms(left: &Shared<Scalar>, right: &Shared<Scalar>, is_and: bool) -> Scalar {
    let mut all = Vec::new();
    flat(left, is_and, &mut all);
    flat(right, is_and, &mut all);
    let (none, decisive) = if is_and { (Scalar::TRUE, Scalar::FALSE) } else { (Scalar::FALSE, Scalar::TRUE) };
    if all.iter().any(|arm| **arm == decisive) {
        return decisive;
    }
    all.retain(|arm| **arm != none);
    let all = sorted(joined(ranges(all, is_and), is_and).into_iter());
    match all.is_empty() {
        true => none,
        false => balanced(all, is_and).into_node(),
    }
}

fn balanced(mut arms: Vec<Shared<Scalar>>, is_and: bool) -> Shared<Scalar> {
    let Some(one) = arms.pop() else { return Shared::of_normal(Scalar::TRUE) };
    if arms.is_empty() {
        return one;
    }
    arms.push(one);
    let right = arms.split_off(arms.len() / 2);
    let (left, right) = (balanced(arms, is_and), balanced(right, is_and));
    Shared::of_normal(if is_and { Scalar::And(left, right) } else { Scalar::Or(left, right) })
}

/// The bounds that an arm sets to one thing: least and most. An equality in a list of AND sets both, and so does `<>` in
/// a list of OR (`x <> 5` is `x <= 4 OR x >= 6`), so that a list that is normal already can grow.
fn bounded(arm: &Scalar, is_and: bool) -> Option<(&Shared<Scalar>, Option<Value>, Option<Value>)> {
    let Scalar::Compare(op, item, other) = arm else { return None };
    let value = match other.as_ref() {
        Scalar::Value(value @ (Value::Number(..) | Value::Day(_))) => value,
        _ => return None,
    };
    match (op, is_and) {
        (Compare::GtEq, _) => Some((item, Some(value.clone()), None)),
        (Compare::LtEq, _) => Some((item, None, Some(value.clone()))),
        (Compare::Eq, true) => Some((item, Some(value.clone()), Some(value.clone()))),
        (Compare::NotEq, false) => Some((item, Some(moved(value, 1)?), Some(moved(value, -1)?))),
        (Compare::Eq | Compare::NotEq | Compare::Lt | Compare::Gt, _) => None,
    }
}

/// Bounds of one thing are joined: of `x >= 1 AND x >= 2` the second is left, and `x >= 2 AND x <= 2` is `x = 2`.
fn ranges(arms: Vec<Shared<Scalar>>, is_and: bool) -> Vec<Shared<Scalar>> {
    let mut bounds: Vec<(Shared<Scalar>, Option<Value>, Option<Value>)> = Vec::new();
    let mut others = Vec::new();
    let narrow = |known: &mut Option<Value>, new: Option<Value>, is_larger: bool| {
        if let Some(new) = new {
            let wins = known.as_ref().is_none_or(|known| if is_larger { new > *known } else { new < *known });
            if wins {
                *known = Some(new);
            }
        }
    };
    for arm in arms {
        let Some((item, least, most)) = bounded(&arm, is_and) else {
            others.push(arm);
            continue;
        };
        match bounds.iter_mut().find(|(known, ..)| known == item) {
            Some((_, known_least, known_most)) => {
                narrow(known_least, least, is_and);
                narrow(known_most, most, !is_and);
            }
            None => bounds.push((item.clone(), least, most)),
        }
    }
    let test = |op, item, value| Shared::of_normal(Scalar::test(op, item, value));
    for (item, least, most) in bounds {
        let hole = most.as_ref().and_then(|most| moved(most, 1));
        match (least, most) {
            (Some(least), Some(most)) if is_and && least == most => {
                others.push(test(Compare::Eq, item, least))
            }
            (Some(least), Some(_))
                if !is_and && hole.as_ref().and_then(|hole| moved(hole, 1)) == Some(least.clone()) =>
            {
                others.extend(hole.map(|value| test(Compare::NotEq, item, value)));
            }
            (least, most) => {
                others.extend(least.map(|value| test(Compare::GtEq, item.clone(), value)));
                others.extend(most.map(|value| test(Compare::LtEq, item, value)));
            }
        }
    }
    others
}

/// The value that is so many days or units later.
fn moved(value: &Value, by: i8) -> Option<Value> {
    match value {
        Value::Number(units, scale) => Some(Value::Number(units.checked_add(by.into())?, *scale)),
        Value::Day(day) => Some(Value::Day(day.checked_add(by.into())?)),
        Value::Null | Value::Boolean(_) | Value::Time(_) | Value::Text(_) => None,
    }
}

/// The expression that an arm tests, and the values that it must be among (OR) or not among (AND).
fn tested(arm: &Scalar, is_and: bool) -> Option<(&Shared<Scalar>, Vec<Value>)> {
    let listed = |item: &Scalar| match item {
        Scalar::Value(value) => Some(vec![value.clone()]),
        _ => None,
    };
    match (arm, is_and) {
        (Scalar::Compare(Compare::Eq, item, other), false)
        | (Scalar::Compare(Compare::NotEq, item, other), true) => Some((item, listed(other)?)),
        (Scalar::In(item, values), false) => Some((item, values.clone())),
        (Scalar::Not(inner), true) => match inner.as_ref() {
            Scalar::In(item, values) => Some((item, values.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// `x = 1 OR x IN (2, 3)` is `x IN (1, 2, 3)`; `x <> 1 AND x NOT IN (2, 3)` is `x NOT IN (1, 2, 3)`.
fn joined(arms: Vec<Shared<Scalar>>, is_and: bool) -> Vec<Shared<Scalar>> {
    let mut lists: Vec<(Shared<Scalar>, Vec<Value>)> = Vec::new();
    let mut others = Vec::new();
    for arm in arms {
        match tested(&arm, is_and) {
            Some((item, values)) => match lists.iter_mut().find(|(known, _)| known == item) {
                Some((_, known)) => known.extend(values),
                None => lists.push((item.clone(), values)),
            },
            None => others.push(arm),
        }
    }
    let lists = lists.into_iter().map(|(item, values)| {
        Shared::of_normal(match (one_of(item, values), is_and) {
            (list, false) => list,
            (Scalar::Compare(Compare::Eq, item, value), true) => Scalar::Compare(Compare::NotEq, item, value),
            (list, true) => Scalar::Not(Shared::of_normal(list)),
        })
    });
    others.extend(lists);
    others
}

/// IN with its values sorted and without repetition; with one value it is an equality.
fn one_of(item: Shared<Scalar>, values: Vec<Value>) -> Scalar {
    let values: BTreeSet<Value> = values.into_iter().collect();
    if values.len() == 1
        && let Some(value) = values.first()
    {
        return compare(Compare::Eq, item, Scalar::Value(value.clone()).into());
    }
    Scalar::In(item, values.into_iter().collect())
}

/// CASE with its branches up to the first that is always taken.
fn case(branches: &[(Shared<Scalar>, Shared<Scalar>)], otherwise: Option<&Shared<Scalar>>) -> Scalar {
    let mut all = Vec::with_capacity(branches.len());
    let mut last = otherwise.map(normal_of);
    for (when, then) in branches {
        match kept(when) {
            Some(when) if *when == Scalar::FALSE || *when == Scalar::Value(Value::Null) => {}
            Some(when) => all.push((when, normal_of(then))),
            None => {
                last = Some(normal_of(then));
                break;
            }
        }
    }
    let last = last.filter(|item| **item != Scalar::Value(Value::Null));
    match (all.is_empty(), last) {
        (true, None) => Scalar::Value(Value::Null),
        (true, Some(otherwise)) => otherwise.into_node(),
        (false, otherwise) => Scalar::Case { branches: all, otherwise },
    }
}

/// COALESCE without the items that cannot matter: nulls, and everything after a constant.
fn coalesce(items: &[Shared<Scalar>]) -> Scalar {
    let mut all = Vec::with_capacity(items.len());
    for item in items.iter().map(normal_of) {
        let is_constant = matches!(item.as_ref(), Scalar::Value(_));
        if *item != Scalar::Value(Value::Null) {
            all.push(item);
            if is_constant {
                break;
            }
        }
    }
    match all.len() {
        0 => Scalar::Value(Value::Null),
        1 => all.swap_remove(0).into_node(),
        _ => Scalar::Coalesce(all),
    }
}

/// Both bounds of a time, joined.
fn within(from: Scalar, to: Scalar) -> Scalar {
    arms(&from.into(), &to.into(), true)
}

fn compare(op: Compare, left: Shared<Scalar>, right: Shared<Scalar>) -> Scalar {
    match (left.as_ref(), right.as_ref()) {
        (Scalar::Value(left), Scalar::Value(right)) => constant(op, left, right),
        (Scalar::Value(_), _) => compare(op.flipped(), right, left),
        (Scalar::Time(grain), Scalar::Value(Value::Time(ms))) => match time(op, *grain, *ms) {
            Times::One(test) => test,
            Times::Within(from, to) => within(from, to),
            Times::Outside(from, to) => negated(&within(from, to).into()),
        },
        (Scalar::Day, Scalar::Value(Value::Day(day))) => match op {
            Compare::Lt => Scalar::test(Compare::LtEq, Scalar::Day, Value::Day(day.saturating_sub(1))),
            Compare::Gt => Scalar::test(Compare::GtEq, Scalar::Day, Value::Day(day.saturating_add(1))),
            Compare::Eq | Compare::NotEq | Compare::LtEq | Compare::GtEq => {
                Scalar::test(op, Scalar::Day, Value::Day(*day))
            }
        },
        (_, Scalar::Value(Value::Number(n, scale))) => {
            let (op, n) = match op {
                Compare::Lt => (Compare::LtEq, n.saturating_sub(1)),
                Compare::Gt => (Compare::GtEq, n.saturating_add(1)),
                Compare::Eq | Compare::NotEq | Compare::LtEq | Compare::GtEq => (op, *n),
            };
            let value = Value::Number(n, *scale);
            Scalar::test(op, left, value)
        }
        (_, Scalar::Value(Value::Boolean(b))) => match (op, *b) {
            (Compare::Eq, true) | (Compare::NotEq, false) => left.into_node(),
            (Compare::Eq, false) | (Compare::NotEq, true) => negated(&left),
            (_, b) => Scalar::test(op, left, Value::Boolean(b)),
        },
        (_, Scalar::Value(_)) => Scalar::Compare(op, left, right),
        (one, other) if one.to_string() > other.to_string() => Scalar::Compare(op.flipped(), right, left),
        _ => Scalar::Compare(op, left, right),
    }
}

/// A comparison of two constants of one type.
fn constant(op: Compare, left: &Value, right: &Value) -> Scalar {
    if *left == Value::Null || *right == Value::Null {
        return Scalar::Value(Value::Null);
    }
    let is_true = match op {
        Compare::Eq => left == right,
        Compare::NotEq => left != right,
        Compare::Lt => left < right,
        Compare::LtEq => left <= right,
        Compare::Gt => left > right,
        Compare::GtEq => left >= right,
    };
    Scalar::Value(Value::Boolean(is_true))
}
