//! One question, as it is asked.

use serde::{Deserialize, Serialize};
use shoal_anonymity::budget::Precision;

use crate::running::QueryId;

/// One question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// The id by which it can be cancelled; `None` picks a random one.
    #[serde(default)]
    pub id: Option<QueryId>,
    /// The statement.
    pub sql: String,
    /// How much noise, and so the price.
    #[serde(default)]
    pub precision: Precision,
    /// The largest standard deviation that is wanted, above 0; it takes the place of `precision`.
    #[serde(default)]
    pub sd_max: Option<f64>,
    /// Whether only the price is asked; nothing is read or charged.
    #[serde(default)]
    pub dry_run: bool,
}
