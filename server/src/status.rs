//! What an operator sees on one page: what comes in, what waits, how old the rows are, what ran last, room, budget.
//!
//! Invariants: it counts events exactly, so nobody but an operator may see it; it holds no identifier, no value of an event and no
//! key. Asking changes nothing. Not here: how it is shown (`cli/status.rs`), how it is asked for (`operator_socket.rs`).

use std::collections::BTreeMap;

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shoal_anonymity::budget::Rho;
use shoal_audit::verify_last;
use shoal_files::{Disk, Medium as _, Objects as _};
use shoal_language::calendar::day_text;
use shoal_retention::Holding;
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BudgetLedger};

use crate::audit_check;
use crate::config::Config;
use crate::file_keys::audit_place;
use crate::parts::Part;
use crate::state::State;

/// Days of which the budget is shown.
const BUDGET_DAYS: i32 = 7;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) data_dir: String,
    /// When this was so, ms since 1970.
    pub(crate) now_ms: i64,
    /// None when no service runs.
    pub(crate) running: Option<Serving>,
    pub(crate) parts: Vec<Part>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) rows: Vec<Rows>,
    pub(crate) last_runs: LastRuns,
    pub(crate) disk: Room,
    pub(crate) budget: Vec<Budget>,
}

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Serving {
    pub(crate) pid: u32,
    pub(crate) since_ms: i64,
    pub(crate) listen: String,
    /// How long the data were served and the newest time that is known, ms: both as `served-time` has them.
    pub(crate) served_ms: i64,
    pub(crate) known_ms: Option<i64>,
}

/// Events that were kept since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) region: Region,
    pub(crate) protocol: String,
    pub(crate) events: u64,
}

/// What waits in the log of a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) region: Region,
    pub(crate) segments: u64,
    pub(crate) oldest_ms: Option<i64>,
}

/// What a table holds of a programme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) region: Region,
    pub(crate) kind: Kind,
    pub(crate) programme: String,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_day: String,
    pub(crate) newest_day: String,
    pub(crate) kept_days: u32,
}

/// When something was done last, ms since 1970; none when it is not known to have been.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastRuns {
    pub(crate) retention_ms: Option<i64>,
    pub(crate) compaction_ms: Option<i64>,
    pub(crate) audit_check_ms: Option<i64>,
    pub(crate) backup_ms: Option<i64>,
}

/// Room on the disk, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// By region, and `other` for what belongs to none.
    pub(crate) used: BTreeMap<String, u64>,
    pub(crate) free: u64,
    /// Below it events are refused.
    pub(crate) free_min: u64,
}

/// What was spent of the privacy budget of a region's last days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Budget {
    pub(crate) region: Region,
    /// Blocks (a table's day) on which something was spent.
    pub(crate) blocks: u64,
    /// The most that was spent on one of them, which, and the cap.
    pub(crate) rho_spent_max: String,
    pub(crate) block: String,
    pub(crate) rho_cap: String,
}

impl Status {
    /// Of the service that runs.
    pub(crate) async fn of_running(state: &web::Data<State>) -> Status {
        let (now_ms, served_ms) = state.look();
        let rows = state.retention.holdings().await;
        let asked = state.clone();
        let blocking = tokio::task::spawn_blocking(move || {
            let config = &asked.config;
            let budget = budget(config, &asked.ledger, day_of(now_ms));
            (asked.parts(), budget, Status::of_files(config, now_ms))
        });
        let (parts, budget, of_files) = blocking.await.unwrap_or_default();
        let mut last_runs = of_files.last_runs.clone();
        last_runs.retention_ms = last_runs.retention_ms.max(state.retention.last_run_ms());
        last_runs.compaction_ms = state.retention.last_compaction_ms();
        let kept = state.ingest.kept().into_iter().filter(|kept| kept.events > 0);
        let kept =
            kept.map(|of| Kept { region: of.region, protocol: of.protocol.to_string(), events: of.events });
        let waiting = state.ingest.waiting().into_iter().map(|of| Waiting {
            region: of.region,
            segments: of.segments as u64,
            oldest_ms: of.oldest_ms,
        });
        let serving = Serving {
            pid: std::process::id(),
            since_ms: state.since_ms,
            listen: state.config.http.listen.to_string(),
            served_ms,
            known_ms: state.served.known().newest_ms(),
        };
        Status {
            running: Some(serving),
            parts,
            kept: kept.collect(),
            waiting: waiting.collect(),
            rows: rows_of(rows),
            last_runs,
            budget,
            ..of_files
        }
    }

    /// Of a data directory that no service serves, as far as its files tell; `rows` are what its tables hold.
    pub(crate) fn of_stopped(config: &Config, rows: Vec<Holding>, now_ms: i64) -> Status {
        Status { rows: rows_of(rows), ..Status::of_files(config, now_ms) }
    }

    fn of_files(config: &Config, now_ms: i64) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: config.data_dir.display().to_string(),
            now_ms,
            last_runs: last_runs(config),
            disk: room(config),
            ..Status::default()
        }
    }
}

fn rows_of(holdings: Vec<Holding>) -> Vec<Rows> {
    let of = |of: Holding| Rows {
        region: of.region,
        kind: of.kind,
        programme: of.programme.to_string(),
        rows: of.rows,
        files: of.files,
        bytes: of.bytes,
        oldest_day: day_text(of.oldest_day),
        newest_day: day_text(of.newest_day),
        kept_days: of.retention_days,
    };
    holdings.into_iter().map(of).collect()
}

/// What the last file of the audit tells, and the mark of the last check of all of it.
fn last_runs(config: &Config) -> LastRuns {
    let mut runs = LastRuns {
        audit_check_ms: audit_check::last(&config.data_dir).map(|check| check.at_ms),
        ..LastRuns::default()
    };
    // An audit that is not whole is no matter of this page: `shoal doctor` and `shoal audit verify` tell.
    let Ok(place) = audit_place(config) else { return runs };
    let _ = verify_last(&place, &mut |line| {
        let Ok(line) = serde_json::from_slice::<Value>(line.text) else { return };
        let at_ms = line["at_ms"].as_i64();
        match (line["act"].as_str(), line["outcome"].as_str()) {
            (Some("retention_run"), Some("done")) => runs.retention_ms = runs.retention_ms.max(at_ms),
            (Some("backup_create"), Some("done")) => runs.backup_ms = runs.backup_ms.max(at_ms),
            _ => {}
        }
    });
    runs
}

fn room(config: &Config) -> Room {
    let disk = Disk::new(&config.data_dir);
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for entry in disk.list("").unwrap_or_default() {
        let first = entry.name.split('/').next().unwrap_or_default();
        let region = Region::parse(first).map_or_else(|| "other".to_owned(), |region| region.to_string());
        *used.entry(region).or_default() += entry.bytes;
    }
    Room { used, free: disk.free_bytes().unwrap_or(0), free_min: config.ingest.free_bytes_min }
}

fn budget(config: &Config, ledger: &BudgetLedger, today: i32) -> Vec<Budget> {
    let cap = config.query.preset.cap();
    let of_region = |region: &Region| {
        let days = (0..BUDGET_DAYS).map(|back| today.saturating_sub(back));
        let blocks: Vec<Block> = days
            .flat_map(|day| Kind::ALL.iter().map(move |kind| Block { region: *region, kind: *kind, day }))
            .collect();
        let spent = ledger.spent(&blocks).ok()?;
        let spent =
            spent.iter().map(|pools| pools.values().fold(0_u64, |all, nano| all.saturating_add(*nano)));
        let spent: Vec<(u64, Block)> = spent.zip(blocks).filter(|(nano, _)| *nano > 0).collect();
        let most = spent.iter().max_by_key(|(nano, _)| *nano);
        let block = most.map(|(_, block)| format!("{} {}", block.kind, day_text(block.day)));
        Some(Budget {
            region: *region,
            blocks: spent.len() as u64,
            rho_spent_max: Rho::from_nano(most.map_or(0, |(nano, _)| *nano)).to_string(),
            block: block.unwrap_or_default(),
            rho_cap: cap.to_string(),
        })
    };
    Region::ALL.iter().filter_map(of_region).collect()
}
