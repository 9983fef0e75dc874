//! Tests of the whole command line: that it is consistent, and that every command keeps its promises.
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
    for line in ["shoal subject erase u-1", "shoal subject state u-1", "shoal subject erase --wait --dry-run"]
    {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

/// `./start --help` is written by hand, because it is read before anything is built.
#[test]
fn the_help_of_the_start_script_names_every_option_of_the_demo() {
    let script = include_str!("../../../start");
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
