//! The most events that one subject may have on one day in one table: decided before the ack, and the same after a restart.
//!
//! ```text
//! batch -> open each (table, day) of it: counts at hand? else files of the table + rows in the log -> OpenBatch
//! OpenBatch -> queue of the log -> writer thread: known id? duplicate : above the limit? withheld : counted and written
//! ```
//! There is no file of counts that could say something else than the data: what a day holds is counted from the subject
//! column of its files and from the rows that still wait in the log, when its first event after a start comes. From then on
//! the writer thread counts on. Counts that were not used for the longest time leave the memory as whole days.
//!
//! Invariants: while a day is counted no row of it is on its way, because a batch is queued only with the counts of all of
//! its days at hand, and these stay while any batch holds them; while a day is counted the flush moves nothing of its
//! region from the log into the tables. So every row is counted once. An event that is not kept (a duplicate, one above the
//! limit) is not counted.
//!
//! - `counts`: rows by subject; `sketch`: the same for a day with very many subjects
//! - `open_batch`: a batch with the counts of its days; `days`: which are in memory
//! - `opening`: counting a day
//!
//! Not here: which ids are known (`dedup`), who decides (`log/writer.rs`), what a subject is (`stages/pseudonymise.rs`).

pub(crate) mod counts;
mod days;
pub(crate) mod open_batch;
mod opening;
mod sketch;
#[cfg(test)]
mod tests;

pub(crate) use open_batch::OpenBatch;
pub(crate) use opening::DayLimit;
