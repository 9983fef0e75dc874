//! `shoal schemas check DIR`: whether a directory of definitions can overlay the embedded ones.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use shoal_schemas::Kind;

use super::output::print_either;
use crate::error::Error;

#[derive(Subcommand)]
pub(super) enum SchemasCommand {
    /// Lists everything that is wrong with a directory of definitions, with file and line.
    Check {
        /// Directory with the layout of `schemas/defs`.
        dir: PathBuf,
        /// Prints the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &SchemasCommand) -> Result<ExitCode, Error> {
    let SchemasCommand::Check { dir, json } = command;
    if !dir.is_dir() {
        return Err(Error::Usage(format!("{} is not a directory", dir.display())));
    }
    let registry = crate::startup::build_schemas(Some(dir))?;
    let columns: usize = Kind::ALL.iter().map(|k| registry.table(*k).columns.len()).sum();
    let (events, tables) = (registry.events().len(), Kind::ALL.len());
    let value = || json!({"events": events, "columns": columns, "tables": tables});
    print_either(*json, value, || format!("right: {events} events, {columns} columns in {tables} tables"))
}
