//! `shoal tables`: copies of tables in the clear, for other programs, and tables in the clear that are encrypted. Files are copied beside a
//! service that runs, which encrypts them itself.
//!
//! Not here: what a copy is and what the audit says of it (`table_copies.rs`), what encrypting is (`stored_keys.rs`).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use shoal_language::calendar::day_text;
use shoal_schemas::{Kind, Region};
use shoal_storage::TableCopied;

use super::data_dir::is_there;
use super::keys_stored::act;
use super::output::{framed, print_either};
use super::status::bytes;
use crate::config::Config;
use crate::error::Error;
use crate::stored_keys::{KeyAct, KeysDone};
use crate::table_copies::{Asked, copy, name};

/// What a copy is, wherever somebody is about to make one or has made one.
const WARNING: &str = "A copy in the clear is personal data: every event with its pseudonym, and no key is needed to read it. No run of \
    retention reaches it, so its days do not expire: delete it by hand as soon as it has served its purpose.";

#[derive(Subcommand)]
pub(super) enum TablesCommand {
    /// Copies tables in the clear into a directory of their own, where any program that reads Delta tables can read them. Works
    /// while a service runs. The audit has two lines of it.
    Copy {
        /// Directory of the copy. It must not be there, or be empty, and lie outside of the data and of the keys.
        dir: PathBuf,
        /// Says that the copy is to be in the clear. There is no other copy, so the option is required.
        #[arg(long)]
        decrypt: bool,
        /// A table, as de/usage. The option can be repeated. Without it all tables are copied.
        #[arg(long = "table", value_name = "REGION/KIND", value_parser = table)]
        tables: Vec<(Region, Kind)>,
        /// Prints what was copied as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes files of tables anew that are in the clear, since an earlier version wrote them or storage.encrypt was false, and deletes
    /// what they were. Works while a service runs. It may be interrupted, and repeated. The audit has a line for each table.
    Encrypt {
        /// A table, as de/usage. The option can be repeated. Without it all tables are encrypted.
        #[arg(long = "table", value_name = "REGION/KIND", value_parser = table)]
        tables: Vec<(Region, Kind)>,
        /// Prints what was encrypted as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn table(text: &str) -> Result<(Region, Kind), String> {
    let parts =
        text.split_once('/').and_then(|(region, kind)| Some((Region::parse(region)?, Kind::parse(kind)?)));
    parts.ok_or_else(|| {
        let regions: Vec<String> =
            Region::ALL.iter().map(|region| region.to_string().to_lowercase()).collect();
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!(
            "a table is one of the regions {} and one of the kinds {}, as de/usage",
            regions.join(", "),
            kinds.join(", ")
        )
    })
}

pub(super) fn run(config: &Config, command: &TablesCommand) -> Result<ExitCode, Error> {
    match command {
        TablesCommand::Copy { decrypt: false, .. } => {
            let told = format!("the copy would be in the clear: say --decrypt if that is meant. {WARNING}");
            Err(Error::Usage(told))
        }
        TablesCommand::Copy { dir, tables, json, .. } => copied(config, Asked { to: dir, tables }, *json),
        TablesCommand::Encrypt { tables, json } => encrypted(config, tables, *json),
    }
}

fn encrypted(config: &Config, named: &[(Region, Kind)], as_json: bool) -> Result<ExitCode, Error> {
    let kinds = |region: &'static Region| Kind::ALL.iter().map(|kind| (*region, *kind));
    let all: Vec<_> = Region::ALL.iter().flat_map(kinds).collect();
    let mut done = Vec::new();
    for (region, kind) in if named.is_empty() { all.as_slice() } else { named } {
        done.push((name(*region, *kind), act(config, &KeyAct::Encrypt(*region, *kind))?));
    }
    let value = || {
        let tables = done.iter().map(|(table, done)| {
            json!({"table": table, "files": done.files, "rows": done.rows, "left": done.left})
        });
        json!({"tables": tables.collect::<Vec<_>>()})
    };
    print_either(as_json, value, || {
        let sum = |of: fn(&KeysDone) -> u64| done.iter().map(|(_, done)| of(done)).sum::<u64>();
        let (files, rows, left) = (sum(|d| d.files), sum(|d| d.rows), sum(|d| d.left));
        let left = match left {
            0 => String::new(),
            left => format!(
                "\n{left} files of before are being read, and are deleted by the next run of retention"
            ),
        };
        format!("{files} files, {rows} rows, were in the clear and are encrypted now{left}")
    })
}

fn copied(config: &Config, asked: Asked<'_>, as_json: bool) -> Result<ExitCode, Error> {
    is_there(config)?;
    let made = crate::threads::runtime()?.block_on(copy(config, asked, &crate::system_clock()))?;
    print_either(as_json, || value(&made), || text(&made))?;
    eprintln!("shoal: {WARNING}");
    match made.iter().map(|table| table.unreadable_files).sum::<u64>() {
        0 => Ok(ExitCode::SUCCESS),
        files => Err(Error::Service(format!(
            "the copy lacks {files} files, whose keys are gone: {}",
            lacking(&made)
        ))),
    }
}

fn value(made: &[TableCopied]) -> Value {
    let tables = made.iter().map(|table| {
        let days: Vec<String> = table.unreadable_days.iter().map(|day| day_text(*day)).collect();
        json!({"table": name(table.region, table.kind), "files": table.files, "rows": table.rows, "bytes": table.bytes,
            "expired_files": table.expired_files, "unreadable_files": table.unreadable_files,
            "unreadable_rows": table.unreadable_rows, "unreadable_days": days})
    });
    json!({"in_the_clear": true, "tables": tables.collect::<Vec<_>>()})
}

fn text(made: &[TableCopied]) -> String {
    let mut table = framed(["table", "files", "rows", "bytes", "expired files"]);
    for TableCopied { region, kind, files, rows, bytes, expired_files, .. } in made {
        let numbers = [files, rows, bytes, expired_files].map(|number| number.to_string());
        table.add_row([name(*region, *kind)].into_iter().chain(numbers));
    }
    let sum = |of: fn(&TableCopied) -> u64| made.iter().map(of).sum::<u64>();
    let (files, rows, size) = (sum(|t| t.files), sum(|t| t.rows), bytes(sum(|t| t.bytes)));
    format!("{table}\n{files} files, {rows} rows, {size} are in the clear\n")
}

/// What a copy lacks, table by table.
fn lacking(made: &[TableCopied]) -> String {
    let lacking = made.iter().filter(|table| table.unreadable_files > 0).map(|table| {
        let days: Vec<String> = table.unreadable_days.iter().map(|day| day_text(*day)).collect();
        format!("{} of {} ({} rows)", name(table.region, table.kind), days.join(", "), table.unreadable_rows)
    });
    lacking.collect::<Vec<_>>().join("; ")
}
