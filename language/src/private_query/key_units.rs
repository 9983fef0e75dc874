//! The units of keys: of a measure's buckets, and of the numbers of a subject's row.
//!
//! Not here: the units of aggregates, which are bound with them (`bind/binder.rs`).

use shoal_schemas::{Registry, TableDef};

use super::{PersonOp, PersonValue, PrivateQuery, Shape};
use crate::expr::{Scalar, TimePart, Value};

impl PrivateQuery {
    /// The unit of the values of a key, by its position; none where they are texts, times or mere numbers.
    pub fn unit_of_key(&self, at: usize, registry: &Registry) -> Option<String> {
        let values = match &self.shape {
            Shape::Subjects(person) => person.values.as_slice(),
            Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => &[],
        };
        unit(&self.keys.get(at)?.scalar, values, registry.table(self.table))
    }
}

fn unit(scalar: &Scalar, values: &[PersonValue], table: &TableDef) -> Option<String> {
    match scalar {
        // A bucket that is called by its lower edge; a number of the bucket is no number of units.
        Scalar::Bucket { item, edges, labels } => {
            let is_edge = |(edge, label): (&i64, &Value)| matches!(label, Value::Number(n, _) if n == edge);
            let are_edges = edges.iter().zip(labels.iter().skip(1)).all(is_edge) && labels.len() > 1;
            item.unit(table).or_else(|| unit(item, values, table)).filter(|_| are_edges)
        }
        Scalar::Person { at, .. } => of_row(&values.get(*at)?.op, table),
        _ => None,
    }
}

fn of_row(op: &PersonOp, table: &TableDef) -> Option<String> {
    match op {
        PersonOp::Rows | PersonOp::Present(_) => Some("events".to_owned()),
        PersonOp::Sessions => Some("sessions".to_owned()),
        PersonOp::Distinct(Scalar::Day) => Some("days".to_owned()),
        PersonOp::Distinct(_) => None,
        PersonOp::Min(Scalar::Part(TimePart::DayNumber))
        | PersonOp::Max(Scalar::Part(TimePart::DayNumber)) => None,
        PersonOp::Sum(item) | PersonOp::Min(item) | PersonOp::Max(item) => item.unit(table),
    }
}
