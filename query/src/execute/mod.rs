//! Stage 4: [`ChargedQuery`] -> [`Raw`]: bounded, exact totals of each region. They are not private: only `release`
//! takes them, and nothing shows them.
//!
//! ```text
//! files of the wanted days -source-> one stream each -rows-> readable, asked, evaluated -merge-> by subject -fold-> totals
//! ```
//! Files are sorted by (subject, time), so that a subject's rows are together once the files are merged, and no table of
//! subjects is ever held. A day's piece has its own merge, days side by side; a bucket's piece merges the files of all its
//! days.
//!
//! Invariants: each region is read, bounded and totalled by itself. Everything that goes wrong is a [`Failure`], which
//! says nothing. What is allocated is counted in the session's memory pool, or bounded by a constant.
//!
//! - `source`: files or batches in memory -> streams; `rows`: the barrier, the filter, the expressions;
//!   `runs`: whose rows they are
//! - `merge`: streams -> subject by subject; `fold`: what takes them; `folds`: the shapes of queries
//! - `keys`, `cells`: values of keys <-> groups and their numbers; `limit`: how many there may be
//! - `piece`: one piece on a thread; `ahead`: a second thread that reads for it

mod ahead;
mod cells;
#[cfg(test)]
mod exact;
mod fold;
mod folds;
mod keys;
mod limit;
mod merge;
mod piece;
pub(crate) mod plan;
mod rows;
mod runs;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use futures::stream::{self, StreamExt};
use shoal_anonymity::bound::Totals;
use shoal_anonymity::noise::Entropy;
use shoal_schemas::Region;

pub(crate) use self::cells::Cells;
pub(crate) use self::fold::Tree;
use self::fold::{Fold, Outcome};
pub(crate) use self::folds::quantile_of;
use self::limit::noisy_limits;
use self::merge::Stop;
use self::piece::{Input, Waiting, Work};
use self::rows::{Asked, Template};
pub(crate) use self::source::Source;
use crate::charge::ChargedQuery;
use crate::failure::Failure;
use shoal_language::Bucket;

/// The exact totals of all regions of one query. No `Debug`.
pub(crate) struct Raw {
    pub(crate) charged: ChargedQuery,
    pub(crate) regions: Vec<RegionTotals>,
}

/// The exact totals of one region.
pub(crate) struct RegionTotals {
    pub(crate) region: Region,
    pub(crate) cells: Cells,
    pub(crate) daily: Totals,
    /// One for each bucket of days; empty for those that were not wanted.
    pub(crate) ranged: Vec<Totals>,
    /// One for each (measure, filter) of which quantiles are asked, for each piece that was wanted.
    pub(crate) trees: Vec<(Piece, Vec<Tree>)>,
}

/// What is totalled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Day(i32),
    /// The position among the query's buckets.
    Bucket(usize),
}

/// Which numbers of a region are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The totals of these days.
    #[cfg_attr(not(test), allow(dead_code))]
    Days(Vec<i32>),
    /// The totals of these buckets, by position, and of each of their days.
    #[cfg_attr(not(test), allow(dead_code))]
    Buckets(Vec<usize>),
    /// Those that the query as a whole needs.
    All,
}

/// The tables of one region, and what is wanted of them.
pub(crate) struct RegionSources {
    pub(crate) region: Region,
    /// The query's table.
    pub(crate) events: Source,
    /// One for each membership.
    pub(crate) members: Vec<Source>,
    pub(crate) wanted: Wanted,
}

/// Limits of one execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanLimits {
    /// About how many groups of private keys may be found, before the threshold; more fail.
    pub(crate) cells_max: usize,
    /// Pieces that run side by side.
    pub(crate) threads: usize,
}

/// What a fold is made for.
struct Grounds<'a> {
    charged: &'a ChargedQuery,
    piece: Piece,
    /// With a private key: more groups than this fail.
    groups_max: Option<u64>,
    entropy: &'a mut dyn Entropy,
}

/// Reads and bounds the wanted pieces of every region.
pub(crate) async fn execute<E: Entropy + Send>(
    charged: ChargedQuery,
    sources: Vec<RegionSources>,
    session: &SessionContext,
    limits: ScanLimits,
    entropy: &mut E,
) -> Result<Raw, Failure> {
    let mut regions = Vec::with_capacity(sources.len());
    let scan = Scan { charged: &charged, session, limits };
    for source in sources {
        regions.push(region(&scan, source, entropy).await?);
    }
    Ok(Raw { charged, regions })
}

/// One execution.
struct Scan<'a> {
    charged: &'a ChargedQuery,
    session: &'a SessionContext,
    limits: ScanLimits,
}

impl Scan<'_> {
    /// The most groups of each piece, where they are not public.
    fn groups_max<E: Entropy>(&self, pieces: usize, entropy: &mut E) -> Result<Vec<Option<u64>>, Failure> {
        let Some(threshold) = &self.charged.threshold else { return Ok(vec![None; pieces]) };
        let limits = noisy_limits(pieces, self.limits.cells_max, &threshold.groups, entropy)?;
        Ok(limits.into_iter().map(Some).collect())
    }

    fn fold<E: Entropy>(
        &self,
        (piece, groups_max): (Piece, Option<u64>),
        entropy: &mut E,
    ) -> Result<Box<dyn Fold>, Failure> {
        folds::fold(Grounds { charged: self.charged, piece, groups_max, entropy })
    }
}

async fn region<E: Entropy + Send>(
    scan: &Scan<'_>,
    sources: RegionSources,
    entropy: &mut E,
) -> Result<RegionTotals, Failure> {
    let (charged, session) = (scan.charged, scan.session);
    let buckets = charged.query.buckets();
    let pieces = pieces(charged, &buckets, &sources.wanted);
    let limits = scan.groups_max(pieces.len(), entropy)?;
    let pieces: Vec<(Piece, Option<u64>)> = pieces.into_iter().zip(limits).collect();
    let region = sources.region;
    let mut folds = Vec::with_capacity(pieces.len());
    for piece in &pieces {
        folds.push(scan.fold(*piece, entropy)?);
    }
    let mut totals = RegionTotals {
        region,
        cells: Cells::new(&charged.query, None, entropy)?,
        daily: Totals::empty(charged.layout.daily.clamps().len()),
        ranged: buckets.iter().map(|_| Totals::empty(charged.layout.ranged.clamps().len())).collect(),
        trees: Vec::new(),
    };
    let Some(first) = folds.first() else { return Ok(totals) };
    let inputs = Arc::new(inputs(charged, sources, session, first.as_ref())?);
    let waiting = Waiting::new();
    let ahead = pieces.len() < scan.limits.threads;
    let work = |piece: (Piece, Option<u64>), fold: Box<dyn Fold>, checked: bool| {
        let memory = Arc::clone(&session.runtime_env().memory_pool);
        let days = days(charged, &buckets, piece.0);
        let work = Work { fold, inputs: Arc::clone(&inputs), days, memory, checked, ahead };
        let flag = waiting.flag();
        async move { (piece, work.run(flag).await) }
    };
    let running: Vec<_> = pieces.iter().zip(folds).map(|(piece, fold)| work(*piece, fold, false)).collect();
    let mut running = stream::iter(running).buffered(scan.limits.threads.max(1));
    let mut unsorted = Vec::new();
    while let Some((piece, done)) = running.next().await {
        match done {
            Ok(outcome) => totals.add(piece.0, outcome)?,
            Err(Stop::Unsorted(_)) => unsorted.push(piece),
            Err(Stop::Failed(failure)) => return Err(failure),
        }
    }
    for piece in unsorted {
        let fold = scan.fold(piece, entropy)?;
        let (_, done) = work(piece, fold, true).await;
        let outcome = done.map_err(|stop| match stop {
            Stop::Failed(failure) => failure,
            Stop::Unsorted(_) => Failure::Internal,
        });
        totals.add(piece.0, outcome?)?;
    }
    Ok(totals)
}

fn pieces(charged: &ChargedQuery, buckets: &[Bucket], wanted: &Wanted) -> Vec<Piece> {
    let query = &charged.query;
    match wanted {
        Wanted::Days(days) => days.iter().map(|day| Piece::Day(*day)).collect(),
        Wanted::Buckets(at) => at.iter().map(|at| Piece::Bucket(*at)).collect(),
        Wanted::All if !charged.is_daily() => (0..buckets.len()).map(Piece::Bucket).collect(),
        Wanted::All => query.days.days().map(Piece::Day).collect(),
    }
}

/// The query's table and those of its memberships, each with its template.
fn inputs(
    charged: &ChargedQuery,
    sources: RegionSources,
    session: &SessionContext,
    fold: &dyn Fold,
) -> Result<Vec<Input>, Failure> {
    let query = &charged.query;
    let RegionSources { region, events, members, .. } = sources;
    if members.len() != query.members.len() {
        return Err(Failure::Internal);
    }
    let input = |source: Source, asked: &Asked<'_>| -> Result<Input, Failure> {
        let template = Template::new(session, &|wanted| source.schema(wanted), asked)?;
        Ok(Input { source, template: Arc::new(template) })
    };
    let (scalars, is_timed) = (fold.scalars(), fold.is_timed());
    let (cutoffs, filter) = (&query.cutoffs, query.filter.as_ref());
    let mut inputs = vec![input(events, &Asked { region, cutoffs, filter, scalars: &scalars, is_timed })?];
    for (member, source) in query.members.iter().zip(members) {
        let (cutoffs, filter) = (&member.cutoffs, member.filter.as_ref());
        inputs.push(input(source, &Asked { region, cutoffs, filter, scalars: &[], is_timed })?);
    }
    Ok(inputs)
}

/// The days of a piece, and those of each membership: they do not depend on the piece.
fn days(charged: &ChargedQuery, buckets: &[Bucket], piece: Piece) -> Vec<Vec<i32>> {
    let own = match piece {
        Piece::Day(day) => vec![day],
        Piece::Bucket(at) => buckets.get(at).map(|bucket| bucket.days.days().collect()).unwrap_or_default(),
    };
    let members = charged.query.members.iter().map(|member| member.days.days().collect());
    std::iter::once(own).chain(members).collect()
}

impl RegionTotals {
    fn add(&mut self, piece: Piece, outcome: Outcome) -> Result<(), Failure> {
        let Outcome { cells, daily, ranged, trees } = outcome;
        let numbers = self.cells.absorb(&cells)?;
        let number = |key: u32| match &numbers {
            None => Some(key),
            Some(numbers) => numbers.get(key as usize).copied(),
        };
        self.daily.append(&daily, number)?;
        if let Piece::Bucket(at) = piece {
            self.ranged.get_mut(at).ok_or(Failure::Internal)?.append(&ranged, number)?;
        }
        let mut own = Vec::with_capacity(trees.len());
        for Tree { nodes, totals } in trees {
            let node = |key: u32| {
                let (cell, node) = (key.checked_div(nodes)?, key.checked_rem(nodes)?);
                number(cell)?.checked_mul(nodes)?.checked_add(node)
            };
            let mut renumbered = Totals::empty(totals.width());
            renumbered.append(&totals, node)?;
            own.push(Tree { nodes, totals: renumbered });
        }
        if !own.is_empty() {
            self.trees.push((piece, own));
        }
        Ok(())
    }
}
