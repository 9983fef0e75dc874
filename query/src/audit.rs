//! The audit: who asked what, when, at what price, and how it ended. One line a query, durable before its answer leaves.
//!
//! ```json
//! {"seq":7,"prev":"..","at_ms":1795348800000,"id":"<uuid>","key":"ana0123456789","role":"analyst","outcome":"answered",
//!  "rule":null,"line":null,"column":null,"precision":"normal","sd_max":null,"source":"events","answer_time_ms":1000,
//!  "queries":[{"text":"FROM usage IN DE ..","rho_per_block":"0.002",
//!              "blocks":[{"table":"usage","regions":["DE"],"first_day":"2026-11-20","last_day":"2026-11-22"}]}],"hash":".."}
//! ```
//! Invariants: a line holds no value of an event and never the SQL. A private query is made of the public schema and of the
//! statement's literals, and an analyst can type an address into a literal: the text passes the scrub patterns first, each
//! part between quotes by itself and then the whole. Of a refusal only the rule and the place are kept. The time is
//! that of the grid (`answer_times.rs`), not how long the work took. An asker that goes away leaves a line too
//! (`abandoned`), by way of [`Entry`]'s drop. A query whose line cannot be written is not answered.
//! Not here: the chain's form (`shoal-privacy`, `chain.rs`) and its files (`shoal-storage`, `chain.rs`).

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use shoal_privacy::scrub::Scrubber;
use shoal_privacy::{chain as form, scrub};
use shoal_storage::StorageError;
use shoal_storage::chain::{Chain, ChainPlace, LineForm};

use crate::error::QueryError;
use crate::failure::Failure;
use crate::grant::{AnalystGrant, Role};
use crate::request::QueryRequest;
use crate::running::QueryId;
use shoal_language::Rule;
use shoal_language::calendar::day_text;
use shoal_language::{DayRange, PrivateQuery};

/// A file of this size is followed by a new one.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longest text of a private query in a line; longer ones are cut.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Where lines of the audit go.
pub struct Audit {
    /// None: nowhere, for tests and benches of other things.
    chain: Option<Chain>,
    scrubber: Option<Scrubber>,
}

impl Audit {
    /// Opens the audit of a data directory, or begins it, and mends what a crash left unfinished.
    ///
    /// # Errors
    /// [`StorageError::Chain`] with file and line when lines were changed or are missing.
    pub fn open(data_dir: &Path) -> Result<Audit, StorageError> {
        let place = Audit::place(data_dir);
        let scrubber = Scrubber::embedded().map_err(|reason| StorageError::Chain {
            path: place.dir.clone(),
            line: 0,
            reason: format!("the scrub patterns do not hold: {reason}"),
        })?;
        let chain = Chain::open(place)?;
        if chain.cut_bytes() > 0 {
            tracing::warn!(bytes = chain.cut_bytes(), "an unfinished line of the audit was cut off");
        }
        Ok(Audit { chain: Some(chain), scrubber: Some(scrubber) })
    }

    /// Keeps nothing.
    pub fn none() -> Audit {
        Audit { chain: None, scrubber: None }
    }

    /// Where the audit of a data directory is, for [`shoal_storage::chain::verify`].
    pub fn place(data_dir: &Path) -> ChainPlace {
        ChainPlace {
            dir: data_dir.join("audit"),
            head: data_dir.join("ledger").join("audit.head"),
            file_bytes_max: FILE_BYTES_MAX,
            form: LineForm {
                first: form::first(),
                seal: form::seal,
                check: |seq, prev, line| form::check(seq, prev, line).map_err(|broken| broken.to_string()),
            },
        }
    }

    /// Begins the line of a query.
    pub(crate) fn begin(
        self: &Arc<Audit>,
        id: QueryId,
        grant: &AnalystGrant,
        request: &QueryRequest,
        now_ms: i64,
    ) -> Entry {
        let line = Line {
            at_ms: now_ms,
            id,
            key: grant.key_id.clone(),
            role: grant.role,
            outcome: Outcome::Abandoned.as_str(),
            rule: None,
            line: None,
            column: None,
            precision: request.precision.as_str(),
            sd_max: request.sd_max,
            source: Source::Nothing,
            answer_time_ms: None,
            queries: Vec::new(),
        };
        Entry { audit: Arc::clone(self), line: Some(line) }
    }

    fn scrubbed(&self, text: &str) -> String {
        let Some(scrubber) = &self.scrubber else {
            return String::new();
        };
        let mut clean = scrubbed(scrubber, text);
        if clean.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
            clean.truncate(end);
            clean.push_str(" ..");
        }
        clean
    }
}

/// Without what identifies a person, as the text may be kept; nothing is kept when the patterns do not hold.
pub(crate) fn without_identifiers(text: &str) -> String {
    static SCRUBBER: OnceLock<Option<Scrubber>> = OnceLock::new();
    let scrubber = SCRUBBER.get_or_init(|| Scrubber::embedded().ok());
    scrubber.as_ref().map(|scrubber| scrubbed(scrubber, text)).unwrap_or_default()
}

/// Without what identifies a person: a literal by itself first, and its parts between the signs of LIKE, because what stands
/// around it may hide its form. A literal of many digits that is no time may be a number that no pattern knows (a
/// device's, an account's) and is not kept at all.
fn scrubbed(scrubber: &scrub::Scrubber, text: &str) -> String {
    let literal = |(at, part): (usize, &str)| {
        if at % 2 == 1 && is_numbered(part) {
            return "..".to_owned();
        }
        let whole = scrubber.scrub(part);
        whole.split('%').map(|part| scrubber.scrub(part)).collect::<Vec<_>>().join("%")
    };
    let joined = text.split('\'').enumerate().map(literal).collect::<Vec<_>>().join("'");
    joined.split('\n').map(|line| scrubber.scrub(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Whether a literal has so many digits that it may number one person or device, and is no day or time.
fn is_numbered(literal: &str) -> bool {
    let digits = literal.bytes().filter(u8::is_ascii_digit).count();
    let is_time = literal.len() <= 25
        && literal.bytes().all(|b| b.is_ascii_digit() || b"-: TZ+.".contains(&b))
        && literal.as_bytes().get(4) == Some(&b'-');
    digits >= 5 && !is_time
}

/// Where the numbers of an answer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// There are none, or nothing but public facts was needed.
    Nothing,
    /// All of them were released before.
    Ledger,
    /// Events were read, or would have been: the query is charged.
    Events,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    DryRun,
    /// Only what it means and costs was told.
    Explained,
    Refused(Rule, u64, u64),
    NotAllowed,
    Busy,
    Failed,
    /// By `DELETE /v1/sql/{id}`.
    Cancelled,
    /// The asker went away.
    Abandoned,
}

impl Outcome {
    /// Of what the stages answered.
    pub(crate) fn of<T>(answer: &Result<T, QueryError>, dry_run: bool) -> Outcome {
        match answer {
            Ok(_) if dry_run => Outcome::DryRun,
            Ok(_) => Outcome::Answered,
            Err(QueryError::Refused(refused)) => Outcome::Refused(refused.rule, refused.line, refused.column),
            Err(QueryError::NotAllowed(_)) => Outcome::NotAllowed,
            Err(QueryError::Busy) => Outcome::Busy,
            Err(QueryError::Failed) => Outcome::Failed,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::DryRun => "dry_run",
            Outcome::Explained => "explained",
            Outcome::Refused(..) => "refused",
            Outcome::NotAllowed => "not_allowed",
            Outcome::Busy => "busy",
            Outcome::Failed => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::Abandoned => "abandoned",
        }
    }
}

#[derive(Serialize)]
struct Line {
    at_ms: i64,
    id: QueryId,
    key: String,
    role: Role,
    outcome: &'static str,
    rule: Option<&'static str>,
    line: Option<u64>,
    column: Option<u64>,
    precision: &'static str,
    sd_max: Option<f64>,
    source: Source,
    answer_time_ms: Option<u64>,
    queries: Vec<AuditedQuery>,
}

#[derive(Serialize)]
struct AuditedQuery {
    text: String,
    rho_per_block: String,
    blocks: Vec<AuditedBlocks>,
}

#[derive(Serialize)]
struct AuditedBlocks {
    table: &'static str,
    regions: Vec<&'static str>,
    first_day: String,
    last_day: String,
}

/// The line of one query, until it is written. Dropped before that, it is written as one whose asker went away.
pub(crate) struct Entry {
    audit: Arc<Audit>,
    line: Option<Line>,
}

impl Entry {
    /// Notes a private query and its price, for each block.
    pub(crate) fn asks(&mut self, query: &PrivateQuery, rho_per_block: &str) {
        let regions = || query.regions.iter().map(|region| region.as_str()).collect();
        let blocks = |table: &'static str, days: DayRange| AuditedBlocks {
            table,
            regions: regions(),
            first_day: day_text(days.first),
            last_day: day_text(days.last),
        };
        let mut all = vec![blocks(query.table.as_str(), query.days)];
        all.extend(query.members.iter().map(|member| blocks(member.table.as_str(), member.days)));
        let text = self.audit.scrubbed(&query.to_string());
        if let Some(line) = &mut self.line {
            line.queries.push(AuditedQuery { text, rho_per_block: rho_per_block.to_owned(), blocks: all });
        }
    }

    /// Notes where the numbers come from; to be called before events are read.
    pub(crate) fn reads(&mut self, source: Source) {
        if let Some(line) = &mut self.line {
            line.source = source;
        }
    }

    /// Whether events were read, so that the answer waits for its time.
    pub(crate) fn has_read_events(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.source == Source::Events)
    }

    /// Writes the line. The answer may leave when this is done, and only if it went well.
    pub(crate) async fn end(mut self, outcome: Outcome, answer_time_ms: Option<u64>) -> Result<(), Failure> {
        let Some(mut line) = self.line.take() else {
            return Err(Failure::Internal);
        };
        line.outcome = outcome.as_str();
        line.answer_time_ms = answer_time_ms;
        if let Outcome::Refused(rule, at_line, column) = outcome {
            (line.rule, line.line, line.column) = (Some(rule.as_str()), Some(at_line), Some(column));
        }
        let Some(chain) = &self.audit.chain else {
            return Ok(());
        };
        chain.append(fields(&line)?).await.map(|_| ())?;
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let (Some(line), Some(chain)) = (self.line.take(), &self.audit.chain)
            && let Ok(fields) = fields(&line)
        {
            chain.append_unwatched(fields);
        }
    }
}

/// The members of the line's object, without its braces.
fn fields(line: &Line) -> Result<String, Failure> {
    let object = serde_json::to_string(line).map_err(|_| Failure::Internal)?;
    object.strip_prefix('{').and_then(|o| o.strip_suffix('}')).map(str::to_owned).ok_or(Failure::Internal)
}

#[cfg(test)]
mod tests;
