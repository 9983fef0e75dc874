//! Recorded consents as the gate asks for them, and `POST /v1/consents`, which changes them.
//!
//! ```text
//! {"action": "grant" | "withdraw", "programme": "user-experience", "policy_version": "2026-1" (grant),
//!  "user_id", "install_id", "device_id", "serial_number": at least one, "country": "DE" or "region": "DE" (grant),
//!  "granted_at": time, "sent_at": time, "age": years (grant, optional)}         or a list of such, also in {"consents": ..}, or one a line
//! ```
//! Invariants: a grant counts only once it is durable; a withdrawal counts at once, is for every region that the key may write
//! to, and is answered when it is durable in all of them; grants and withdrawals of one region are applied one after the other;
//! no identifier is kept, only digests under a key that no event is under. What is recorded is under the canonical form of an
//! identifier; what was recorded before there was one, and is under another spelling, is changed with it. The grants of a list are recorded together or not at
//! all; where something in it is wrong, or is missing because it was cut, or there is no room, its withdrawals are recorded all the same. No answer tells what was recorded before.
//!
//! - `read`: the body; `readers`: how many bodies are read at one time, and who waits for that; `words`: which parts of a body are read at all; `forms`: in which forms a change is understood; `decisions`: what consent managers say beside the events; `change`: what a grant or a withdrawal makes
//!   of a record; `room`: how many may come (`rates`: from whom); `recorded`: the files, and what the gate sees of them
//!
//! Not here: the rules of consent (`shoal_privacy::consent`), the files themselves (`shoal-storage`, `consents`).

mod change;
mod decisions;
mod forms;
mod rates;
mod read;
mod readers;
mod recorded;
mod room;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;

use shoal_files::Sealing;
use shoal_privacy::consent::{ConsentRecord, Withdrawal};
use shoal_schemas::Region;
use shoal_storage::{Consents, JournalForm, Opened, RecordForm, StorageError};

pub(crate) use change::{Change, Place};
pub(crate) use decisions::{Hearing, changes, of_event, of_programme};
pub(crate) use read::{Body, Reader, WITHDRAWALS_MAX, read};
pub(crate) use readers::{Readers, SMALL_BYTES_MAX, Slot};
pub use recorded::ConsentAnswer;
pub(crate) use recorded::{Nothing, Recorded};
pub(crate) use room::{Caller, Room};

/// Opens the recorded consents of all regions below a data directory, in the clear and without a journal: for tests and benches of
/// other things.
///
/// # Errors
/// When a file is open elsewhere, or cannot be read, or holds a record that this version cannot read.
pub fn open_consents(data_dir: &Path) -> Result<Consents<ConsentRecord>, StorageError> {
    open_sealed_consents(data_dir, &|_| None)
}

/// The same with files that are sealed, or will be.
///
/// # Errors
/// As [`open_consents`], and when a file is sealed and there is no key.
pub fn open_sealed_consents(
    data_dir: &Path,
    sealings: &dyn Fn(Region) -> Option<Sealing>,
) -> Result<Consents<ConsentRecord>, StorageError> {
    Consents::open_sealed(data_dir, record_form(), sealings)
}

/// Opens the recorded consents of all regions below a data directory, and the journal of withdrawals outside of it: what an older
/// file of consents lacks is in force again then. Whoever changes or asks them shares the one value.
///
/// # Errors
/// As [`open_consents`], and when the journal is open elsewhere, or damaged.
pub fn open_consents_with_journal(
    data_dir: &Path,
    journal_dir: &Path,
    sealings: &dyn Fn(Region) -> Option<Sealing>,
) -> Result<Opened<ConsentRecord>, StorageError> {
    let acts = JournalForm {
        replay: |act, before: Option<ConsentRecord>, is_missing| {
            Ok(withdrawal(act)?.replayed(before, is_missing))
        },
        merge: |older, newer| Ok(Withdrawal::merged(withdrawal(older)?, withdrawal(newer)?).encode()),
        of_record: |record| Withdrawal::of_record(record).map(|withdrawal| withdrawal.encode()),
    };
    Consents::open_sealed_with_journal(data_dir, journal_dir, record_form(), acts, sealings)
}

fn withdrawal(act: &[u8]) -> Result<Withdrawal, String> {
    Withdrawal::decode(act).map_err(|e| e.to_string())
}

fn record_form() -> RecordForm<ConsentRecord> {
    RecordForm {
        encode: |record: &ConsentRecord| record.encode().map_err(|e| e.to_string()),
        decode: |bytes| ConsentRecord::decode(bytes).map_err(|e| e.to_string()),
    }
}
