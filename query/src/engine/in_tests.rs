//! What tests do with an engine beside asking it: another clock, another scan for one question.

use std::collections::BTreeSet;
use std::sync::Arc;

use shoal_audit::Audit;

use super::prepared::Prepared;
use super::priced::Next;
use super::{Engine, entry};
use crate::clock::Clock;
use crate::config::QueryConfig;
use crate::error::QueryError;
use crate::failure::Failure;
use crate::grant::AnalystGrant;
use crate::release::{Ready, Released};
use crate::request::QueryRequest;
use crate::running::QueryId;
use crate::scan::Scan;
use crate::schedule::Schedule;

impl Engine {
    /// With another clock.
    pub(crate) fn with_clock(mut self, clock: Arc<dyn Clock>) -> Engine {
        let QueryConfig { concurrent_max, answer_times_ms, .. } = &self.config;
        self.schedule = Arc::new(Schedule::new(clock, *concurrent_max, answer_times_ms));
        self
    }

    /// Binds, checks and prices; what a refusal suggests has been tried.
    pub(crate) async fn prepare(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> Result<Prepared, QueryError> {
        let entry = entry(&Arc::new(Audit::none()), QueryId::random(), grant, request, now_ms);
        self.to_price(grant, request, now_ms, &entry).prepared().await
    }

    /// The threads on which the released parts of a question that is to be answered were written down.
    pub(crate) async fn written_on(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> BTreeSet<String> {
        let entry = entry(&Arc::new(Audit::none()), QueryId::random(), grant, request, now_ms);
        let to_price = self.to_price(grant, request, now_ms, &entry);
        let Ok(priced) = self.priced(to_price).await else { return BTreeSet::new() };
        match priced.next {
            Ok(Next::Answer(to_answer)) => to_answer.looked_up.written_on(),
            Ok(Next::Free(_)) | Err(_) => BTreeSet::new(),
        }
    }

    /// What the asker is told of a failure.
    pub(crate) fn told_of(&self, failure: Failure) -> QueryError {
        self.told(failure.into(), QueryId::random())
    }

    /// Whose reading of statements panics.
    pub(crate) fn panicking(mut self) -> Engine {
        Arc::make_mut(&mut self.attempts).panics = true;
        self
    }

    /// All stages, over another scan.
    pub(crate) async fn stages(
        &self,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
        scan: Arc<dyn Scan>,
    ) -> Result<Released, QueryError> {
        let (audit, id) = (Arc::new(Audit::none()), QueryId::random());
        let mut entry = entry(&audit, id, grant, request, now_ms);
        let ready = self.noted(grant, request, now_ms, &scan, &mut entry).await;
        Ready::sealed(ready).await.map_err(|no| self.told(no, id))
    }
}
