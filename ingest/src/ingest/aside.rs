//! What is asked of ingestion beside taking events: what was counted of a key and, by the benches, how long each stage takes.
//!
//! Not here: the counts (`senders.rs`), the stages (`stages`).

use std::net::IpAddr;

use super::Ingest;
use crate::{
    answer::BatchAnswer,
    grant::IngestGrant,
    refusal::Refusal,
    senders::{Counters, Now},
    stages::pipeline,
    wire::protocol::Request,
};

impl Ingest {
    /// What became of all that has come with a key since the start: for its owner, and for whoever may know what is recorded.
    pub fn counters_of_key(&self, key_id: &str) -> Counters {
        self.senders.of_key(key_id, (self.clock)())
    }

    /// What became of what came with a shipped key from the network of this address, as its answers have told it there.
    pub fn counters_of_sender(&self, key_id: &str, peer: IpAddr) -> Counters {
        self.senders.of_sender(key_id, peer, self.now())
    }

    pub(super) fn now(&self) -> Now {
        Now { clock_ms: (self.clock)(), served_ms: (self.served)() }
    }

    /// The stages of [`Ingest::accept`] for the benches, on the caller's thread: tells `mark` when each has ended, and keeps
    /// nothing.
    ///
    /// # Errors
    /// As [`Ingest::accept`].
    #[doc(hidden)]
    pub fn check_marked(
        &self,
        request: &Request<'_>,
        grant: &IngestGrant,
        mark: impl FnMut(pipeline::Stage),
    ) -> Result<BatchAnswer, Refusal> {
        let unit_keys = self.unit_keys.open();
        let definitions = self.judge.definitions();
        let gate = self.judge.gate(&definitions, &self.consents, &unit_keys);
        let piped = pipeline::run_marked(request, grant, &gate, (self.clock)(), mark)?;
        Ok(piped.into_answer(grant.kind))
    }
}
