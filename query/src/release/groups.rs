//! Groups of a release: noisy numbers, anonymous from here on.

use std::collections::BTreeMap;

use shoal_language::Value;
use shoal_postprocess::Estimate;

/// Released groups: values of the keys, in the query's order, and the noisy aggregates. Anonymous from here on.
pub(crate) struct Groups {
    pub(crate) rows: BTreeMap<Vec<Value>, Vec<Estimate>>,
}
