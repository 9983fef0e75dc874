//! The threads that take requests from their bytes to clean batches, and what they judge by.
//!
//! ```text
//! caller -> a turn (`admission`) -> a thread: inflate .. scrub (pure) -> caller
//! ```
//! Invariants: the caller's thread, which has others to serve, never waits for a stage; there are no more stages at one time
//! than threads, so that the memory of bodies that are decompressed is bounded; a turn ends with its work, whatever becomes of
//! the caller; a request whose caller has gone is not looked at.
//! Not here: the stages (`stages`), who has a turn and who waits (`admission`), what is read of a body that is refused
//! (`refused_batches.rs`), how much a request may take (`config.rs`).

use std::{
    cell::OnceCell,
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use shoal_files::host;
use shoal_privacy::{consent::ConsentIndex, keyring::Keyring, scrub::Scrubber};
use shoal_schemas::Protocol;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    definitions::{Definitions, Version},
    parts::IngestParts,
};
use crate::{
    admission::{Admission, Turn},
    config::{AdmissionConfig, Limits, PipelineConfig},
    consents::{self, Change, Hearing, Nothing, Recorded, SMALL_BYTES_MAX},
    error::IngestError,
    grant::IngestGrant,
    log::Clock,
    refusal::{Refusal, RefusalCode},
    stages::{
        country::GeoDb,
        inflate::beginning,
        pipeline::{self, Gate, Piped, Sent},
    },
    unit_keys::open::OpenKeys,
    wire::protocol::Request,
};

type Job = Box<dyn FnOnce() + Send>;

/// The threads, one for each turn. They end when this is dropped.
pub(super) struct Judges {
    admission: Arc<Admission>,
    queue: mpsc::Sender<Job>,
}

impl Judges {
    /// Starts them.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(config: AdmissionConfig) -> io::Result<Judges> {
        let (queue, jobs) = mpsc::channel(config.turns);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..config.turns {
            host::start("shoal-judge", serve(Arc::clone(&jobs)))?;
        }
        Ok(Judges { admission: Admission::new(config), queue })
    }

    /// Waits for a turn, not for longer than patience.
    ///
    /// # Errors
    /// When too much waits, or has waited for too long: it may be sent again.
    pub(super) async fn turn(&self) -> Result<Turn, Refusal> {
        self.admission.enter().await.map_err(|overloaded| {
            let refusal = Refusal::new(RefusalCode::Overloaded, "too much is under way; send it again");
            Refusal { retry_after_s: Some(overloaded.retry_after_s), ..refusal }
        })
    }

    /// Runs something on one of the threads. Whoever has a turn finds one.
    ///
    /// # Errors
    /// When it panics: it may be sent again.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, done) = oneshot::channel();
        let job = move || {
            let result = match reply.is_closed() {
                true => None,
                false => catch_unwind(AssertUnwindSafe(work)).ok(),
            };
            drop(turn);
            if let Some(result) = result {
                // The caller may have gone meanwhile.
                let _ = reply.send(result);
            }
        };
        let unread = || {
            let reason = "the request could not be read; send it again";
            Refusal { retry_after_s: Some(5), ..Refusal::new(RefusalCode::Unavailable, reason) }
        };
        self.queue.try_send(Box::new(job)).map_err(|_| unread())?;
        done.await.map_err(|_| unread())
    }
}

/// The embedded patterns, which are the same whoever asks: they are compiled once.
fn scrubber() -> Result<&'static Scrubber, String> {
    static SCRUBBER: OnceLock<Result<Scrubber, String>> = OnceLock::new();
    SCRUBBER.get_or_init(Scrubber::embedded).as_ref().map_err(Clone::clone)
}

/// What each of the threads does: it takes the next job, alone, and does it beside the others.
async fn serve(jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let next = jobs.lock().await.recv().await;
        match next {
            Some(job) => job(),
            None => return,
        }
    }
}

/// A request, its grant and the definitions by which it is judged, which outlive the call that brought them. No `Debug`: it holds
/// the body.
pub(super) struct OwnRequest {
    protocol: Protocol,
    content_type: Option<String>,
    content_encoding: Option<String>,
    message_type: Option<&'static str>,
    body: Vec<u8>,
    peer: Option<IpAddr>,
    received_ms: i64,
    pub(super) grant: IngestGrant,
    definitions: Arc<Version>,
    /// Whether nothing is wanted of it but what people decided.
    is_for_decisions: bool,
}

impl OwnRequest {
    pub(super) fn of(request: &Request<'_>, grant: &IngestGrant, definitions: Arc<Version>) -> OwnRequest {
        OwnRequest {
            protocol: request.protocol,
            content_type: request.content_type.map(str::to_owned),
            content_encoding: request.content_encoding.map(str::to_owned),
            message_type: request.message_type,
            body: request.body.to_vec(),
            peer: request.peer,
            received_ms: request.received_ms,
            grant: grant.clone(),
            definitions,
            is_for_decisions: false,
        }
    }

    /// The same, of which nothing is wanted but what people decided.
    pub(super) fn for_decisions(self) -> OwnRequest {
        OwnRequest { is_for_decisions: true, ..self }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            protocol: self.protocol,
            content_type: self.content_type.as_deref(),
            content_encoding: self.content_encoding.as_deref(),
            message_type: self.message_type,
            body: &self.body,
            peer: self.peer,
            received_ms: self.received_ms,
        }
    }
}

/// What judging a request comes to.
pub(super) enum Judged {
    /// Rows and outcomes.
    Piped(Piped),
    /// What people decided, as the request tells it. It is to be recorded before the request's events are judged by what is recorded.
    Decided(Vec<Change>),
    /// The request is refused as a whole, and who withdraws in what is whole of it is recorded before it is.
    Refused(Vec<Change>, Refusal),
}

/// Everything that the stages judge by.
pub(super) struct Judge {
    definitions: Definitions,
    keyring: Arc<Keyring>,
    scrubber: &'static Scrubber,
    consents: Recorded,
    config: PipelineConfig,
    geo: Option<GeoDb>,
    clock: Clock,
}

impl Judge {
    /// What there is to judge by.
    ///
    /// # Errors
    /// When a pattern of the scrubber is broken.
    pub(super) fn new(
        config: PipelineConfig,
        consents: Recorded,
        parts: IngestParts,
    ) -> Result<Judge, IngestError> {
        Ok(Judge {
            definitions: Definitions::new(parts.definitions),
            keyring: parts.keyring,
            scrubber: scrubber().map_err(IngestError::Config)?,
            consents,
            config,
            geo: parts.geo,
            clock: parts.clock,
        })
    }

    /// Judges a request by what is recorded, if it tells no decision that is to be recorded first.
    pub(super) fn run(&self, own: &OwnRequest, unit_keys: &OpenKeys) -> Result<Judged, Refusal> {
        let (request, grant) = (own.request(), &own.grant);
        let gate = self.gate(&own.definitions, &self.consents, unit_keys);
        let body = match pipeline::open(&request, &self.config) {
            Ok(body) => body,
            Err(refusal) => return self.withdrawals(own, &gate, None, refusal),
        };
        let (limits, repaired) = (&self.config.limits, OnceCell::new());
        let decoded = match pipeline::decode(&request, &body, &repaired, gate.registry, limits) {
            Ok(decoded) => decoded,
            Err(refusal) => return self.withdrawals(own, &gate, Some(&body), refusal),
        };
        let changes = consents::changes(&decoded, &self.hearing(&request, grant, &gate));
        if !changes.is_empty() || own.is_for_decisions {
            return Ok(Judged::Decided(changes));
        }
        let sent = Sent { request: &request, grant, now_ms: (self.clock)() };
        pipeline::judge(decoded, &sent, &gate, |_| ()).map(Judged::Piped)
    }

    pub(super) fn hearing<'h>(
        &'h self,
        request: &Request<'_>,
        grant: &'h IngestGrant,
        gate: &Gate<'h>,
    ) -> Hearing<'h> {
        Hearing {
            registry: gate.registry,
            keyring: &self.keyring,
            locator: gate.locator(request, grant),
            received_ms: request.received_ms,
        }
    }

    /// Judges a request whose decisions are recorded, by what is recorded.
    pub(super) fn run_after_decisions(
        &self,
        own: &OwnRequest,
        unit_keys: &OpenKeys,
    ) -> Result<Piped, Refusal> {
        self.judge(own, &self.gate(&own.definitions, &self.consents, unit_keys))
    }

    /// Judges a request as if nothing were recorded about anybody.
    pub(super) fn check(&self, own: &OwnRequest, unit_keys: &OpenKeys) -> Result<Piped, Refusal> {
        self.judge(own, &self.gate(&own.definitions, &Nothing, unit_keys))
    }

    /// What a request to record consents asks.
    pub(super) fn changes(&self, own: &OwnRequest) -> Result<consents::Body, Refusal> {
        let (registry, keyring, limits) = (&*own.definitions.registry, &*self.keyring, &self.config.limits);
        let reader = consents::Reader { grant: &own.grant, registry, keyring, limits };
        consents::read(&own.request(), &reader)
    }

    /// The same, if its body is small as it was before compression, too.
    pub(super) fn changes_if_small(&self, own: &OwnRequest) -> Option<Result<consents::Body, Refusal>> {
        let begun = beginning(&own.body, own.content_encoding.as_deref(), SMALL_BYTES_MAX);
        // What breaks off earlier is small, and so is what cannot be decompressed at all.
        let is_small = begun.is_none_or(|(bytes, is_whole)| is_whole || bytes.len() < SMALL_BYTES_MAX);
        is_small.then(|| self.changes(own))
    }

    fn judge(&self, own: &OwnRequest, gate: &Gate<'_>) -> Result<Piped, Refusal> {
        pipeline::run(&own.request(), &own.grant, gate, (self.clock)())
    }

    /// The definitions of now, by which a request that comes now is judged to its end.
    pub(super) fn definitions(&self) -> Arc<Version> {
        self.definitions.current()
    }

    pub(super) fn gate<'g>(
        &'g self,
        definitions: &'g Version,
        consents: &'g dyn ConsentIndex,
        unit_keys: &'g OpenKeys,
    ) -> Gate<'g> {
        Gate {
            registry: &definitions.registry,
            layout: &definitions.layout,
            keyring: &self.keyring,
            scrubber: self.scrubber,
            consents,
            config: &self.config,
            geo: self.geo.as_ref(),
            unit_keys,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    pub(super) fn geo(&self) -> Option<&GeoDb> {
        self.geo.as_ref()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{pin::pin, sync::mpsc, time::Duration};

    use futures::poll;

    use super::*;

    async fn run<T: Send + 'static>(
        judges: &Judges,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = judges.turn().await?;
        judges.run(turn, work).await
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_at_once_and_a_panic_ends_no_thread() {
        let wait = Duration::from_secs(3600);
        let config = AdmissionConfig { turns: 1, waiting_max: 1, wait, standing_wait: wait };
        let judges = Judges::start(config).unwrap();
        let panicked = run(&judges, || panic!("as a stage might")).await;
        assert_eq!(panicked.map(|(): ()| ()).unwrap_err().code, RefusalCode::Unavailable);
        let (started, has_started) = mpsc::channel::<()>();
        let (finish, may_finish) = mpsc::channel::<()>();
        let mut busy = pin!(run(&judges, move || {
            started.send(()).unwrap();
            may_finish.recv().unwrap();
            1
        }));
        assert!(poll!(busy.as_mut()).is_pending());
        has_started.recv().unwrap();
        let mut waiting = pin!(run(&judges, || 2));
        assert!(poll!(waiting.as_mut()).is_pending());
        let refused = run(&judges, || 3).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Overloaded);
        assert!(refused.retry_after_s.is_some());
        finish.send(()).unwrap();
        assert_eq!((busy.await.unwrap(), waiting.await.unwrap()), (1, 2));
    }

    #[tokio::test]
    async fn who_goes_away_keeps_the_turn_until_the_work_has_ended() {
        let wait = Duration::from_secs(3600);
        let config = AdmissionConfig { turns: 1, waiting_max: 1, wait, standing_wait: wait };
        let judges = Judges::start(config).unwrap();
        let (started, has_started) = mpsc::channel::<()>();
        let (finish, may_finish) = mpsc::channel::<()>();
        {
            let mut gone = pin!(run(&judges, move || {
                started.send(()).unwrap();
                may_finish.recv().unwrap();
            }));
            assert!(poll!(gone.as_mut()).is_pending());
            has_started.recv().unwrap();
        }
        let mut next = pin!(run(&judges, || 2));
        assert!(poll!(next.as_mut()).is_pending());
        finish.send(()).unwrap();
        assert_eq!(next.await.unwrap(), 2);
    }
}
