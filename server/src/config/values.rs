//! Values of settings whose form in a file differs from the form in which they are used.
//!
//! Invariant: what these functions refuse is said in the words of the setting's entry (`settings.rs`), so their own errors
//! are never shown.

use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use shoal_query::BudgetEpochs;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const UNFIT: &str = "the value does not fit";

/// The number of cores stands for 0.
pub(super) fn cores_if_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Ok(match usize::deserialize(deserializer)? {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        number => number,
    })
}

/// `None` stands for 0.
pub(super) fn none_if_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Some(u32::deserialize(deserializer)?).filter(|number| *number > 0))
}

/// A cron expression that can be followed, or an empty text.
pub(super) fn schedule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    croner::Cron::from_str(&text).map_err(|_| D::Error::custom(UNFIT))?;
    Ok(Some(text))
}

/// Shares of the cap by time.
pub(super) fn epochs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BudgetEpochs, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    BudgetEpochs::of_texts(&texts).ok_or_else(|| D::Error::custom(UNFIT))
}

/// A level of log lines.
pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<tracing::Level, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom(UNFIT))
}
