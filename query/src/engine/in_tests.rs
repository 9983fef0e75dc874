//! What tests do with an engine beside asking it: another clock, another scan for one question.

use std::sync::Arc;

use shoal_audit::Audit;

use super::{Engine, entry};
use crate::clock::Clock;
use crate::config::QueryConfig;
use crate::error::QueryError;
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
