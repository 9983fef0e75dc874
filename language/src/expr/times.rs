//! Comparisons of a time with a constant, in the form that all spellings share.
//!
//! Invariants: only whole buckets differ; a bound that falls on the first moment of a day is a bound of days.

use super::{Compare, Scalar, Value};
use crate::calendar::Grain;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, day_of, start_of};

/// The result of a comparison of a time.
pub(super) enum Times {
    /// One test, or a constant.
    One(Scalar),
    /// Both of these bounds hold.
    Within(Scalar, Scalar),
    /// One of these bounds does not hold.
    Outside(Scalar, Scalar),
}

/// A comparison of the hour with a time: only whole hours differ.
fn hour(op: Compare, ms: i64) -> Scalar {
    let floor = ms - ms.rem_euclid(HOUR_MS);
    let ceil = if floor == ms { ms } else { floor.saturating_add(HOUR_MS) };
    let from = |ms: i64| match ms.rem_euclid(DAY_MS) {
        0 => Scalar::test(Compare::GtEq, Scalar::Day, Value::Day(day_of(ms))),
        _ => Scalar::test(Compare::GtEq, Scalar::Time(Grain::Hour), Value::Time(ms)),
    };
    let before = |ms: i64| match ms.rem_euclid(DAY_MS) {
        0 => Scalar::test(Compare::LtEq, Scalar::Day, Value::Day(day_of(ms).saturating_sub(1))),
        _ => Scalar::test(Compare::LtEq, Scalar::Time(Grain::Hour), Value::Time(ms.saturating_sub(HOUR_MS))),
    };
    match op {
        Compare::GtEq => from(ceil),
        Compare::Gt => from(floor.saturating_add(HOUR_MS)),
        Compare::Lt => before(ceil),
        Compare::LtEq => before(floor.saturating_add(HOUR_MS)),
        Compare::Eq | Compare::NotEq if floor != ms => Scalar::Value(Value::Boolean(op == Compare::NotEq)),
        Compare::Eq | Compare::NotEq => Scalar::test(op, Scalar::Time(Grain::Hour), Value::Time(ms)),
    }
}

/// A comparison of a bucket of days, which is never null, with a time: only whole buckets differ.
pub(super) fn time(op: Compare, grain: Grain, ms: i64) -> Times {
    let next_after = match grain {
        Grain::Hour => return Times::One(hour(op, ms)),
        Grain::Day => 1,
        Grain::Week => 7,
        Grain::Month => 31,
    };
    let start = grain.bucket(day_of(ms));
    let next = grain.bucket(start.saturating_add(next_after));
    let is_first = start_of(start) == ms;
    let from = |day: i32| Scalar::test(Compare::GtEq, Scalar::Day, Value::Day(day));
    let before = |day: i32| Scalar::test(Compare::LtEq, Scalar::Day, Value::Day(day.saturating_sub(1)));
    Times::One(match op {
        Compare::GtEq if is_first => from(start),
        Compare::Lt if is_first => before(start),
        Compare::GtEq | Compare::Gt => from(next),
        Compare::Lt | Compare::LtEq => before(next),
        Compare::Eq if !is_first => Scalar::FALSE,
        Compare::NotEq if !is_first => Scalar::TRUE,
        Compare::Eq | Compare::NotEq if next_after == 1 => Scalar::test(op, Scalar::Day, Value::Day(start)),
        Compare::Eq => return Times::Within(from(start), before(next)),
        Compare::NotEq => return Times::Outside(from(start), before(next)),
    })
}
