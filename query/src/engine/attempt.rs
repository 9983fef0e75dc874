//! A statement is tried: bound, checked and priced; a refusal has the suggestion of the place that refuses.
//!
//! Not here: which suggestion is shown (`suggested`).

use std::sync::Arc;

use shoal_language::ask;
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
    pub(super) regions: &'a [Region],
    pub(super) accuracy: Accuracy,
    pub(super) now_ms: i64,
    pub(super) deadline: Instant,
}

/// What statements are tried with.
#[derive(Clone)]
pub(super) struct Attempts {
    pub(super) registry: Arc<Registry>,
    pub(super) caps: Caps,
    pub(super) postprocessor: Arc<Postprocessor>,
}

impl Attempts {
    /// Binds, checks and prices.
    ///
    /// # Errors
    /// Refusals; nothing is charged.
    pub(super) async fn attempt(&self, sql: &str, asker: Asker<'_>) -> Result<Prepared, QueryError> {
        let Asker { regions, accuracy, now_ms, deadline } = asker;
        let question = ask(sql, &self.registry, regions, now_ms)?;
        let releases = question.releases.iter().enumerate();
        let schemas: Vec<ReleasedSchema> =
            releases.map(|(at, query)| schema(at, query)).collect::<Result<_, _>>()?;
        self.postprocessor.check(&question.postprocess.sql, &schemas, deadline).await?;
        let charged =
            question.releases.into_iter().map(|query| charge(query, accuracy, &self.caps).map(Arc::new));
        let charged: Vec<Arc<ChargedQuery>> = charged.collect::<Result<_, _>>()?;
        let preamble = Preamble::of(&charged, accuracy, &question.notes, self.caps.rho_block_max);
        Ok(Prepared {
            explain: question.explain,
            postprocess: question.postprocess,
            charged,
            schemas,
            preamble,
        })
    }
}
