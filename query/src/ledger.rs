//! The budget of a running service: the ledger, who is making which released part just now, and what blocks have left.
//!
//! Invariants: a released part is made by one asker at a time; others wait for its answer and get the same one. Nobody
//! waits while holding a claim, so nobody waits for each other in a circle. A claim ends when the last of its clones is
//! dropped, a blocking call's among them, so an asker that goes away leaves nobody waiting. What blocks have left is
//! public.
//! Not here: the file (`shoal-storage`), prices (`charge`), the order of look-up, reservation and seal (`release/answer.rs`).

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use shoal_anonymity::budget::Rho;
use shoal_storage::{
    Block, BudgetLedger, Charge, Found, Order, PartId, PartOrder, Reservation, Reserved, Shortage,
    SpendingCaps,
};
use tokio::sync::Notify;

use crate::budget_epochs::{BudgetEpoch, BudgetEpochs};
use crate::delta::{delta_atto, delta_text};
use crate::failure::Failure;
use crate::receipts::Receipts;
use crate::released_parts::ReleasedPart;
use shoal_language::calendar::day_text;
use shoal_language::{Refusal, Rule};

/// Most blocks that a refusal names.
const NAMED_MAX: usize = 5;

/// The budget of a service.
#[derive(Clone)]
pub(crate) struct Budget {
    ledger: BudgetLedger,
    flights: Arc<Flights>,
    pub(crate) epochs: BudgetEpochs,
    pub(crate) cap: Rho,
    /// What the thresholds of all released parts about a block may spend of delta together, in units of 10^-18.
    pub(crate) delta_atto_max: u64,
    receipts: Receipts,
}

/// Released parts that are being made.
#[derive(Default)]
struct Flights {
    parts: Mutex<HashSet<PartId>>,
    landed: Notify,
}

/// The right to make these released parts, for as long as a clone of it lives.
#[derive(Clone)]
pub(crate) struct Claim {
    _claimed: Arc<Claimed>,
}

struct Claimed {
    flights: Arc<Flights>,
    parts: Vec<PartId>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut all = self.flights.parts.lock().unwrap_or_else(PoisonError::into_inner);
        self.parts.iter().for_each(|id| {
            all.remove(id);
        });
        drop(all);
        self.flights.landed.notify_waiters();
    }
}

/// What became of an attempt to pay.
pub(crate) enum Payment {
    Paid(Reservation),
    /// Somebody has just sealed one of the released parts: look again.
    LookAgain,
    Refused(Refusal),
}

impl Budget {
    /// Blocks may spend `cap` of rho, and `threshold_delta` for thresholds.
    pub(crate) fn new(ledger: BudgetLedger, epochs: BudgetEpochs, cap: Rho, threshold_delta: f64) -> Budget {
        let (flights, receipts) = (Arc::default(), Receipts::default());
        Budget { ledger, flights, epochs, cap, delta_atto_max: delta_atto(threshold_delta), receipts }
    }

    /// What is left of a block's delta, given what was spent of it from every pool.
    pub(crate) fn delta_left_of(&self, spent: &BTreeMap<u8, u64>) -> u64 {
        spent.values().fold(self.delta_atto_max, |left, atto| left.saturating_sub(*atto))
    }

    /// The same budget, which notes what is reserved through it.
    pub(crate) fn noting(&self, receipts: Receipts) -> Budget {
        Budget { receipts, ..self.clone() }
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> &BudgetLedger {
        &self.ledger
    }

    /// What the ledger knows about each released part.
    pub(crate) async fn look_up(&self, ids: Vec<PartId>) -> Result<Vec<Found>, Failure> {
        let ledger = self.ledger.clone();
        blocking(move || ledger.look_up(&ids)).await
    }

    /// Claims all of these released parts when nobody makes any of them; else waits until some claim has ended, and
    /// gives none.
    pub(crate) async fn claim(&self, ids: &[PartId]) -> Option<Claim> {
        let landed = self.flights.landed.notified();
        tokio::pin!(landed);
        // From here on no end is missed.
        landed.as_mut().enable();
        if let Some(claim) = self.try_claim(ids) {
            return Some(claim);
        }
        landed.await;
        None
    }

    fn try_claim(&self, ids: &[PartId]) -> Option<Claim> {
        let mut all = self.flights.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.iter().any(|id| all.contains(id)) {
            return None;
        }
        all.extend(ids);
        let claimed = Claimed { flights: Arc::clone(&self.flights), parts: ids.to_vec() };
        Some(Claim { _claimed: Arc::new(claimed) })
    }

    /// Charges the blocks of all of these orders, or of none, to this key; all are of the claim. Durable when it returns.
    pub(crate) async fn pay(
        &self,
        claim: &Claim,
        parts: Vec<PartOrder>,
        asker: &str,
        now_ms: i64,
    ) -> Result<Payment, Failure> {
        let charges = Receipts::charges(&parts);
        let order = Order {
            parts,
            asker: asker.to_owned(),
            caps: SpendingCaps {
                pools: self.epochs.pools(self.cap).into_iter().map(Rho::nano).collect(),
                block: self.cap.nano(),
                delta_atto: self.delta_atto_max,
            },
            now_ms,
        };
        let (ledger, claim, receipts) = (self.ledger.clone(), claim.clone(), self.receipts.clone());
        let reserved = blocking(move || {
            let reserved = ledger.reserve(&order);
            if let Ok(Reserved::Granted(reservation)) = &reserved {
                receipts.note(reservation.number(), &charges);
            }
            drop(claim);
            reserved
        });
        Ok(match reserved.await? {
            Reserved::Granted(reservation) => Payment::Paid(reservation),
            Reserved::Sealed => Payment::LookAgain,
            Reserved::Lacking(lacking) => Payment::Refused(self.refusal(&lacking)),
        })
    }

    /// The orders of released parts. Others than the asker see the form of what was paid, and officers all of it, so the text is
    /// kept without what identifies a person.
    pub(crate) fn orders(&self, parts: &[&ReleasedPart]) -> Vec<PartOrder> {
        parts.iter().map(|part| order(part, self.delta_atto_of_part(part))).collect()
    }

    /// What a released part takes of the delta of each of its blocks.
    pub(crate) fn delta_atto_of_part(&self, part: &ReleasedPart) -> u64 {
        if part.is_thresholded { self.delta_atto_of(part.price) } else { 0 }
    }

    /// The part of a block's delta that a threshold takes: as much as the price is of the cap.
    pub(crate) fn delta_atto_of(&self, price: Rho) -> u64 {
        let all = u128::from(price.nano()) * u128::from(self.delta_atto_max);
        let share = all.div_ceil(u128::from(self.cap.nano().max(1)));
        u64::try_from(share).unwrap_or(u64::MAX).min(self.delta_atto_max)
    }

    /// Keeps answers. Durable when it returns; on any error they must not be used.
    pub(crate) async fn seal(
        &self,
        claim: Claim,
        reservation: Reservation,
        answers: Vec<(PartId, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let ledger = self.ledger.clone();
        blocking(move || {
            let sealed = ledger.seal(reservation, &answers);
            drop(claim);
            sealed
        })
        .await
    }

    /// The least that any of these blocks has left, in the epoch that pays for it.
    pub(crate) async fn left(&self, charges: &[(Block, BudgetEpoch)]) -> Result<Option<Rho>, Failure> {
        let (ledger, blocks) = (self.ledger.clone(), charges.iter().map(|(b, _)| *b).collect::<Vec<_>>());
        let spent = blocking(move || ledger.spent(&blocks)).await?;
        let lefts = charges.iter().zip(&spent).map(|((_, epoch), spent)| self.left_of(spent, epoch.pool));
        Ok(lefts.min())
    }

    /// The least of delta that any of these blocks has left.
    pub(crate) async fn delta_left(&self, charges: &[(Block, BudgetEpoch)]) -> Result<Option<u64>, Failure> {
        let (ledger, blocks) = (self.ledger.clone(), charges.iter().map(|(b, _)| *b).collect::<Vec<_>>());
        let spent = blocking(move || ledger.delta_spent(&blocks)).await?;
        Ok(spent.iter().map(|spent| self.delta_left_of(spent)).min())
    }

    /// What is left of a pool, given what was spent of every pool of the block.
    pub(crate) fn left_of(&self, spent: &BTreeMap<u8, u64>, pool: u8) -> Rho {
        let cap = self.epochs.pools(self.cap).get(usize::from(pool)).map_or(0, |cap| cap.nano());
        let all = spent.values().fold(0_u64, |sum, nano| sum.saturating_add(*nano));
        let own = spent.get(&pool).copied().unwrap_or(0);
        Rho::from_nano(cap.saturating_sub(own).min(self.cap.nano().saturating_sub(all)))
    }

    /// Whether a block whose budget nobody has touched could pay so much at once.
    ///
    /// # Errors
    /// [`Rule::Budget`] when it could not: waiting does not help.
    pub(crate) fn bears(&self, due: Rho) -> Result<(), Refusal> {
        let most = self.epochs.largest(self.cap);
        if due <= most {
            return Ok(());
        }
        let message = format!(
            "A block would pay rho {due} for the parts of this statement together, more than the largest share of its budget, {most} \
             of {}: ask less at once, or with precision low.",
            self.cap
        );
        Err(Refusal::whole(Rule::Budget, message, "SELECT COUNT(DISTINCT subject) AS people FROM usage"))
    }

    fn refusal(&self, lacking: &[Shortage]) -> Refusal {
        let one = |lack: &Shortage| {
            let Block { region, kind, day } = lack.block;
            let (left, asked) = (Rho::from_nano(lack.left_nano), Rho::from_nano(lack.asked_nano));
            let next = self.epochs.next_text(day, lack.pool);
            let next = next.map(|day| format!(", more on {day}")).unwrap_or_default();
            let of = format!("{kind} in {region} on {}", day_text(day));
            if lack.asked_nano > lack.left_nano || lack.asked_delta_atto <= lack.left_delta_atto {
                return format!("{of} has rho {left} left of {asked}{next}");
            }
            let (left, asked) = (delta_text(lack.left_delta_atto), delta_text(lack.asked_delta_atto));
            format!("{of} has delta {left} left of {asked} for keys whose values are not listed")
        };
        let named: Vec<String> = lacking.iter().take(NAMED_MAX).map(one).collect();
        let rest = match lacking.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!(
            "The budget of these days is used up: {}{rest}. Precision low or fewer days may do; what was asked before costs \
             nothing.",
            named.join("; ")
        );
        let suggestion = beside(lacking);
        Refusal::whole(Rule::Budget, message, suggestion)
    }
}

/// One number of a day beside those that lack budget.
fn beside(lacking: &[Shortage]) -> String {
    let Some(first) = lacking.iter().map(|lack| lack.block).min_by_key(|block| block.day) else {
        return shoal_language::SHAPE.to_owned();
    };
    let day = day_text(first.day.saturating_sub(1));
    format!("SELECT COUNT(DISTINCT subject) AS people FROM {} WHERE day = DATE '{day}'", first.kind)
}

/// The order of a released part that spends so much delta of each block.
fn order(part: &ReleasedPart, delta_atto: u64) -> PartOrder {
    let charge = |(block, epoch): &(Block, BudgetEpoch)| Charge {
        block: *block,
        pool: epoch.pool,
        nano: part.price.nano(),
        delta_atto,
    };
    PartOrder { id: part.id, text: part.kept_text(), charges: part.charges.iter().map(charge).collect() }
}

/// Runs a blocking call of the ledger. Its error is for the operator's log: it names a file, never a row.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, shoal_storage::StorageError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(call).await.map_err(|error| Failure::of_task(&error))?;
    done.map_err(|error| {
        tracing::error!(%error, "the budget ledger failed");
        Failure::Storage
    })
}
