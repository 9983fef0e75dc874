//! What is kept: events in Delta tables, consents, and what was spent of the privacy budget.
//!
//! - `tables`: a Delta table for each region and kind, on an object store
//! - `consents`: what is recorded about subjects' consents, one file for each region
//! - `suppressed`: whose rows are in no new release
//! - `refused`: of whom nothing new is kept
//! - `subject_acts`: which erasures and restrictions are recorded, and how far they are
//! - `underway`: what was begun before a moment
//! - `spending`: what was spent of each block's privacy budget, and the answers it bought
//!
//! - `keys`: the keys with which the files of tables are encrypted
//! - `redb_file`: the files of the latter two, sealed or in the clear, compared when they are opened, and opened anew after a full
//!   disk
//!
//! Tables, consents and spending do not know each other; tables have keys. Not here: which columns there are (`shoal-schemas`), which
//! files expire and when (`shoal-retention`), the write-ahead log (`shoal-ingest`), the audit (`shoal-audit`), what makes bytes durable
//! (`shoal-files`).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod consents;
mod days;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod redb_file;
mod refused;
mod spending;
mod subject_acts;
mod suppressed;
mod tables;
mod underway;

pub use consents::{
    ConsentChange, Consents, Effect, JournalForm, JournalFound, JournalStart, Opened, RecordForm,
    hold_journals, look_at_journals, look_at_sealed_journals,
};
pub use error::StorageError;
pub use keys::{DataKeys, EpochKeys, EpochScope, Escrowed, Kept, KeyId, KeyPlace, KeyScope};
pub use redb_file::Trouble;
pub use refused::{Refused, RefusedDigests, Refusing};
pub use spending::{
    Block, BlockSpending, BudgetLedger, Charge, Checkpoint, DayLimits, Doubt, Found, LedgerFiles, Order,
    PartId, PartOrder, PossiblySpent, Reservation, Reserved, Shortage, SpendingCaps, SpendingFilter,
    SpendingItem,
};
pub use subject_acts::{
    ActKind, ActPlaces, ActState, AskedBy, Erased, Ground, Lifted, Restriction, SubjectAct, SubjectActs,
};
pub use suppressed::{Subjects, Suppressed};
pub use tables::{
    AppendReport, Captured, CompactPolicy, CompactReport, DAY_FILES_MAX, EVENTS_MAX, ErasedRows,
    ExpireReport, FailedMerge, FileRows, Heads, HeldRows, LiveFile, LogFile, Met, Part, PurgeReport, Seen,
    Snapshot, Store, Table, TableCopied, TableCopies, has_tables, last_stored_day, read_log, stored_days,
};
pub use underway::{Begun, Underway};
