//! What the audit says of a query: which private queries, at what price, where the numbers come from, and how it ended.
//!
//! ```json
//! {"seq":7,"prev":"..","at_ms":1795348800000,"id":"<uuid>","key":"ana0123456789","role":"analyst","outcome":"answered",
//!  "rule":null,"line":null,"column":null,"precision":"normal","sd_max":null,"source":"events","answer_time_ms":1000,
//!  "queries":[{"text":"FROM usage IN DE ..","rho_per_block":"0.002",
//!              "blocks":[{"table":"usage","regions":["DE"],"first_day":"2026-11-20","last_day":"2026-11-22"}]}],
//!  "charged":[{"table":"usage","region":"DE","first_day":"2026-11-20","last_day":"2026-11-22","rho":"0.0025","delta":"0"}],
//!  "reservations":[4711],"hash":".."}
//! ```
//! `rho_per_block` is the most that a block pays for a private query when none of its parts is in the ledger. `charged` is what each
//! block of these days was charged, for its size too: nothing where everything is in the ledger. `reservations` are the numbers
//! under which the ledger has it; it is the last field of its line.
//! Invariants: a line holds no value of an event and never the SQL; the text of a private query is scrubbed before it is
//! handed over (`text`). Of a refusal only the rule and the place are kept. The time is the one that was
//! decided (`schedule.rs`), not how long the work took. A query whose line cannot be written is not answered.
//! Not here: the audit itself, which is open to every act (`shoal-audit`).

mod text;

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use shoal_anonymity::budget::Rho;
use shoal_audit::{ActOutcome, Audit, Origin};
use shoal_language::calendar::day_text;
use shoal_language::{DayRange, PrivateQuery, Refusal};

pub(crate) use self::text::without_identifiers;
use crate::error::QueryError;
use crate::failure::Failure;
use crate::receipts::{Charged, Receipts};

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

/// The fields that a query has beside those of every act.
#[derive(Serialize)]
struct Fields {
    rule: Option<&'static str>,
    line: Option<u64>,
    column: Option<u64>,
    precision: &'static str,
    sd_max: Option<f64>,
    source: Source,
    answer_time_ms: Option<u64>,
    queries: Vec<AuditedQuery>,
    charged: Charged,
    /// The last field, which a comparison of ledger and audit looks for at the end of a line.
    reservations: Receipts,
}

/// A private query, as a line has it.
#[derive(Serialize)]
pub(crate) struct AuditedQuery {
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
    line: shoal_audit::Entry<Fields>,
    /// How long after its question the answer leaves, once that is decided.
    decided_ms: Arc<OnceLock<u64>>,
}

impl Entry {
    /// Begins the line of a query that wants this precision, or this standard deviation.
    pub(crate) fn begin(
        audit: &Arc<Audit>,
        origin: Origin,
        precision: &'static str,
        sd_max: Option<f64>,
    ) -> Entry {
        let reservations = Receipts::default();
        let fields = Fields {
            rule: None,
            line: None,
            column: None,
            precision,
            sd_max,
            source: Source::Nothing,
            answer_time_ms: None,
            queries: Vec::new(),
            charged: reservations.charged(),
            reservations,
        };
        Entry { line: audit.begin(origin, fields), decided_ms: Arc::default() }
    }

    /// Where the numbers of what is reserved for the query are noted.
    pub(crate) fn receipts(&self) -> Receipts {
        self.line.fields().reservations.clone()
    }

    /// Whether the line is kept anywhere.
    pub(crate) fn is_kept(&self) -> bool {
        self.line.is_kept()
    }

    /// Notes the private queries.
    pub(crate) fn asks(&mut self, queries: Vec<AuditedQuery>) {
        self.line.fields_mut().queries = queries;
    }

    /// Notes where the numbers come from; to be called before events are read.
    pub(crate) fn reads(&mut self, source: Source) {
        self.line.fields_mut().source = source;
    }

    /// Where the time of the answer is to be noted.
    pub(crate) fn decided_ms(&self) -> Arc<OnceLock<u64>> {
        Arc::clone(&self.decided_ms)
    }

    /// Notes what was refused, and where in the statement.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        let fields = self.line.fields_mut();
        (fields.rule, fields.line) = (Some(refusal.rule.as_str()), Some(refusal.line));
        fields.column = Some(refusal.column);
    }

    /// Writes the line. The answer may leave when this is done, and only if it went well.
    pub(crate) async fn end(mut self, outcome: ActOutcome) -> Result<(), Failure> {
        self.line.fields_mut().answer_time_ms = self.decided_ms.get().copied();
        self.line.end(outcome).await.map_err(|_| Failure::Storage)
    }
}

impl AuditedQuery {
    /// A private query of this text, of which a block pays so much at the most.
    pub(crate) fn of(query: &PrivateQuery, text: &str, rho_per_block: Rho) -> AuditedQuery {
        let regions = || query.regions().iter().map(|region| region.as_str()).collect();
        let blocks = |table: &'static str, days: DayRange| AuditedBlocks {
            table,
            regions: regions(),
            first_day: day_text(days.first),
            last_day: day_text(days.last),
        };
        let mut all = vec![blocks(query.table().as_str(), query.days())];
        all.extend(query.members().iter().map(|member| blocks(member.table.as_str(), member.days)));
        let text = without_identifiers(text);
        AuditedQuery { text, rho_per_block: rho_per_block.to_string(), blocks: all }
    }
}

/// How a query ended that the stages answered like this.
pub(crate) fn outcome<T>(answer: &Result<T, QueryError>, dry_run: bool) -> ActOutcome {
    match answer {
        Ok(_) if dry_run => ActOutcome::DryRun,
        Ok(_) => ActOutcome::Answered,
        Err(QueryError::Refused(_)) => ActOutcome::Refused,
        Err(QueryError::NotAllowed(_)) => ActOutcome::NotAllowed,
        Err(QueryError::Busy) => ActOutcome::Busy,
        Err(QueryError::Failed) => ActOutcome::Failed,
    }
}

#[cfg(test)]
mod tests;
