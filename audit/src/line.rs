//! What a line says: who did what, when, and how it ended, and then what only this kind of act has to say.
//!
//! ```text
//! {"seq":7,"prev":"..","at_ms":1795348800000,"id":"<uuid>","key":"ana0123456789","role":"analyst","outcome":"answered",
//!  <fields of a query>,"hash":".."}
//! {"seq":8,"prev":"..","at_ms":1795348800000,"act":"retention_run","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"done",<fields of a run of retention>,"hash":".."}
//! ```
//! Invariant: a line of a query has no member `act`, because queries were in the audit before there were other acts; every
//! other line has one. Names that are in a file never change.
//! Not here: `seq`, `prev` and `hash` (`form.rs`).

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::error::{AuditError, Result};

/// What somebody did. A new kind of act is a new variant here, and a type of its fields in the crate that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Asked a question.
    Query,
    /// Started a run of retention, which removes expired days.
    RetentionRun,
    /// Made an access key.
    KeyCreate,
    /// Revoked an access key.
    KeyRevoke,
    /// Started a service whose ledger of budgets was raised to its high-water marks, or whose marks had to be made.
    BudgetStart,
    /// Accepted that files of the ledger of budgets are missing or older than they were.
    BudgetAcceptRestore,
    /// Accepted that files of consents are lost.
    ConsentsAcceptLoss,
    /// Started a service whose records of consent lacked what the journal of withdrawals has, or whose journal was lost.
    WithdrawalsReplay,
    /// Made a backup.
    BackupCreate,
    /// Put a backup into an empty data directory.
    BackupRestore,
    /// Gave a day of a table another key, with which its files were written anew.
    DataKeyRotate,
    /// Destroyed the keys of a day of a table, or of a pseudonym epoch.
    StoredKeyShred,
    /// Replaced a key file of an earlier version.
    KeyFileMigrate,
    /// Put the key file into another custody, or wrapped it anew in the same one.
    KeyFileRewrap,
    /// Copied tables in the clear, for other programs.
    TablesCopy,
    /// Wrote the files of a table anew that were in the clear, encrypted.
    TableEncrypt,
    /// Asked for the erasure of persons; another line of the same id says what was done.
    SubjectErase,
    /// The same, after which nothing of them is kept any more; another line of the same id says what was done.
    SubjectExclude,
    /// Restricted the processing of what is kept of persons.
    SubjectRestrict,
    /// Recorded that persons object.
    SubjectObject,
    /// Lifted a restriction or an exclusion.
    SubjectLift,
    /// Asked for what is kept of a person; another line of the same id says whether it was handed over.
    SubjectAccess,
    /// Had a running service read its configuration and its definitions again.
    Reload,
}

impl Act {
    fn is_query(&self) -> bool {
        *self == Act::Query
    }
}

/// In which role somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks questions.
    Analyst,
    /// Asks questions, runs retention.
    Officer,
    /// Acts on behalf of an app's persons: a service that knows their accounts.
    AccountService,
    /// Has a shell on the machine and needs no key; what a start does is done by whoever starts it.
    Operator,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The public part of the access key; `None` for an operator on the command line.
    pub key: Option<String>,
    /// The role.
    pub role: Role,
}

/// What is known when an act begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// What.
    pub act: Act,
    /// Which one.
    pub id: Uuid,
    /// By whom.
    pub actor: Actor,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActOutcome {
    /// A query was answered.
    Answered,
    /// Another act was done.
    Done,
    /// It has begun: another line of the same id says how it ended, unless the process died.
    Begun,
    /// Only what it would cost or do was told.
    DryRun,
    /// Only what a query means and costs was told.
    Explained,
    /// It was refused for what it is.
    Refused,
    /// It was refused for who asked.
    NotAllowed,
    /// There was no place for it.
    Busy,
    /// It went wrong.
    Failed,
    /// It was cancelled on request.
    Cancelled,
    /// Whoever asked went away before it ended.
    Abandoned,
}

/// A line without what chains it.
#[derive(Serialize)]
pub(crate) struct Line<F> {
    at_ms: i64,
    #[serde(skip_serializing_if = "Act::is_query")]
    act: Act,
    #[serde(serialize_with = "as_text")]
    id: Uuid,
    key: Option<String>,
    role: Role,
    pub(crate) outcome: ActOutcome,
    #[serde(flatten)]
    pub(crate) fields: F,
}

impl<F: Serialize> Line<F> {
    /// The line of an act that nobody has ended.
    pub(crate) fn new(origin: Origin, fields: F) -> Line<F> {
        let Origin { at_ms, act, id, actor: Actor { key, role } } = origin;
        Line { at_ms, act, id, key, role, outcome: ActOutcome::Abandoned, fields }
    }

    /// The members of the line's object, without its braces.
    pub(crate) fn members(&self) -> Result<String> {
        let object = serde_json::to_string(self).map_err(|_| AuditError::Fields)?;
        let members = object.strip_prefix('{').and_then(|o| o.strip_suffix('}'));
        members.map(str::to_owned).ok_or(AuditError::Fields)
    }
}

fn as_text<S: Serializer>(id: &Uuid, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
