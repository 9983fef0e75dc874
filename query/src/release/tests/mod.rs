//! The life of a released part: paid once, made once, the same for everybody from then on.

#![allow(clippy::unwrap_used)]

mod kill;
mod life;
mod timing;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shoal_anonymity::bound::{Bounder, Totals};
use shoal_anonymity::budget::Preset;
use shoal_anonymity::noise::{Entropy, OsEntropy};
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, BudgetLedger};
use tokio::time::Instant;

use super::answer::Answered;
use super::{Circumstances, LookedUp, Paid, answer};
use crate::budget_epochs::BudgetEpochs;
use crate::charge::ChargedQuery;
use crate::error::NoAnswer;
use crate::failure::Failure;
use crate::ledger::Budget;
use crate::scan::{Cells, Due, Raw, Scan, Span, Taker};
use crate::tests::{engine, grant, request};
use shoal_language::DayRange;

/// A budget, and what was read of which region and days.
pub(crate) struct World {
    pub(crate) budget: Budget,
    pub(super) runs: Mutex<Vec<(Region, DayRange)>>,
    pub(super) fails: bool,
}

impl World {
    pub(super) fn over(ledger: BudgetLedger) -> World {
        World::with(Budget::new(ledger, BudgetEpochs::default(), Preset::Standard.cap(), 1e-6))
    }

    pub(crate) fn with(budget: Budget) -> World {
        World { budget, runs: Mutex::default(), fails: false }
    }

    pub(crate) fn new() -> World {
        World::over(BudgetLedger::in_memory().unwrap())
    }

    pub(crate) async fn ask(&self, sql: &str, now_ms: i64) -> Result<Answered, NoAnswer> {
        self.answer(&[priced(sql, now_ms).await], now_ms).await
    }

    pub(super) async fn answer(
        &self,
        queries: &[Arc<ChargedQuery>],
        now_ms: i64,
    ) -> Result<Answered, NoAnswer> {
        let looked_up = LookedUp::of(queries, &self.budget, now_ms).await?;
        answer(looked_up, &asked(&self.budget, now_ms), self).await?.sealed().await
    }

    pub(super) async fn quote(&self, sql: &str, now_ms: i64) -> Paid {
        let looked_up = LookedUp::of(&[priced(sql, now_ms).await], &self.budget, now_ms).await.unwrap();
        looked_up.quote(&self.budget).await.unwrap()
    }

    /// Days that were read since the last call.
    pub(super) fn runs(&self) -> Vec<(Region, DayRange)> {
        std::mem::take(&mut self.runs.lock().unwrap())
    }

    /// Nano-rho spent on a day of usage in Germany, of all pools.
    pub(super) fn spent(&self, day: i32) -> u64 {
        let block = Block { region: Region::De, kind: Kind::Usage, day };
        self.budget.ledger().spent(&[block]).unwrap()[0].values().sum()
    }
}

impl Answered {
    /// The same when it may leave.
    pub(super) async fn sealed(mut self) -> Result<Answered, NoAnswer> {
        if let Some(unsealed) = self.unsealed.take() {
            unsealed.seal().await?;
        }
        Ok(self)
    }
}

/// The key that asks.
pub(crate) const ASKER: &str = "ana1";

pub(super) fn asked(budget: &Budget, now_ms: i64) -> Circumstances<'_> {
    let deadline = Instant::now() + Duration::from_secs(60);
    Circumstances { budget, asker: ASKER, now_ms, deadline, rows_max: 10_000, charged: &|_| {}, timing: None }
}

/// A priced query about Germany.
pub(crate) async fn priced(sql: &str, now_ms: i64) -> Arc<ChargedQuery> {
    engine().prepare(&grant(&[Region::De]), &request(sql), now_ms).await.unwrap().single()
}

#[async_trait]
impl Scan for World {
    async fn totals(
        &self,
        due: Due,
        _: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        self.runs.lock().unwrap().push((due.region, due.days));
        if self.fails { Err(Failure::Internal) } else { give(&due, take).await }
    }

    async fn rows(&self, _: Block, _: Option<u64>) -> Result<u64, Failure> {
        Ok(100)
    }
}

/// A scan that does something else before it gives totals.
pub(super) struct After<F>(pub(super) F);

#[async_trait]
impl<F, R> Scan for After<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<(), Failure>> + Send,
{
    async fn totals(
        &self,
        due: Due,
        _: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        (self.0)().await?;
        give(&due, take).await
    }

    async fn rows(&self, _: Block, _: Option<u64>) -> Result<u64, Failure> {
        Ok(100)
    }
}

/// A scan that tells how many rows blocks have, and has no totals: it notes in how many passes they may be read.
pub(super) struct RowsOnly<F> {
    rows: F,
    pub(super) passes_max: Mutex<Vec<u64>>,
}

impl<F> RowsOnly<F> {
    pub(super) fn of(rows: F) -> RowsOnly<F> {
        RowsOnly { rows, passes_max: Mutex::default() }
    }
}

#[async_trait]
impl<F, R> Scan for RowsOnly<F>
where
    F: Fn(Block, Option<u64>) -> R + Send + Sync,
    R: Future<Output = Result<u64, Failure>> + Send,
{
    async fn totals(&self, due: Due, _: &mut (dyn Entropy + Send), _: &mut dyn Taker) -> Result<(), Failure> {
        self.passes_max.lock().unwrap().push(due.passes_max);
        Err(Failure::Internal)
    }

    async fn rows(&self, block: Block, most_of_one: Option<u64>) -> Result<u64, Failure> {
        (self.rows)(block, most_of_one).await
    }
}

/// Gives them, one span after the other.
pub(super) async fn give(due: &Due, take: &mut dyn Taker) -> Result<(), Failure> {
    for raw in raws(due) {
        take.take(raw).await?;
    }
    Ok(())
}

/// Totals as the scan gives them, of a hundred subjects in every group on every day.
pub(super) fn raws(due: &Due) -> Vec<Raw> {
    let layout = &due.charged.layout;
    let one = |cells: &Cells, bounder: &mut Bounder, width: usize| {
        for cell in 0..cells.len() {
            bounder.take(cell.into(), &vec![1; width]).unwrap();
        }
    };
    let mut number = |key: u64| u32::try_from(key).ok();
    let spans = due.spans().into_iter().map(|span| {
        let cells = Cells::new(&due.charged.query, None, &mut OsEntropy::new()).unwrap();
        let mut daily = Bounder::new(&layout.daily, &mut OsEntropy::new()).unwrap();
        let mut ranged = Bounder::new(&layout.ranged, &mut OsEntropy::new()).unwrap();
        let days = due.days_of(&due.buckets(), span).remove(0);
        for subject in 0..100_u8 {
            for day in &days {
                let under = matches!(span, Span::Day(_)).then_some(*day);
                one(&cells, &mut daily, layout.daily.clamps().len());
                daily.close(Some(*day), under, &[subject; 16], &mut number).unwrap();
                one(&cells, &mut ranged, layout.ranged.clamps().len());
            }
            ranged.close(None, None, &[subject; 16], &mut number).unwrap();
        }
        let (daily, ranged) = (daily.finish(), ranged.finish());
        let sessions = Totals::empty(layout.sessions.clamps().len());
        Raw { due: due.clone(), span, cells, daily, ranged, sessions, trees: Vec::new() }
    });
    spans.collect()
}
