//! The order in which an answer comes about: look up -> reserve (durable) -> run -> noise -> seal (durable) -> assemble.
//!
//! Invariants: nothing is read before everything that is missing is paid, all of it or nothing; nothing leaves before it
//! is sealed; once paid, whatever goes wrong is charged. What is in the ledger is not made again. A refusal depends on the
//! text, the registry and what was spent, which are public. Waiting for somebody else's piece costs nothing.
//! Not here: the ledger (`ledger.rs`), noise (`noisy`), what reads events (`scan`, given as a function).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use shoal_anonymity::noise::{Entropy, OsEntropy};
use shoal_schemas::Region;
use shoal_storage::{Block, Found, PieceId};
use tokio::time::Instant;

use super::assemble::{Part, assemble};
use super::groups::Groups;
use super::noisy::{Exact, noisy};
use super::paid::Paid;
use super::sealed::Sealed;
use crate::charge::ChargedQuery;
use crate::epochs::Epoch;
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::{Budget, Payment};
use crate::pieces::{Piece, Wanted, wanted};
use crate::scan::{Due, Raw};
use shoal_language::{CELLS_MAX, DayRange};

/// Most groups of an answer.
pub(crate) const ROWS_MAX: usize = CELLS_MAX as usize;

/// The circumstances of a question.
pub(crate) struct Asked<'a> {
    pub(crate) budget: &'a Budget,
    pub(crate) now_ms: i64,
    /// Until when another asker's pieces are waited for.
    pub(crate) deadline: Instant,
    /// Most groups of an answer.
    pub(crate) rows_max: usize,
    /// Told how many blocks are charged, before anything is read.
    pub(crate) charged: &'a (dyn Fn(u64) + Sync),
}

/// The groups of each query, in their order.
pub(crate) struct Answered {
    pub(crate) groups: Vec<Groups>,
    pub(crate) paid: Paid,
}

/// All parts of all queries, and what the ledger has of them.
pub(crate) struct Parts {
    pub(super) queries: Vec<Arc<ChargedQuery>>,
    pub(super) wanted: Vec<Vec<Wanted>>,
    pub(super) found: BTreeMap<PieceId, Vec<u8>>,
}

impl Parts {
    /// The parts of these queries, looked up in the ledger.
    pub(crate) async fn of(
        queries: &[Arc<ChargedQuery>],
        budget: &Budget,
        now_ms: i64,
    ) -> Result<Parts, Failure> {
        let of = |charged: &Arc<ChargedQuery>| wanted(charged, &budget.epochs, now_ms);
        let wanted = queries.iter().map(of).collect();
        let mut parts = Parts { queries: queries.to_vec(), wanted, found: BTreeMap::new() };
        parts.look(budget).await?;
        Ok(parts)
    }

    /// Looks for everything that has not been found.
    async fn look(&mut self, budget: &Budget) -> Result<(), Failure> {
        let all = self.wanted.iter().flatten().flat_map(|wanted| &wanted.pieces);
        let ids: BTreeSet<PieceId> =
            all.map(|piece| piece.id).filter(|id| !self.found.contains_key(id)).collect();
        let ids: Vec<PieceId> = ids.into_iter().collect();
        let found = budget.look_up(ids.clone()).await?;
        for (id, found) in ids.into_iter().zip(found) {
            if let Found::Sealed(bytes) = found {
                self.found.insert(id, bytes);
            }
        }
        Ok(())
    }

    /// The piece that stands for a part: the one in the ledger, else the one to be made; none when it has expired.
    fn chosen<'w>(&self, wanted: &'w Wanted) -> Option<&'w Piece> {
        let found = wanted.pieces.iter().find(|piece| self.found.contains_key(&piece.id));
        found.or_else(|| wanted.pieces.last().filter(|_| wanted.is_readable))
    }

    /// What has to be made, by query; a piece that two queries want is made once.
    pub(super) fn missing(&self) -> Vec<(usize, &Piece)> {
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        for (query, wanted) in self.wanted.iter().enumerate() {
            for piece in wanted.iter().filter_map(|wanted| self.chosen(wanted)) {
                if !self.found.contains_key(&piece.id) && seen.insert(piece.id) {
                    missing.push((query, piece));
                }
            }
        }
        missing
    }

    fn charges(&self) -> Vec<(Block, Epoch)> {
        let all = self.wanted.iter().flatten().filter_map(|wanted| self.chosen(wanted));
        let charges: BTreeSet<(Block, Epoch)> = all.flat_map(|piece| piece.charges.clone()).collect();
        charges.into_iter().collect()
    }

    /// What an answer would cost now. Nothing is reserved.
    pub(crate) async fn quote(&self, budget: &Budget) -> Result<Paid, Failure> {
        let missing = self.missing().iter().map(|(_, piece)| piece.id).collect();
        self.paid(budget, &missing).await
    }

    /// The price, given what was missing at first.
    async fn paid(&self, budget: &Budget, missing: &BTreeSet<PieceId>) -> Result<Paid, Failure> {
        let mut paid = Paid::default();
        let (mut blocks, mut pieces) = (BTreeSet::new(), BTreeSet::new());
        for wanted in self.wanted.iter().flatten() {
            let Some(piece) = self.chosen(wanted) else {
                paid.expired += 1;
                continue;
            };
            pieces.insert(piece.id);
            if missing.contains(&piece.id) {
                blocks.extend(piece.charges.iter().map(|(block, _)| *block));
            }
        }
        paid.blocks = blocks.len() as u64;
        paid.pieces = pieces.len() as u64;
        paid.pieces_found = pieces.difference(missing).count() as u64;
        paid.left = budget.left(&self.charges()).await?;
        Ok(paid)
    }

    pub(super) fn groups(&self, rows_max: usize) -> Result<Vec<Groups>, Failure> {
        let mut all = Vec::with_capacity(self.queries.len());
        for (charged, wanted) in self.queries.iter().zip(&self.wanted) {
            let mut parts = Vec::with_capacity(wanted.len());
            for one in wanted {
                let Some(piece) = self.chosen(one) else { continue };
                let sealed = Sealed::decode(self.found.get(&piece.id).ok_or(Failure::Internal)?)?;
                parts.push(Part { piece, start: one.start, sealed });
            }
            all.push(assemble(charged, &parts, rows_max)?);
        }
        Ok(all)
    }
}

/// Answers queries together: what is missing of all of them is paid at once or not at all. `scan` reads one region and days
/// that follow on each other, and is called for nothing that is not paid.
pub(crate) async fn answer<F, R>(mut parts: Parts, asked: &Asked<'_>, scan: F) -> Result<Answered, NoAnswer>
where
    F: Fn(Due) -> R,
    R: Future<Output = Result<Raw, Failure>>,
{
    let paid = loop {
        let ids: Vec<PieceId> = parts.missing().iter().map(|(_, piece)| piece.id).collect();
        if ids.is_empty() {
            break None;
        }
        let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
        if let Some(claim) = claim.map_err(|_| QueryError::Busy)? {
            let missing: Vec<&Piece> = parts.missing().into_iter().map(|(_, piece)| piece).collect();
            match asked.budget.pay(&claim, &missing, asked.now_ms).await? {
                Payment::Paid(reservation) => break Some((claim, reservation, ids)),
                Payment::Refused(refusal) => return Err(QueryError::from(refusal).into()),
                Payment::LookAgain => {}
            }
        }
        parts.look(asked.budget).await?;
    };
    let mut made = BTreeSet::new();
    if let Some((claim, reservation, ids)) = paid {
        made.extend(ids);
        let sealed = make(&parts, asked, scan).await?;
        asked.budget.seal(claim, reservation, sealed.clone()).await?;
        parts.found.extend(sealed);
    }
    let paid = parts.paid(asked.budget, &made).await?;
    Ok(Answered { groups: parts.groups(asked.rows_max)?, paid })
}

/// Reads and noises what is missing and paid.
async fn make<F, R>(parts: &Parts, asked: &Asked<'_>, scan: F) -> Result<Vec<(PieceId, Vec<u8>)>, Failure>
where
    F: Fn(Due) -> R,
    R: Future<Output = Result<Raw, Failure>>,
{
    let mut due: BTreeMap<(usize, Region), Vec<&Piece>> = BTreeMap::new();
    let mut blocks = BTreeSet::new();
    for (query, piece) in parts.missing() {
        blocks.extend(piece.charges.iter().map(|(block, _)| *block));
        due.entry((query, piece.region)).or_default().push(piece);
    }
    (asked.charged)(blocks.len() as u64);
    let mut sealed = Vec::new();
    for ((query, region), pieces) in due {
        let charged = parts.queries.get(query).ok_or(Failure::Internal)?;
        for (days, pieces) in runs(pieces) {
            let raw = scan(Due { charged: Arc::clone(charged), region, days }).await?;
            sealed.extend(noisy_pieces(&pieces, &raw, asked.rows_max, &mut OsEntropy::new())?);
        }
    }
    Ok(sealed)
}

/// Pieces whose days follow on each other are read at once; a day that is not paid now is not read.
fn runs(mut pieces: Vec<&Piece>) -> Vec<(DayRange, Vec<&Piece>)> {
    pieces.sort_by_key(|piece| piece.days.first);
    let mut runs: Vec<(DayRange, Vec<&Piece>)> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some((days, run)) if piece.days.first == days.last.saturating_add(1) => {
                days.last = piece.days.last;
                run.push(piece);
            }
            _ => runs.push((piece.days, vec![piece])),
        }
    }
    runs
}

pub(super) fn noisy_pieces<E: Entropy>(
    pieces: &[&Piece],
    raw: &Raw,
    rows_max: usize,
    entropy: &mut E,
) -> Result<Vec<(PieceId, Vec<u8>)>, Failure> {
    let buckets = raw.due.buckets();
    let mut sealed = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let bucket = match raw.due.charged.is_daily() {
            true => 0,
            false => buckets.iter().position(|bucket| bucket.days == piece.days).ok_or(Failure::Internal)?,
        };
        let exact = Exact { raw, piece, bucket };
        sealed.push((piece.id, noisy(&exact, entropy, rows_max)?.encode()?));
    }
    Ok(sealed)
}
