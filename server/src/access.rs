//! What is kept of a person in a region, as one document for that person: rows, consents, and what the fields mean.
//!
//! ```json
//! {"format": 1, "region": "DE", "made_at": "..", "is_complete": true, "controller": "..", "programmes": [..], "periods": [..],
//!  "consents": [..], "tables": [{"table": "usage", "is_complete": true, "columns": [{"name": "..", "meaning": ".."}], "rows": [{..}]}], "notes": [".."]}
//! ```
//! It is made while it is asked for, is handed over, and is kept nowhere. Invariants: a row is in it that is under a pseudonym of an
//! identifier that was named, and no other; a restriction takes nothing away; the audit has a line before anything is handed over; the
//! form is the same whether there is a row or not. Not here: who may ask (the routes, the socket), how rows are found (`shoal-storage`).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shoal_audit::{Act, ActOutcome, Actor, Origin};
use shoal_ingest::{ConsentTold, Person};
use shoal_language::calendar::time_text;
use shoal_schemas::{ColumnRole, Kind, Programme, Region, Registry};
use shoal_storage::{HeldRows, Subjects};
use tokio::time::timeout;
use uuid::Uuid;

use crate::problem::{Problem, ProblemType};
use crate::state::State;
use crate::subjects::{Fields, Named};

/// Most bytes of rows in a document.
const ROWS_BYTES_MAX: usize = 32 << 20;
/// A document is in memory as a whole, so they are made one after the other: whoever has waited so long is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Who is told, and where.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessAsked {
    pub(crate) subject: Named,
    pub(crate) region: Region,
    /// All, when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) programmes: Option<Vec<Programme>>,
}

impl std::fmt::Debug for AccessAsked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessAsked").field("region", &self.region).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Document {
    format: u32,
    region: Region,
    made_at: String,
    is_complete: bool,
    controller: String,
    programmes: Vec<ProgrammeTold>,
    periods: Vec<Period>,
    consents: Vec<ConsentTold>,
    tables: Vec<TableTold>,
    notes: [&'static str; 3],
}

#[derive(Serialize)]
struct ProgrammeTold {
    programme: Programme,
    purpose: String,
}

/// How long rows are kept after their own day.
#[derive(Serialize)]
struct Period {
    programme: Programme,
    table: Kind,
    days: u32,
}

#[derive(Serialize)]
struct TableTold {
    table: Kind,
    is_complete: bool,
    columns: Vec<ColumnTold>,
    rows: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct ColumnTold {
    name: String,
    meaning: String,
    /// Of a number: its unit, and how many of its last digits are decimal places.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decimals: Option<u8>,
}

const NOTES: [&str; 3] = [
    "subject, session and event_id are keyed digests in hexadecimal digits: the identifiers themselves are not kept",
    "times are in UTC; a column that a row lacks is left out",
    "rows are told that are under an identifier that was named, and are not past their period",
];

/// The document of a person.
///
/// # Errors
/// When the person or the programmes cannot be meant, when another document is being made, when the audit cannot be written, or a table
/// cannot be read: nothing is handed over then.
pub(crate) async fn document(state: &State, asked: AccessAsked, actor: Actor) -> Result<String, Problem> {
    let bad = |reason: &str| Problem::new(ProblemType::BadRequest, reason);
    let AccessAsked { subject, region, programmes } = asked;
    let person = Person::new(subject.listed()).map_err(|reason| bad(&format!("`subject`: {reason}")))?;
    let programmes = programmes.unwrap_or_else(|| Programme::ALL.to_vec());
    if programmes.is_empty() {
        return Err(bad("`programmes` must have one at least, or be left out"));
    }
    // What is refused takes no room.
    state.account_room.enter(&actor, 1, state.ticks_ms())?;
    let Ok(_turn) = timeout(WAIT_MAX, state.access_turn.lock()).await else {
        let reason = "what is kept of others is being read: send it again in a moment";
        return Err(Problem::new(ProblemType::Busy, reason).retry_after(1));
    };
    let now_ms = state.now_ms();
    let origin = Origin { at_ms: now_ms, act: Act::SubjectAccess, id: Uuid::new_v4(), actor };
    let fields = || Fields {
        subjects: Some(1),
        programmes: programmes.clone(),
        regions: vec![region],
        ..Fields::default()
    };
    let audited = state.audit.begin(origin.clone(), fields()).end(ActOutcome::Begun).await;
    audited.map_err(|error| {
        tracing::error!(%error, "access is not in the audit, and was not given");
        failed("the audit could not be written, so nothing is handed over; see the log")
    })?;
    let made = make(state, &person, &programmes, region, now_ms).await;
    let outcome = if made.is_ok() { ActOutcome::Done } else { ActOutcome::Failed };
    if let Err(error) = state.audit.begin(origin, fields()).end(outcome).await {
        tracing::error!(%error, "the end of access, which has begun in the audit, is not noted");
        return Err(failed("the audit could not be written, so nothing is handed over; see the log"));
    }
    made
}

fn failed(what: &str) -> Problem {
    Problem::new(ProblemType::Failed, what)
}

async fn make(
    state: &State,
    person: &Person,
    programmes: &[Programme],
    region: Region,
    now_ms: i64,
) -> Result<String, Problem> {
    let unread = |error: &dyn std::fmt::Display| {
        tracing::error!(%region, %error, "what is kept of a person could not be read");
        failed("what is kept could not be read, so nothing is handed over; see the log")
    };
    // What is in the log only is in the tables then.
    state.ingest.begun_has_ended().await;
    let (_, served_ms) = state.look();
    state.ingest.flush(served_ms, true).await.map_err(|error| unread(&error))?;
    let subjects: Subjects = state.ingest.pseudonyms(person, programmes, region).into_iter().collect();
    let held = state.retention.held_rows(region, &Arc::new(subjects), now_ms, ROWS_BYTES_MAX).await;
    let held = held.map_err(|error| unread(&error))?;
    let consents = state.ingest.consents_of(person, programmes, region).await?;
    let registry = state.definitions.current();
    let is_complete = held.iter().all(|(_, rows)| !rows.is_cut);
    let tables = held.into_iter().map(|(kind, rows)| table_told(&registry, kind, rows));
    let tables = tables.collect::<Option<Vec<_>>>().ok_or_else(|| unread(&"a row has no form in JSON"))?;
    let document = Document {
        format: 1,
        region,
        made_at: time_text(now_ms),
        is_complete,
        controller: registry.region(region).controller.clone(),
        programmes: programmes.iter().map(|programme| programme_told(&registry, *programme)).collect(),
        periods: periods(&registry, programmes),
        consents,
        tables,
        notes: NOTES,
    };
    serde_json::to_string(&document).map_err(|error| unread(&error))
}

fn programme_told(registry: &Registry, programme: Programme) -> ProgrammeTold {
    ProgrammeTold { programme, purpose: registry.programme(programme).purpose.clone() }
}

fn periods(registry: &Registry, programmes: &[Programme]) -> Vec<Period> {
    let of = |programme: &Programme| {
        let programme = *programme;
        let period = move |table: &Kind| Period {
            programme,
            table: *table,
            days: registry.retention_days(programme, *table),
        };
        Kind::ALL.iter().map(period)
    };
    programmes.iter().flat_map(of).collect()
}

/// None when a line is no JSON.
fn table_told(registry: &Registry, kind: Kind, held: HeldRows) -> Option<TableTold> {
    let columns = registry.table(kind).columns.iter().map(|column| {
        let measure = match &column.role {
            ColumnRole::Measure(measure) => Some(measure),
            _ => None,
        };
        ColumnTold {
            name: column.name.clone(),
            meaning: column.doc.clone(),
            unit: measure.map(|measure| measure.unit.clone()),
            decimals: measure.map(|measure| measure.scale),
        }
    });
    let lines = String::from_utf8(held.lines).ok()?;
    let rows = lines.lines().map(|line| RawValue::from_string(line.to_owned()).ok());
    Some(TableTold {
        table: kind,
        is_complete: !held.is_cut,
        columns: columns.collect(),
        rows: rows.collect::<Option<_>>()?,
    })
}
