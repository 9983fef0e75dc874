//! The order in which an answer comes about: look up -> decide the time -> reserve (durable) -> run -> noise -> wait for the
//! time -> assemble; the postprocessing follows, and then the seal (durable).
//!
//! Invariants: nothing is read before everything that is missing is paid, all of it or nothing; once paid, whatever goes
//! wrong is charged. What is in the ledger is not made again. A refusal depends on the text, the registry and what was spent,
//! which are public. Waiting for somebody else's released part costs nothing. What was read in time leaves at the end of its
//! turn and not before, and what was not is never sealed; a failure leaves then too. So neither the ledger nor anybody who
//! waits for it shows how long the work took.
//! Not here: reading and noise (`make`), sealing (`unsealed`), the ledger (`ledger.rs`), what reads events (`scan`).

use std::collections::BTreeSet;

use shoal_storage::PartId;

use super::circumstances::Circumstances;
use super::groups::Groups;
use super::in_time::in_turn;
use super::looked_up::LookedUp;
use super::make::make;
use super::paid::Paid;
use super::size::Sizes;
use super::unsealed::Unsealed;
use super::work::{Planning, Work};
use crate::error::{NoAnswer, QueryError};
use crate::ledger::Payment;
use crate::released_parts::ReleasedPart;
use crate::scan::Scan;
use crate::schedule::Unpaid;
use shoal_language::{CELLS_MAX, Refusal, Rule};

/// Most groups of an answer.
pub(crate) const ROWS_MAX: usize = CELLS_MAX as usize;

/// The groups of each query, in their order.
pub(crate) struct Answered {
    pub(crate) groups: Vec<Groups>,
    pub(crate) paid: Paid,
    /// What was made for it, to be sealed before anything leaves; none when the ledger had everything.
    pub(crate) unsealed: Option<Unsealed>,
}

/// Answers queries together: what is missing of all of them is paid at once or not at all. `scan` reads one region and days
/// that follow on each other, and is called for nothing that is not paid.
pub(crate) async fn answer(
    mut looked_up: LookedUp,
    asked: &Circumstances<'_>,
    scan: &dyn Scan,
) -> Result<Answered, NoAnswer> {
    let paid = loop {
        let ids: Vec<PartId> = looked_up.missing().iter().map(|(_, part)| part.id).collect();
        if ids.is_empty() {
            break None;
        }
        let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
        if let Some(claim) = claim.map_err(|_| QueryError::Busy)? {
            // Before the turn is taken: how long writing them takes follows from the text.
            let missing: Vec<&ReleasedPart> = looked_up.missing().into_iter().map(|(_, part)| part).collect();
            let orders = asked.budget.orders(&missing);
            // Given back with whatever ends this before it is paid.
            let planned = planned(&looked_up, asked, scan).await?;
            let payment = asked.budget.pay(&claim, orders, asked.asker, asked.now_ms).await?;
            if let Payment::Paid(reservation) = payment {
                break Some((claim, reservation, ids, planned));
            }
            drop(planned);
            if let Payment::Refused(refusal) = payment {
                return Err(QueryError::from(refusal).into());
            }
        }
        looked_up.look(asked.budget).await?;
    };
    let (mut made, mut paying) = (BTreeSet::new(), None);
    if let Some((claim, reservation, ids, planned)) = paid {
        let (turn, passes_max) = planned.map_or((None, Vec::new()), |of| (of.turn.keep(), of.passes_max));
        let work = make(&looked_up, asked, scan, &passes_max);
        let parts = match (&asked.timing, turn) {
            (Some(timing), Some(turn)) => in_turn(&turn, timing, work).await?,
            _ => work.await?,
        };
        made.extend(ids);
        looked_up.found.extend(parts);
        paying = Some((claim, reservation));
    }
    let paid = looked_up.paid(asked.budget, &made).await?;
    let groups = looked_up.groups(asked.rows_max)?;
    let unsealed = paying.map(|(claim, reservation)| {
        let parts = looked_up.taken_out(&made);
        Unsealed { budget: asked.budget.clone(), claim, reservation, parts }
    });
    Ok(Answered { groups, paid, unsealed })
}

/// What was decided of the reading of what is missing.
struct Planned<'s> {
    turn: Unpaid<'s>,
    /// Of each query: in how many passes the files of a part may be read.
    passes_max: Vec<u64>,
}

/// When and how what is missing is read; none when nothing is timed.
async fn planned<'s>(
    looked_up: &LookedUp,
    asked: &'s Circumstances<'_>,
    scan: &dyn Scan,
) -> Result<Option<Planned<'s>>, NoAnswer> {
    let Some(timing) = &asked.timing else { return Ok(None) };
    let missing = looked_up.missing();
    let blocks = missing.iter().flat_map(|(_, part)| part.charges.iter().copied()).collect();
    let sizes = Sizes::of(&blocks, timing, asked, scan).await?;
    let planning = Planning { sizes: &sizes, reading: timing.reading };
    let (mut work, mut passes_max) = (Work::new(), Vec::with_capacity(looked_up.queries.len()));
    for (at, charged) in looked_up.queries.iter().enumerate() {
        let own = missing.iter().filter(|(query, _)| *query == at).map(|(_, part)| *part);
        passes_max.push(work.add(charged, &own.collect::<Vec<_>>(), &planning)?);
    }
    let work = work.time(&sizes, timing.row_time_ns);
    let takes = timing.schedule.takes(work);
    if takes > timing.longest {
        let message = format!(
            "This query would take up to {} seconds, more than the {} that a query may: ask for fewer days or regions, or with \
             simpler expressions.",
            takes.as_secs_f64(),
            timing.longest.as_secs_f64()
        );
        let suggestion = "SELECT COUNT(*) AS events FROM usage WHERE day = current_date - 1";
        return Err(QueryError::from(Refusal::whole(Rule::Time, message, suggestion)).into());
    }
    let now = timing.schedule.clock().now();
    let turn = timing.schedule.turn(work, timing.latest).ok_or(QueryError::Busy)?;
    let after = turn.end.saturating_duration_since(now);
    let turn = Unpaid::of(timing.schedule, turn);
    // A question that was refused for what somebody else had just sealed is decided anew: the first time stays in the audit.
    let _ = timing.decided_ms.set(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    Ok(Some(Planned { turn, passes_max }))
}
