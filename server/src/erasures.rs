//! How the rows of erased persons go, once their erasure is recorded.
//!
//! ```text
//! recorded (`subjects.rs`) -> requests that had begun are in the log -> the log is flushed -> files are written anew without them
//!                          -> old bytes gone -> a line of the audit -> a receipt -> done
//! ```
//! What a crash interrupts goes on with the next start: until an erasure is done its subjects are in no release. Files of several
//! erasures are written once, so the line of what was done counts those of all that were done together.
//!
//! A receipt has the files from before the run that has begun to erase; when the process ended in between, from before the run that ends it.
//! Not here: how rows go (`shoal-retention`, `erase.rs`).

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Origin, Role};
use shoal_retention::{RowsErased, TableVersion};
use shoal_schemas::Region;
use shoal_storage::{ActKind, Erased, SubjectAct, Subjects};
use uuid::Uuid;

use crate::error::Error;
use crate::receipts::Change;
use crate::state::State;
use crate::subjects::{Fields, Wanted};

/// What an erasure would take, for whoever has the machine: in the tables, once the log is in them. Changes nothing else.
///
/// # Errors
/// When something cannot be read, or the audit cannot be written.
pub(crate) async fn plan(state: &State, wanted: Wanted, actor: Actor) -> Result<Value, Error> {
    let Wanted { persons, programmes, regions, .. } = wanted;
    let (now_ms, served_ms) = state.look();
    state.ingest.flush(served_ms, true).await?;
    let (mut told, mut all) = (Vec::new(), RowsErased::default());
    for region in &regions {
        let of = |person| state.ingest.pseudonyms(person, &programmes, *region);
        let subjects: Subjects = persons.iter().flat_map(of).collect();
        let held = state.retention.holding(*region, &Arc::new(subjects)).await;
        let held = held.map_err(|error| Error::Service(error.to_string()))?;
        told.push(json!({"region": region.as_str(), "files": held.files, "rows": held.rows}));
        all.files += held.files;
        all.rows += held.rows;
    }
    let origin = Origin { at_ms: now_ms, act: Act::SubjectErase, id: Uuid::new_v4(), actor };
    let (files, rows) = (Some(all.files), Some(all.rows));
    let fields =
        Fields { subjects: Some(persons.len()), programmes, regions, files, rows, ..Fields::default() };
    state.audit.begin(origin, fields).end(ActOutcome::DryRun).await?;
    Ok(json!({"act": "erase", "dry_run": true, "regions": told}))
}

/// Does what is recorded and not done: rows that are to go, and receipts that are to be written. Answers whether anything is left, because
/// something still reads it or has failed.
pub(crate) async fn run_once(state: &State) -> bool {
    let is_owed = !write_receipts(state).await;
    erase(state).await || is_owed
}

/// Writes the receipts of acts that need no rows to be gone. Answers whether all of them are written.
async fn write_receipts(state: &State) -> bool {
    let (acts, receipts) = (Arc::clone(&state.subject_acts), Arc::clone(&state.receipts));
    let write = move |region: &Region| receipts.write_without_rows(*region, &acts.without_rows(*region));
    let written = tokio::task::spawn_blocking(move || Region::ALL.iter().try_for_each(write)).await;
    match written {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(%error, "a receipt could not be written; it is tried again");
            false
        }
        Err(_) => false,
    }
}

async fn erase(state: &State) -> bool {
    let pending: Vec<(Region, Vec<SubjectAct>)> =
        Region::ALL.iter().map(|region| (*region, state.subject_acts.to_erase(*region))).collect();
    if pending.iter().all(|(_, erasures)| erasures.is_empty()) {
        return false;
    }
    // Rows that were on their way when the withdrawals came are in the log then, and in the tables after the flush.
    state.ingest.begun_has_ended().await;
    let (now_ms, served_ms) = state.look();
    if let Err(error) = state.ingest.flush(served_ms, true).await {
        tracing::error!(%error, "an erasure waits, because the log could not be flushed");
        return true;
    }
    let mut is_left = false;
    for (region, erasures) in pending.into_iter().filter(|(_, erasures)| !erasures.is_empty()) {
        match finish(state, region, &erasures, now_ms).await {
            Ok(is_done) => is_left |= !is_done,
            Err(error) => {
                tracing::error!(%region, %error, "an erasure did not end; it is tried again");
                is_left = true;
            }
        }
    }
    is_left
}

/// Erases the rows of one region. Answers whether all of their bytes are gone.
async fn finish(state: &State, region: Region, erasures: &[SubjectAct], now_ms: i64) -> Result<bool, Error> {
    let subjects: Subjects = erasures.iter().flat_map(|erasure| erasure.subjects.iter().copied()).collect();
    let before = before(state, region, now_ms).await?;
    let erased = state.retention.erase(region, &Arc::new(subjects), now_ms).await;
    let erased = erased.map_err(|error| Error::Service(error.to_string()))?;
    if erased.pinned > 0 {
        tracing::info!(%region, pinned = erased.pinned, "an erasure waits for queries that still read files");
        return Ok(false);
    }
    let after =
        state.retention.files_of(region, now_ms).await.map_err(|error| Error::Service(error.to_string()))?;
    let after = Arc::new(after);
    for erasure in erasures {
        let actor = Actor { key: None, role: Role::Operator };
        let act = if erasure.kind == ActKind::Exclude { Act::SubjectExclude } else { Act::SubjectErase };
        let origin = Origin { at_ms: state.now_ms(), act, id: erasure.id, actor };
        let fields = Fields {
            regions: vec![region],
            files: Some(erased.files),
            rows: Some(erased.rows),
            ..Fields::default()
        };
        state.audit.begin(origin, fields).end(ActOutcome::Done).await?;
        let at_ms = state.now_ms();
        let done = Erased { done_ms: at_ms, files: erased.files, rows: erased.rows };
        let (records, receipts, id) =
            (Arc::clone(&state.subject_acts), Arc::clone(&state.receipts), erasure.id);
        let (before, after) = (Arc::clone(&before), Arc::clone(&after));
        let noted = tokio::task::spawn_blocking(move || {
            let change = Change { before: &before, after: &after, erased };
            if let Some(act) = records.state(region, id) {
                receipts.write_erased(region, &act, at_ms, &change)?;
            }
            records.done(region, id, done).map_err(Error::from)
        });
        noted.await.map_err(|_| Error::Service("an erasure could not be noted as done".into()))??;
    }
    state.before_erasures.lock().unwrap_or_else(PoisonError::into_inner).remove(&region);
    Ok(true)
}

/// The tables as they were before the erasures at hand began: a run that had to wait for a question goes on with those of the first one.
async fn before(state: &State, region: Region, now_ms: i64) -> Result<Arc<Vec<TableVersion>>, Error> {
    let hold = || state.before_erasures.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = hold().get(&region) {
        return Ok(Arc::clone(before));
    }
    let before =
        state.retention.files_of(region, now_ms).await.map_err(|error| Error::Service(error.to_string()))?;
    let before = Arc::new(before);
    hold().insert(region, Arc::clone(&before));
    Ok(before)
}
