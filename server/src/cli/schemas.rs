//! `shoal schemas check DIR`: whether a directory of definitions can overlay the embedded ones.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use shoal_schemas::Kind;

use crate::error::Error;

#[derive(Subcommand)]
pub(super) enum SchemasCommand {
    /// Lists everything that is wrong with a directory of definitions, with file and line.
    Check {
        /// Directory with the layout of `schemas/defs`.
        dir: PathBuf,
    },
}

pub(super) fn run(command: &SchemasCommand) -> Result<ExitCode, Error> {
    let SchemasCommand::Check { dir } = command;
    if !dir.is_dir() {
        return Err(Error::Usage(format!("{} is not a directory", dir.display())));
    }
    let registry = crate::startup::build_schemas(Some(dir))?;
    let columns: usize = Kind::ALL.iter().map(|k| registry.table(*k).columns.len()).sum();
    println!("right: {} events, {columns} columns in {} tables", registry.events().len(), Kind::ALL.len());
    Ok(ExitCode::SUCCESS)
}
