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
    lines: Vec<KeptDays>,
}

/// Which days of one programme's events of one kind are kept in a region.
#[derive(ToSchema)]
struct KeptDays {
    region: RegionWord,
    programme: ProgrammeWord,
    kind: KindWord,
    /// Days kept after the event's own day
    retention_days: u32,
    /// The first day that is kept: a run removes what is before it
    #[schema(format = Date)]
    first_day: String,
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
}

/// What a run did.
#[derive(ToSchema)]
struct RetentionReport {
    /// When it ran, in milliseconds since 1970
    now_ms: i64,
    /// Nothing was changed
    dry_run: bool,
    /// What is before the first day of each is gone; after a dry run, it would be
    lines: Vec<KeptDays>,
    /// Tables that did not finish
    failed: Vec<FailedTable>,
}

/// A table that did not finish.
#[derive(ToSchema)]
struct FailedTable {
    region: RegionWord,
    kind: KindWord,
}
