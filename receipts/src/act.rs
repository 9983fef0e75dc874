//! An act as it is handed over, before anything of it is hidden, and the bounds of what it may say.
//!
//! What the caller says of an act is of three kinds, and the kind decides who reads it: `told` is opened in both documents, `kept` and
//! `counts` for officers and auditors only. A number has no place in `told`, so no count reaches the person's receipt by mistake.
//!
//! Invariant: a checked act has no text that a name, a line or a leaf cannot hold, and is within the bounds below.
//! Not here: what is made of it (`closed.rs`). What the texts say is the caller's: they must hold no identifier and no pseudonym.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{ReceiptError, Result};

/// The most files of one table.
pub const FILES_MAX: usize = 200_000;
const PATH_BYTES_MAX: usize = 256;
const TABLES_MAX: usize = 16;
/// The most names of facts, all kinds together.
const FACTS_MAX: usize = 64;
/// The most texts of one fact, and the longest.
const TEXTS_MAX: usize = 1_000;
const TEXT_BYTES_MAX: usize = 1_024;
/// The most bytes of all texts together.
const ALL_TEXTS_BYTES_MAX: usize = 256 << 10;
const WORD_BYTES_MAX: usize = 48;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// The rows of subjects were erased.
    SubjectErase,
    /// The same, after which nothing of them is kept any more.
    SubjectExclude,
    /// The rows of subjects are kept and used no more.
    SubjectRestrict,
    /// A restriction has ended.
    SubjectLift,
    /// Subjects objected to a programme.
    SubjectObject,
    /// What is held of a subject was handed out.
    SubjectAccess,
    /// Attributes of a subject were corrected.
    SubjectCorrect,
    /// A request of a subject was refused with grounds.
    SubjectRefuse,
    /// Data was deleted because its period has ended.
    RetentionRun,
    /// Keys were destroyed.
    KeyShred,
    /// A policy or a period was changed.
    PolicyChange,
    /// Somebody was given a role, or lost one.
    RoleChange,
}

impl ActKind {
    /// All of them.
    pub const ALL: [ActKind; 12] = [
        ActKind::SubjectErase,
        ActKind::SubjectExclude,
        ActKind::SubjectRestrict,
        ActKind::SubjectLift,
        ActKind::SubjectObject,
        ActKind::SubjectAccess,
        ActKind::SubjectCorrect,
        ActKind::SubjectRefuse,
        ActKind::RetentionRun,
        ActKind::KeyShred,
        ActKind::PolicyChange,
        ActKind::RoleChange,
    ];
}

/// A live file of a table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileState {
    /// Its path within the table.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// The live files of a table in one of its versions.
#[derive(Clone)]
pub struct TableState {
    /// The table's name.
    pub table: String,
    /// The version.
    pub version: u64,
    /// All of its live files, in any order.
    pub files: Vec<FileState>,
}

/// A file that the act removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemovedFile {
    /// The table's name.
    pub table: String,
    /// Its path within the table.
    pub path: String,
}

/// What a receipt is made of. No `Debug`: it has counts of single persons.
pub struct Act {
    /// What was done.
    pub kind: ActKind,
    /// The random number of the request. A kind and a request have one receipt.
    pub request: Uuid,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// In which role: lower-case letters, digits and hyphens.
    pub role: String,
    /// Until when backups may still have what was removed, in milliseconds since 1970.
    pub backups_until_ms: Option<i64>,
    /// What concerns the act, by a name of lower-case letters, digits and underscores: programmes, regions. Opened for the person too.
    pub told: BTreeMap<String, Vec<String>>,
    /// What is for officers and auditors only: key epochs, what a policy said.
    pub kept: BTreeMap<String, Vec<String>>,
    /// Rows and subjects, and whatever else was counted. For officers and auditors only.
    pub counts: BTreeMap<String, u64>,
    /// All tables that the act could have changed, as they were before.
    pub before: Vec<TableState>,
    /// The same tables afterwards.
    pub after: Vec<TableState>,
    /// The files that were removed: all of them are in `before`, and none in `after`.
    pub removed: Vec<RemovedFile>,
}

/// Lower-case letters, digits and these: what roles, regions, tables and facts are called.
fn is_word(text: &str, also: &[u8]) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b);
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && text.bytes().all(allowed)
}

/// Whether a text can be the name of a region.
pub(crate) fn is_region(text: &str) -> bool {
    is_word(text, b"-_")
}

fn is_path(path: &str) -> bool {
    !path.is_empty() && path.len() <= PATH_BYTES_MAX && !path.chars().any(char::is_control)
}

impl Act {
    /// Refuses what no receipt can be made of, except for what only the trees can tell (`closed.rs`).
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what| Err(ReceiptError::Act(what));
        if !is_word(&self.role, b"-") {
            return refuse("the role is no word of lower-case letters, digits and hyphens");
        }
        let names = self.told.keys().chain(self.kept.keys()).chain(self.counts.keys());
        if names.clone().count() > FACTS_MAX || !names.clone().all(|name| is_word(name, b"_")) {
            return refuse("there are too many facts, or one has a name that is no word");
        }
        let lists = self.told.values().chain(self.kept.values());
        if lists.clone().any(|list| list.len() > TEXTS_MAX)
            || lists.clone().flatten().any(|text| text.len() > TEXT_BYTES_MAX)
            || lists.flatten().map(String::len).sum::<usize>() > ALL_TEXTS_BYTES_MAX
        {
            return refuse("a fact has too many texts, or too long ones");
        }
        self.check_tables()
    }

    fn check_tables(&self) -> Result<()> {
        let refuse = |what| Err(ReceiptError::Act(what));
        let names = |states: &[TableState]| states.iter().map(|s| s.table.clone()).collect::<BTreeSet<_>>();
        let before = names(&self.before);
        if before.len() != self.before.len()
            || before.len() != self.after.len()
            || before != names(&self.after)
            || before.len() > TABLES_MAX
        {
            return refuse("the tables before and after are not the same, or too many");
        }
        if !before.iter().all(|table| is_word(table, b"-_")) {
            return refuse(
                "the name of a table is no word of lower-case letters, digits, hyphens and underscores",
            );
        }
        let mut states = self.before.iter().chain(&self.after);
        if states
            .any(|state| state.files.len() > FILES_MAX || !state.files.iter().all(|file| is_path(&file.path)))
        {
            return refuse(
                "a table has too many files, or one whose path is too long or has control characters",
            );
        }
        Ok(())
    }
}
