//! The command line. `cli/exit.rs` has the exit codes.
//!
//! Every command but `serve` and `config check` needs only values that are right: the files that the service uses may be
//! elsewhere.
//!
//! Not here: what the commands do (`cli/`).

mod accept_restore;
mod audit;
mod backup;
pub(crate) mod budget;
mod consents;
mod data_dir;
mod doctor;
mod exit;
mod explain;
mod health;
mod keys;
mod keys_custody;
mod keys_shown;
mod keys_stored;
mod manual;
pub(crate) mod output;
mod query;
mod receipt;
mod reload;
mod retention;
mod schemas;
pub(crate) mod serve;
mod status;
mod subject;
pub(crate) mod table;
mod tables;
mod watch;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::config::Config;
use crate::error::Error;
use crate::own_process;

use exit::Exit;
use output::print_either;

#[derive(Parser)]
#[command(name = "shoal", version, about = ABOUT, after_help = AFTER)]
struct Cli {
    /// Configuration file. Every setting with its default is in shoal.example.toml.
    #[arg(long, global = true, env = "SHOAL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const ABOUT: &str = "Shoal is a telemetry service for user and device experience programmes. Apps post opt-in usage, crash and \
    performance events; identifiers become keyed pseudonyms before anything touches a disk; analysts ask SQL and get anonymous \
    aggregates with error bars; days expire on schedule.";

const AFTER: &str = "First steps:
  shoal demo                                              a service with a day of example traffic, and answers
  shoal keys create ingest --app camera --regions DE      a key for an app, in ./data
  shoal serve                                             the service, on http://127.0.0.1:8750

Exit codes: 0 done; 1 failed; 2 wrong use, configuration or definitions; 3 the running service refused or cannot be reached; \
4 retention ran but a table did not finish.";

#[derive(Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or Ctrl-C.
    Serve,
    /// Lets the running service read its configuration and its definitions again, and says what has changed.
    Reload(reload::ReloadArgs),
    /// Shows on one page what comes in, what waits, how old the rows are, what ran last, room and budget.
    Status(status::StatusArgs),
    /// Looks at settings, files, clock, disk and the running service, and says what to do. Exits with 1 when something fails.
    Doctor(doctor::DoctorArgs),
    /// Asks a running service whether it lives, or whether it is ready. Needs no key.
    Health(health::HealthArgs),
    /// Works with the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Makes, lists, shows and revokes the access keys of apps, analysts and officers; rotates and destroys the keys of stored data.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Follows what becomes of what apps send, a line for each change.
    Watch(watch::WatchArgs),
    /// Shows what can be sent, and checks definitions of events, programmes, regions and retention.
    Schemas {
        #[command(subcommand)]
        command: schemas::SchemasCommand,
    },
    /// Asks a running service a question in SQL.
    Query(query::QueryArgs),
    /// Shows what is left of each day's privacy budget, and what spent it; accepts a ledger that was restored.
    Budget(budget::BudgetArgs),
    /// Accepts that files of consents are lost.
    Consents {
        #[command(subcommand)]
        command: consents::ConsentsCommand,
    },
    /// Carries out what persons may ask for: erasure, restriction, objection.
    Subject {
        #[command(subcommand)]
        command: subject::SubjectCommand,
    },
    /// Shows receipts of what was done on behalf of persons, and verifies them.
    Receipt {
        #[command(subcommand)]
        command: receipt::ReceiptCommand,
    },
    /// Plans and runs the removal of expired days.
    Retention {
        #[command(subcommand)]
        command: retention::RetentionCommand,
    },
    /// Checks and shows the audit: who asked or changed what, and when.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Makes backups of a data directory, also while a service runs; checks them and puts them back.
    Backup {
        #[command(subcommand)]
        command: backup::BackupCommand,
    },
    /// Copies tables in the clear for other programs, which cannot read encrypted ones.
    Tables {
        #[command(subcommand)]
        command: tables::TablesCommand,
    },
    /// Starts a service of its own with a day of example traffic, and asks it questions.
    Demo(crate::demo::DemoArgs),
    /// Runs the postprocessing of questions for the service that starts it.
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
    /// Prints the script that lets a shell complete commands and options.
    Completions(manual::CompletionsArgs),
    /// Prints the manual page, or writes one page for each command.
    Man(manual::ManArgs),
    /// Explains a code of an answer or of a command: why it comes, and what to do.
    Explain(explain::ExplainArgs),
    /// Prints the version.
    Version(AsJson),
}

#[derive(Args)]
struct AsJson {
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Checks the configuration, the variables, and the files that they name, and lists everything that is wrong.
    Check(AsJson),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    own_process::close_files();
    let cli = Cli::parse();
    // A worker reads no secret, and confines itself.
    let is_worker = matches!(cli.command, Command::Worker(_));
    let prepared = if is_worker { Ok(()) } else { own_process::leave_no_core() };
    match prepared.and_then(|()| run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shoal: {error}");
            Exit::after(&error).into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let file = cli.config.as_deref();
    let config = || Config::load(file, std::env::vars_os());
    match cli.command {
        Command::Serve => serve::run(file),
        Command::Reload(args) => reload::run(file, &args),
        Command::Health(args) => health::run(&config()?, &args),
        Command::Config { command: ConfigCommand::Check(AsJson { json }) } => {
            Config::load_for_service(file, std::env::vars_os())?;
            print_either(json, || json!({"right": true}), || "the configuration is right".to_owned())
        }
        Command::Status(args) => status::run(&config()?, &args),
        Command::Doctor(args) => doctor::run(file, &args),
        Command::Keys { command } => keys::run(&config()?, command),
        Command::Watch(args) => watch::run(&config()?, &args),
        Command::Schemas { command } => schemas::run(config, &command),
        Command::Query(args) => query::run(&config()?, &args),
        Command::Budget(args) => budget::run(&config()?, &args),
        Command::Consents { command } => consents::run(&config()?, &command),
        Command::Subject { command } => subject::run(&config()?, command),
        Command::Receipt { command } => receipt::run(&config()?, command),
        Command::Retention { command } => retention::run(&config()?, &command),
        Command::Audit { command } => audit::run(&config()?, &command),
        Command::Backup { command } => backup::run(&config()?, &command),
        Command::Tables { command } => tables::run(&config()?, &command),
        Command::Demo(args) => crate::demo::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Completions(args) => manual::completions(&Cli::command(), &args),
        Command::Man(args) => manual::man(Cli::command(), &args),
        Command::Explain(args) => explain::run(&args),
        Command::Version(AsJson { json }) => {
            let version = env!("CARGO_PKG_VERSION");
            print_either(json, || json!({"version": version}), || format!("shoal {version}"))
        }
    }
}

#[cfg(test)]
mod tests;
