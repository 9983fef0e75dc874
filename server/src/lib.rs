//! The service: routes, configuration, authorisation, jobs and the command line. The only binary, `shoal`, is a thin shell
//! around this library; [`start`] runs all of it inside a test.
//!
//! - `config`: one TOML file and the environment, checked
//! - `key_file`: the regions' secrets; `key_check`: whether the data were made with them; `access_keys`: access keys and their uses
//! - `canonical_day`: from when on pseudonyms are canonical; `checked_json`: small files with a digest
//! - `startup`: the composition root; `state`: what it built; `running`: failing and stopping; `reload`: a changed configuration;
//!   `definitions`: reading them, and taking them over
//! - `http`, `tls`: the routes, and what happens around every request; `problem`: how a request is refused
//! - `ledger_start`: the ledger of budgets is opened or doubted; `ledger_comparison`: the audit beside it
//! - `consent_files`: no file of consents is missing beside data
//! - `retention_line`, `key_line`: what the audit says of a run of retention, and of an act on an access key
//! - `catalogue`: what can be sent, for people who want to
//! - `clocks`: the time of day, and a clock that nobody sets; `served_time`: how long the data were served, and what is known of
//!   the time
//! - `jobs`: the loop that drives flush, retention and changed keys; `flushes`: how the flushes go
//! - `withdrawals_start`: withdrawals that an older copy of the records lacks come back from their journal
//! - `logs`, `metrics`, `parts`, `status`, `doctor`: what an operator sees; `operator_socket`: how commands ask for it;
//!   `audit_check`: when the audit was checked last
//! - `backup`: copies of a data directory, checked and put back; `table_copies`: tables in the clear; `outside`: where copies may lie
//! - `cli`, `client`, `demo`: the command line; `threads`: what its commands run on; `own_process`: modes of files, core files
//!
//! Not here: what happens to an event (`shoal-ingest`), to a question (`shoal-query`), to an expired day (`shoal-retention`).

mod access;
pub mod access_keys;
mod account_room;
mod audit_check;
mod backup;
mod canonical_day;
mod catalogue;
mod checked_json;
pub mod cli;
mod client;
mod clocks;
pub mod config;
mod consent_files;
mod custody;
mod definitions;
mod demo;
mod doctor;
mod erasures;
mod error;
mod file_keys;
mod flushes;
mod http;
mod jobs;
mod key_check;
mod key_custody;
mod key_file;
mod key_line;
mod key_migration;
mod keys_told;
mod ledger_comparison;
mod ledger_start;
pub mod logs;
mod metrics;
mod operator_socket;
mod outside;
mod own_process;
mod parts;
mod problem;
mod receipts;
mod reload;
mod retention_line;
mod retention_runs;
mod running;
mod served_time;
mod startup;
mod state;
mod status;
mod stored_keys;
mod subjects;
mod table_copies;
mod tables_owner;
mod tables_place;
mod threads;
mod tls;
mod unwrapped;
mod withdrawals_start;

pub use clocks::{Clock, Clocks, system_clock};
pub use config::Config;
pub use error::Error;
pub use key_file::KeyError;
pub use running::Running;
pub use startup::start;
