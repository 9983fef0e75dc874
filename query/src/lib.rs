//! From SQL to a private query to a release.
//!
//! ```text
//! SQL -parse-> ParsedQuery -bind-> PrivateQuery -charge-> ChargedQuery -execute-> Raw -release-> Released
//! ```
//! The analyst's SQL is parsed into a small typed [`PrivateQuery`]; what runs on events is built from that value by
//! fixed templates. What stands above a release (arithmetic, HAVING, ORDER BY, LIMIT) runs on released rows.
//!
//! - `parse`: text -> one statement, every node of it seen
//! - `question`: a statement -> its private queries and the text above their releases
//! - `bind`: names, types, bounds and retention of expressions over events
//! - `expr`: total expressions; `calendar`: days and hours
//! - `charge`: price and noise; the place of the budget ledger
//! - `execute`: bounded, exact totals of each region
//! - `release`: noise, thresholds, and the only maker of a [`Released`]
//! - `free`: what stands above a release
//! - `engine`: the facade; `session`: memory, threads and functions of queries
//! - `formats`: JSON, CSV, Arrow; `tables`: what can be asked; `config`, `metrics`, `error`
//!
//! Not here: bounding, sampling and budgets themselves (`shoal-privacy`), files (`shoal-storage`), HTTP (`shoal-server`).

mod bind;
mod calendar;
mod charge;
mod config;
mod engine;
mod error;
mod execute;
mod expr;
mod formats;
mod free;
mod metrics;
mod parse;
mod private_query;
mod question;
mod release;
mod session;
mod tables;
#[cfg(test)]
mod tests;

pub use charge::{Caps, ChargedQuery, charge};
pub use config::QueryConfig;
pub use engine::{AnalystGrant, Engine, QueryRequest, Role};
pub use error::{QueryError, Refusal, Rule};
pub use metrics::Metrics;
pub use parse::{ParsedQuery, parse};
pub use private_query::{DayRange, PrivateQuery};
pub use release::{Column, ColumnKind, Cost, Released};
pub use tables::{ColumnAnswer, TableAnswer, TablesAnswer};

pub use bind::{Bound, bind};
