//! All that is known of a question before anything is read: its releases, their prices, the columns of its answer.
//!
//! Invariants: everything here depends on the text, the public schema, the key's regions, the time and what has been spent,
//! never on events. Not here: the stages themselves.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use tokio::time::Instant;

use super::Engine;
use super::mended::Asker;
use crate::charge::{Accuracy, Caps, ChargedQuery, charge};
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::grant::AnalystGrant;
use crate::release::{Asked, Paid, Preamble, Released, finish, quote};
use crate::request::QueryRequest;
use shoal_language::CELLS_MAX;
use shoal_language::PrivateQuery;
use shoal_language::{Question, ask};
use shoal_language::{Refusal, Rule};
use shoal_postprocess::{Column, ColumnKind, NumberColumn, Postprocessor, ReleasedSchema, ReleasedTable};
use shoal_schemas::calendar::{DAY_MS, day_of, start_of};

/// A question that is bound, checked and priced; nothing has been read.
pub(crate) struct Prepared {
    pub(crate) question: Question,
    /// One for each release.
    pub(crate) charged: Vec<ChargedQuery>,
    /// One for each release: the table that stands for it in the free text.
    pub(crate) schemas: Vec<ReleasedSchema>,
    pub(crate) preamble: Preamble,
}

impl Engine {
    /// Binds, checks and prices.
    ///
    /// # Errors
    /// Refusals; nothing is charged.
    pub(crate) async fn prepare(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> Result<Prepared, QueryError> {
        let deadline = Instant::now() + Duration::from_millis(self.config.time_ms_max);
        let accuracy = match request.sd_max {
            Some(sd_max) => Accuracy::SdMax(sd_max),
            None => request.precision.into(),
        };
        let asker = Asker { regions: &grant.regions, accuracy, now_ms, deadline };
        match self.attempt(&request.sql, asker).await {
            Err(QueryError::Refused(refusal)) => Err(self.mended(&request.sql, *refusal, asker).await.into()),
            done => done,
        }
    }

    /// Binds, checks and prices; a refusal has the suggestion of the place that refuses.
    pub(super) async fn attempt(&self, sql: &str, asker: Asker<'_>) -> Result<Prepared, QueryError> {
        let Asker { regions, accuracy, now_ms, deadline } = asker;
        let question = ask(sql, &self.registry, regions, now_ms)?;
        let schemas: Vec<ReleasedSchema> = question
            .releases
            .iter()
            .enumerate()
            .map(|(at, query)| schema(at, query))
            .collect::<Result<_, _>>()?;
        self.postprocessor.check(&question.free.sql, &schemas, deadline).await?;
        let caps = Caps {
            rho_block_max: self.config.preset.cap(),
            epochs: self.config.epochs.clone(),
            k_min: self.config.k_min,
            threshold_delta: self.config.threshold_delta,
        };
        let charged: Vec<ChargedQuery> = question
            .releases
            .iter()
            .map(|query| charge(query.clone(), accuracy, &caps))
            .collect::<Result<_, _>>()?;
        let preamble = Preamble::of(&charged, accuracy, &question.notes, caps.rho_block_max);
        Ok(Prepared { question, charged, schemas, preamble })
    }

    /// What an answer would cost, and what of it is in the ledger.
    pub(super) async fn quote(&self, prepared: &Prepared, now_ms: i64) -> Result<Paid, NoAnswer> {
        let asked = Asked {
            budget: &self.budget,
            now_ms,
            deadline: Instant::now(),
            rows_max: usize::try_from(CELLS_MAX).unwrap_or(usize::MAX),
            charged: &|_| {},
        };
        quote(&prepared.charged, &asked).await
    }

    /// How long a question may take: not past midnight when it reads a day that expires then.
    pub(super) fn time(&self, charged: &[ChargedQuery], now_ms: i64) -> Duration {
        let expires = |charged: &ChargedQuery| {
            let query = &charged.query;
            let own = query.cutoffs.iter().any(|(_, day)| *day >= query.days.first);
            let others = query.members.iter();
            own || others.flat_map(|m| m.cutoffs.iter().map(|(_, day)| *day >= m.days.first)).any(|is| is)
        };
        let midnight = start_of(day_of(now_ms)) + DAY_MS - now_ms;
        let most = self.config.time_ms_max;
        Duration::from_millis(match charged.iter().any(expires) {
            true => most.min(u64::try_from(midnight).unwrap_or(0)),
            false => most,
        })
    }
}

/// The table of a release in the free text.
fn schema(at: usize, query: &PrivateQuery) -> Result<ReleasedSchema, Refusal> {
    let untyped = || {
        let message = "A key has no type.";
        Refusal::whole(Rule::Key, message, shoal_language::SHAPE)
    };
    let keys = query.keys.iter().enumerate();
    let keys = keys.map(|(at, key)| Ok((format!("k{at}"), key.scalar.ty().ok_or_else(untyped)?)));
    let numbers = query.aggregates.iter().enumerate().map(|(at, aggregate)| NumberColumn {
        name: format!("a{at}"),
        unit: aggregate.unit.clone(),
        scale: aggregate.scale,
    });
    Ok(ReleasedSchema {
        name: format!("r{at}"),
        keys: keys.collect::<Result<_, Refusal>>()?,
        numbers: numbers.collect(),
    })
}

impl Prepared {
    /// The answer to a dry run: the columns, without rows.
    pub(super) async fn priced(
        mut self,
        paid: &Paid,
        postprocessor: &Postprocessor,
    ) -> Result<Released, NoAnswer> {
        self.preamble.paid(paid);
        let none = self.schemas.iter().map(|schema| ReleasedTable::of(schema, &[]));
        let tables = none.collect::<Result<_, _>>()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let (columns, batch) = postprocessor.run(&self.question.free.sql, tables, deadline).await?;
        Ok(finish(self.preamble, columns, batch.slice(0, 0), true))
    }

    /// The answer to EXPLAIN: what is private, what it costs, what is free.
    pub(super) fn explained(mut self, paid: &Paid) -> Result<Released, NoAnswer> {
        self.preamble.paid(paid);
        let mut lines: Vec<String> = Vec::new();
        for (at, charged) in self.charged.iter().enumerate() {
            let pieces = if charged.is_daily() { "day by day" } else { "for each range of days at once" };
            lines.push(format!("r{at}: released {pieces}, rho {} of each block", charged.price));
            lines.extend(charged.query.to_string().lines().map(|line| format!("  {line}")));
            if let Some(threshold) = &charged.threshold {
                lines.push(format!("  SHOWN from about {} subjects on", threshold.subjects_min));
            }
        }
        lines.push("Free, on the released rows:".to_owned());
        lines.push(format!("  {}", self.question.free.sql));
        lines.push(format!(
            "Blocks to be paid now: {}. Pieces in the ledger: {} of {}.",
            paid.blocks, paid.pieces_found, paid.pieces
        ));
        let array: ArrayRef = Arc::new(StringArray::from(lines));
        let batch = RecordBatch::try_from_iter_with_nullable([("plan", array, true)]);
        let columns = vec![Column { name: "plan".to_owned(), kind: ColumnKind::Key, unit: None }];
        Ok(finish(self.preamble, columns, batch.map_err(Failure::from)?, false).explaining())
    }

    /// The one release of a question that has one.
    #[cfg(test)]
    pub(crate) fn single(self) -> ChargedQuery {
        let mut charged = self.charged;
        assert_eq!(charged.len(), 1);
        charged.remove(0)
    }
}
