//! What the attacks are asked of as a control: plain DataFusion over the same rows, and the same with a smallest group.
//!
//! A smallest group alone is what many systems call anonymous. The attacks win against it: that is why there is noise.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionContext;
use shoal_schemas::Kind;

use super::Answer;
use super::attacks::{World, with_smallest_group};
use crate::tests::{plain_table, registry};

/// An engine without noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exact {
    /// Every group.
    Plain,
    /// Groups of at least 20 subjects.
    SmallestGroup,
}

/// The statements' exact answers.
pub(super) async fn answers(world: &World, statements: &[String], engine: Exact) -> Vec<Answer> {
    let session = SessionContext::new();
    for kind in [Kind::Usage, Kind::Crash] {
        let table = plain_table(registry().table(kind), world.rows(kind));
        session.register_table(kind.as_str(), table).unwrap();
    }
    let mut answers = Vec::new();
    for statement in statements {
        let sql = with_smallest_group(statement, engine == Exact::SmallestGroup);
        let frame = session.sql(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut answer = Answer::new();
        for batch in &batches {
            let is_number = |array: &ArrayRef| array.data_type().is_numeric();
            let (numbers, keys): (Vec<ArrayRef>, Vec<ArrayRef>) =
                batch.columns().iter().map(Arc::clone).partition(is_number);
            let numbers: Vec<ArrayRef> =
                numbers.iter().map(|array| cast(array, &DataType::Float64).unwrap()).collect();
            for row in 0..batch.num_rows() {
                let key: Vec<String> =
                    keys.iter().map(|array| array_value_to_string(array, row).unwrap()).collect();
                let values = numbers.iter().map(|array| array.as_primitive::<Float64Type>().value(row));
                answer.push((key.join(" "), values.collect()));
            }
        }
        answer
            .sort_by(|a, b| if sql.contains("ORDER BY") { std::cmp::Ordering::Equal } else { a.0.cmp(&b.0) });
        answers.push(answer);
    }
    answers
}
