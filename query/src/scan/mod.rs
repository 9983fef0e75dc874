//! Stage 4: what is due of a [`ChargedQuery`](crate::charge::ChargedQuery) -> a [`Raw`] for each span: bounded, exact totals
//! of one region. They are not private: only `release` takes them, and nothing shows them.
//!
//! ```text
//! files of the due days -source-> one stream each -rows-> readable, asked, evaluated -merge-> by subject -accumulate-> totals
//! ```
//! Files are sorted by (subject, time, event id), so that a subject's rows are together once the files are merged, and no
//! table of subjects is ever held. The merge keeps that order across files and days and counts an event once, so that
//! totals follow from the rows, not from the files that they are in. A day by itself has its own merge, days side by side;
//! a bucket of days merges the files of all its days.
//!
//! Invariants: each region is read, bounded and totalled by itself. Everything that goes wrong is a
//! [`Failure`](crate::failure::Failure), which has a class and no reason. What groups may take is reserved before anything
//! is charged (`charge/reserve.rs`), and no more spans than running ones are in memory. Reading has a room that the
//! configuration fixes (`room`); files that do not fit in it are read in passes, no more than were planned for, and nothing fails
//! for want of memory.
//!
//! - `interface`: the trait [`Scan`]; `due`: what it is given and what it gives
//! - `local`: tables of this process; `memory`: tables of a test; `run`: what both do with them
//! - `source`: files, and their rows as streams; `opening`: all of them beside each other; `passes`: where they do not fit
//!   (`ranges`: of subjects; `held`: rows in memory); `room`: what reading may take; `planned`: how many passes that is at most; `rows`: the barrier, the expressions, the filter; `runs`: whose rows they are
//! - `nodes`, `graph`: expressions, each once, and their values (`plan`: as DataFusion has them; `texts`: of dictionaries;
//!   `patterns`: of LIKE)
//! - `merge`: streams -> subject by subject, each event once; `least`: which row of one key counts; `accumulator`: what takes
//!   them; `accumulators`: the shapes of queries; `grounds`: what an accumulator is made for
//! - `key_columns`, `cells`: values of keys <-> groups and their numbers; `limit`: how many there may be
//! - `units`: what a row is worth, before any is read; `counted`: what was evaluated, for tests
//! - `span`: what is totalled by itself; `work`: one span on a thread; `ahead`: a second thread that reads for it

mod accumulator;
mod accumulators;
mod ahead;
mod cells;
mod counted;
mod due;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod files;
mod graph;
mod grounds;
mod held;
mod interface;
mod key_columns;
mod least;
mod limit;
mod local;
#[cfg(test)]
pub(crate) mod memory;
mod merge;
mod nodes;
mod opening;
mod passes;
mod patterns;
pub(crate) mod plan;
mod planned;
mod ranges;
mod room;
mod rows;
mod run;
mod runs;
mod source;
mod span;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod tests;
mod texts;
mod units;
mod work;

pub(crate) use self::accumulators::quantile_of;
pub(crate) use self::cells::Cells;
#[cfg(test)]
pub(crate) use self::counted::{Counted, WHATS, What};
pub(crate) use self::due::{Due, Raw};
pub(crate) use self::interface::{Scan, Taker};
pub(crate) use self::local::LocalScan;
pub(crate) use self::planned::{Reading, again_units};
pub(crate) use self::room::BYTES_MAX as READING_BYTES_MAX;
pub(crate) use self::run::Runner;
pub(crate) use self::span::Span;
pub(crate) use self::units::row_units;
pub(crate) use self::work::Waiting;
