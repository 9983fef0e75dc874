//! A statement is tried: bound, checked and priced; a refusal has the suggestion of the place that refuses.
//!
//! Not here: which suggestion is shown (`suggested`).

use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_language::{Asking, PrivateQuery, Refusal, Work, ask_within};
use shoal_postprocess::{Postprocessor, ReleasedSchema};
use shoal_schemas::{Region, Registry};
use tokio::time::Instant;

use super::prepared::{Prepared, schema};
use crate::charge::{Accuracy, Caps, ChargedQuery, charge};
use crate::error::QueryError;
use crate::release::Preamble;

/// Who asks, how exactly and when.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    /// Public part of the key.
    pub(super) key_id: &'a str,
    pub(super) regions: &'a [Region],
    pub(super) accuracy: Accuracy,
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

impl Prepared {
    /// The private queries.
    pub(super) fn queries(&self) -> Vec<&PrivateQuery> {
        self.charged.iter().map(|charged| &charged.query).collect()
    }
}

/// What statements are tried with.
#[derive(Clone)]
pub(super) struct Attempts {
    pub(super) registry: Arc<Registry>,
    /// The day on which each region was first served, as far as that is known.
    pub(super) first_days: Arc<BTreeMap<Region, i32>>,
    pub(super) caps: Caps,
    pub(super) postprocessor: Arc<Postprocessor>,
    /// Whether every attempt panics.
    #[cfg(test)]
    pub(super) panics: bool,
}

impl Attempts {
    /// The same by these definitions.
    pub(super) fn by(self: &Arc<Self>, registry: Arc<Registry>) -> Arc<Attempts> {
        match Arc::ptr_eq(&self.registry, &registry) {
            true => Arc::clone(self),
            false => Arc::new(Attempts { registry, ..(**self).clone() }),
        }
    }

    /// Who asks, and when.
    pub(super) fn asking<'a>(&'a self, regions: &'a [Region], now_ms: i64) -> Asking<'a> {
        Asking { regions, first_days: &self.first_days, now_ms }
    }

    /// Binds, checks and prices.
    ///
    /// # Errors
    /// Refusals; nothing is charged.
    pub(super) async fn attempt(&self, sql: &str, asker: Asker<'_>) -> Result<Prepared, QueryError> {
        self.attempt_within(sql, asker, &Work::default()).await
    }

    /// As [`Attempts::attempt`], with steps of taking apart that are counted by the caller.
    ///
    /// # Errors
    /// Those of [`Attempts::attempt`].
    pub(super) async fn attempt_within(
        &self,
        sql: &str,
        asker: Asker<'_>,
        work: &Work,
    ) -> Result<Prepared, QueryError> {
        let Asker { key_id, regions, accuracy, now_ms, deadline } = asker;
        #[cfg(test)]
        assert!(!self.panics, "a statement panics while it is read");
        let asking = self.asking(regions, now_ms);
        let question = ask_within(sql, &self.registry, asking, work)?;
        // Which groups are withheld, so what the postprocessing must know of them, follows from the price. A text that cannot
        // run is refused before a price that is too high.
        let priced = |query: &PrivateQuery| charge(query.clone(), accuracy, &self.caps).map(Arc::new);
        let charged: Vec<Result<Arc<ChargedQuery>, Refusal>> = question.releases.iter().map(priced).collect();
        let releases = question.releases.iter().zip(&charged).enumerate();
        let of =
            releases.map(|(at, (query, charged))| schema(at, query, charged.as_deref().ok(), &self.registry));
        let schemas: Vec<ReleasedSchema> = of.collect::<Result<_, _>>()?;
        let turn = self.postprocessor.turn(key_id, deadline).await?;
        self.postprocessor.check(&question.postprocess.sql, &schemas, deadline).await?;
        drop(turn);
        let charged: Vec<Arc<ChargedQuery>> = charged.into_iter().collect::<Result<_, _>>()?;
        let texts: Vec<Arc<str>> = charged.iter().map(|charged| charged.query.to_string().into()).collect();
        let notes = question.notes.as_slice();
        let preamble = Preamble::of(&charged, &texts, notes, accuracy).within(self.caps.rho_block_max);
        Ok(Prepared {
            explain: question.explain,
            postprocess: question.postprocess,
            charged,
            texts,
            schemas,
            preamble,
        })
    }
}

#[cfg(test)]
impl super::Engine {
    /// With other limits of the postprocessing.
    pub(crate) fn with_limits(mut self, limits: shoal_postprocess::Limits) -> super::Engine {
        Arc::make_mut(&mut self.attempts).postprocessor = Arc::new(Postprocessor::in_process(limits));
        self
    }
}
