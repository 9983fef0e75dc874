//! Expressions and constants as text: the canonical form, and what `EXPLAIN` shows.
//!
//! Invariants: two expressions with the same text are the same.

use std::fmt;

use shoal_schemas::columns;

use super::{Scalar, Value};
use crate::calendar::{day_text, time_text};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Number(units, scale) => f.write_str(&fixed_point_text(*units, *scale)),
            Value::Day(day) => write!(f, "DATE '{}'", day_text(*day)),
            Value::Time(ms) => write!(f, "TIMESTAMP '{}'", time_text(*ms)),
            Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// Units of 10^-scale as a decimal.
pub(crate) fn fixed_point_text(units: i64, scale: u8) -> String {
    if scale == 0 {
        return units.to_string();
    }
    let width = usize::from(scale) + 1;
    let digits = format!("{:0width$}", units.unsigned_abs());
    let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
    format!("{}{whole}.{part}", if units < 0 { "-" } else { "" })
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Column { name, .. } => f.write_str(name),
            Scalar::Region => f.write_str("region"),
            Scalar::Day => f.write_str(columns::DAY),
            Scalar::Time(grain) => write!(f, "date_trunc('{}', time)", grain.as_str()),
            Scalar::Value(value) => value.fmt(f),
            Scalar::Compare(op, left, right) => write!(f, "({left} {} {right})", op.text()),
            Scalar::And(left, right) => write!(f, "({left} AND {right})"),
            Scalar::Or(left, right) => write!(f, "({left} OR {right})"),
            Scalar::Not(item) => write!(f, "(NOT {item})"),
            Scalar::In(item, values) => write!(f, "({item} IN ({}))", list(values)),
            Scalar::IsNull(item) => write!(f, "({item} IS NULL)"),
            Scalar::Like { item, pattern, any_case } => {
                let word = if *any_case { "ILIKE" } else { "LIKE" };
                write!(f, "({item} {word} '{}')", pattern.replace('\'', "''"))
            }
            Scalar::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (when, then) in branches {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Scalar::Coalesce(items) => write!(f, "coalesce({})", list(items)),
            Scalar::Upper(item) => write!(f, "upper({item})"),
            Scalar::Lower(item) => write!(f, "lower({item})"),
            Scalar::Arithmetic(op, left, right) => write!(f, "({left} {} {right})", op.text()),
            Scalar::Least(items) => write!(f, "least({})", list(items)),
            Scalar::Greatest(items) => write!(f, "greatest({})", list(items)),
            Scalar::Bucket { item, edges, labels } => {
                write!(f, "bucket({item}, [{}], [{}])", list(edges), list(labels))
            }
            Scalar::Part(part) => write!(f, "extract({} FROM time)", part.as_str()),
            Scalar::Person { at, .. } => write!(f, "value_{at}"),
            Scalar::PersonKey { at, .. } => write!(f, "key_{at}"),
            Scalar::Step => f.write_str("step"),
            Scalar::Cohort => f.write_str("cohort"),
            Scalar::Period => f.write_str("period"),
        }
    }
}
