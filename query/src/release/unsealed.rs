//! What was made and is not sealed yet: the last step of an answer.
//!
//! Whatever is dropped here stays charged and has no answer, as what failed before: whether a question was late, failed while
//! its numbers were computed further, or was cancelled, the ledger says the same of it. So a part is sealed when the answer to
//! its question is ready, and not before. Invariants: nothing leaves that is not sealed; sealing comes after everything that
//! can fail or be cancelled, but for the disk.
//! Not here: when parts are made (`answer`), the ledger (`ledger.rs`).

use shoal_storage::{PartId, Reservation};

use super::released::Released;
use crate::error::NoAnswer;
use crate::failure::Failure;
use crate::ledger::{Budget, Claim};

/// Released parts that are paid and made. No `Debug`: nobody may look at them yet.
pub(crate) struct Unsealed {
    pub(super) budget: Budget,
    pub(super) claim: Claim,
    pub(super) reservation: Reservation,
    pub(super) parts: Vec<(PartId, Vec<u8>)>,
}

impl Unsealed {
    /// Keeps them, for good. Durable when it returns.
    pub(crate) async fn seal(self) -> Result<(), Failure> {
        self.budget.seal(self.claim, self.reservation, self.parts).await
    }
}

/// An answer that may leave when what it was made of is sealed.
pub(crate) struct Ready {
    pub(crate) released: Released,
    /// None when nothing was made for it.
    pub(crate) unsealed: Option<Unsealed>,
}

impl Ready {
    /// An answer that nothing was read for.
    pub(crate) fn free(released: Released) -> Ready {
        Ready { released, unsealed: None }
    }

    /// The answer, if one is ready, with its parts sealed.
    pub(crate) async fn sealed(ready: Result<Ready, NoAnswer>) -> Result<Released, NoAnswer> {
        let Ready { released, unsealed } = ready?;
        if let Some(unsealed) = unsealed {
            unsealed.seal().await?;
        }
        Ok(released)
    }
}
