//! How large blocks are: the number of rows of each, released once for each of its epochs, at a price that is published.
//!
//! ```text
//! rows, as the files say + noise -> sealed in the ledger -> how long a question about the block may take (`work`)
//! ```
//! The time of an answer must not depend on events but through what was paid for, and reading more rows takes longer. So the
//! first question about a block in an epoch pays for its size as well, and everybody after it finds that in the ledger.
//!
//! Invariants: one subject's day changes the number of rows by no more than what the endpoints let in
//! (`ingest.subject_day_events_max`), so the noise follows from that number and [`SIZE_PRICE`] alone. The exact number is
//! used for nothing else.
//! Not here: what a row costs (`work`), the order of claims and seals of an answer (`answer`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoal_anonymity::budget::{Rho, part_digest, variance};
use shoal_anonymity::noise::{DiscreteGaussian, OsEntropy};
use shoal_language::calendar::day_text;
use shoal_storage::{Block, Charge, Found, PartId, PartOrder};
use tokio::time::Instant;

use super::circumstances::{Circumstances, Timing};
use super::sealed::{Sealed, SealedCell};
use crate::budget_epochs::{BudgetEpoch, BudgetEpochs};
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::{Budget, Payment};
use crate::scan::Scan;

/// What the size of a block costs it, in each of its epochs in which it is asked about.
pub const SIZE_PRICE: Rho = Rho::from_nano(500_000);

/// The encoding's version: another one makes other sizes of everything.
const VERSION: &[u8] = b"size 1";
/// Sizes are sealed at whole multiples of this after they were asked for.
const STEP: Duration = Duration::from_millis(50);

/// A block in one of its epochs.
pub(crate) type BlockEpoch = (Block, BudgetEpoch);

/// The noisy numbers of rows of blocks.
pub(crate) struct Sizes {
    noise: DiscreteGaussian,
    rows: BTreeMap<Block, i128>,
}

/// The noise of sizes, where one subject's day has at most so many events.
pub(crate) fn size_noise(subject_day_events_max: u64) -> Result<DiscreteGaussian, Failure> {
    let most = u128::from(subject_day_events_max.max(1));
    let squared = most.checked_mul(most).ok_or(Failure::Internal)?;
    Ok(DiscreteGaussian::new(variance(squared, SIZE_PRICE).map_err(|_| Failure::Internal)?))
}

/// Which released part the size of a block in an epoch is.
pub(crate) fn size_id((block, epoch): &BlockEpoch, noise: &DiscreteGaussian) -> PartId {
    let variance = noise.variance();
    part_digest(&[
        VERSION,
        block.region.as_str().as_bytes(),
        block.kind.as_str().as_bytes(),
        &block.day.to_le_bytes(),
        &[epoch.pool, epoch.hour],
        &SIZE_PRICE.nano().to_le_bytes(),
        &variance.numerator().to_le_bytes(),
        &variance.denominator().to_le_bytes(),
    ])
}

fn order(of: &BlockEpoch, noise: &DiscreteGaussian, epochs: &BudgetEpochs) -> PartOrder {
    let (block, epoch) = of;
    let (when, day) = (epochs.epoch_text(*epoch), day_text(block.day));
    let charge = Charge { block: *block, pool: epoch.pool, nano: SIZE_PRICE.nano(), delta_atto: 0 };
    let text = format!("NUMBER OF ROWS OF {} IN {}\nDAY {day} ({when})", block.kind, block.region);
    PartOrder { id: size_id(of, noise), text, charges: vec![charge] }
}

fn sealed(rows: i128, noise: &DiscreteGaussian) -> Result<Vec<u8>, Failure> {
    let variance = noise.variance();
    let cells = vec![SealedCell { keys: Vec::new(), numbers: vec![rows] }];
    Sealed { slots: vec![(1, variance.numerator(), variance.denominator())], cells }.encode()
}

fn rows_of(bytes: &[u8]) -> Result<i128, Failure> {
    let sealed = Sealed::decode(bytes)?;
    let cell = sealed.cells.first().ok_or(Failure::Internal)?;
    cell.numbers.first().copied().ok_or(Failure::Internal)
}

impl Sizes {
    /// The sizes of these blocks, from the ledger; those that are not there are paid, read, noised and sealed.
    ///
    /// # Errors
    /// A refusal when a block cannot pay for its size, [`QueryError::Busy`] when somebody else's reading of a size takes too
    /// long; otherwise what goes wrong.
    pub(crate) async fn of(
        blocks: &BTreeSet<BlockEpoch>,
        timing: &Timing<'_>,
        asked: &Circumstances<'_>,
        scan: &dyn Scan,
    ) -> Result<Sizes, NoAnswer> {
        let (clock, noise) = (timing.schedule.clock(), &timing.size_noise);
        let begun = clock.now();
        let mut sizes = Sizes { noise: *noise, rows: BTreeMap::new() };
        loop {
            let missing = sizes.missing(blocks, asked.budget).await?;
            let ids: Vec<PartId> = missing.iter().map(|of| size_id(of, noise)).collect();
            if ids.is_empty() {
                return Ok(sizes);
            }
            let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
            let Some(claim) = claim.map_err(|_| QueryError::Busy)? else { continue };
            let orders = missing.iter().map(|of| order(of, noise, &asked.budget.epochs)).collect();
            match asked.budget.pay(&claim, orders, asked.asker, asked.now_ms).await? {
                Payment::LookAgain => {}
                Payment::Refused(refusal) => return Err(QueryError::from(refusal).into()),
                Payment::Paid(reservation) => {
                    let mut made = Vec::with_capacity(missing.len());
                    for ((block, _), id) in missing.iter().zip(ids) {
                        let exact = i128::from(scan.rows(*block).await?);
                        let rows = noise.add(exact, &mut OsEntropy::new()).map_err(Failure::from)?;
                        made.push((id, sealed(rows, noise)?));
                    }
                    clock.until(next_step(begun, clock.now())).await;
                    asked.budget.seal(claim, reservation, made).await?;
                }
            }
        }
    }

    /// Those that the ledger does not have; what it has is taken in.
    async fn missing(
        &mut self,
        blocks: &BTreeSet<BlockEpoch>,
        budget: &Budget,
    ) -> Result<Vec<BlockEpoch>, Failure> {
        let left: Vec<BlockEpoch> =
            blocks.iter().filter(|(block, _)| !self.rows.contains_key(block)).copied().collect();
        let found = budget.look_up(left.iter().map(|of| size_id(of, &self.noise)).collect()).await?;
        let mut missing = Vec::new();
        for (of, found) in left.into_iter().zip(found) {
            match found {
                Found::Sealed(bytes) => {
                    self.rows.insert(of.0, rows_of(&bytes)?);
                }
                Found::Nothing | Found::Reserved => missing.push(of),
            }
        }
        Ok(missing)
    }

    /// An upper bound of what reading blocks is worth, given what a row of each block is: the noisy rows, and 8 standard
    /// deviations of the noise of all of them together. It is too low once in 10^15 questions.
    pub(crate) fn total(&self, of_a_row: &BTreeMap<Block, u64>) -> u64 {
        let (mut sum, mut squares) = (0.0_f64, 0.0_f64);
        for (block, each) in of_a_row {
            let (rows, each) = (self.rows.get(block).copied().unwrap_or(0), *each as f64);
            sum += rows as f64 * each;
            squares += each * each;
        }
        let spread = 8.0 * (squares * self.noise.variance().to_f64()).sqrt();
        // A cast of a number that is too large or below 0 saturates.
        (sum + spread).ceil() as u64
    }
}

/// The next whole multiple of [`STEP`].
fn next_step(begun: Instant, now: Instant) -> Instant {
    let steps = now.saturating_duration_since(begun).as_micros() / STEP.as_micros() + 1;
    begun + STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}
