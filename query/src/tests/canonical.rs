//! The normal form of a condition means what the condition means, on rows with every mixture of values.
//!
//! Not here: that two spellings have one normal form (`shoal-language`, `tests/canonical.rs`).

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use shoal_language::{Scalar, condition, filter, normal};
use shoal_schemas::{Kind, Region};

use super::conditions::{Choices, conditions};
use super::{Row, now_ms, plain_table, registry, today};
use crate::scan::plan;

fn bound(text: &str) -> Scalar {
    condition(text, Kind::Usage, &registry(), now_ms()).unwrap()
}

/// Rows with every mixture of known and missing values.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for day in today() - 4..=today() {
        for os in [None, Some("ios"), Some("android"), Some("linux"), Some("other")] {
            for duration in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(1_000)] {
                let mut row = Row::new(1, day, "click");
                if let Some(os) = os {
                    row = row.text("os", os);
                }
                if let Some(duration) = duration {
                    row = row.number("duration_ms", duration);
                }
                rows.push(row);
            }
        }
    }
    rows
}

#[tokio::test]
async fn the_normal_form_means_the_same() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    let session = SessionContext::new();
    let table: Arc<dyn datafusion::catalog::TableProvider> =
        plain_table(registry().table(Kind::Usage), &rows());
    let mut runner = TestRunner::deterministic();
    for seed in 0..150 {
        let condition = conditions().new_tree(&mut runner).unwrap().current();
        let text = Choices(seed).write(&condition);
        let raw = bound(&text);
        let whole = normal(raw.clone());
        let kept = filter(raw.clone());
        let plan = |scalar: &Scalar| plan::plan(scalar, Region::De);
        let kept = kept.map_or(datafusion::prelude::lit(true), |kept| plan(&kept));
        let frame = session.read_table(Arc::clone(&table)).unwrap();
        let columns = vec![plan(&raw).alias("raw"), plan(&whole).alias("normal"), kept.alias("kept")];
        for batch in frame.select(columns).unwrap().collect().await.unwrap() {
            use datafusion::arrow::array::AsArray;
            let [raw, normal, kept] = [0, 1, 2].map(|at| batch.column(at).as_boolean().clone());
            for row in 0..batch.num_rows() {
                let at = |array: &datafusion::arrow::array::BooleanArray| {
                    use datafusion::arrow::array::Array;
                    array.is_valid(row).then(|| array.value(row))
                };
                assert_eq!(at(&raw), at(&normal), "{text}\n{whole}");
                assert_eq!(at(&raw) == Some(true), at(&kept) == Some(true), "{text}");
            }
        }
    }
}
