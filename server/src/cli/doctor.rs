//! `shoal doctor`: looks at settings, files, clock, disk and the running service, and says of each what to do. Exit code 1 when a
//! check fails.
//!
//! Not here: the checks (`doctor.rs`).

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::output::print_either;
use crate::clocks;
use crate::config::Config;
use crate::doctor::{self, Check, Outcome, Served};
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::status::Status;

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Prints a JSON list of the checks.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(file: Option<&Path>, args: &DoctorArgs) -> Result<ExitCode, Error> {
    let checks = checks(file)?;
    let text = || checks.iter().map(|check| shown(check) + "\n").collect();
    print_either(args.json, || json!(checks), text)?;
    let worst = checks.iter().map(|check| check.outcome).max();
    Ok(if worst == Some(Outcome::Fail) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn checks(file: Option<&Path>) -> Result<Vec<Check>, Error> {
    let settings = match Config::load_for_service(file, std::env::vars_os()) {
        Ok(_) => Check::ok("settings", "they are right"),
        Err(error) => Check::fail(
            "settings",
            error.to_string(),
            "`shoal config check` tells each fault with its place.",
        ),
    };
    // Without a configuration nothing else can be looked at.
    let Ok(config) = Config::load(file, std::env::vars_os()) else { return Ok(vec![settings]) };
    let now_ms = match clocks::checked(&crate::system_clock()) {
        Ok(now_ms) => now_ms,
        Err(error) => return Ok(vec![settings, Check::fail("clock", error.to_string(), "Set the clock.")]),
    };
    let mut all = vec![settings];
    let served = match operator_socket::ask(&config.data_dir, &Asked::Status) {
        Ok(None) => Served::Not,
        Ok(Some(told)) => served(told),
        Err(error) => {
            let advice = "Run as the account of the service. If it hangs, its log says where.";
            all.push(Check::warn("service", error.to_string(), advice));
            Served::Unknown
        }
    };
    all.extend(doctor::checks(&config, &served, now_ms));
    Ok(all)
}

/// What a service says of itself; that of another version may say it in another form.
fn served(told: Value) -> Served {
    Status::deserialize(told).map_or(Served::Unknown, |status| Served::By(Box::new(status)))
}

fn shown(check: &Check) -> String {
    let Check { check, outcome, found, advice } = check;
    let word = match outcome {
        Outcome::Ok => "ok",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
    };
    match advice.is_empty() {
        true => format!("{word:<5}{check}: {found}"),
        false => format!("{word:<5}{check}: {found}\n     {advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_answers_in_another_form_is_not_taken_for_none() {
        assert!(matches!(served(json!({"version": "9.0.0"})), Served::Unknown));
        assert!(matches!(served(json!(Status::default())), Served::By(_)));
    }

    #[test]
    fn a_check_says_what_was_found_and_what_to_do() {
        assert_eq!(shown(&Check::ok("disk", "9 MiB are free")), "ok   disk: 9 MiB are free");
        let failed = Check::fail("disk", "0 MiB are free", "Free some space.");
        assert_eq!(shown(&failed), "fail disk: 0 MiB are free\n     Free some space.");
    }
}
