//! The ledger of budgets at a start: its files are read together, compared with the audit, and opened when nothing is in
//! doubt; and how a doubt is accepted.
//!
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"budget_start","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"done","marks_made":true,"numbers_raised":0,"reservations_without_line":0,"hash":".."}
//! {"seq":10,"prev":"..","at_ms":1795348800000,"act":"budget_accept_restore","id":"<uuid>","key":"off0123456789",
//!  "role":"officer","outcome":"done","doubts":["<file> is missing, and it was there before"],"numbers_raised":3,
//!  "blocks_possibly_spent":0,"hash":".."}
//! ```
//! A start has a line only when it changed or found something: marks were made for what an earlier version had spent, the
//! ledger was behind, or reservations have no line. Invariants: whoever calls holds the lock of the data directory; nothing
//! is accepted without its line.
//! A start also notes the limit of a subject's day that is in force from then on (`shoal-storage`, `day_limits`).
//! Not here: the files (`shoal-storage`), the comparison itself (`ledger_comparison.rs`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_files::Objects;
use shoal_privacy::keyring::Sealed;
use shoal_schemas::calendar::day_of;
use shoal_storage::{BudgetLedger, Doubt, LedgerFiles, last_stored_day};
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::{FileKeys, audit_place};
use crate::ledger_comparison::{Comparison, Disagreement, compare};

/// The fields of a start's line.
#[derive(Serialize)]
struct StartFields {
    /// Marks were made for what an earlier version had spent.
    marks_made: bool,
    /// Numbers of blocks and pools in which the ledger was behind its marks.
    numbers_raised: usize,
    /// Reservations that no line of a query knows.
    reservations_without_line: u64,
}

/// The fields of the line of what was accepted.
#[derive(Serialize)]
struct AcceptFields {
    doubts: Vec<String>,
    numbers_raised: usize,
    blocks_possibly_spent: usize,
}

/// What was accepted.
pub(crate) struct Accepted {
    /// Whole sentences without their end.
    pub(crate) doubts: Vec<String>,
    /// Numbers of blocks and pools in which the ledger was behind.
    pub(crate) numbers_raised: usize,
    /// Blocks of which only the audit tells that something was spent.
    pub(crate) blocks_possibly_spent: usize,
}

/// Opens the ledger of a data directory for a service.
///
/// # Errors
/// When a file of it is missing or older than it was, or the audit and it do not agree; the log names every such file.
pub(crate) async fn open(
    config: &Config,
    tables: &dyn Objects,
    audit: &Arc<Audit>,
    now_ms: i64,
) -> Result<BudgetLedger, Error> {
    let (files, comparison) = read(config, tables)?;
    for Doubt { path, reason } in files.doubts() {
        tracing::error!("{} {reason}", path.display());
    }
    let fields = StartFields {
        marks_made: !files.is_marked() && files.has_spending(),
        numbers_raised: files.raised(),
        reservations_without_line: comparison.without_line,
    };
    let ledger = BudgetLedger::of(files)?;
    if fields.numbers_raised > 0 {
        tracing::warn!(
            numbers = fields.numbers_raised,
            "the ledger was behind its high-water marks and is raised"
        );
    }
    if fields.marks_made || fields.numbers_raised > 0 || fields.reservations_without_line > 0 {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: now_ms, act: Act::BudgetStart, id: Uuid::new_v4(), actor };
        audit.begin(origin, fields).end(ActOutcome::Done).await?;
    }
    // Before any event comes in under it.
    ledger.note_day_limit(config.ingest.subject_day_events_max.into(), day_of(now_ms))?;
    ledger.settle(comparison.next.as_ref())?;
    Ok(ledger)
}

/// Accepts every doubt there is: the most that any file says counts as spent, and so does what only the audit knows. None
/// when there is no doubt, and nothing is changed then.
///
/// # Errors
/// When a file cannot be read or written, or there can be no line of it. It may be repeated.
pub(crate) async fn accept(
    config: &Config,
    tables: &dyn Objects,
    audit: &Arc<Audit>,
    actor: Actor,
    now_ms: i64,
) -> Result<Option<Accepted>, Error> {
    let (files, comparison) = read(config, tables)?;
    if files.doubts().is_empty() {
        return Ok(None);
    }
    let Some(next) = comparison.next else {
        let busy = "another process is writing to the audit just now: try again";
        return Err(Error::Service(busy.to_owned()));
    };
    let told = |Doubt { path, reason }: &Doubt| format!("{} {reason}", path.display());
    let doubts: Vec<String> = files.doubts().iter().map(told).collect();
    let (numbers_raised, blocks_possibly_spent) = (files.raised(), comparison.possible.len());
    let fields = AcceptFields { doubts: doubts.clone(), numbers_raised, blocks_possibly_spent };
    let origin = Origin { at_ms: now_ms, act: Act::BudgetAcceptRestore, id: Uuid::new_v4(), actor };
    // Before anything is changed: without its line there is no acceptance.
    audit.begin(origin, fields).end(ActOutcome::Done).await?;
    let ledger = BudgetLedger::accepting(files, &comparison.possible, next.reservation, day_of(now_ms))?;
    ledger.settle(Some(&next))?;
    Ok(Some(Accepted { doubts, numbers_raised, blocks_possibly_spent }))
}

/// Everything that is known before anything is changed.
fn read(config: &Config, tables: &dyn Objects) -> Result<(LedgerFiles, Comparison), Error> {
    let sealing = FileKeys::open(config)?.of(Sealed::Ledger);
    let last_day = last_stored_day(tables).map_err(|e| Error::io(tables.path(""), e))?;
    let (root, marks) = (&config.data_dir, config.marks_dir());
    let mut files = LedgerFiles::read_sealed(root, &marks, sealing.as_ref(), last_day)?;
    let place = audit_place(config)?;
    let comparison = compare(&place, files.checkpoint()?, files.last_reservation()?)?;
    match comparison.disagreement {
        Some(Disagreement::OlderAudit) => files.doubt(Doubt {
            path: place.dir(),
            reason: "lacks a line that was there when the ledger was compared with it: it is an older or another audit"
                .to_owned(),
        }),
        Some(Disagreement::OlderLedger) => files.doubt(Doubt {
            path: config.data_dir.join("ledger"),
            reason: "is older than the audit, which knows charges that neither the ledger nor a high-water mark knows"
                .to_owned(),
        }),
        None => {}
    }
    if files.makes_marks() && comparison.tells_of_marks {
        let reason = "lacks high-water marks that the audit says were there before".to_owned();
        files.doubt(Doubt { path: config.marks_dir(), reason });
    }
    Ok((files, comparison))
}
