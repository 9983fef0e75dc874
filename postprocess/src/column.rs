//! The columns of an answer, and the noisy numbers that come into it.
//!
//! Not here: how a number became noisy (`shoal-query`, `release`).

use serde::{Deserialize, Serialize};

/// A noisy number, in units of 10^-scale of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number.
    pub units: i128,
    /// The standard deviation of its noise, in the same units.
    pub sd: f64,
    /// Its 95 % interval, where that is not symmetric around the number.
    pub interval: Option<(f64, f64)>,
}

/// What a column of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// A key, or something made of keys only.
    Key,
    /// A noisy number; followed by its standard deviation and its 95 % interval.
    Estimate,
    /// A value that is not a number but is made of noisy numbers.
    Value,
    /// Standard deviation of the estimate before it, in its unit.
    Deviation,
    /// Lower end of the estimate's 95 % interval.
    Low,
    /// Upper end of the estimate's 95 % interval.
    High,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ColumnKind,
    /// Unit of a number: `ms`, `events`, `subjects`, `events per session` ..
    pub unit: Option<String>,
    /// What is known of every number in it before there is one: where it has no error of its own, or where groups that are
    /// not shown come into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
