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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_takes_what_the_docs_show() {
        Cli::command().debug_assert();
        for line in [
            "shoal serve --config a.toml",
            "shoal config check",
            "shoal status",
            "shoal status --json",
            "shoal doctor --json",
            "shoal health",
            "shoal health --ready --timeout 2 --url http://127.0.0.1:8750",
            "shoal keys create ingest --app camera --regions DE,US --programme user-experience --policy 2026-1",
            "shoal keys create ingest --kind server --app backend --regions DE",
            "shoal keys create analyst --regions de --role officer",
            "shoal keys create ingest --app camera --regions DE,US --yes --name lobby --owner mobile --expires 90d --json",
            "shoal keys create analyst --regions DE --expires 2027-01-31",
            "shoal keys list --json",
            "shoal keys show ing00 --json",
            "shoal keys show --key k",
            "shoal watch",
            "shoal watch ing00 --json",
            "shoal watch --key k",
            "shoal keys revoke ing00",
            "shoal schemas check dir",
            "shoal query --key k --precision high --format csv SELECT",
            "shoal query --key k --file people.sql --json",
            "shoal query --key k",
            "shoal budget --key k --region DE --first 2026-11-01 --questions",
            "shoal budget accept-restore",
            "shoal budget accept-restore --key k --config a.toml",
            "shoal consents accept-loss",
            "shoal consents accept-loss --key k --config a.toml",
            "shoal retention plan",
            "shoal retention run --once --dry-run",
            "shoal retention run --once --accept-clock 2026-11-22 --accept-share",
            "shoal backup create /backup/shoal",
            "shoal backup verify /backup/shoal",
            "shoal backup restore /backup/shoal --to /var/lib/shoal/data",
            "shoal tables copy --decrypt /copy/shoal",
            "shoal tables copy /copy/shoal --decrypt --table de/usage --table US/crash --json",
            "shoal demo --exit",
            "shoal completions bash",
            "shoal man --dir pages",
            "shoal version",
            "shoal demo --all",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
        for line in [
            "shoal",
            "shoal health --timeout 0",
            "shoal budget",
            "shoal budget accept-restore --region DE",
            "shoal backup restore dir",
            "shoal tables copy --decrypt",
            "shoal tables copy --decrypt /copy/shoal --table usage",
            "shoal completions",
            "shoal keys create ingest --app a --regions FR",
            "shoal keys create ingest --app a --regions DE --kind public",
            "shoal keys create ingest --app a --regions DE --expires soon",
            "shoal keys show",
            "shoal keys show ing00 --key k",
            "shoal keys wrap --in-the-clear",
            "shoal retention run",
            "shoal query --key k --file people.sql SELECT",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn what_programs_read_is_asked_for_as_the_docs_show() {
        for line in [
            "shoal reload",
            "shoal reload --json --config a.toml",
            "shoal consents accept-loss --json",
            "shoal budget accept-restore --json",
            "shoal health --json",
            "shoal keys revoke ing00 --json",
            "shoal keys wrap --json",
            "shoal keys rewrap --in-the-clear --json",
            "shoal man --dir pages --json",
            "shoal backup restore /backup/shoal --to data --accept-lost-withdrawals US,DE --json",
            "shoal version --json",
            "shoal retention plan --json",
            "shoal audit verify --json",
            "shoal config check --json",
            "shoal schemas check dir --json",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["shoal backup restore dir --to data --accept-lost-withdrawals FR", "shoal man --json"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn the_catalogue_is_asked_for_as_the_docs_show() {
        for line in [
            "shoal schemas list",
            "shoal schemas list --programme user-experience --dir dir --json",
            "shoal schemas show click --dir dir --json",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from("shoal schemas show".split(' ')).is_err());
    }

    #[test]
    fn persons_are_never_named_on_the_command_line() {
        for line in [
            "shoal subject erase --dry-run --json",
            "shoal subject erase --file a.ndjson --programme user-experience --regions DE,us --idempotency-key k --json",
            "shoal subject state 5c1dd7a4-0f6e-4d5b-9d3a-7c2f1c1f9a10 --json",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in
            ["shoal subject erase u-1", "shoal subject state u-1", "shoal subject erase --wait --dry-run"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    /// `./start --help` is written by hand, because it is read before anything is built.
    #[test]
    fn the_help_of_the_start_script_names_every_option_of_the_demo() {
        let script = include_str!("../../start");
        let command = Cli::command();
        let demo = command.find_subcommand("demo").unwrap();
        for option in demo.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(script.contains(&format!("--{option} ")), "{option}");
        }
    }

    fn walk(command: &clap::Command, seen: &mut dyn FnMut(&str, &str)) {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        seen(name, &about);
        for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            seen(&format!("{name} {}", argument.get_id()), &help);
        }
        command.get_subcommands().for_each(|inner| walk(inner, seen));
    }

    /// A service and its worker print nothing, the demo is a tour for people, and a shell reads its script.
    const FOR_NO_PROGRAM: [&str; 4] = ["serve", "worker", "demo", "completions"];

    fn without_json(command: &clap::Command, found: &mut Vec<String>) {
        let mut own = command.get_arguments().filter_map(|argument| argument.get_long()).peekable();
        // A command that only leads to others prints nothing.
        let prints = own.peek().is_some() || !command.has_subcommands();
        if prints && !own.any(|name| name == "json") && !FOR_NO_PROGRAM.contains(&command.get_name()) {
            found.push(command.get_name().to_owned());
        }
        command.get_subcommands().for_each(|inner| without_json(inner, found));
    }

    #[test]
    fn every_command_that_prints_does_so_for_programs_too() {
        let mut found = Vec::new();
        Cli::command().get_subcommands().for_each(|command| without_json(command, &mut found));
        assert!(found.is_empty(), "these have no --json: {found:?}");
        let silent = clap::Command::new("all").subcommand(clap::Command::new("one"));
        without_json(&silent, &mut found);
        assert_eq!(found, ["one"], "one without it is seen");
    }

    #[test]
    fn every_command_and_option_is_explained() {
        let mut silent = Vec::new();
        walk(&Cli::command(), &mut |name, help| {
            if help.len() < 8 || !help.starts_with(char::is_uppercase) {
                silent.push(name.to_owned());
            }
        });
        assert!(silent.is_empty(), "{silent:?}");
    }
}
