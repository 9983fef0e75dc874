//! One span of one region: its files, its accumulator, its totals, on a thread that may be busy.
//!
//! Invariants: a span runs on a blocking thread and asks between batches whether anybody still waits for it, so that
//! dropping the future stops it within a batch or two. Its files have a room (`room`) that they stay in. What its
//! accumulator holds was reserved before anything was charged: more than that is a fault, which the operator is told of and
//! which does not make the query fail.
//! Not here: which spans there are (`due`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

use super::accumulator::{Accumulated, Accumulator};
use super::ahead::ahead;
use super::merge::{Stop, merge};
use super::opening::beside;
use super::passes::Passes;
use super::room::{Room, RowBytes, held_bytes};
use super::rows::Template;
use super::source::{SpanFile, Table, span_files};
use crate::failure::Failure;

/// Everything that one span needs.
pub(super) struct Work {
    pub(super) accumulator: Box<dyn Accumulator>,
    /// The query's own table first, then those of its memberships.
    pub(super) inputs: Arc<Vec<Input>>,
    /// The days of each input, ascending.
    pub(super) days: Vec<Vec<i32>>,
    /// What its groups may take, in bytes.
    pub(super) reserved: usize,
    /// What reading may take, in bytes.
    pub(super) share: usize,
    /// Whether its files are read in passes, since one was not sorted.
    pub(super) in_passes: bool,
    /// How many passes there may be at the most.
    pub(super) passes_max: u64,
    /// Whether there is a thread to read ahead.
    pub(super) ahead: bool,
}

/// A table and what is made of its rows.
pub(super) struct Input {
    pub(super) table: Arc<dyn Table>,
    pub(super) template: Arc<Template>,
}

/// Tells the threads when nobody waits any more.
pub(crate) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Work {
    /// Runs on a blocking thread. [`Stop::Unsorted`] asks to do it again, `in_passes`, with an accumulator of its own.
    pub(super) async fn run(self, waiting: Arc<AtomicBool>) -> Result<Accumulated, Stop> {
        let threads = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || self.work(&waiting, &threads)).await;
        done.unwrap_or_else(|error| Err(Stop::Failed(Failure::of_task(&error))))
    }

    fn work(mut self, waiting: &AtomicBool, threads: &Handle) -> Result<Accumulated, Stop> {
        let (files, room) = (self.files()?, self.room());
        let (reserved, mut is_told) = (self.reserved.saturating_add(self.share), false);
        let mut pulse = |bytes: usize| -> Result<(), Failure> {
            if bytes > reserved && !is_told {
                is_told = true;
                tracing::error!(bytes, reserved, "groups of a query take more memory than was reserved");
            }
            match waiting.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err(Failure::Internal),
            }
        };
        let streams = if self.in_passes { None } else { beside(&files, room)? };
        match streams {
            Some(streams) if self.ahead => {
                let (streams, worker) = ahead(streams)?;
                threads.spawn_blocking(move || worker.run());
                merge(streams, &mut *self.accumulator, &mut pulse)?;
            }
            Some(streams) => merge(streams, &mut *self.accumulator, &mut pulse)?,
            None => {
                let mut passes = Passes::new(&files, room, self.passes_max, &mut pulse)?;
                while let Some(streams) = passes.next(&mut pulse)? {
                    merge(streams, &mut *self.accumulator, &mut pulse)?;
                }
            }
        }
        Ok(self.accumulator.finish()?)
    }

    fn files(&self) -> Result<Vec<SpanFile>, Failure> {
        let mut files = Vec::new();
        for (at, (input, days)) in self.inputs.iter().zip(&self.days).enumerate() {
            files.append(&mut span_files(&*input.table, &input.template, days, at.checked_sub(1))?);
        }
        Ok(files)
    }

    fn room(&self) -> Room {
        let made = self.inputs.iter().map(|input| input.template.row_bytes()).max().unwrap_or(0);
        let held = held_bytes(&self.accumulator.scalars());
        Room::of(self.share, RowBytes { kept: self.accumulator.row_bytes(), made, held })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::ArrayRef;
    use shoal_schemas::{Kind, Programme, Region};

    use super::super::counted::Counted;
    use super::super::rows::RowSelection;
    use super::*;
    use crate::tests::{Row, provider, registry, today};
    use shoal_language::Scalar;

    /// Stops waiting when its first batch comes.
    struct Impatient(Option<Waiting>);

    impl Accumulator for Impatient {
        fn scalars(&self) -> Vec<Scalar> {
            vec![Scalar::Day]
        }
        fn load(&mut self, _: usize, _: &[ArrayRef]) -> Result<(), Failure> {
            self.0 = None;
            Ok(())
        }
        fn row(&mut self, _: usize, _: usize, _: i32, _: i64) {}
        fn close(&mut self, _: &[u8; 16]) -> Result<(), Failure> {
            Ok(())
        }
        fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
            unreachable!("nobody waits for it")
        }
    }

    #[tokio::test]
    async fn a_part_that_nobody_waits_for_stops_at_the_next_batch() {
        for (ahead, in_passes) in [(false, false), (true, false), (false, true)] {
            let rows: Vec<Row> = (0..10).map(|at| Row::new(at, today() - at as i32 % 2, "click")).collect();
            let source = provider(registry().table(Kind::Usage), &rows);
            let session =
                shoal_postprocess::session::empty(&shoal_postprocess::session::runtime(1 << 20).unwrap(), 1);
            let cutoffs = [(Programme::UserExperience, 0)];
            let selection =
                RowSelection { region: Region::De, cutoffs: &cutoffs, filter: None, scalars: &[Scalar::Day] };
            let counted = Counted::default();
            let template =
                Template::new(&session, &|wanted| source.schema(wanted), &selection, &counted).unwrap();
            let waiting = Waiting::new();
            let flag = waiting.flag();
            let work = Work {
                accumulator: Box::new(Impatient(Some(waiting))),
                inputs: Arc::new(vec![Input { table: Arc::new(source), template: Arc::new(template) }]),
                days: vec![vec![today() - 1, today()]],
                reserved: 1 << 20,
                share: 1 << 20,
                in_passes,
                passes_max: u64::MAX,
                ahead,
            };
            assert_eq!(work.run(flag).await.err(), Some(Stop::Failed(Failure::Internal)));
        }
    }
}
