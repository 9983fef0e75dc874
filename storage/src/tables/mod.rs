//! Delta tables on a place for objects: open, evolve, append, scan, compact, expire, purge.
//!
//! A [`Store`] is one place for objects. It has one [`Table`] for each (region, kind), in `<region>/tables/<kind>/`, partitioned by
//! `day`. Shoal writes and reads the Parquet itself; Delta is only the log that says which files are live.
//!
//! - `store`: where tables are; opens, creates and evolves them; `lock`: one process has a data directory
//! - `table_layout`: the columns of a table in Arrow and in Delta
//! - `watched`: nothing is written to a disk after a failure
//! - `object`: an object as Parquet reads it; `ahead`: which of its chunks are read soon
//! - `log`: the Delta log of a table; `log_files`: as the Delta library wants it; `log_damage`: which file of it cannot be read
//! - `encryption`: which key a file has, and what it is encrypted for
//! - `write`: a batch becomes a Parquet file
//! - `table`: one committer for each table
//! - `append`: rows become part of a table, exactly once; `join`: few of them with those of earlier appends
//! - `compact`: many small files become few (`compact_report`: what it did); `tiers`: which ones, `merge`: their rows in order,
//!   each once, `copies`: which rows are copies of an event, `heads`: which of many sorted streams comes next
//! - `erase`: the rows of some subjects leave every file
//! - `live_file`: a file that is part of a table; `snapshot`: the files that are live at one version
//! - `read`: the rows of one file, in the order of the file (`without`: but for those of some subjects); `subjects`: whose they are, and nothing else of them;
//!   `bounded`: how many there are, of each subject up to a limit
//! - `stored_days`: of which days a place has files
//! - `capture`: a table at one version, for a backup; `copy`: a copy in the clear, for other programs
//! - `expire`: files leave the table; `purge`: their bytes and every mention of them leave the disk
//!
//! Not here: what makes bytes durable (`shoal-files`).

mod ahead;
mod append;
mod bounded;
mod capture;
mod checkpoint;
mod compact;
mod compact_report;
mod copies;
mod copy;
mod digest;
mod encryption;
mod erase;
mod expire;
mod heads;
mod held;
mod join;
mod live_file;
mod lock;
mod log;
mod log_damage;
mod log_files;
mod merge;
mod object;
mod purge;
mod read;
mod snapshot;
mod store;
mod stored_days;
mod subjects;
mod table;
mod table_layout;
mod tally;
mod tiers;
mod watched;
mod without;
mod write;

#[cfg(test)]
mod tests;

pub use append::{AppendReport, Part};
pub use capture::{Captured, LogFile, read_log};
pub use compact_report::{CompactReport, FailedMerge};
pub use copies::{EVENTS_MAX, Met, Seen};
pub use copy::{TableCopied, TableCopies};
pub use erase::ErasedRows;
pub use expire::ExpireReport;
pub use heads::Heads;
pub use held::HeldRows;
pub use live_file::LiveFile;
pub use purge::PurgeReport;
pub use read::FileRows;
pub use snapshot::Snapshot;
pub use store::Store;
pub use stored_days::{has_tables, last_stored_day, stored_days};
pub use table::Table;
pub use tiers::{CompactPolicy, DAY_FILES_MAX};
