//! `shoal retention`: plans and runs. One process holds the data directory: when a service runs, the command goes through it
//! (with an officer's key), otherwise it opens the directory itself.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::{Days, NaiveDate};
use clap::{Args, Subcommand};
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use prometheus_client::registry::Registry as MetricRegistry;
use serde::Deserialize;
use serde_json::{Value, json};
use shoal_audit::{Actor, Role};
use shoal_language::calendar::parse_day;
use shoal_retention::{Accepted, Line, Mode, Permit, Plan, Progress, Report, Retention};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Programme, Region};
use shoal_storage::StorageError;

use super::exit::Exit;
use super::output::{framed, print_either};
use crate::client::{Client, local_url, problem_text};
use crate::config::Config;
use crate::error::Error;
use crate::http::retention_told::{KeptDays, PlanTold, ReportTold};
use crate::receipts::AllReceipts;
use crate::retention_line::{Asked, RetentionLine};
use crate::retention_runs::{RetentionRuns, RunBy};
use crate::served_time::ServedTime;
use crate::{clocks, key_file, startup};

/// Why a running service tells no numbers, and where they are.
const WITHOUT_NUMBERS: &str = "No key is told how many files and rows that is: `shoal status` counts the rows that there are, and the \
    audit has a line of each run that a person started.\n";

#[derive(Subcommand)]
pub(super) enum RetentionCommand {
    /// Shows what a run would remove, and changes nothing. Through a running service it shows days, and no number of files or rows.
    Plan(Access),
    /// Removes the expired days from the tables and from the disk.
    Run {
        /// Runs once and ends. The option is required, because the schedule is the service's.
        #[arg(long, required = true)]
        once: bool,
        /// Counts what would be removed, and removes nothing. The audit has a line of it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        accept: Accept,
        #[command(flatten)]
        access: Access,
    },
}

/// What a run is told that would be refused without it. The audit has it.
#[derive(Args)]
pub(super) struct Accept {
    /// The day that the clock says, when it is right although it is far beyond everything that is known.
    #[arg(long, value_name = "YYYY-MM-DD")]
    accept_clock: Option<String>,
    /// Removes what is expired also when that is most of what there is.
    #[arg(long)]
    accept_share: bool,
}

impl Accept {
    fn accepted(&self, now_ms: i64) -> Result<Accepted, Error> {
        match self.accept_clock.as_deref() {
            Some(day) if parse_day(day) != Some(day_of(now_ms)) => {
                let told = date(day_of(now_ms));
                Err(Error::Usage(format!("--accept-clock: the clock of this machine says {told}, not {day}")))
            }
            clock => Ok(Accepted { clock: clock.is_some(), share: self.accept_share }),
        }
    }
}

/// How to reach a running service.
#[derive(Args)]
pub(super) struct Access {
    /// Access key of an officer. It is needed when a service is running.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    key: Option<String>,
    /// URL of the service. The default is the address at which this configuration starts it.
    #[arg(long, env = "SHOAL_URL")]
    url: Option<String>,
    /// Prints the plan or the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, command: &RetentionCommand) -> Result<ExitCode, Error> {
    let runtime = crate::threads::runtime()?;
    let access = match command {
        RetentionCommand::Plan(access) | RetentionCommand::Run { access, .. } => access,
    };
    let direct = match &access.url {
        Some(_) => None,
        None => runtime.block_on(open(config))?,
    };
    let now_ms = clocks::checked(&crate::system_clock())?;
    match (command, direct) {
        (RetentionCommand::Plan(_), Some(retention)) => {
            show_plan(&runtime.block_on(retention.plan(now_ms))?, access.json)
        }
        (RetentionCommand::Plan(_), None) => {
            let plan = client(config, access)?.get("/v1/retention/plan")?;
            let plan = PlanTold::deserialize(plan)
                .map_err(|e| Error::Remote(format!("this is not a plan of retention: {e}")))?;
            let text = || format!("{}\n{WITHOUT_NUMBERS}", days_table(&plan.lines));
            print_either(access.json, || json!(plan), text)
        }
        (RetentionCommand::Run { dry_run, accept, .. }, Some(retention)) => {
            let asked = Asked { dry_run: *dry_run, accepted: accept.accepted(now_ms)? };
            show_report(&runtime.block_on(run_direct(config, &retention, now_ms, asked))?, access.json)
        }
        (RetentionCommand::Run { dry_run, accept, .. }, None) => {
            let Accept { accept_clock, accept_share } = accept;
            let asked =
                json!({"dry_run": dry_run, "accept_clock": accept_clock, "accept_share": accept_share});
            show_told(&run_remote(&client(config, access)?, &asked)?, access.json)
        }
    }
}

/// Runs on the tables that this process holds.
async fn run_direct(
    config: &Config,
    retention: &Retention,
    now_ms: i64,
    asked: Asked,
) -> Result<Report, Error> {
    // What is known of the time, before the audit has a line of now.
    let served = startup::open_served_time(config, retention, now_ms).await?;
    let audit = startup::build_audit(config)?;
    let actor = Actor { key: None, role: Role::Operator };
    let line = RetentionLine::begin(&audit, actor, now_ms, asked);
    let mode = if asked.dry_run { Mode::Dry } else { Mode::Real(permit(config, &served, asked.accepted)) };
    let bar = bar();
    let mut progress = |p: Progress| show_progress(&bar, p);
    let keyring = key_file::open(config)?;
    let receipts = Arc::new(AllReceipts::open(config, &keyring)?);
    let runs = RetentionRuns::new(retention.clone(), receipts, config.data_dir.clone());
    let report = runs.run_once(now_ms, RunBy::Operator, mode, &mut progress).await;
    bar.finish_and_clear();
    match &report {
        Ok(report) => line.done(report).await?,
        Err(error) => line.failed(error).await?,
    }
    let report = report?;
    if !asked.dry_run {
        // A clock that was refused came to no report, so this one is known to be right.
        served.accept(now_ms);
        served.write()?;
    }
    Ok(report)
}

fn permit(config: &Config, served: &ServedTime, accepted: Accepted) -> Permit {
    Permit { known: served.known(), percent_max: config.retention.removed_percent_max, accepted }
}

/// The tables, unless a service holds them.
async fn open(config: &Config) -> Result<Option<Retention>, Error> {
    if !config.data_dir.is_dir() {
        return Err(Error::Usage(format!("data_dir {} does not exist", config.data_dir.display())));
    }
    let definitions = startup::build_definitions(config)?;
    match startup::open_store(config).await {
        Ok(store) => Ok(Some(startup::build_retention(&definitions, &store, &mut MetricRegistry::default()))),
        Err(Error::Storage(StorageError::Locked(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn client(config: &Config, access: &Access) -> Result<Client, Error> {
    let key = access.key.as_deref().ok_or_else(|| {
        Error::Usage("a service is running here: give an officer's key with --key or SHOAL_KEY".into())
    })?;
    Ok(Client::new(&access.url.clone().unwrap_or_else(|| local_url(config)), key))
}

fn run_remote(client: &Client, asked: &Value) -> Result<ReportTold, Error> {
    let bar = bar();
    let mut ended = Err(Error::Remote("the service broke off".into()));
    client.post_lines("/v1/retention/runs", &asked.to_string(), &mut |mut line| {
        if let Some(problem) = line.get("problem") {
            ended = Err(Error::Remote(problem_text("a failed run", problem)));
        } else if let Some(report) = line.get_mut("report") {
            ended = ReportTold::deserialize(report.take())
                .map_err(|e| Error::Remote(format!("this is not a report of retention: {e}")));
        } else {
            let number = |name: &str| line["progress"][name].as_u64().unwrap_or(0);
            bar.set_length(number("tables"));
            bar.set_position(number("tables_done"));
        }
    })?;
    bar.finish_and_clear();
    ended
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} tables{msg}") {
        bar.set_style(style);
    }
    bar
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.tables as u64);
    bar.set_position(progress.tables_done as u64);
    bar.set_message(format!(", {} files gone", progress.files));
}

fn show_plan(plan: &Plan, json: bool) -> Result<ExitCode, Error> {
    let text = || {
        let (files, rows, bytes) = (plan.files(), plan.rows(), plan.bytes());
        let table = lines_table(&plan.lines);
        format!("{table}\na run now would remove {files} files, {rows} rows, {bytes} bytes\n")
    };
    print_either(json, || json!(plan), text)
}

fn show_report(report: &Report, json: bool) -> Result<ExitCode, Error> {
    print_either(json, || json!(report), || report_text(report))?;
    for failure in &report.failed {
        eprintln!("shoal: {}/{} did not finish: {}", failure.region, failure.kind, failure.reason);
    }
    Ok(ended(report.failed.is_empty()))
}

/// What a service has told of its run.
fn show_told(told: &ReportTold, json: bool) -> Result<ExitCode, Error> {
    let text = || {
        let done = match (told.dry_run, told.failed.is_empty()) {
            (true, _) => "dry run: nothing was changed",
            (false, true) => {
                "what is before these days has left its tables, and the disk but for files that a question was reading"
            }
            (false, false) => {
                "what is before these days has left the tables that finished; run again for the others"
            }
        };
        format!("{}\n{done}\n{WITHOUT_NUMBERS}", days_table(&told.lines))
    };
    print_either(json, || json!(told), text)?;
    for table in &told.failed {
        eprintln!("shoal: {}/{} did not finish; see the log of the service", table.region, table.kind);
    }
    Ok(ended(told.failed.is_empty()))
}

fn ended(is_finished: bool) -> ExitCode {
    if is_finished { ExitCode::SUCCESS } else { Exit::TableUnfinished.into() }
}

fn report_text(report: &Report) -> String {
    let mut text = format!("{}\n", lines_table(&report.expired));
    let (files, rows, bytes) = report.expired_total();
    if report.dry_run {
        text.push_str(&format!("dry run: {files} files, {rows} rows, {bytes} bytes would go\n"));
        return text;
    }
    let (purged, purged_bytes) = report.purged_total();
    text.push_str(&format!("{files} files, {rows} rows, {bytes} bytes left their tables\n"));
    text.push_str(&format!("{purged} files, {purged_bytes} bytes are gone from the disk\n"));
    if report.pinned_total() > 0 {
        let pinned = report.pinned_total();
        text.push_str(&format!("{pinned} files are being read by queries; run again to delete them\n"));
    }
    text
}

fn days_table(lines: &[KeptDays]) -> Table {
    let mut table = framed(["region", "programme", "kind", "kept days", "first day kept"]);
    for line in lines {
        let class = class(line.region, line.programme, line.kind, line.retention_days);
        table.add_row(class.into_iter().chain([line.first_day.clone()]));
    }
    table
}

/// The first cells of a line: whose days it is about, and how many are kept.
fn class(region: Region, programme: Programme, kind: Kind, retention_days: u32) -> [String; 4] {
    [region.to_string(), programme.to_string(), kind.to_string(), retention_days.to_string()]
}

fn lines_table(lines: &[Line]) -> Table {
    let mut table = framed([
        "region",
        "programme",
        "kind",
        "kept days",
        "files",
        "rows",
        "bytes",
        "oldest day",
        "files that stay",
    ]);
    for line in lines {
        let class = class(line.region, line.programme, line.kind, line.retention_days);
        let numbers = [line.files, line.rows, line.bytes].map(|number| number.to_string());
        let rest = [line.oldest_day.map(date).unwrap_or_default(), line.kept_files.to_string()];
        table.add_row(class.into_iter().chain(numbers).chain(rest));
    }
    table
}

fn date(day: i32) -> String {
    let days = Days::new(u64::try_from(day).unwrap_or(0));
    NaiveDate::default().checked_add_days(days).map(|d| d.to_string()).unwrap_or_default()
}
