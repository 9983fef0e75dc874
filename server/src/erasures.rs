//! The erasure of persons: from a request that names them to the last of their bytes.
//!
//! ```text
//! asked -> a line of the audit -> withdrawn in every region (nothing new is kept) -> pseudonyms -> recorded, outside of the data and in it
//!       -> in no release that begins after -> releases that had begun have ended -> answered
//! then  -> requests that had begun are in the log -> the log is flushed -> files are written anew without them -> old bytes gone -> done
//! ```
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"subject_erase","id":"<uuid>","key":"off0123456789","role":"officer",
//!  "outcome":"begun","subjects":1,"programmes":["user-experience","device-experience"],"regions":["DE"],"files":null,"rows":null,"hash":".."}
//! ```
//! What a crash interrupts goes on with the next start: until an erasure is done its subjects are in no release. Files of several
//! erasures are written once, so the line of what was done counts those of all that were done together.
//!
//! Invariants: no identifier and no pseudonym is in a line, an answer or a message; who asks over HTTP is told no count, because such keys
//! can ask questions, too. Not here: the pseudonyms (`shoal-ingest`, `persons.rs`), the records (`shoal-storage`, `erasures.rs`), how
//! rows go (`shoal-retention`, `erase.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Origin, Role};
use shoal_files::{Disk, Encrypted};
use shoal_ingest::Person;
use shoal_language::calendar::time_text;
use shoal_privacy::keyring::Sealed;
use shoal_retention::RowsErased;
use shoal_schemas::calendar::DAY_MS;
use shoal_schemas::{IdentifierKind, Kind, Programme, Region};
use shoal_storage::{Erased, Erasure, ErasurePlaces, ErasureState, Erasures, Subjects, Suppressed};
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::FileKeys;
use crate::problem::{Problem, ProblemType};
use crate::state::State;

/// Most persons of one request.
pub(crate) const PERSONS_MAX: usize = 10_000;
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// A record is kept so much longer than any row that is older than it, days: clocks may differ.
const SPARE_DAYS: i64 = 2;

/// One value of an identifier, or several.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Some(Vec<String>),
}

/// A person, by identifiers. No `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) install_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial_number: Option<Values>,
}

/// What is asked for: whose rows go, and where.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseAsked {
    /// Chosen by whoever asks: the same persons sent again with the same one are the same request.
    #[serde(default)]
    pub(crate) idempotency_key: Option<String>,
    pub(crate) subjects: Vec<Named>,
    /// All, when it is left out.
    #[serde(default)]
    pub(crate) programmes: Option<Vec<Programme>>,
    /// All that the asker may act in, when it is left out.
    #[serde(default)]
    pub(crate) regions: Option<Vec<Region>>,
}

impl std::fmt::Debug for EraseAsked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EraseAsked").finish_non_exhaustive()
    }
}

/// An erasure that can be recorded. No `Debug`.
pub(crate) struct Wanted {
    idempotency_key: String,
    persons: Vec<Person>,
    programmes: Vec<Programme>,
    regions: Vec<Region>,
}

impl EraseAsked {
    /// Checked, for whoever may act in these regions.
    ///
    /// # Errors
    /// What is wrong with it, without anything of it.
    pub(crate) fn checked(self, own: &[Region]) -> Result<Wanted, Problem> {
        let bad = |reason: &str| Problem::new(ProblemType::BadRequest, reason);
        if self.subjects.is_empty() || self.subjects.len() > PERSONS_MAX {
            return Err(bad("`subjects` must have 1 to 10000 persons"));
        }
        let regions = self.regions.unwrap_or_else(|| own.to_vec());
        let programmes = self.programmes.unwrap_or_else(|| Programme::ALL.to_vec());
        if regions.is_empty() || programmes.is_empty() {
            return Err(bad("`regions` and `programmes` must have one at least, or be left out"));
        }
        if self.idempotency_key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(bad("`idempotency_key` must have 256 bytes at the most"));
        }
        if regions.iter().any(|region| !own.contains(region)) {
            return Err(Problem::new(ProblemType::NotAllowed, "the key does not reach one of these regions"));
        }
        let person = |(at, named): (usize, Named)| {
            Person::new(named.listed()).map_err(|reason| bad(&format!("person {at} of `subjects`: {reason}")))
        };
        let persons = self.subjects.into_iter().enumerate().map(person).collect::<Result<_, _>>()?;
        let idempotency_key = self.idempotency_key.unwrap_or_else(|| Uuid::new_v4().to_string());
        Ok(Wanted { idempotency_key, persons, programmes, regions })
    }
}

impl Named {
    fn listed(self) -> Vec<(IdentifierKind, String)> {
        let of = |kind, values: Option<Values>| {
            let values = match values {
                None => Vec::new(),
                Some(Values::One(value)) => vec![value],
                Some(Values::Some(values)) => values,
            };
            values.into_iter().map(move |value| (kind, value))
        };
        of(IdentifierKind::User, self.user_id)
            .chain(of(IdentifierKind::Install, self.install_id))
            .chain(of(IdentifierKind::Device, self.device_id))
            .chain(of(IdentifierKind::Serial, self.serial_number))
            .collect()
    }
}

/// The fields of a line of the audit.
#[derive(Serialize)]
struct Fields {
    subjects: Option<usize>,
    programmes: Vec<Programme>,
    regions: Vec<Region>,
    files: Option<u64>,
    rows: Option<u64>,
}

/// Opens the records of erasures: below the journals of withdrawals, which lie outside of the data, and in the data directory.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn open(config: &Config, suppressed: &Suppressed) -> Result<Erasures, Error> {
    let keys = FileKeys::open(config)?;
    let places = Region::ALL.iter().map(|region| {
        let folder = region.as_str().to_ascii_lowercase();
        let sealed =
            |disk: Disk| Arc::new(Encrypted::new(disk, keys.of(Sealed::Consents(*region))).reading_plain());
        ErasurePlaces {
            region: *region,
            outside: sealed(Disk::new(config.journal_dir().join("erasures").join(&folder)).private()),
            inside: sealed(Disk::new(config.data_dir.join(&folder).join("erasures")).private()),
        }
    });
    Ok(Erasures::open(places.collect(), suppressed.clone())?)
}

/// Records an erasure. When it answers, the persons are in no new release, and nothing more of them is kept without a new grant.
///
/// # Errors
/// When it is not recorded everywhere. It may be sent again with the same idempotency key.
pub(crate) async fn begin(state: &State, wanted: Wanted, actor: Actor) -> Result<Value, Problem> {
    let Wanted { idempotency_key, persons, programmes, regions } = wanted;
    let failed = |what: &str| Problem::new(ProblemType::Failed, what);
    let request = state.ingest.request_id(&persons, &programmes, &regions, &idempotency_key);
    let request = Uuid::from_bytes(request);
    let is_recorded = |region: &Region| state.erasures.state(*region, request).is_some();
    if regions.iter().all(is_recorded)
        && let Some(told) = told(state, request)
    {
        return Ok(told);
    }
    let now_ms = state.now_ms();
    let origin = Origin { at_ms: now_ms, act: Act::SubjectErase, id: request, actor };
    let fields = Fields {
        subjects: Some(persons.len()),
        programmes: programmes.clone(),
        regions: regions.clone(),
        files: None,
        rows: None,
    };
    // Before anything is done: an act that nobody can see is none.
    state.audit.begin(origin, fields).end(ActOutcome::Begun).await.map_err(|error| {
        tracing::error!(%error, "an erasure is not in the audit, and has not begun");
        failed("the audit could not be written, so nothing was done; see the log")
    })?;
    state.ingest.withdraw(&persons, &programmes, &regions).await?;
    let (ingest, erasures) = (Arc::clone(&state.ingest), Arc::clone(&state.erasures));
    let recorded = tokio::task::spawn_blocking(move || {
        // A request that failed half-way is recorded in some of them.
        for region in regions.iter().filter(|region| erasures.state(**region, request).is_none()) {
            let mut subjects: Vec<u128> =
                persons.iter().flat_map(|person| ingest.pseudonyms(person, &programmes, *region)).collect();
            subjects.sort_unstable();
            subjects.dedup();
            erasures.record(*region, &Erasure { id: request, asked_ms: now_ms, subjects })?;
        }
        Ok::<(), shoal_storage::StorageError>(())
    });
    let recorded = recorded.await.map_err(|_| failed("the erasure could not be recorded; see the log"))?;
    recorded.map_err(|error| {
        tracing::error!(%error, "an erasure could not be recorded");
        failed("the erasure could not be recorded everywhere: send it again with the same `idempotency_key`")
    })?;
    state.retention.store().suppressed().readers_have_ended().await;
    state.erasing.notify_one();
    told(state, request).ok_or_else(|| failed("the erasure is not recorded; see the log"))
}

/// What an erasure would take, for whoever has the machine: in the tables, once the log is in them. Changes nothing else.
///
/// # Errors
/// When something cannot be read, or the audit cannot be written.
pub(crate) async fn plan(state: &State, wanted: Wanted, actor: Actor) -> Result<Value, Error> {
    let Wanted { persons, programmes, regions, .. } = wanted;
    let (now_ms, served_ms) = state.look();
    state.ingest.flush(served_ms, true).await?;
    let (mut told, mut all) = (Vec::new(), RowsErased::default());
    for region in &regions {
        let of = |person| state.ingest.pseudonyms(person, &programmes, *region);
        let subjects: Subjects = persons.iter().flat_map(of).collect();
        let held = state.retention.holding(*region, &Arc::new(subjects)).await;
        let held = held.map_err(|error| Error::Service(error.to_string()))?;
        told.push(json!({"region": region.as_str(), "files": held.files, "rows": held.rows}));
        all.files += held.files;
        all.rows += held.rows;
    }
    let origin = Origin { at_ms: now_ms, act: Act::SubjectErase, id: Uuid::new_v4(), actor };
    let (files, rows) = (Some(all.files), Some(all.rows));
    let fields = Fields { subjects: Some(persons.len()), programmes, regions, files, rows };
    state.audit.begin(origin, fields).end(ActOutcome::DryRun).await?;
    Ok(json!({"act": "erase", "dry_run": true, "regions": told}))
}

/// What became of an erasure; none where there is none of this name.
pub(crate) fn told(state: &State, request: Uuid) -> Option<Value> {
    let mut regions = Vec::new();
    let mut is_done = true;
    for region in Region::ALL {
        match state.erasures.state(*region, request) {
            None => {}
            Some(ErasureState::Recorded) => {
                is_done = false;
                regions.push(json!({"region": region.as_str(), "state": "running"}));
            }
            Some(ErasureState::Done(Erased { done_ms, .. })) => {
                let at = time_text(done_ms);
                regions.push(json!({"region": region.as_str(), "state": "done", "done_at": at}));
            }
        }
    }
    let state = if is_done { "done" } else { "running" };
    (!regions.is_empty())
        .then(|| json!({"request": request.to_string(), "act": "erase", "state": state, "regions": regions}))
}

/// Does what is recorded and not done. Answers whether anything is left, because something still reads it or has failed.
pub(crate) async fn run_once(state: &State) -> bool {
    let pending: Vec<(Region, Vec<Erasure>)> =
        Region::ALL.iter().map(|region| (*region, state.erasures.pending(*region))).collect();
    if pending.iter().all(|(_, erasures)| erasures.is_empty()) {
        return false;
    }
    // Rows that were on their way when the withdrawals came are in the log then, and in the tables after the flush.
    state.ingest.begun_has_ended().await;
    let (now_ms, served_ms) = state.look();
    if let Err(error) = state.ingest.flush(served_ms, true).await {
        tracing::error!(%error, "an erasure waits, because the log could not be flushed");
        return true;
    }
    let mut is_left = false;
    for (region, erasures) in pending.into_iter().filter(|(_, erasures)| !erasures.is_empty()) {
        match finish(state, region, &erasures, now_ms).await {
            Ok(is_done) => is_left |= !is_done,
            Err(error) => {
                tracing::error!(%region, %error, "an erasure did not end; it is tried again");
                is_left = true;
            }
        }
    }
    is_left
}

/// Erases the rows of one region. Answers whether all of their bytes are gone.
async fn finish(state: &State, region: Region, erasures: &[Erasure], now_ms: i64) -> Result<bool, Error> {
    let subjects: Subjects = erasures.iter().flat_map(|erasure| erasure.subjects.iter().copied()).collect();
    let erased = state.retention.erase(region, &Arc::new(subjects), now_ms).await;
    let erased = erased.map_err(|error| Error::Service(error.to_string()))?;
    if erased.pinned > 0 {
        tracing::info!(%region, pinned = erased.pinned, "an erasure waits for queries that still read files");
        return Ok(false);
    }
    for erasure in erasures {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms: state.now_ms(), act: Act::SubjectErase, id: erasure.id, actor };
        let fields = Fields {
            subjects: None,
            programmes: Vec::new(),
            regions: vec![region],
            files: Some(erased.files),
            rows: Some(erased.rows),
        };
        state.audit.begin(origin, fields).end(ActOutcome::Done).await?;
        let done = Erased { done_ms: state.now_ms(), files: erased.files, rows: erased.rows };
        let (records, id) = (Arc::clone(&state.erasures), erasure.id);
        let noted = tokio::task::spawn_blocking(move || records.done(region, id, done)).await;
        noted.map_err(|_| Error::Service("an erasure could not be noted as done".into()))??;
    }
    Ok(true)
}

/// Forgets the erasures from before any row that can still be there: in no backup is there one of theirs that has not expired.
///
/// # Errors
/// When a record cannot be removed.
pub(crate) fn prune(state: &State) -> Result<u64, Error> {
    let registry = state.definitions.current();
    let of =
        |programme: &Programme| Kind::ALL.iter().map(|kind| registry.retention_days(*programme, *kind)).max();
    let kept_days = i64::from(Programme::ALL.iter().filter_map(of).max().unwrap_or_default());
    let before_ms =
        state.now_ms().saturating_sub(kept_days.saturating_add(SPARE_DAYS).saturating_mul(DAY_MS));
    Ok(state.erasures.prune(before_ms)?)
}
