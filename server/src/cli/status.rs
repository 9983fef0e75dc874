//! `shoal status`: one page in 80 columns. It asks the service that runs here, or reads the files when none does.
//!
//! Not here: what is told (`status.rs`).

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::DateTime;
use clap::Args;
use prometheus_client::registry::Registry as MetricRegistry;
use serde::Deserialize as _;
use serde_json::json;
use shoal_storage::StorageError;

use super::output::print_either;
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::parts::Part;
use crate::status::{Budget, Kept, LastRuns, Rows, Serving, Status, Waiting};
use crate::{clocks, startup};

#[derive(Args)]
pub(super) struct StatusArgs {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, args: &StatusArgs) -> Result<ExitCode, Error> {
    if !config.data_dir.is_dir() {
        return Err(Error::Usage(format!("data_dir {} does not exist", config.data_dir.display())));
    }
    let status = of(config)?;
    print_either(args.json, || json!(status), || page(&status))
}

/// The status of what is served here, or lies here.
pub(super) fn of(config: &Config) -> Result<Status, Error> {
    if let Some(told) = operator_socket::ask(&config.data_dir, &Asked::Status)? {
        let other = |e| Error::Remote(format!("this is no status, but perhaps that of another version: {e}"));
        return Status::deserialize(told).map_err(other);
    }
    let now_ms = clocks::checked(&crate::system_clock())?;
    crate::threads::runtime()?.block_on(async {
        let definitions = startup::build_definitions(config)?;
        let rows = match startup::open_store(config).await {
            Ok(store) => {
                let retention = startup::build_retention(&definitions, &store, &mut MetricRegistry::default());
                retention.holdings().await
            }
            Err(Error::Storage(StorageError::Locked(_))) => {
                let told = "a service runs here that has no socket for operators: it is starting, or of another version";
                return Err(Error::Remote(told.into()));
            }
            Err(error) => return Err(error),
        };
        Ok(Status::of_stopped(config, rows, now_ms))
    })
}

fn page(status: &Status) -> String {
    let mut page = format!("shoal {}, {}\n{}\n", status.version, status.data_dir, served(status));
    let mut section = |title: &str, lines: Vec<String>| {
        for (at, line) in lines.iter().enumerate() {
            let _ = writeln!(page, "{:<11}{line}", if at == 0 { title } else { "" });
        }
    };
    section("parts", parts(&status.parts));
    section("coming in", coming_in(&status.kept, status.running.as_ref(), status.now_ms));
    section("log", waiting(&status.waiting));
    section("rows", rows(&status.rows));
    section("last runs", last_runs(&status.last_runs));
    section("disk", disk(status));
    section("budget", status.budget.iter().filter(|of| of.blocks > 0).map(budget).collect());
    page
}

fn served(status: &Status) -> String {
    match &status.running {
        Some(Serving { pid, since_ms, listen, .. }) => {
            let passed = status.now_ms.saturating_sub(*since_ms);
            format!("serving at {listen}, process {pid}, since {} ({})", time(*since_ms), span(passed))
        }
        None => "no service runs here".to_owned(),
    }
}

fn parts(parts: &[Part]) -> Vec<String> {
    let troubles: Vec<String> = parts.iter().filter_map(Part::trouble).collect();
    match (parts.is_empty(), troubles.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec!["events, consents and questions are ready".to_owned()],
        (false, false) => troubles,
    }
}

fn coming_in(kept: &[Kept], serving: Option<&Serving>, now_ms: i64) -> Vec<String> {
    let Some(serving) = serving else { return Vec::new() };
    let all: u64 = kept.iter().map(|of| of.events).sum();
    let seconds = (now_ms.saturating_sub(serving.since_ms).max(1000)) as f64 / 1000.0;
    let rate = all as f64 / seconds;
    let mut lines = vec![format!("{} events since the start, {rate:.1} in a second", count(all))];
    for one in kept.chunk_by(|a, b| a.region == b.region) {
        let each: Vec<String> = one.iter().map(|of| format!("{} {}", of.protocol, few(of.events))).collect();
        lines.extend(one.first().map(|first| format!("{}  {}", first.region, each.join(", "))));
    }
    lines
}

fn waiting(waiting: &[Waiting]) -> Vec<String> {
    let behind: Vec<String> = waiting
        .iter()
        .filter_map(|of| {
            let oldest = span(of.oldest_ms?);
            Some(format!(
                "{}  {} segments wait for the tables, the oldest for {oldest}",
                of.region, of.segments
            ))
        })
        .collect();
    match (waiting.is_empty(), behind.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec!["nothing waits for the tables".to_owned()],
        (false, false) => behind,
    }
}

fn rows(rows: &[Rows]) -> Vec<String> {
    let line = |of: &Rows| {
        let programme = if of.programme.starts_with("user") { "ux" } else { "dx" };
        let (kind, number, size) = (of.kind.to_string(), few(of.rows), bytes(of.bytes));
        let Rows { region, oldest_day, kept_days, .. } = of;
        format!(
            "{region} {kind:<11} {programme} {number:>8} {size:>9}, from {oldest_day}, kept {kept_days} d"
        )
    };
    rows.iter().map(line).collect()
}

fn last_runs(runs: &LastRuns) -> Vec<String> {
    // Where each is known from: lines of the audit, whose older files are not read for this, a mark, and the service itself.
    let told = |what: &str, at: Option<i64>, none: &str| {
        format!("{what} {}", at.map_or_else(|| none.to_owned(), time))
    };
    let (in_audit, since_start) = ("none in the newest file of the audit", "none since the service started");
    vec![
        told(
            "retention",
            runs.retention_ms,
            "none since the service started, nor by a person in the newest file of the audit",
        ),
        told("compaction", runs.compaction_ms, since_start),
        told("audit check", runs.audit_check_ms, "none"),
        told("backup", runs.backup_ms, in_audit),
    ]
}

fn disk(status: &Status) -> Vec<String> {
    let disk = &status.disk;
    let used: Vec<String> = disk.used.iter().map(|(of, used)| format!("{of} {}", bytes(*used))).collect();
    let mut lines =
        vec![format!("{} free, events are refused below {}", bytes(disk.free), bytes(disk.free_min))];
    lines.extend(used.chunks(3).map(|some| format!("used: {}", some.join(", "))));
    lines
}

fn budget(of: &Budget) -> String {
    let Budget { region, blocks, rho_spent_max, block, rho_cap } = of;
    format!("{region}  rho {rho_spent_max} of {rho_cap} on {block}, most of {blocks}")
}

fn time(at_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(at_ms).map(|at| at.format("%Y-%m-%d %H:%M").to_string());
    at.unwrap_or_else(|| "at no time".to_owned())
}

fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A number with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same in a few characters.
fn few(number: u64) -> String {
    match number {
        ..1_000_000 => count(number),
        1_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} G", number as f64 / 1e9),
    }
}

pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = number as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number} B"),
        unit => format!("{size:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::{Kind, Region};

    use super::*;
    use crate::status::Room;

    fn full() -> Status {
        let rows = |region, kind| Rows {
            region,
            kind,
            programme: "user-experience".to_owned(),
            rows: 1_234_567_890,
            files: 6_400,
            bytes: 123 << 30,
            oldest_day: "2025-10-01".to_owned(),
            newest_day: "2026-11-22".to_owned(),
            kept_days: 396,
        };
        let all = || Region::ALL.iter().flat_map(|region| Kind::ALL.iter().map(|kind| (*region, *kind)));
        let kept =
            |region, protocol: &str| Kept { region, protocol: protocol.to_owned(), events: 123_456_789_012 };
        Status {
            version: "0.1.0".to_owned(),
            data_dir: "/var/lib/shoal/data".to_owned(),
            now_ms: 1_795_348_800_000,
            running: Some(Serving {
                pid: 4_194_304,
                since_ms: 1_785_348_800_000,
                listen: "127.0.0.1:8750".to_owned(),
                served_ms: 0,
                known_ms: None,
            }),
            parts: vec![Part::events(true), Part::consents(Region::De, None)],
            kept: Region::ALL
                .iter()
                .flat_map(|region| ["native", "segment", "sentry"].map(|protocol| kept(*region, protocol)))
                .collect(),
            waiting: Region::ALL
                .iter()
                .map(|region| Waiting { region: *region, segments: 120, oldest_ms: Some(86_400_000) })
                .collect(),
            rows: all().map(|(region, kind)| rows(region, kind)).collect(),
            last_runs: LastRuns {
                retention_ms: Some(0),
                compaction_ms: Some(1_795_348_800_000),
                ..LastRuns::default()
            },
            disk: Room {
                used: ["US", "DE", "SG", "MY", "other"].map(|of| (of.to_owned(), 900 << 30)).into(),
                free: 5 << 40,
                free_min: 1 << 30,
            },
            budget: vec![Budget {
                region: Region::De,
                blocks: 28,
                rho_spent_max: "0.4995".to_owned(),
                block: "performance 2026-11-22".to_owned(),
                rho_cap: "0.5".to_owned(),
            }],
        }
    }

    #[test]
    fn the_page_fits_80_columns_and_says_what_does_not_work() {
        let page = page(&full());
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", line.chars().count());
        }
        assert!(page.contains("parts      events: the disk has less room"), "{page}");
        assert!(page.contains("1,481,481,468,144 events") && page.contains("segment 123.5 G"), "{page}");
        assert!(page.contains("DE usage       ux    1.2 G 123.0 GiB, from 2025-10-01, kept 396 d"), "{page}");
        assert!(page.contains("rho 0.4995 of 0.5") && page.contains("(115 d)"), "{page}");
        let stopped = super::page(&Status { running: None, ..Status::default() });
        assert!(stopped.contains("no service runs here") && !stopped.contains("coming in"), "{stopped}");
    }

    #[test]
    fn a_status_is_read_as_it_was_told() {
        let status = full();
        let told = serde_json::to_value(&status).unwrap();
        assert_eq!(Status::deserialize(told).unwrap(), status);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(
            [0, 119_000, 120_000, 7_200_000, 172_800_000].map(span),
            ["0 s", "119 s", "2 min", "2 h", "2 d"]
        );
    }
}
