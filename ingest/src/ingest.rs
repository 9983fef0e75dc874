//! The interface of this crate: everything that the server calls.
//!
//! ```text
//! accept: bytes in flight? -> a turn, soon or not at all -> decoded -> what people decided is recorded, and it is judged again
//!         -> pipeline (pure) -> each region's log, all at once -> outcomes
//! ```
//! Invariants: what is answered as accepted or duplicate is durable; when any region's log refuses, the whole request is
//! refused and may be sent again (what was kept is a duplicate then); a request is counted once. With a shipped key the
//! logs are waited for whether anything is kept or not. A request sees one version of the definitions in all of it. Nothing of a
//! body is read on the thread of the caller, who may have others to serve.
//! Not here: the stages (`stages`), the log (`log`), the tables (`flush`), routes and keys (`shoal-server`).

mod aside;
mod consent_bodies;
mod definitions;
mod judges;
mod parts;
mod persons;
mod places;
mod refused_batches;
mod waiting;
mod withdrawals;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use shoal_files::host;
use shoal_schemas::Region;
use shoal_storage::Underway;

pub use self::{
    parts::IngestParts,
    persons::{ConsentTold, Person},
    places::{Disks, Places},
    waiting::{Kept, Paused, Waiting},
    withdrawals::Withdrawn,
};

use self::judges::{Judge, Judged, Judges, OwnRequest};
use self::parts::{Common, epochs, open_branches, open_tables, open_unit_keys};
use crate::{
    admission::Turn,
    answer::{BatchAnswer, Outcome, SUBJECT_DAY_LIMIT},
    config::IngestConfig,
    consents::{self, Caller, Change, ConsentAnswer, Readers, Recorded, Room},
    day_limit::DayLimit,
    error::{IngestError, LogError},
    flush::{Branch, FlushReport, Flusher, Tables},
    grant::IngestGrant,
    key_times::Times,
    log::{Clock, Failed, InFlight, Receipt},
    metrics::Metrics,
    refusal::{Refusal, RefusalCode},
    senders::{Came, Senders},
    stages::{clean::CleanBatch, country::GeoDb},
    unit_keys::{UnitKeys, UnitKeysReport},
    wire::protocol::Request,
};

/// Ingestion of all regions.
pub struct Ingest {
    config: IngestConfig,
    judge: Arc<Judge>,
    judges: Judges,
    unit_keys: Arc<UnitKeys>,
    consents: Recorded,
    room: Room,
    readers: Readers,
    clock: Clock,
    served: Clock,
    settled: Clock,
    metrics: Metrics,
    senders: Senders,
    in_flight: Arc<InFlight>,
    branches: Vec<Arc<Branch>>,
    flusher: Flusher<Tables>,
    day_limit: DayLimit<Tables>,
    failed: Failed,
    underway: Underway,
    stopping: AtomicBool,
}

impl Ingest {
    /// Opens event-id runs, logs, tables and unit keys of all regions and recovers what a crash left. Nothing is written
    /// to a table yet.
    ///
    /// # Errors
    /// When a setting makes no sense, a file cannot be read, or is damaged where it was durable.
    pub async fn open(config: IngestConfig, parts: IngestParts) -> Result<Ingest, IngestError> {
        Ingest::open_in(config, parts, Arc::new(Disks)).await
    }

    /// The same with files in other places than the disk.
    ///
    /// # Errors
    /// As [`Ingest::open`].
    pub async fn open_in(
        config: IngestConfig,
        parts: IngestParts,
        places: Arc<dyn Places>,
    ) -> Result<Ingest, IngestError> {
        config.check()?;
        let times = Times { now_ms: (parts.clock)(), settled_ms: (parts.settled)() };
        let epochs = epochs(&config, &parts, &places);
        let unit_keys = open_unit_keys(&config, &places, epochs, times).await?;
        let tables = open_tables(&parts, &*places).await?;
        let failed = Failed::new(None);
        let in_flight = InFlight::new(config.log.in_flight_bytes_max);
        let shared = Common {
            config: &config,
            parts: &parts,
            places: &places,
            failed: &failed,
            in_flight: &in_flight,
        };
        let branches = open_branches(shared, &tables).await?;
        let day_limit = DayLimit::new(tables.clone(), config.day_limit, parts.metrics.clone());
        let flusher =
            Flusher::new(parts.definitions.clone(), tables, branches.clone(), &config, parts.metrics.clone());
        let judges = Judges::start(config.admission).map_err(IngestError::io(&config.data_dir))?;
        let (clock, served) = (Arc::clone(&parts.clock), Arc::clone(&parts.served));
        let settled = Arc::clone(&parts.settled);
        let metrics = parts.metrics.clone();
        let consents = Recorded::new(Arc::clone(&parts.consents), parts.refused.clone());
        Ok(Ingest {
            judge: Arc::new(Judge::new(config.pipeline.clone(), consents.clone(), parts)?),
            judges,
            room: Room::new(config.grants_per_min),
            readers: Readers::new(),
            config,
            unit_keys,
            consents,
            senders: Senders::new((clock)()),
            clock,
            served,
            settled,
            metrics,
            in_flight,
            branches,
            flusher,
            day_limit,
            failed,
            underway: Underway::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Takes a request. When it answers, every accepted event and every duplicate is durable.
    ///
    /// # Errors
    /// The whole request is refused; it may be sent again when it says when.
    pub async fn accept(&self, request: Request<'_>, grant: &IngestGrant) -> Result<BatchAnswer, Refusal> {
        let _begun = self.underway.begin();
        let answer = self.accept_uncounted(&request, grant).await;
        let came = Came { protocol: request.protocol, grant, peer: request.peer, now: self.now() };
        match &answer {
            Ok(answer) => self.metrics.count_answer(request.protocol, answer),
            Err(refusal) => self.metrics.count_refusal(request.protocol, refusal.code.as_str()),
        }
        self.senders.count_request(&came, &answer);
        self.metrics.in_flight_bytes.set(i64::try_from(self.in_flight.held()).unwrap_or(i64::MAX));
        answer
    }

    async fn accept_uncounted(
        &self,
        request: &Request<'_>,
        grant: &IngestGrant,
    ) -> Result<BatchAnswer, Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(refusal(LogError::Stopped));
        }
        let hold = self.in_flight.reserve(request.body.len() as u64);
        let hold = hold.map_err(|held| self.refuse(LogError::Full(held)))?;
        let unit_keys = self.unit_keys.current(self.times()).await;
        let (judge, turn) = (Arc::clone(&self.judge), self.turn().await?);
        let own = Arc::new(OwnRequest::of(request, grant, judge.definitions()));
        let (first, keys) = (Arc::clone(&own), Arc::clone(&unit_keys));
        let mut piped = match self.judges.run(turn, move || judge.run(&first, &keys)).await?? {
            Judged::Piped(piped) => piped,
            Judged::Decided(changes) => {
                self.record_decisions(changes, &self.caller(request, grant)).await?;
                let (judge, turn) = (Arc::clone(&self.judge), self.turn().await?);
                self.judges.run(turn, move || judge.run_after_decisions(&own, &unit_keys)).await??
            }
            Judged::Refused(withdrawals, refusal) => {
                self.record_decisions(withdrawals, &self.caller(request, grant)).await?;
                return Err(refusal);
            }
        };
        self.metrics.count_withheld_texts(&piped.work);
        // From here on the batches count. Were both to count, one large request could wait for itself.
        drop(hold);
        let began = host::instant();
        let batches = std::mem::take(&mut piped.batches);
        let sent: Vec<(Region, usize)> = batches.iter().map(|b| (b.region(), b.rows().len())).collect();
        let appends = batches.into_iter().map(|batch| self.append(batch));
        for (receipt, (region, rows)) in futures::future::join_all(appends).await.into_iter().zip(sent) {
            let receipt = receipt.map_err(|error| self.refuse(error))?;
            let left_out = receipt.duplicates.len() + receipt.over_limit.len();
            self.metrics.count_kept(region, request.protocol, rows.saturating_sub(left_out) as u64);
            receipt.duplicates.into_iter().for_each(|slot| piped.decide(slot, Outcome::Duplicate));
            let withheld = Outcome::Withheld(SUBJECT_DAY_LIMIT);
            receipt.over_limit.into_iter().for_each(|slot| piped.decide(slot, withheld.clone()));
        }
        self.metrics.ack_seconds.observe(host::seconds_since(began));
        Ok(piped.into_answer(grant.kind))
    }

    /// What [`Ingest::accept`] would answer if nothing were recorded about anybody: no consent, no withdrawal, no event.
    /// Keeps nothing.
    ///
    /// # Errors
    /// As [`Ingest::accept`].
    pub async fn check(&self, request: Request<'_>, grant: &IngestGrant) -> Result<BatchAnswer, Refusal> {
        let (unit_keys, judge) = (self.unit_keys.open(), Arc::clone(&self.judge));
        let own = OwnRequest::of(&request, grant, self.judge.definitions());
        let turn = self.turn().await?;
        let piped = self.judges.run(turn, move || judge.check(&own, &unit_keys)).await??;
        Ok(piped.into_answer(grant.kind))
    }

    async fn turn(&self) -> Result<Turn, Refusal> {
        let waits = host::instant();
        let turn = self.judges.turn().await?;
        self.metrics.turn_seconds.observe(host::seconds_since(waits));
        Ok(turn)
    }

    /// `POST /v1/consents`: grants and withdrawals, durable when it answers.
    ///
    /// # Errors
    /// The whole request is refused. When a change in it is wrong or cut, or there is no room for its grants, its withdrawals are
    /// recorded, which the refusal says; when a file of consents fails part of it may be. Sending all again is safe.
    pub async fn record_consent(
        &self,
        request: Request<'_>,
        grant: &IngestGrant,
    ) -> Result<ConsentAnswer, Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(refusal(LogError::Stopped));
        }
        let consents::Body { mut changes, refused, .. } = self.read_changes(&request, grant).await?;
        if let Some(refused) = &refused {
            changes.retain(|change| !change.is_grant());
            if changes.is_empty() {
                return Err(refused.clone());
            }
        }
        let (recorded, no_room) = self.record(changes, &self.caller(&request, grant)).await?;
        match refused.or(no_room) {
            None => Ok(recorded),
            Some(refusal) => Err(refusal.beside(recorded.recorded)),
        }
    }

    fn caller<'c>(&self, request: &Request<'_>, grant: &'c IngestGrant) -> Caller<'c> {
        Caller { grant, peer: request.peer, now_ms: (self.clock)(), is_disk_full: self.is_disk_full() }
    }

    /// Records what consent managers say beside events. Where there is no room for grants the events are decided about without
    /// them.
    async fn record_decisions(&self, changes: Vec<Change>, caller: &Caller<'_>) -> Result<(), Refusal> {
        let are_grants = changes.iter().all(Change::is_grant);
        match self.record(changes, caller).await {
            Err(refusal) if !are_grants || refusal.code == RefusalCode::Unavailable => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Records changes, or the withdrawals alone and why the grants are refused.
    async fn record(
        &self,
        changes: Vec<Change>,
        caller: &Caller<'_>,
    ) -> Result<(ConsentAnswer, Option<Refusal>), Refusal> {
        let (seat, changes, refused) = match self.room.enter(&changes, caller) {
            Ok(seat) => (seat, changes, None),
            Err(refusal) => {
                let withdrawals: Vec<Change> = changes.into_iter().filter(|c| !c.is_grant()).collect();
                if withdrawals.is_empty() {
                    return Err(refusal);
                }
                (self.room.enter(&withdrawals, caller)?, withdrawals, Some(refusal))
            }
        };
        let place = self.readers.recording(&changes).await?;
        let consents = self.consents.clone();
        let recorded = host::blocking(move || {
            let _until_the_end = (seat, place);
            consents.record(&changes)
        });
        let recorded = recorded.await.unwrap_or_else(|_| Err(refusal(LogError::Stopped)))?;
        Ok((recorded, refused))
    }

    /// Whether the disk of any region's log has less room than it needs for what must be written.
    pub fn is_disk_full(&self) -> bool {
        self.branches.iter().any(|branch| branch.log.shared().is_full())
    }

    /// Returns when every request that had been begun has its rows in the log, or has none: what was recorded about a person before counts
    /// for all others.
    pub async fn begun_has_ended(&self) {
        self.underway.ended().await;
    }

    /// Moves what is due, when so much was served, from the logs to the tables; everything, when forced. To be called every
    /// second or so: it costs nothing when nothing is due.
    ///
    /// # Errors
    /// The first region's failure; nothing is lost, the next call goes on.
    pub async fn flush(&self, served_ms: i64, force: bool) -> Result<FlushReport, IngestError> {
        self.flusher.run_once(served_ms, force).await
    }

    fn times(&self) -> Times {
        Times { now_ms: (self.clock)(), settled_ms: (self.settled)() }
    }

    /// Makes the keys of the units of events that name nobody for the days that are open, and destroys those of days whose
    /// late window is over. To be called every few minutes.
    ///
    /// # Errors
    /// When a file cannot be read, made or destroyed. What is not done is tried again by the next call.
    pub async fn renew_unit_keys(&self) -> Result<UnitKeysReport, IngestError> {
        let (keys, times) = (Arc::clone(&self.unit_keys), self.times());
        let done = host::blocking(move || keys.run_once(times)).await.and_then(|done| done);
        done.map_err(IngestError::io(&self.config.unit_keys.dir))
    }

    /// From now on this file says which country an address is of. False when there was none at the start: then nothing is
    /// changed.
    pub fn replace_geo(&self, geo: &GeoDb) -> bool {
        self.judge.geo().is_some_and(|known| {
            known.replace_with(geo);
            true
        })
    }

    /// Takes nothing more, makes what is queued durable and moves all of it to the tables.
    ///
    /// # Errors
    /// When a table cannot be written: the events are still in the log, for the next start.
    pub async fn stop(&self) -> Result<(), IngestError> {
        self.stopping.store(true, Ordering::Release);
        for branch in &self.branches {
            branch.log.stop().await;
        }
        self.flusher.run_once((self.served)(), true).await?;
        match *self.failed.borrow() {
            Some(region) => Err(IngestError::Failed(region)),
            None => Ok(()),
        }
    }

    /// Returns when the log of a region has failed, and which. The service must exit then: a log that could not be
    /// written is never written again by the same process.
    pub async fn failed(&self) -> Region {
        let mut failed = self.failed.subscribe();
        let found = failed.wait_for(Option::is_some).await.ok().and_then(|region| *region);
        match found {
            Some(region) => region,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }

    async fn append(&self, batch: CleanBatch) -> Result<Receipt, LogError> {
        let branch = self.branches.get(batch.region().index()).ok_or(LogError::Stopped)?;
        // What waits for a day to be counted counts as well; the log holds its own share.
        let hold = self.in_flight.reserve(batch.weight()).map_err(LogError::Full)?;
        let opened = self.day_limit.open(branch, batch).await;
        drop(hold);
        branch.log.append(opened?).await
    }

    fn refuse(&self, error: LogError) -> Refusal {
        if matches!(error, LogError::Full(_)) {
            self.metrics.refused_full.inc();
        }
        refusal(error)
    }
}

fn refusal(error: LogError) -> Refusal {
    let (code, reason, retry_after_s) = match error {
        LogError::Full(_) => (RefusalCode::Overloaded, "too much is waiting for the disk; send it again", 1),
        LogError::DiskFull => (RefusalCode::DiskFull, "there is no room; send it again later", 60),
        LogError::UnreadDay => (RefusalCode::Unavailable, "what is kept cannot be read; send it again", 5),
        LogError::Stopped => (RefusalCode::Stopping, "the service is stopping; send it again", 5),
    };
    Refusal { retry_after_s: Some(retry_after_s), ..Refusal::new(code, reason) }
}

#[cfg(test)]
mod tests;
