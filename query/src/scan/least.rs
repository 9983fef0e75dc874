//! Which of several rows with the same subject, time and event id counts: one that meets the filter rather than one that
//! does not, then the one whose values come first, value by value.
//!
//! They are copies of one event that say different things, and neither came first. The order of files must not choose, so
//! the values that the query reads do: rows that cannot be told apart by them give the same answer, whichever counts.
//!
//! Invariants: a candidate needs nothing of the batch that it came in. No `Debug`: it is an event. Not here: which rows are
//! copies (`merge`).

use std::cmp::Ordering;

use datafusion::arrow::array::{Array, ArrayRef, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;

use super::runs::Loaded;
use crate::failure::Failure;

/// One row.
pub(super) struct Candidate {
    /// Its values, if it meets the filter.
    columns: Option<Vec<ArrayRef>>,
}

impl Candidate {
    /// The row of a batch.
    pub(super) fn of(batch: &Loaded, row: usize) -> Candidate {
        let values = batch.values_of(row..row + 1);
        let value = |column: &ArrayRef| column.slice(values.start, 1);
        Candidate { columns: (!values.is_empty()).then(|| batch.columns.iter().map(value).collect()) }
    }

    /// Its values, if it meets the filter.
    pub(super) fn columns(&self) -> Option<&[ArrayRef]> {
        self.columns.as_deref()
    }

    /// Whether it counts rather than the other one.
    pub(super) fn is_before(&self, other: &Candidate) -> Result<bool, Failure> {
        let (Some(own), Some(others)) = (&self.columns, &other.columns) else {
            return Ok(self.columns.is_some() && other.columns.is_none());
        };
        for (one, two) in own.iter().zip(others) {
            // A column of no type has no values, and the subject, which is the same, is the only one that files hold in two ways.
            if one.data_type() != two.data_type() || one.data_type() == &DataType::Null {
                continue;
            }
            match make_comparator(one.as_ref(), two.as_ref(), SortOptions::default())?(0, 0) {
                Ordering::Equal => {}
                order => return Ok(order == Ordering::Less),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::array::{DictionaryArray, Int64Array, NullArray, StringArray};
    use datafusion::arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use super::super::runs::{Asked, runs};
    use super::*;

    /// A text, a number and nothing; or a row that does not meet the filter.
    type Row = Option<(Option<&'static str>, Option<i64>)>;

    /// As one row of a batch of its own, whose dictionary has an order of its own.
    fn candidate(row: Row, turned: bool) -> Candidate {
        let mut words = vec!["a", "b", "c"];
        if turned {
            words.reverse();
        }
        let key = |word: &str| i32::try_from(words.iter().position(|known| *known == word).unwrap()).unwrap();
        let (text, number) = row.unwrap_or_default();
        let keys = std::iter::once(text.map(key)).collect();
        let texts: DictionaryArray<Int32Type> =
            DictionaryArray::try_new(keys, Arc::new(StringArray::from(words.clone()))).unwrap();
        let numbers: Int64Array = std::iter::once(number).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(NullArray::new(1)), Arc::new(texts), Arc::new(numbers)];
        let (asked, columns) = match row {
            Some(_) => (Asked::All, columns),
            None => (Asked::of(std::iter::once(false), &[7]), Vec::new()),
        };
        let batch =
            Loaded { runs: runs([1].into_iter()), times_us: vec![7], event_ids: vec![9], asked, columns };
        Candidate::of(&batch, 0)
    }

    fn row() -> impl Strategy<Value = Row> {
        let texts = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
        prop::option::of((texts, prop::option::of(0..3_i64)))
    }

    proptest! {
        #[test]
        fn it_is_a_total_order_of_values_whatever_the_dictionaries(
            a in row(), b in row(), turned_a: bool, turned_b: bool,
        ) {
            let (one, two) = (candidate(a, turned_a), candidate(b, turned_b));
            let (before, after) = (one.is_before(&two).unwrap(), two.is_before(&one).unwrap());
            prop_assert_eq!(before || after, a != b);
            prop_assert!(!(before && after));
            if let (Some(a), Some(b)) = (a, b) {
                prop_assert_eq!(before, a < b);
            } else {
                prop_assert_eq!(before, a.is_some() && b.is_none());
            }
        }
    }
}
