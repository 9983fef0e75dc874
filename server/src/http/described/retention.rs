//! Plans and runs of retention (`shoal-retention`, `plan.rs`, `report.rs`; `routes/retention.rs`).
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use utoipa::ToSchema;

use super::{KindWord, ProgrammeWord, RegionWord};
use crate::http::refusals;

/// What a run would do.
#[derive(ToSchema)]
pub(in crate::http) struct RetentionPlan {
    /// For when it was made, in milliseconds since 1970
    now_ms: i64,
    lines: Vec<RetentionLine>,
}

/// What a run does to one programme's events of one kind in a region.
#[derive(ToSchema)]
struct RetentionLine {
    region: RegionWord,
    programme: ProgrammeWord,
    kind: KindWord,
    /// Days kept after the event's own day
    retention_days: u32,
    /// Expired files; this and the other numbers of files are rounded up to a multiple of 10
    files: u64,
    /// Rounded up to a multiple of 10,000, as `kept_rows`
    rows: u64,
    /// Rounded up to a multiple of 10,000,000
    bytes: u64,
    /// The oldest expired day
    #[schema(required = true, format = Date)]
    oldest_day: Option<String>,
    kept_files: u64,
    kept_rows: u64,
}

/// One line of the answer to a run, which has one of the members: `progress` as it goes on, and `report` or `problem` at its end.
#[derive(ToSchema)]
pub(in crate::http) struct RetentionRunLine {
    #[schema(nullable = false)]
    progress: Option<RetentionProgress>,
    #[schema(nullable = false)]
    report: Option<RetentionReport>,
    #[schema(nullable = false)]
    problem: Option<refusals::Document>,
}

/// How far a run has come.
#[derive(ToSchema)]
struct RetentionProgress {
    tables_done: u64,
    tables: u64,
    files: u64,
}

/// What a run did.
#[derive(ToSchema)]
struct RetentionReport {
    /// When it ran, in milliseconds since 1970
    now_ms: i64,
    /// Nothing was changed
    dry_run: bool,
    /// What left its table; in a dry run, what would
    expired: Vec<RetentionLine>,
    /// What left the disk
    purged: Vec<Purged>,
    /// Tables that did not finish
    failed: Vec<FailedTable>,
}

/// What left the disk in one table.
#[derive(ToSchema)]
struct Purged {
    region: RegionWord,
    kind: KindWord,
    files: u64,
    bytes: u64,
    log_entries: u64,
    /// Files that a query was still reading
    pinned: u64,
}

/// A table that did not finish.
#[derive(ToSchema)]
struct FailedTable {
    region: RegionWord,
    kind: KindWord,
    reason: String,
}
