//! What is asked on behalf of persons: whom a request names, what is to be done, and how far it is.
//!
//! ```text
//! erase      the rows go, and what was granted is withdrawn
//! exclude    the same, and nothing new is kept until it is lifted, whatever is granted: for a child, or whoever else may not take part
//! restrict   the rows stay and are in no release, and nothing new is kept, until it is lifted
//! object     what was granted is withdrawn, and the rows go, or are restricted until somebody has weighed the objection
//! lift       a restriction or an exclusion ends
//!
//! asked -> a line of the audit -> withdrawn in every region -> pseudonyms and digests -> recorded, outside of the data and in it
//!       -> in no release that begins after -> releases that had begun have ended -> answered; the rows: `erasures.rs`
//! ```
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"subject_restrict","id":"<uuid>","key":"off0123456789","role":"officer",
//!  "outcome":"begun","subjects":1,"programmes":["user-experience"],"regions":["DE"],"files":null,"rows":null,
//!  "ground":"accuracy","review_on":"2027-01-31","hash":".."}
//! ```
//! Invariants: no identifier and no pseudonym is in a line, an answer or a message; who asks over HTTP is told no count, because such keys
//! can ask questions, too. Not here: what is asked for in words (`subjects/asked.rs`), pseudonyms and digests (`shoal-ingest`,
//! `persons.rs`), the records (`shoal-storage`, `subject_acts.rs`).

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Origin, Role};
use shoal_files::{Disk, Encrypted};
use shoal_language::calendar::{day_text, time_text};
use shoal_privacy::keyring::Sealed;
use shoal_schemas::calendar::{DAY_MS, day_of};
use shoal_schemas::{Kind, Programme, Region};
use shoal_storage::{
    ActKind, ActPlaces, ActState, AskedBy, Lifted, Refused, Restriction, SubjectAct, SubjectActs, Suppressed,
};
use uuid::Uuid;

pub(crate) use self::asked::{ActWord, LiftAsked, Named, Rows, SubjectsAsked, Values, Wanted};
use crate::config::Config;
use crate::error::Error;
use crate::file_keys::FileKeys;
use crate::problem::{Problem, ProblemType};
use crate::receipts::Which;
use crate::state::State;

/// A record is kept so much longer than any row that is older than it, days: clocks may differ.
const SPARE_DAYS: i64 = 2;

/// The fields of a line of the audit.
#[derive(Default, Serialize)]
pub(crate) struct Fields {
    pub(crate) subjects: Option<usize>,
    pub(crate) programmes: Vec<Programme>,
    pub(crate) regions: Vec<Region>,
    pub(crate) files: Option<u64>,
    pub(crate) rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ground: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) review_on: Option<String>,
}

/// Opens the records of acts: below the journals of withdrawals, which lie outside of the data, and in the data directory.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn open(
    config: &Config,
    suppressed: &Suppressed,
    refused: &Refused,
) -> Result<SubjectActs, Error> {
    Ok(SubjectActs::open(places(config)?, suppressed.clone(), refused.clone())?)
}

/// Whose rows are in no release, as whoever reads tables beside a service must know.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn suppressed(config: &Config) -> Result<Suppressed, Error> {
    let suppressed = Suppressed::default();
    for places in places(config)? {
        suppressed.set(places.region, SubjectActs::look(&places)?);
    }
    Ok(suppressed)
}

fn places(config: &Config) -> Result<Vec<ActPlaces>, Error> {
    let keys = FileKeys::open(config)?;
    let places = Region::ALL.iter().map(|region| {
        let folder = region.as_str().to_ascii_lowercase();
        let sealed = |disk: Disk| {
            Arc::new(Encrypted::new(disk.private(), keys.of(Sealed::Consents(*region))).reading_plain())
        };
        ActPlaces {
            region: *region,
            outside: sealed(Disk::new(config.journal_dir().join("erasures").join(&folder))),
            inside: sealed(Disk::new(config.data_dir.join(&folder).join("erasures"))),
        }
    });
    Ok(places.collect())
}

fn failed(what: &str) -> Problem {
    Problem::new(ProblemType::Failed, what)
}

/// Records an act. When it answers, the persons are in no new release, and nothing more of them is kept: after an erasure until a new
/// grant, else until it is lifted.
///
/// # Errors
/// When it is not recorded everywhere. It may be sent again with the same idempotency key.
pub(crate) async fn begin(state: &State, wanted: Wanted, actor: Actor) -> Result<Value, Problem> {
    let Wanted { word, kind, idempotency_key, persons, programmes, regions } = wanted;
    let key = format!("{} {idempotency_key}", word.as_str());
    let request = Uuid::from_bytes(state.ingest.request_id(&persons, &programmes, &regions, &key));
    let is_recorded = |region: &Region| state.subject_acts.state(*region, request).is_some();
    if regions.iter().all(is_recorded)
        && let Some(told) = told(state, request)
    {
        return Ok(told);
    }
    let now_ms = state.now_ms();
    let by = asked_by(actor.role);
    let origin = Origin { at_ms: now_ms, act: word.audited(), id: request, actor };
    let restriction = restriction(kind);
    let fields = Fields {
        subjects: Some(persons.len()),
        programmes: programmes.clone(),
        regions: regions.clone(),
        ground: restriction.map(|restriction| restriction.ground.as_str()),
        review_on: restriction.map(|restriction| day_text(restriction.review_day)),
        ..Fields::default()
    };
    // Before anything is done: an act that nobody can see is none.
    state.audit.begin(origin, fields).end(ActOutcome::Begun).await.map_err(|error| {
        tracing::error!(%error, "a request for persons is not in the audit, and has not begun");
        failed("the audit could not be written, so nothing was done; see the log")
    })?;
    if word.withdraws() {
        state.ingest.withdraw(&persons, &programmes, &regions).await?;
    }
    let (ingest, acts) = (Arc::clone(&state.ingest), Arc::clone(&state.subject_acts));
    let recorded = tokio::task::spawn_blocking(move || {
        // A request that failed half-way is recorded in some of them.
        for region in regions.iter().filter(|region| acts.state(**region, request).is_none()) {
            let of = |person| ingest.pseudonyms(person, &programmes, *region);
            let mut subjects: Vec<u128> = persons.iter().flat_map(of).collect();
            subjects.sort_unstable();
            subjects.dedup();
            let of = |person| ingest.digests(person, &programmes, *region);
            let mut named: Vec<(Programme, u128)> = persons.iter().flat_map(of).collect();
            named.sort_unstable();
            named.dedup();
            let number = Uuid::new_v4();
            let act = SubjectAct { id: request, number, asked_ms: now_ms, by, kind, subjects, named };
            acts.record(*region, &act)?;
        }
        Ok::<(), shoal_storage::StorageError>(())
    });
    let recorded = recorded.await.map_err(|_| failed("the request could not be recorded; see the log"))?;
    recorded.map_err(|error| {
        tracing::error!(%error, "a request for persons could not be recorded");
        failed("the request could not be recorded everywhere: send it again with the same `idempotency_key`")
    })?;
    state.retention.store().suppressed().readers_have_ended().await;
    state.acts_wait.notify_one();
    told(state, request).ok_or_else(|| failed("the request is not recorded; see the log"))
}

/// Ends a restriction or an exclusion, in all regions that it was asked for. Rows that are there are in releases again.
///
/// # Errors
/// When there is none of this name that can end, or somebody else must end it, or nothing says that the person was informed.
pub(crate) async fn lift(
    state: &State,
    request: Uuid,
    asked: LiftAsked,
    (own, actor): (&[Region], Actor),
) -> Result<Value, Problem> {
    let states: Vec<(Region, ActState)> = states(state, request);
    if states.is_empty() {
        return Err(no_such_request());
    }
    if states.iter().any(|(region, _)| !own.contains(region)) {
        return Err(Problem::new(
            ProblemType::NotAllowed,
            "the key does not reach all regions of this request",
        ));
    }
    if states.iter().any(|(_, state)| !state.kind.can_be_lifted()) {
        return Err(Problem::new(ProblemType::BadRequest, "an erasure cannot be lifted"));
    }
    if !asked.informed {
        let reason =
            "the person must be informed before it is lifted: do that, and send `{\"informed\": true}`";
        return Err(Problem::new(ProblemType::BadRequest, reason));
    }
    let (now_ms, by) = (state.now_ms(), asked_by(actor.role));
    let regions: Vec<Region> = states.iter().map(|(region, _)| *region).collect();
    let origin = Origin { at_ms: now_ms, act: Act::SubjectLift, id: request, actor };
    let fields = || Fields { regions: regions.clone(), ..Fields::default() };
    state.audit.begin(origin.clone(), fields()).end(ActOutcome::Begun).await.map_err(|error| {
        tracing::error!(%error, "the end of a restriction is not in the audit, and nothing was changed");
        failed("the audit could not be written, so nothing was done; see the log")
    })?;
    let (acts, own) = (Arc::clone(&state.subject_acts), regions.clone());
    let lifted = tokio::task::spawn_blocking(move || {
        own.iter().try_for_each(|region| acts.lift(*region, request, Lifted { at_ms: now_ms, by }))
    });
    lifted.await.map_err(|_| failed("the request could not be lifted; see the log"))?.map_err(|error| {
        tracing::error!(%error, "a request for persons could not be lifted");
        failed("the request could not be lifted everywhere: send it again")
    })?;
    state.acts_wait.notify_one();
    if let Err(error) = state.audit.begin(origin, fields()).end(ActOutcome::Done).await {
        tracing::error!(%error, "the end of a restriction, which has begun in the audit, is not noted as done");
    }
    told(state, request).ok_or_else(no_such_request)
}

/// There is no request of this name.
pub(crate) fn no_such_request() -> Problem {
    Problem::new(ProblemType::NoSuchRequest, "no request is called that, or it was forgotten")
}

/// In which role somebody asks.
const fn asked_by(role: Role) -> AskedBy {
    match role {
        Role::AccountService => AskedBy::AccountService,
        Role::Operator => AskedBy::Operator,
        Role::Analyst | Role::Officer => AskedBy::Officer,
    }
}

/// The documents of a request's receipts in a region: of the act itself, and of its end. They are written soon after an act is in force, and of
/// one that erases when the rows are gone. Whoever is given full ones may name the number of a run of retention, too. Blocks.
///
/// # Errors
/// When one does not verify.
pub(crate) fn receipts(
    state: &State,
    request: Uuid,
    region: Region,
    which: Which,
) -> Result<Vec<String>, Error> {
    let number = match (state.subject_acts.state(region, request), which) {
        (Some(act), _) => act.number,
        (None, Which::Full(_)) => request,
        (None, Which::Personal) => return Ok(Vec::new()),
    };
    state.receipts.documents(region, number, which)
}

const fn restriction(kind: ActKind) -> Option<Restriction> {
    match kind {
        ActKind::Restrict(restriction) => Some(restriction),
        _ => None,
    }
}

fn states(state: &State, request: Uuid) -> Vec<(Region, ActState)> {
    let of = |region: &Region| Some((*region, state.subject_acts.state(*region, request)?));
    Region::ALL.iter().filter_map(of).collect()
}

/// What became of a request; none where there is none of this name.
pub(crate) fn told(state: &State, request: Uuid) -> Option<Value> {
    let states = states(state, request);
    let (_, first) = states.first()?;
    Some(told_of(request, first, &states))
}

/// Those that stay in force until somebody lifts them, in these regions, the oldest first.
pub(crate) fn in_force(state: &State, own: &[Region]) -> Value {
    let mut requests: BTreeMap<(i64, Uuid), Vec<(Region, ActState)>> = BTreeMap::new();
    for region in own {
        for (id, act) in state.subject_acts.to_lift(*region) {
            requests.entry((act.asked_ms, id)).or_default().push((*region, act));
        }
    }
    let told = requests.iter().filter_map(|((_, id), states)| {
        let (_, first) = states.first()?;
        Some(told_of(*id, first, states))
    });
    json!({"requests": told.collect::<Vec<_>>()})
}

/// Brings the metrics of acts on persons up to date.
pub(crate) fn count(state: &State) {
    let (now_ms, acts) = (state.now_ms(), &state.subject_acts);
    let oldest_ms = Region::ALL.iter().filter_map(|region| acts.oldest_to_erase_ms(*region)).min();
    let waits_ms = oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
    state.metrics.erasure_waits_seconds.set(waits_ms / 1000);
    let is_overdue = |(_, act): &(Uuid, ActState)| {
        restriction(act.kind).is_some_and(|restriction| restriction.review_day < day_of(now_ms))
    };
    let in_force = Region::ALL.iter().flat_map(|region| acts.to_lift(*region));
    let overdue: BTreeSet<Uuid> = in_force.filter(is_overdue).map(|(id, _)| id).collect();
    state.metrics.reviews_overdue.set(i64::try_from(overdue.len()).unwrap_or(i64::MAX));
}

fn told_of(request: Uuid, first: &ActState, states: &[(Region, ActState)]) -> Value {
    let regions: Vec<Value> = states.iter().map(|(region, act)| region_told(*region, act)).collect();
    let has = |word: &str| regions.iter().any(|region| region["state"] == word);
    let overall = ["running", "in_force", "lifted"].into_iter().find(|word| has(word)).unwrap_or("done");
    let act = match first.kind {
        ActKind::Erase => "erase",
        ActKind::Exclude => "exclude",
        ActKind::Restrict(_) => "restrict",
    };
    let mut told = json!({"request": request.to_string(), "act": act, "state": overall,
        "asked_at": time_text(first.asked_ms), "regions": regions});
    if let Some(restriction) = restriction(first.kind) {
        told["ground"] = json!(restriction.ground.as_str());
        told["review_on"] = json!(day_text(restriction.review_day));
    }
    told
}

fn region_told(region: Region, act: &ActState) -> Value {
    let word = match act {
        ActState { kind, erased: None, .. } if kind.erases() => "running",
        ActState { lifted: Some(_), .. } => "lifted",
        ActState { kind: ActKind::Erase, .. } => "done",
        _ => "in_force",
    };
    let mut told = json!({"region": region.as_str(), "state": word});
    if let Some(erased) = act.erased {
        told["done_at"] = json!(time_text(erased.done_ms));
    }
    if let Some(lifted) = act.lifted {
        told["lifted_at"] = json!(time_text(lifted.at_ms));
    }
    told
}

/// Forgets the acts that are over and from before any row that can still be there: in no backup is there one of theirs that has not
/// expired.
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
    state.receipts.forget(before_ms)?;
    Ok(state.subject_acts.prune(before_ms)?)
}
