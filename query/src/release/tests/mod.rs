//! The life of a released part: paid once, made once, the same for everybody from then on.

#![allow(clippy::unwrap_used)]

mod kill;
mod life;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shoal_anonymity::bound::Bounder;
use shoal_anonymity::budget::Preset;
use shoal_anonymity::noise::OsEntropy;
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
use crate::scan::{Cells, Due, Raw};
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
        let budget = Budget::new(ledger, BudgetEpochs::default(), Preset::Standard.cap());
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
        let run = async |due: Due| {
            self.runs.lock().unwrap().push((due.region, due.days));
            if self.fails { Err(Failure::Internal) } else { Ok(raw(due)) }
        };
        let looked_up = LookedUp::of(queries, &self.budget, now_ms).await?;
        answer(looked_up, &asked(&self.budget, now_ms), run).await
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

pub(super) fn asked(budget: &Budget, now_ms: i64) -> Circumstances<'_> {
    let deadline = Instant::now() + Duration::from_secs(60);
    Circumstances { budget, now_ms, deadline, rows_max: 10_000, charged: &|_| {} }
}

/// A priced query about Germany.
pub(crate) async fn priced(sql: &str, now_ms: i64) -> Arc<ChargedQuery> {
    engine().prepare(&grant(&[Region::De]), &request(sql), now_ms).await.unwrap().single()
}

/// Totals as the scan gives them, of a hundred subjects in every group on every day.
pub(super) fn raw(due: Due) -> Raw {
    let charged = Arc::clone(&due.charged);
    let cells = Cells::new(&charged.query, None, &mut OsEntropy::new()).unwrap();
    let mut number = |key: u64| u32::try_from(key).ok();
    let one = |bounder: &mut Bounder, width: usize| {
        for cell in 0..cells.len() {
            bounder.take(cell.into(), &vec![1; width]).unwrap();
        }
    };
    let mut daily = Bounder::new(&charged.layout.daily, &mut OsEntropy::new()).unwrap();
    for day in due.days.days() {
        for subject in 0..100_u8 {
            one(&mut daily, charged.layout.daily.clamps().len());
            daily.close(Some(day), &[subject; 16], &mut number).unwrap();
        }
    }
    let ranged = due.buckets().into_iter().map(|bucket| {
        let mut ranged = Bounder::new(&charged.layout.ranged, &mut OsEntropy::new()).unwrap();
        for subject in 0..100_u8 {
            bucket.days.days().for_each(|_| one(&mut ranged, charged.layout.ranged.clamps().len()));
            ranged.close(None, &[subject; 16], &mut number).unwrap();
        }
        ranged.finish()
    });
    let ranged = ranged.collect();
    let daily = daily.finish();
    Raw { due, cells, daily, ranged, trees: Vec::new() }
}
