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
//! - `charge`: price and noise
//! - `budget_epochs`: when a day is answered, and with which share of its budget
//! - `released_parts`: what is paid for and found again; `ledger`: the budget of a running service;
//!   `budget`: what is left of it, for everyone
//! - `scan`: bounded, exact totals of each region
//! - `above`: what stands above a release, in a worker process
//! - `release`: look up, reserve, run, noise, seal, assemble; the only maker of a [`Released`]
//! - `mend`: a refused statement written otherwise, for what a refusal suggests
//! - `engine`: the facade; `session`: memory, threads and functions of queries
//! - `audit`: a line for every query; `running`: queries that can be cancelled; `answer_times`: when an answer leaves
//! - `formats`: JSON, CSV, Arrow; `tables`: what can be asked; `config`, `metrics`, `error`
//!
//! Not here: bounding, sampling and budgets themselves (`shoal-privacy`), files (`shoal-storage`), HTTP (`shoal-server`).

mod answer_times;
mod audit;
mod budget;
mod budget_epochs;
mod charge;
mod config;
mod engine;
mod error;
mod failure;
mod formats;
mod grant;
mod ledger;
mod metrics;
mod release;
mod released_parts;
mod request;
mod running;
mod scan;
mod sensitivity;
mod tables;
#[cfg(test)]
mod tests;

pub use budget::{BlockAnswer, BudgetAnswer, BudgetError, BudgetRequest, EpochAnswer, SpentAnswer};
pub use budget_epochs::BudgetEpochs;
pub use charge::{Accuracy, Caps, ChargedQuery, charge};
pub use config::QueryConfig;
pub use engine::Engine;
pub use error::QueryError;
pub use grant::{AnalystGrant, Role};
pub use metrics::Metrics;
pub use release::{Cost, Released};
pub use request::QueryRequest;
pub use running::{NoQueryId, QueryId, RunningQuery};
pub use tables::{ColumnAnswer, TableAnswer, TablesAnswer};
