//! The records of consent and the journal of withdrawals at a start, and the lines of the audit about them.
//!
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"withdrawals_replay","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"done","region":"DE","replayed":3,"journal_lost":false,"hash":".."}
//! ```
//! A start has a line for a region only when withdrawals came back from the journal or the journal was lost. Invariant: by then
//! they are in force. Not here: the files (`shoal-storage`, `consents`).

use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_privacy::consent::ConsentRecord;
use shoal_privacy::keyring::Sealed;
use shoal_schemas::Region;
use shoal_storage::{JournalFound, JournalStart, Opened};
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::FileKeys;

/// The fields of a line.
#[derive(Serialize)]
struct Fields {
    region: Region,
    /// Withdrawals that the records of consent lacked.
    replayed: u64,
    /// The journal was missing, older than the records or another one, and is written anew with what they say.
    journal_lost: bool,
}

/// Opens the records of consent of a data directory, with the journal.
///
/// # Errors
/// When a file is open elsewhere, cannot be read or is damaged.
pub(crate) fn open(config: &Config) -> Result<Opened<ConsentRecord>, Error> {
    let keys = FileKeys::open(config)?;
    let sealings = |region| keys.of(Sealed::Consents(region));
    Ok(shoal_ingest::open_consents_with_journal(&config.data_dir, &config.journal_dir(), &sealings)?)
}

/// Writes the lines of what was done. Answers how many withdrawals came back.
///
/// # Errors
/// When a line cannot be written.
pub(crate) async fn note(audit: &Arc<Audit>, journals: &[JournalStart], now_ms: i64) -> Result<u64, Error> {
    let mut all = 0;
    for JournalStart { region, replayed, found } in journals.iter().copied() {
        if replayed == 0 && found == JournalFound::Whole {
            continue;
        }
        match found {
            JournalFound::Whole => {
                tracing::warn!(%region, replayed, "withdrawals that the records lacked are in force again")
            }
            JournalFound::Missing | JournalFound::Older => {
                tracing::warn!(%region, "the journal of withdrawals was lost, and is written anew from the records")
            }
            JournalFound::Another => {
                tracing::warn!(
                    %region,
                    replayed,
                    "the journal of withdrawals was written anew since the records: what they lacked of it is in force again"
                )
            }
        }
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: now_ms, act: Act::WithdrawalsReplay, id: Uuid::new_v4(), actor };
        let fields = Fields { region, replayed, journal_lost: found != JournalFound::Whole };
        audit.begin(origin, fields).end(ActOutcome::Done).await?;
        all += replayed;
    }
    Ok(all)
}
