//! `shoal audit`: is the audit whole, and what does it say. Reads files only, also while a service appends to them; a check of all
//! of it leaves a mark for `shoal status` (`audit_check.rs`).
//!
//! Not here: what a line of a query holds (`shoal-query`, `audit.rs`), what is checked (`shoal-audit`).

use std::collections::VecDeque;
use std::process::ExitCode;

use chrono::DateTime;
use clap::Subcommand;
use comfy_table::Table;
use serde_json::{Value, json};
use shoal_audit::{ChainLine, Whole, verify};

use super::output::{framed, print, print_either};
use crate::audit_check::{self, Check};
use crate::config::Config;
use crate::error::Error;
use crate::file_keys::audit_place_in;

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Checks that no line was changed, removed, inserted or moved. Prints the place of the first fault, or the number of lines and the head.
    Verify {
        /// Data directory. The default is that of the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<std::path::PathBuf>,
        /// Head that was printed before and kept elsewhere. The lines up to it must still be the same.
        #[arg(long, value_name = "COUNT:HASH")]
        since: Option<String>,
        /// Prints the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows the last lines of the audit.
    Show {
        /// Number of lines.
        #[arg(long, default_value_t = 20)]
        last: usize,
        /// Data directory. The default is that of the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<std::path::PathBuf>,
        /// Prints the lines as they are, one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: &Config, command: &AuditCommand) -> Result<ExitCode, Error> {
    let (AuditCommand::Verify { data_dir, .. } | AuditCommand::Show { data_dir, .. }) = command;
    let dir = data_dir.as_ref().unwrap_or(&config.data_dir);
    if !dir.is_dir() {
        return Err(Error::Usage(format!("data_dir {} does not exist", dir.display())));
    }
    let place = audit_place_in(dir, config)?;
    match command {
        AuditCommand::Verify { since, json, .. } => {
            let since = since.as_deref().map(head).transpose()?;
            let mut found = since.as_ref().is_none_or(|(count, _)| *count == 0);
            let whole = verify(&place, &mut |line| {
                found |= since
                    .as_ref()
                    .is_some_and(|(seq, hash)| line.seq == *seq && hex::encode(line.hash) == *hash);
            })?;
            print_either(*json, || whole_json(&whole), || whole_text(&whole))?;
            if !found {
                return Err(Error::Service("the audit is whole, but not the one of that head".into()));
            }
            let (at_ms, lines) = (crate::clocks::checked(&crate::system_clock())?, whole.count);
            audit_check::note(dir, Check { at_ms, lines });
        }
        AuditCommand::Show { last, json, .. } => {
            let mut lines: VecDeque<Vec<u8>> = VecDeque::new();
            let mut keep = |line: &ChainLine<'_>| {
                lines.push_back(line.text.to_vec());
                if lines.len() > *last {
                    lines.pop_front();
                }
            };
            let whole = verify(&place, &mut keep);
            let shown = match json {
                true => lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect(),
                false => format!("{}\n", table(&lines)).into_bytes(),
            };
            print(&shown)?;
            whole?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn whole_text(whole: &Whole) -> String {
    let mut text = format!("the audit is whole: {} lines\nhead {}\n", whole.count, head_text(whole));
    if whole.uncounted > 0 || whole.unfinished_bytes > 0 {
        text.push_str(&format!(
            "{} lines and {} bytes after what was answered for: a service is writing, or a crash came between\n",
            whole.uncounted, whole.unfinished_bytes
        ));
    }
    text
}

fn whole_json(whole: &Whole) -> Value {
    json!({"lines": whole.count, "head": head_text(whole), "lines_uncounted": whole.uncounted,
        "bytes_unfinished": whole.unfinished_bytes})
}

fn head_text(whole: &Whole) -> String {
    format!("{}:{}", whole.count, hex::encode(whole.hash))
}

/// A head as it is printed.
fn head(text: &str) -> Result<(u64, String), Error> {
    let parts = text.split_once(':').and_then(|(count, hash)| Some((count.parse().ok()?, hash.to_owned())));
    parts.ok_or_else(|| Error::Usage("--since takes COUNT:HASH, as `shoal audit verify` prints it".into()))
}

fn table(lines: &VecDeque<Vec<u8>>) -> Table {
    let mut table = framed(["line", "when", "key", "outcome", "price", "from", "time ms", "what"]);
    for line in lines {
        let line: Value = serde_json::from_slice(line).unwrap_or(Value::Null);
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| line[name].as_u64().map(|n| n.to_string()).unwrap_or_default();
        let outcome = match line["rule"].as_str() {
            Some(rule) => format!("{} ({rule} at {}:{})", text("outcome"), line["line"], line["column"]),
            None => text("outcome"),
        };
        let queries = line["queries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let column = |name: &str| {
            let all: Vec<&str> = queries.iter().filter_map(|query| query[name].as_str()).collect();
            all.join("\n")
        };
        table.add_row([
            number("seq"),
            line["at_ms"]
                .as_i64()
                .and_then(DateTime::from_timestamp_millis)
                .map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
            line["key"].as_str().map_or_else(|| text("role"), str::to_owned),
            outcome,
            column("rho_per_block"),
            text("source"),
            number("answer_time_ms"),
            line["act"].as_str().map_or_else(|| column("text"), |act| other(act, &line)),
        ]);
    }
    table
}

/// What an act other than a query says, as a list of names and values.
fn other(act: &str, line: &Value) -> String {
    const OF_EVERY_ACT: [&str; 9] = ["seq", "prev", "hash", "at_ms", "act", "id", "key", "role", "outcome"];
    let own = line.as_object().into_iter().flatten();
    let own = own.filter(|(name, _)| !OF_EVERY_ACT.contains(&name.as_str()));
    let own: Vec<String> = own.map(|(name, value)| format!("{name} {value}")).collect();
    format!("{act}: {}", own.join(", "))
}
