//! The normal form: one form for all spellings of the same condition, so that they share an answer.
//!
//! Invariants: the normal form has the same value for every row, NULL among the values (three-valued logic); where only
//! "true or not" matters ([`filter`]), it is true for the same rows. Lists of AND and OR are flat, sorted, without
//! repetition, and balanced, so that nothing nests deeply. NOT stands before tests only. Numbers and days are compared
//! by `<=` and `>=`; a time that is compared with the first moment of a bucket is a comparison of days.
//! Not here: which days and regions a condition means (`bind/scope.rs`).

use std::collections::BTreeSet;

use super::times::{Times, time};
use super::{Compare, Scalar, Value};

/// The normal form of a condition that is used as a filter: unknown counts as false.
pub fn filter(condition: Scalar) -> Option<Scalar> {
    let whole = normal(known(normal(condition)));
    (whole != Scalar::TRUE).then_some(whole)
}

/// Without the `coalesce(.., false)` of IS TRUE, where unknown counts as false anyway.
fn known(condition: Scalar) -> Scalar {
    match condition {
        Scalar::And(left, right) => Scalar::And(Box::new(known(*left)), Box::new(known(*right))),
        Scalar::Or(left, right) => Scalar::Or(Box::new(known(*left)), Box::new(known(*right))),
        Scalar::Coalesce(mut items) if items.len() == 2 && items.get(1) == Some(&Scalar::FALSE) => {
            known(items.swap_remove(0))
        }
        other => other,
    }
}

/// The normal form.
pub fn normal(item: Scalar) -> Scalar {
    match item {
        Scalar::Not(inner) => negated(*inner),
        Scalar::And(..) => arms(item, true),
        Scalar::Or(..) => arms(item, false),
        Scalar::Compare(op, left, right) => compare(op, normal(*left), normal(*right)),
        Scalar::In(item, values) => one_of(normal(*item), values),
        Scalar::Case { branches, otherwise } => case(branches, otherwise),
        Scalar::Coalesce(items) => coalesce(items),
        Scalar::Least(items) => Scalar::Least(sorted(items.into_iter().map(normal))),
        Scalar::Greatest(items) => Scalar::Greatest(sorted(items.into_iter().map(normal))),
        other => other.map(&mut normal),
    }
}

fn sorted(items: impl Iterator<Item = Scalar>) -> Vec<Scalar> {
    let mut items: Vec<(String, Scalar)> = items.map(|item| (item.to_string(), item)).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    items.dedup_by(|a, b| a.0 == b.0);
    items.into_iter().map(|(_, item)| item).collect()
}

fn not(item: Scalar) -> Scalar {
    Scalar::Not(Box::new(item))
}

/// NOT of an expression, moved inside.
fn negated(item: Scalar) -> Scalar {
    match item {
        Scalar::Not(inner) => normal(*inner),
        Scalar::And(left, right) => normal(Scalar::Or(Box::new(not(*left)), Box::new(not(*right)))),
        Scalar::Or(left, right) => normal(Scalar::And(Box::new(not(*left)), Box::new(not(*right)))),
        Scalar::Compare(op, left, right) => {
            let op = match op {
                Compare::Eq => Compare::NotEq,
                Compare::NotEq => Compare::Eq,
                Compare::Lt => Compare::GtEq,
                Compare::LtEq => Compare::Gt,
                Compare::Gt => Compare::LtEq,
                Compare::GtEq => Compare::Lt,
            };
            compare(op, normal(*left), normal(*right))
        }
        Scalar::Value(Value::Boolean(b)) => Scalar::Value(Value::Boolean(!b)),
        Scalar::Value(Value::Null) => Scalar::Value(Value::Null),
        other => match normal(other) {
            // The normal form may be of another kind (a list of one value, a constant) and is negated as that.
            other @ (Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::Value(Value::Boolean(_) | Value::Null)) => negated(other),
            other => not(other),
        },
    }
}

fn flat(item: Scalar, is_and: bool, out: &mut Vec<Scalar>) {
    match (item, is_and) {
        (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
            flat(*left, is_and, out);
            flat(*right, is_and, out);
        }
        // Raw arms may become lists when they are normal.
        (other, _) => match (normal(other), is_and) {
            (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
                flat_normal(*left, is_and, out);
                flat_normal(*right, is_and, out);
            }
            (other, _) => out.push(other),
        },
    }
}

fn flat_normal(item: Scalar, is_and: bool, out: &mut Vec<Scalar>) {
    match (item, is_and) {
        (Scalar::And(left, right), true) | (Scalar::Or(left, right), false) => {
            flat_normal(*left, is_and, out);
            flat_normal(*right, is_and, out);
        }
        (other, _) => out.push(other),
    }
}

/// A list of AND (or OR): constants folded, tests of one thing joined, sorted, balanced.
fn arms(item: Scalar, is_and: bool) -> Scalar {
    let mut all = Vec::new();
    flat(item, is_and, &mut all);
    let (none, decisive) = if is_and { (Scalar::TRUE, Scalar::FALSE) } else { (Scalar::FALSE, Scalar::TRUE) };
    if all.contains(&decisive) {
        return decisive;
    }
    all.retain(|arm| *arm != none);
    let all = sorted(joined(ranges(all, is_and), is_and).into_iter());
    match all.is_empty() {
        true => none,
        false => balanced(all, is_and),
    }
}

fn balanced(mut arms: Vec<Scalar>, is_and: bool) -> Scalar {
    let Some(one) = arms.pop() else { return Scalar::TRUE };
    if arms.is_empty() {
        return one;
    }
    arms.push(one);
    let right = arms.split_off(arms.len() / 2);
    let (left, right) = (Box::new(balanced(arms, is_and)), Box::new(balanced(right, is_and)));
    if is_and { Scalar::And(left, right) } else { Scalar::Or(left, right) }
}

/// The bounds that an arm sets to one thing: least and most. An equality in a list of AND sets both, and so does `<>` in
/// a list of OR (`x <> 5` is `x <= 4 OR x >= 6`), so that a list that is normal already can grow.
fn bounded(arm: &Scalar, is_and: bool) -> Option<(&Scalar, Option<Value>, Option<Value>)> {
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
fn ranges(arms: Vec<Scalar>, is_and: bool) -> Vec<Scalar> {
    let mut bounds: Vec<(Scalar, Option<Value>, Option<Value>)> = Vec::new();
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
    for (item, least, most) in bounds {
        let hole = most.as_ref().and_then(|most| moved(most, 1));
        match (least, most) {
            (Some(least), Some(most)) if is_and && least == most => {
                others.push(Scalar::test(Compare::Eq, item, least))
            }
            (Some(least), Some(_))
                if !is_and && hole.as_ref().and_then(|hole| moved(hole, 1)) == Some(least.clone()) =>
            {
                others.extend(hole.map(|value| Scalar::test(Compare::NotEq, item, value)));
            }
            (least, most) => {
                others.extend(least.map(|value| Scalar::test(Compare::GtEq, item.clone(), value)));
                others.extend(most.map(|value| Scalar::test(Compare::LtEq, item, value)));
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
fn tested(arm: &Scalar, is_and: bool) -> Option<(&Scalar, Vec<Value>)> {
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
fn joined(arms: Vec<Scalar>, is_and: bool) -> Vec<Scalar> {
    let mut lists: Vec<(Scalar, Vec<Value>)> = Vec::new();
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
    let lists = lists.into_iter().map(|(item, values)| match (one_of(item, values), is_and) {
        (list, false) => list,
        (Scalar::Compare(Compare::Eq, item, value), true) => Scalar::Compare(Compare::NotEq, item, value),
        (list, true) => not(list),
    });
    others.extend(lists);
    others
}

/// IN with its values sorted and without repetition; with one value it is an equality.
fn one_of(item: Scalar, values: Vec<Value>) -> Scalar {
    let values: BTreeSet<Value> = values.into_iter().collect();
    if values.len() == 1
        && let Some(value) = values.first()
    {
        return compare(Compare::Eq, item, Scalar::Value(value.clone()));
    }
    Scalar::In(Box::new(item), values.into_iter().collect())
}

/// CASE with its branches up to the first that is always taken.
fn case(branches: Vec<(Scalar, Scalar)>, otherwise: Option<Box<Scalar>>) -> Scalar {
    let mut kept = Vec::with_capacity(branches.len());
    let mut otherwise = otherwise.map(|item| Box::new(normal(*item)));
    for (when, then) in branches {
        match filter(when) {
            Some(when) if when == Scalar::FALSE || when == Scalar::Value(Value::Null) => {}
            Some(when) => kept.push((when, normal(then))),
            None => {
                otherwise = Some(Box::new(normal(then)));
                break;
            }
        }
    }
    let otherwise = otherwise.filter(|item| **item != Scalar::Value(Value::Null));
    match (kept.is_empty(), otherwise) {
        (true, None) => Scalar::Value(Value::Null),
        (true, Some(otherwise)) => *otherwise,
        (false, otherwise) => Scalar::Case { branches: kept, otherwise },
    }
}

/// COALESCE without the items that cannot matter: nulls, and everything after a constant.
fn coalesce(items: Vec<Scalar>) -> Scalar {
    let mut kept = Vec::with_capacity(items.len());
    for item in items.into_iter().map(normal) {
        match item {
            Scalar::Value(Value::Null) => {}
            Scalar::Value(value) => {
                kept.push(Scalar::Value(value));
                break;
            }
            item => kept.push(item),
        }
    }
    match kept.len() {
        0 => Scalar::Value(Value::Null),
        1 => kept.swap_remove(0),
        _ => Scalar::Coalesce(kept),
    }
}

/// Both bounds of a time, joined.
fn within(from: Scalar, to: Scalar) -> Scalar {
    arms(Scalar::And(Box::new(from), Box::new(to)), true)
}

fn compare(op: Compare, left: Scalar, right: Scalar) -> Scalar {
    match (left, right) {
        (Scalar::Value(left), Scalar::Value(right)) => constant(op, &left, &right),
        (left @ Scalar::Value(_), right) => compare(op.flipped(), right, left),
        (Scalar::Time(grain), Scalar::Value(Value::Time(ms))) => match time(op, grain, ms) {
            Times::One(test) => test,
            Times::Within(from, to) => within(from, to),
            Times::Outside(from, to) => negated(within(from, to)),
        },
        (Scalar::Day, Scalar::Value(Value::Day(day))) => match op {
            Compare::Lt => Scalar::test(Compare::LtEq, Scalar::Day, Value::Day(day.saturating_sub(1))),
            Compare::Gt => Scalar::test(Compare::GtEq, Scalar::Day, Value::Day(day.saturating_add(1))),
            Compare::Eq | Compare::NotEq | Compare::LtEq | Compare::GtEq => {
                Scalar::test(op, Scalar::Day, Value::Day(day))
            }
        },
        (left, Scalar::Value(Value::Number(n, scale))) => match op {
            Compare::Lt => Scalar::test(Compare::LtEq, left, Value::Number(n.saturating_sub(1), scale)),
            Compare::Gt => Scalar::test(Compare::GtEq, left, Value::Number(n.saturating_add(1), scale)),
            Compare::Eq | Compare::NotEq | Compare::LtEq | Compare::GtEq => {
                Scalar::test(op, left, Value::Number(n, scale))
            }
        },
        (left, Scalar::Value(Value::Boolean(b))) => match (op, b) {
            (Compare::Eq, true) | (Compare::NotEq, false) => left,
            (Compare::Eq, false) | (Compare::NotEq, true) => negated(left),
            _ => Scalar::test(op, left, Value::Boolean(b)),
        },
        (left, right @ Scalar::Value(_)) => Scalar::Compare(op, Box::new(left), Box::new(right)),
        (left, right) if left.to_string() > right.to_string() => {
            Scalar::Compare(op.flipped(), Box::new(right), Box::new(left))
        }
        (left, right) => Scalar::Compare(op, Box::new(left), Box::new(right)),
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
