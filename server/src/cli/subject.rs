//! `shoal subject`: the rights of persons. What they ask for is carried out by the running service.
//!
//! ```sh
//! echo '{"user_id": "u-1", "install_id": ["i-1", "i-2"]}' | shoal subject erase --wait
//! echo '{"user_id": "u-1"}' | shoal subject erase --dry-run
//! shoal subject erase --file deleted-accounts.ndjson --idempotency-key 2026-12-01
//! echo '{"user_id": "u-1"}' | shoal subject restrict --ground accuracy --review-on 2027-01-31
//! shoal subject state 5c1dd7a4-0f6e-4d5b-9d3a-7c2f1c1f9a10
//! echo '{"user_id": "u-1"}' | shoal subject access --region DE > person.json
//! shoal subject lift 5c1dd7a4-0f6e-4d5b-9d3a-7c2f1c1f9a10 --informed
//! ```
//! Persons are read from standard input or from a file, one JSON object a line, and never from the command line, which other accounts of the
//! machine can see. Invariant: no identifier is printed. Not here: how they are read (`subject/input.rs`), what is done (`subjects.rs`,
//! `erasures.rs`, `access.rs`).

mod input;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};
use uuid::Uuid;

use self::input::{parts, read};
use super::data_dir;
use super::output::{print, print_either};
use crate::access::AccessAsked;
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::subjects::{ActWord, LiftAsked, Rows, SubjectsAsked};

/// So often the state is looked at with `--wait`.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum SubjectCommand {
    /// Erases everything that is kept of persons: withdraws what they granted, takes their rows out of every new answer at once, and
    /// then from the tables and the disk.
    Erase(EraseArgs),
    /// Erases persons, and keeps nothing of them any more until it is lifted, whatever is granted: for a child, or whoever else may
    /// not take part.
    Exclude(ExcludeArgs),
    /// Restricts the processing of what is kept of persons: their rows stay and are in no new answer, and nothing new of them is kept,
    /// until it is lifted.
    Restrict(RestrictArgs),
    /// Records that persons object: withdraws what they granted, and erases or restricts what is kept.
    Object(ObjectArgs),
    /// Prints what is kept of one person in a region, for that person: rows, consents, and what the fields mean.
    Access(AccessArgs),
    /// Lifts a restriction or an exclusion.
    Lift(LiftArgs),
    /// Lists the restrictions and exclusions that are in force.
    List {
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tells how far a request has come.
    State(StateArgs),
}

/// Who is meant, and where.
#[derive(Args)]
pub(super) struct PersonsArgs {
    /// File of persons, one JSON object a line with user_id, install_id, device_id, serial_number. Without it: standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Programme that is meant; may be given twice. Without it: both.
    #[arg(long, value_parser = programme)]
    programme: Vec<Programme>,
    /// Regions that are meant, as DE,US. Without it: all.
    #[arg(long, value_delimiter = ',', value_parser = region)]
    regions: Vec<Region>,
    /// Name of this request: the same persons sent again under it are the same request.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Prints the requests as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct EraseArgs {
    #[command(flatten)]
    persons: PersonsArgs,
    /// Tells how many rows would go, and changes nothing.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Returns when nothing is left of the persons.
    #[arg(long)]
    wait: bool,
}

#[derive(Args)]
pub(super) struct ExcludeArgs {
    #[command(flatten)]
    persons: PersonsArgs,
    /// Returns when nothing is left of the persons.
    #[arg(long)]
    wait: bool,
}

#[derive(Args)]
pub(super) struct RestrictArgs {
    #[command(flatten)]
    persons: PersonsArgs,
    /// Why: accuracy, unlawful, legal-claim or objection.
    #[arg(long)]
    ground: String,
    /// Day on which it is looked at again, as 2027-01-31, within a year.
    #[arg(long, value_name = "DAY")]
    review_on: String,
}

#[derive(Args)]
pub(super) struct ObjectArgs {
    #[command(flatten)]
    persons: PersonsArgs,
    /// Restricts what is kept, until the objection is weighed, in place of erasing it.
    #[arg(long, requires = "review_on")]
    restrict: bool,
    /// Day on which the restriction is looked at again, as 2027-01-31, within a year.
    #[arg(long, value_name = "DAY", requires = "restrict")]
    review_on: Option<String>,
}

#[derive(Args)]
pub(super) struct AccessArgs {
    /// File of the person, one JSON object with user_id, install_id, device_id, serial_number. Without it: standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Region of the data: each acts by itself.
    #[arg(long, value_parser = region)]
    region: Region,
    /// Programme that is meant; may be given twice. Without it: both.
    #[arg(long, value_parser = programme)]
    programme: Vec<Programme>,
    /// Changes nothing: what is printed is JSON anyway.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct LiftArgs {
    /// Request, as it was called when it was made.
    request: Uuid,
    /// Says that the person was informed that it is lifted. Nothing is lifted without it.
    #[arg(long)]
    informed: bool,
    /// Prints the state as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct StateArgs {
    /// Request, as it was called when it was made.
    request: Uuid,
    /// Prints the state as JSON.
    #[arg(long)]
    json: bool,
}

fn programme(text: &str) -> Result<Programme, String> {
    Programme::parse(text).ok_or_else(|| "a programme is user-experience or device-experience".to_owned())
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| "a region is US, DE, SG or MY".to_owned())
}

pub(super) fn run(config: &Config, command: SubjectCommand) -> Result<ExitCode, Error> {
    data_dir::is_there(config)?;
    let plain = SubjectsAsked::default();
    match command {
        SubjectCommand::Erase(args) if args.dry_run => {
            begin(config, &args.persons, &plain, &Asked::PlanErasure, false)
        }
        SubjectCommand::Erase(args) => begin(config, &args.persons, &plain, &on(ActWord::Erase), args.wait),
        SubjectCommand::Exclude(args) => {
            begin(config, &args.persons, &plain, &on(ActWord::Exclude), args.wait)
        }
        SubjectCommand::Restrict(args) => {
            let (ground, review_on) = (Some(args.ground), Some(args.review_on));
            let asked = SubjectsAsked { ground, review_on, ..plain };
            begin(config, &args.persons, &asked, &on(ActWord::Restrict), false)
        }
        SubjectCommand::Object(args) => {
            let rows = Some(if args.restrict { Rows::Restrict } else { Rows::Erase });
            let asked = SubjectsAsked { rows, review_on: args.review_on, ..plain };
            begin(config, &args.persons, &asked, &on(ActWord::Object), false)
        }
        SubjectCommand::Access(args) => access(config, &args),
        SubjectCommand::Lift(args) => {
            let asked = LiftAsked { informed: args.informed };
            shown(ask(config, &Asked::LiftSubjectRequest(args.request, asked))?, args.json)
        }
        SubjectCommand::State(args) => shown(ask(config, &Asked::SubjectRequest(args.request))?, args.json),
        SubjectCommand::List { json } => {
            let told = ask(config, &Asked::SubjectRequests)?;
            print_either(
                json,
                || told.clone(),
                || match told["requests"].as_array() {
                    Some(requests) if !requests.is_empty() => text(requests),
                    _ => "nothing is restricted, and nobody is excluded".to_owned(),
                },
            )
        }
    }
}

fn access(config: &Config, args: &AccessArgs) -> Result<ExitCode, Error> {
    let mut persons = read(args.file.as_deref())?;
    let (Some(subject), true) = (persons.pop(), persons.is_empty()) else {
        return Err(Error::Usage("what is kept is told of one person at a time: give one line".into()));
    };
    let programmes = (!args.programme.is_empty()).then(|| args.programme.clone());
    let told = ask(config, &Asked::Access(AccessAsked { subject, region: args.region, programmes }))?;
    let document = told.as_str().ok_or_else(|| Error::Remote("the service told no document".into()))?;
    print(format!("{document}\n").as_bytes())
}

fn shown(told: Value, as_json: bool) -> Result<ExitCode, Error> {
    print_either(as_json, || told.clone(), || text(std::slice::from_ref(&told)))
}

fn on(word: ActWord) -> impl Fn(SubjectsAsked) -> Asked {
    move |asked| Asked::OnSubjects(word, asked)
}

fn ask(config: &Config, asked: &Asked) -> Result<Value, Error> {
    let dir = &config.data_dir;
    operator_socket::ask(dir, asked)?.ok_or_else(|| {
        Error::Remote(format!("no service that can be asked runs over {}: start it", dir.display()))
    })
}

/// Sends the persons of the input, a part at a time, with what is asked for all of them.
fn begin(
    config: &Config,
    args: &PersonsArgs,
    what: &SubjectsAsked,
    how: &dyn Fn(SubjectsAsked) -> Asked,
    waits: bool,
) -> Result<ExitCode, Error> {
    let persons = read(args.file.as_deref())?;
    let mut told = Vec::new();
    for subjects in parts(persons) {
        let asked = SubjectsAsked {
            idempotency_key: args.idempotency_key.clone(),
            subjects,
            programmes: (!args.programme.is_empty()).then(|| args.programme.clone()),
            regions: (!args.regions.is_empty()).then(|| args.regions.clone()),
            ..what.clone()
        };
        told.push(ask(config, &how(asked))?);
    }
    for request in told.iter_mut().filter(|_| waits) {
        while request["state"] == "running" {
            std::thread::sleep(LOOK_EVERY);
            let id = request["request"].as_str().and_then(|id| Uuid::parse_str(id).ok());
            let id = id.ok_or_else(|| Error::Remote("the service told no request".into()))?;
            *request = ask(config, &Asked::SubjectRequest(id))?;
        }
    }
    print_either(args.json, || json!({"requests": told}), || text(&told))
}

fn text(requests: &[Value]) -> String {
    let mut lines = Vec::new();
    for request in requests {
        let of = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        if request["dry_run"] != true {
            let mut line = format!(
                "request {}: {}, {}",
                of(request, "request"),
                of(request, "act"),
                of(request, "state").replace('_', " ")
            );
            if let (Some(ground), Some(day)) = (request["ground"].as_str(), request["review_on"].as_str()) {
                line += &format!(" ({ground}, to be reviewed on {day})");
            }
            lines.push(line);
        }
        for region in request["regions"].as_array().into_iter().flatten() {
            if let (Some(rows), Some(files)) = (region["rows"].as_u64(), region["files"].as_u64()) {
                lines.push(format!("  {}: {rows} rows in {files} files would go", of(region, "region")));
                continue;
            }
            let at = [("done_at", "erased"), ("lifted_at", "lifted")].map(|(name, what)| {
                region[name].as_str().map(|at| format!(", {what} at {at}")).unwrap_or_default()
            });
            let state = of(region, "state").replace('_', " ");
            lines.push(format!("  {}: {state}{}", of(region, "region"), at.concat()));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_is_told_by_region() {
        let request = json!({"request": "r", "act": "erase", "state": "running", "regions": [
            {"region": "DE", "state": "done", "done_at": "2026-12-01T00:00:00Z"}, {"region": "US", "state": "running"}]});
        let told = "request r: erase, running\n  DE: done, erased at 2026-12-01T00:00:00Z\n  US: running";
        assert_eq!(text(&[request]), told);
        let request = json!({"request": "r", "act": "restrict", "state": "in_force", "ground": "accuracy", "review_on": "2027-01-31",
            "regions": [{"region": "DE", "state": "in_force"}]});
        let told = "request r: restrict, in force (accuracy, to be reviewed on 2027-01-31)\n  DE: in force";
        assert_eq!(text(&[request]), told);
    }
}
