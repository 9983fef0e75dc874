//! The first half of a question, on the readers' threads: the statement is read, looked up in the ledger and priced, and what is
//! free of charge is answered there.
//!
//! Invariants: nothing of a statement is worked on where requests come in and events go by: neither its text, nor the released
//! parts that it wants, nor the line that the audit has of it. Nothing is charged here.
//! Not here: how a statement is tried (`attempt`), what follows when events are to be read (`job`).

use std::sync::Arc;

use shoal_schemas::Region;
use tokio::time::Instant;

use super::attempt::{Asker, Attempts};
use super::prepared::Prepared;
use crate::audit::AuditedQuery;
use crate::charge::Accuracy;
use crate::error::{NoAnswer, QueryError};
use crate::ledger::Budget;
use crate::release::{LookedUp, Paid, Released, SizeBounds};
use crate::request::QueryRequest;

/// A question that is to be priced, with all that this needs.
pub(super) struct ToPrice {
    pub(super) attempts: Arc<Attempts>,
    pub(super) budget: Budget,
    /// Of blocks, where the time of answers is decided.
    pub(super) sizes: Option<SizeBounds>,
    pub(super) is_audited: bool,
    /// Public part of the key that asks.
    pub(super) key_id: String,
    pub(super) regions: Vec<Region>,
    pub(super) request: QueryRequest,
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

/// A question that is priced.
pub(super) struct Priced {
    /// What the line of the audit says of it.
    pub(super) asked: Vec<AuditedQuery>,
    pub(super) next: Result<Next, NoAnswer>,
}

/// What follows.
pub(super) enum Next {
    /// Nothing: the answer to a dry run, or to EXPLAIN.
    Free(Box<Released>),
    /// Paying, or what the ledger has.
    Answer(Box<ToAnswer>),
}

/// A question that is to be answered.
pub(super) struct ToAnswer {
    pub(super) prepared: Prepared,
    pub(super) looked_up: LookedUp,
    pub(super) paid: Paid,
}

impl Priced {
    /// One that has ended before anything was known of it.
    pub(super) fn ended(no: impl Into<NoAnswer>) -> Priced {
        Priced { asked: Vec::new(), next: Err(no.into()) }
    }
}

impl ToPrice {
    /// Binds, checks and prices; what a refusal suggests has been tried.
    ///
    /// # Errors
    /// Refusals; nothing is charged.
    pub(super) async fn prepared(&self) -> Result<Prepared, QueryError> {
        let ToPrice { attempts, request, .. } = self;
        let accuracy = request.sd_max.map_or_else(|| request.precision.into(), Accuracy::SdMax);
        let key_id = self.key_id.as_str();
        let asker =
            Asker { key_id, regions: &self.regions, accuracy, now_ms: self.now_ms, deadline: self.deadline };
        match attempts.attempt(&request.sql, asker).await {
            Err(QueryError::Refused(refusal)) => {
                Err(QueryError::from(attempts.suggested(&request.sql, *refusal, asker).await))
            }
            done => done,
        }
    }

    /// Prices it.
    pub(super) async fn priced(self) -> Priced {
        let mut prepared = match self.prepared().await {
            Ok(prepared) => prepared,
            Err(error) => return Priced::ended(error),
        };
        match self.looked_up(&prepared).await {
            Ok(looked_up) => {
                prepared.leave_out(&looked_up);
                let asked = if self.is_audited { prepared.audited(&looked_up) } else { Vec::new() };
                Priced { asked, next: self.next(prepared, looked_up).await }
            }
            Err(no) => Priced::ended(no),
        }
    }

    async fn looked_up(&self, prepared: &Prepared) -> Result<LookedUp, NoAnswer> {
        let looked_up = LookedUp::of(&prepared.charged, &self.budget, self.now_ms).await?;
        Ok(match &self.sizes {
            Some(sizes) => looked_up.with_sizes(sizes, &self.budget).await?,
            None => looked_up,
        })
    }

    async fn next(self, prepared: Prepared, looked_up: LookedUp) -> Result<Next, NoAnswer> {
        let paid = looked_up.quote(&self.budget).await?;
        self.budget.bears(paid.due).map_err(QueryError::from)?;
        if prepared.explain {
            let released = prepared.explained(&looked_up, &paid, &self.budget)?;
            return Ok(Next::Free(Box::new(released)));
        }
        if self.request.dry_run {
            let postprocessor = &self.attempts.postprocessor;
            let _turn = postprocessor.turn(&self.key_id, self.deadline).await.map_err(QueryError::from)?;
            let released = prepared.priced(&paid, postprocessor).await?;
            return Ok(Next::Free(Box::new(released)));
        }
        Ok(Next::Answer(Box::new(ToAnswer { prepared, looked_up, paid })))
    }
}
