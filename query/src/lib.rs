//! From a question to a release: price, budget, scan, noise, answer.
//!
//! ```text
//! Question -charge-> ChargedQuery -look up, pay-> what is due -scan-> Raw -noise, seal-> Groups -postprocess-> Released
//! ```
//! What runs on events is built by fixed templates from a `PrivateQuery` that `shoal-language` made. The
//! postprocessing (arithmetic, HAVING, ORDER BY, LIMIT) runs on released rows, in `shoal-postprocess`.
//!
//! - `charge`: price and noise; `sensitivity`: how far one unit changes each number; `text_bytes`: how
//!   long a text can be
//! - `budget_epochs`: when a day is answered, and with which share of its budget
//! - `released_parts`: what is paid for and found again; `ledger`: the budget of a running service;
//!   `budget`: what is left of it, for everyone; `literals`: statements without what only their asker may see
//! - `scan`: bounded, exact totals of each region
//! - `release`: look up, reserve, run, noise, seal, assemble; the only maker of a [`Released`]
//! - `engine`: the facade; `request`, `grant`: what is asked, and who asks
//! - `audit`: a line for every query; `receipts`: what it says of the ledger;
//!   `running`: queries that can be cancelled; `schedule`, `clock`: when an answer leaves
//! - `formats`: JSON, CSV, Arrow; `tables`: what can be asked; `config`, `metrics`
//! - `error`, `failure`: what the asker is told, and what the operator is told besides; `delta`: amounts of delta
//!
//! Not here: the language (`shoal-language`), SQL over released rows (`shoal-postprocess`), bounding, sampling and the
//! arithmetic of budgets (`shoal-anonymity`), files (`shoal-storage`), HTTP (`shoal-server`).

mod audit;
mod budget;
mod budget_epochs;
mod charge;
mod clock;
mod config;
mod delta;
mod engine;
mod error;
mod failure;
mod formats;
mod grant;
mod ledger;
mod literals;
mod metrics;
mod receipts;
mod release;
mod released_parts;
mod request;
mod running;
mod scan;
mod schedule;
mod sensitivity;
mod tables;
#[cfg(test)]
mod tests;
mod text_bytes;

pub use budget::{BlockAnswer, BudgetAnswer, BudgetError, BudgetRequest, EpochAnswer, SpentAnswer};
pub use budget_epochs::BudgetEpochs;
pub use charge::{Accuracy, Caps, ChargedQuery, PRICE_MIN, charge};
pub use config::QueryConfig;
pub use engine::Engine;
pub use error::QueryError;
pub use grant::{AnalystGrant, Role};
pub use metrics::Metrics;
pub use release::{Cost, NumberNoise, Released, SIZE_PRICE};
pub use request::QueryRequest;
pub use running::{NoQueryId, QueryId, RunningQuery};
pub use tables::{ColumnAnswer, TableAnswer, TablesAnswer};
