//! The command line. Exit codes: 0 done; 1 failed; 2 wrong use, configuration or definitions; 3 the running service refused or
//! cannot be reached; 4 retention ran but a table did not finish.
//!
//! Not here: what the commands do (`cli/`).

mod audit;
mod budget;
mod keys;
mod query;
mod retention;
mod schemas;
mod serve;
mod table;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::Error;

pub(crate) use budget::budget_table;
pub(crate) use serve::until_told as serve_until_told;
pub(crate) use table::{answer_table, column_names, number, rows, value};

/// Opt-in events in, anonymous aggregates out.
#[derive(Parser)]
#[command(name = "shoal", version, about, after_help = EXIT_CODES)]
struct Cli {
    /// Configuration file; every key and its default is in shoal.example.toml.
    #[arg(long, global = true, env = "SHOAL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong use, configuration or definitions; \
    3 the running service refused or cannot be reached; 4 retention ran but a table did not finish.";

#[derive(Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or Ctrl-C.
    Serve,
    /// The configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Access keys of apps, analysts and officers.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Definitions of events, programmes, regions and retention.
    Schemas {
        #[command(subcommand)]
        command: schemas::SchemasCommand,
    },
    /// Asks a running service in SQL.
    Query(query::QueryArgs),
    /// Shows what is left of each day's privacy budget, and what spent it.
    Budget(budget::BudgetArgs),
    /// Makes expired days gone.
    Retention {
        #[command(subcommand)]
        command: retention::RetentionCommand,
    },
    /// Who asked what, and whether that record is whole.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Starts a service of its own with a day of example traffic, and asks it questions.
    Demo(crate::demo::DemoArgs),
    /// Runs statements above releases for the service that starts it.
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
    /// Prints the version.
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Says whether the configuration is right, and what is wrong with it.
    Check,
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shoal: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let config = || Config::load(cli.config.as_deref(), std::env::vars());
    match cli.command {
        Command::Serve => serve::run(config()?),
        Command::Config { command: ConfigCommand::Check } => {
            let config = config()?;
            crate::startup::build_schemas(config.schemas_dir.as_deref())?;
            println!("the configuration is right");
            Ok(ExitCode::SUCCESS)
        }
        Command::Keys { command } => keys::run(&config()?, command),
        Command::Schemas { command } => schemas::run(&command),
        Command::Query(args) => query::run(&config()?, &args),
        Command::Budget(args) => budget::run(&config()?, &args),
        Command::Retention { command } => retention::run(&config()?, &command),
        Command::Audit { command } => audit::run(&config()?, &command),
        Command::Demo(args) => crate::demo::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Version => {
            println!("shoal {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Config(_) | Error::Schemas(_) | Error::Usage(_) => 2,
        Error::Remote(_) => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_takes_what_the_docs_show() {
        Cli::command().debug_assert();
        for line in [
            "shoal serve --config a.toml",
            "shoal config check",
            "shoal keys create ingest --app camera --regions DE,US --programme user-experience --policy 2026-1",
            "shoal keys create analyst --regions de --role officer",
            "shoal keys list",
            "shoal keys revoke ing00",
            "shoal schemas check dir",
            "shoal query --key k --precision high --format csv SELECT",
            "shoal budget --key k --region DE --first 2026-11-01 --questions",
            "shoal retention plan",
            "shoal retention run --once --dry-run",
            "shoal demo --exit",
            "shoal version",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in ["shoal", "shoal keys create ingest --app a --regions FR", "shoal retention run"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
