//! What can be grouped by, and how its values become known.

use std::collections::BTreeSet;

use sqlparser::tokenizer::Span;

use super::columns::Columns;
use super::scope;
use crate::calendar::Grain;
use crate::error::{Refusal, Rule};
use crate::expr::{Public, Scalar, TimePart, Type, Value};
use crate::private_query::{Key, KeyKind, L0_MAX, PersonOp, PersonValue};

/// A number of a subject's row with at most so many values shows all of them.
const PERSON_VALUES_MAX: i64 = 64;

/// A key of an expression in normal form.
pub(crate) fn key(
    scalar: Scalar,
    columns: &Columns<'_>,
    public: &Public<'_>,
    filter: Option<&Scalar>,
    span: Span,
) -> Result<Key, Refusal> {
    let refuse = |message: &str, suggestion: &str| Err(Refusal::new(Rule::Key, span, message, suggestion));
    if scalar.shows_measure(columns.table) {
        let names = scalar.names();
        let name = names.first().copied().unwrap_or("duration_ms");
        let table = columns.table.kind;
        let suggestion = format!("SELECT bucket({name}) AS from_, COUNT(*) FROM {table} GROUP BY from_");
        return refuse("A measure cannot be a key; its bucket, which is coarser, can.", &suggestion);
    }
    let kind = match &scalar {
        Scalar::Region => KeyKind::Region,
        Scalar::Day => KeyKind::Time(Grain::Day),
        Scalar::Time(grain) => KeyKind::Time(*grain),
        Scalar::Person { at, .. } => person(columns.values.get(*at)),
        // Every subject has a first and a last day.
        Scalar::Bucket { labels, .. } if columns.is_persons_day(&scalar) => KeyKind::Public(labels.clone()),
        other => match (other.domain(public), other.ty()) {
            (_, None | Some(Type::Day | Type::Time)) => {
                return refuse("This cannot be a key.", "SELECT day, COUNT(*) FROM usage GROUP BY day");
            }
            (Some(values), _) => KeyKind::Public(shown(other, values, filter)),
            (None, Some(Type::Number { scale: 1.. })) => {
                return refuse(
                    "A key is a text, a whole number, or true or false.",
                    "SELECT bucket(amount) AS from_, COUNT(*) FROM usage WHERE event = 'purchase' GROUP BY from_",
                );
            }
            (None, _) => KeyKind::Private,
        },
    };
    Ok(Key { scalar, kind })
}

/// A small count of a subject's row shows all its values; other numbers show when enough subjects have them.
fn person(value: Option<&PersonValue>) -> KeyKind {
    let Some(value) = value else { return KeyKind::Private };
    let is_listed = match &value.op {
        PersonOp::Rows | PersonOp::Present(_) | PersonOp::Distinct(_) | PersonOp::Sessions => {
            value.max - value.min < PERSON_VALUES_MAX
        }
        PersonOp::Min(item) | PersonOp::Max(item) => *item == Scalar::Part(TimePart::DayNumber),
        PersonOp::Sum(_) => false,
    };
    match is_listed {
        true => KeyKind::Public((value.min..=value.max).map(|n| Value::Number(n, value.scale)).collect()),
        false => KeyKind::Private,
    }
}

/// The values of a public key that the filter leaves.
fn shown(scalar: &Scalar, values: BTreeSet<Value>, filter: Option<&Scalar>) -> Vec<Value> {
    let pinned = match scalar {
        Scalar::Column { name, .. } => scope::pinned(filter, name),
        _ => None,
    };
    let left = |value: &Value| match (&pinned, value) {
        (Some(pinned), Value::Text(text)) => pinned.contains(text),
        (Some(_), _) => false,
        (None, _) => true,
    };
    values.into_iter().filter(left).collect()
}

/// How many groups of one subject's day count.
pub(crate) fn groups_of_a_day(keys: &[Key], public: &Public<'_>, notes: &mut Vec<String>) -> u32 {
    let groups = keys.iter().fold(1_u64, |product, key| {
        let most = match &key.kind {
            KeyKind::Public(values) => (values.len() as u64).min(key.scalar.keys_max(public)),
            KeyKind::Region | KeyKind::Windows(_) => 1,
            KeyKind::Time(_) | KeyKind::Private => key.scalar.keys_max(public),
        };
        product.saturating_mul(most.max(1))
    });
    if groups > L0_MAX {
        notes.push(format!("Of one subject's day, at most {L0_MAX} groups count."));
    }
    u32::try_from(groups.min(L0_MAX)).unwrap_or(1)
}
