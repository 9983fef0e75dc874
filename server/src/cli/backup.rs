//! `shoal backup`: makes, checks and puts back backups. While a service runs, it makes the backup itself, because it alone may read
//! its stores.
//!
//! Not here: what is in a backup (`backup.rs`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::DateTime;
use clap::Subcommand;
use serde::Deserialize as _;
use serde_json::{Value, json};
use shoal_language::calendar::day_text;
use shoal_schemas::Region;
use shoal_schemas::calendar::day_of;

use super::keys::region;
use super::output::print_either;
use super::status::bytes;
use crate::backup::making::Made;
use crate::backup::restore::{Restored, Since, restore};
use crate::backup::stopped;
use crate::backup::verify::verify;
use crate::config::Config;
use crate::consent_files::names;
use crate::error::Error;
use crate::operator_socket::{self, Asked};

#[derive(Subcommand)]
pub(super) enum BackupCommand {
    /// Makes a backup in a directory, or brings the one that is there up to date: what has not changed is not copied again.
    Create {
        /// Directory of the backup, outside of the data directory. The account of the service must be able to write it.
        dir: PathBuf,
        /// Prints what was made as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compares every file of a backup with its digest, and reads the log of every table. Exits with 1 when something is missing
    /// or changed.
    Verify {
        /// Directory of the backup.
        dir: PathBuf,
        /// Prints the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Puts a backup into an empty data directory, while no service runs.
    Restore {
        /// Directory of the backup.
        dir: PathBuf,
        /// Empty directory that becomes the data directory.
        #[arg(long, value_name = "DATA_DIR")]
        to: PathBuf,
        /// Regions whose journal of withdrawals is lost, separated by commas, as DE,US. Whoever withdrew consent there after the
        /// backup counts as taking part again. The audit has a line of it.
        #[arg(long, value_name = "REGIONS", value_delimiter = ',', value_parser = region)]
        accept_lost_withdrawals: Vec<Region>,
        /// Prints what was put back as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: &Config, command: &BackupCommand) -> Result<ExitCode, Error> {
    let now_ms = crate::clocks::checked(&crate::system_clock())?;
    let runtime = crate::threads::runtime()?;
    match command {
        BackupCommand::Create { dir, json } => {
            if !config.data_dir.is_dir() {
                return Err(Error::Usage(format!("data_dir {} does not exist", config.data_dir.display())));
            }
            let dir = std::path::absolute(dir).map_err(|e| Error::io(dir, e))?;
            let made = match operator_socket::ask(&config.data_dir, &Asked::Backup(dir.clone()))? {
                Some(told) => Made::deserialize(told)
                    .map_err(|e| Error::Remote(format!("this is no report of a backup: {e}")))?,
                None => runtime.block_on(stopped::make(config, &dir, now_ms))?.ok_or_else(|| {
                    Error::Remote(
                        "a service runs here that has no socket for operators: it is starting".into(),
                    )
                })?,
            };
            print_either(*json, || json!(made), || made_text(&made, &dir))
        }
        BackupCommand::Verify { dir, json } => {
            let verified = runtime.block_on(verify(dir))?;
            let manifest = &verified.manifest;
            let faults = &verified.faults;
            let (files, size) = (manifest.files.len(), manifest.bytes());
            let value = || json!({"made_at_ms": manifest.made_at_ms, "files": files, "bytes": size, "faults": faults});
            let text = || match faults.is_empty() {
                true => format!(
                    "the backup is whole: {files} files, {}, as of {}",
                    bytes(size),
                    time(manifest.made_at_ms)
                ),
                false => faults.join("\n"),
            };
            print_either(*json, value, text)?;
            match faults.len() {
                0 => Ok(ExitCode::SUCCESS),
                count => Err(Error::Service(format!("the backup is not whole: {count} faults"))),
            }
        }
        BackupCommand::Restore { dir, to, accept_lost_withdrawals: accepted, json } => {
            let config = Config { data_dir: to.clone(), ..with_its_directories(config) };
            let restored = runtime.block_on(restore(&config, dir, accepted, now_ms))?;
            let value = || restored_value(&config, &restored);
            print_either(*json, value, || restored_text(&config, &restored, now_ms))?;
            match &restored.since.doubt {
                None => Ok(ExitCode::SUCCESS),
                Some(doubt) => Err(Error::Service(format!("a start will be refused: {doubt}"))),
            }
        }
    }
}

/// The directories that follow from the data directory are those of the configuration, wherever the backup is put.
fn with_its_directories(config: &Config) -> Config {
    let (marks, journal) = (config.marks_dir(), config.journal_dir());
    Config { budget_marks_dir: Some(marks), withdrawals_dir: Some(journal), ..config.clone() }
}

fn made_text(made: &Made, dir: &Path) -> String {
    let Made { made_at_ms, files, bytes: all, rows, copied_files, copied_bytes } = *made;
    let (size, copied) = (bytes(all), bytes(copied_bytes));
    let head = format!("{}: as of {}, {rows} events", dir.display(), time(made_at_ms));
    format!("{head}\n{files} files, {size}; {copied_files} of them, {copied}, are new\n")
}

fn restored_value(config: &Config, restored: &Restored) -> Value {
    let Restored { manifest, since } = restored;
    let Since { replayed, lost, written_anew, doubt } = since;
    let tables = manifest.tables.iter().map(|table| {
        json!({"region": table.region, "kind": table.kind, "events": table.rows, "newest_day": table.newest_day})
    });
    json!({"data_dir": config.data_dir, "made_at_ms": manifest.made_at_ms, "tables": tables.collect::<Vec<_>>(),
        "withdrawals_in_force_again": replayed, "withdrawals_lost": lost, "withdrawals_written_anew": written_anew, "doubt": doubt})
}

fn restored_text(config: &Config, restored: &Restored, now_ms: i64) -> String {
    let Restored { manifest, since } = restored;
    let mut text =
        format!("{} holds the state of {}\n", config.data_dir.display(), time(manifest.made_at_ms));
    text.push_str("lost: the events, consents, answers and access keys that came after that\n");
    let _ = writeln!(text, "  {}", days_text(day_of(manifest.made_at_ms), day_of(now_ms)));
    for table in manifest.tables.iter().filter(|table| table.rows > 0) {
        let newest = table.newest_day.as_deref().unwrap_or_default();
        let (region, kind, rows) = (table.region, table.kind, table.rows);
        let _ = writeln!(text, "  {region} {kind}: {rows} events, the last ones of {newest}");
    }
    text.push_str(&withdrawals_text(config, since));
    text.push_str("access keys: what was revoked after that is valid again; look at `shoal keys list`\n");
    if since.doubt.is_none() {
        let marks = config.marks_dir();
        let _ =
            writeln!(text, "privacy budget: what was spent after that stays spent, by {}", marks.display());
    }
    text
}

/// Which days have how much, when the first of them is that of the backup and the last one today.
fn days_text(first: i32, last: i32) -> String {
    let after = match last.saturating_sub(first) {
        ..=0 => String::new(),
        1 => format!("; {} has nothing", day_text(last)),
        _ => format!("; the days after it, up to {}, have nothing", day_text(last)),
    };
    let first = day_text(first);
    format!("{first} has what came until then{after}; earlier days may lack what came late")
}

fn withdrawals_text(config: &Config, since: &Since) -> String {
    let journal = config.journal_dir();
    let (Since { replayed, lost, written_anew, .. }, journal) = (since, journal.display());
    let mut text =
        format!("withdrawals: {replayed} that came after that are in force again, from {journal}\n");
    if !written_anew.is_empty() {
        let regions = names(written_anew);
        let _ = writeln!(
            text,
            "  the journal of {regions} was written anew since: it has what was known then and what came after, and that counts by its times"
        );
    }
    if !lost.is_empty() {
        let regions = names(lost);
        let _ =
            writeln!(text, "  accepted: of {regions} the others are lost, and who withdrew takes part again");
    }
    text
}

fn time(at_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(at_ms).map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    at.unwrap_or_else(|| "no time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_that_lack_something_are_told_in_one_line_however_many_they_are() {
        let late = "; earlier days may lack what came late";
        assert_eq!(days_text(0, 0), format!("1970-01-01 has what came until then{late}"));
        let next = format!("1970-01-01 has what came until then; 1970-01-02 has nothing{late}");
        assert_eq!(days_text(0, 1), next);
        let many = "1970-01-01 has what came until then; the days after it, up to 1970-03-02, have nothing";
        assert_eq!(days_text(0, 60), format!("{many}{late}"));
        assert_eq!(
            days_text(9, 0),
            format!("1970-01-10 has what came until then{late}"),
            "the clock is behind"
        );
    }
}
