//! The release of totals that were read once, as often as wanted: for the distinguishing game.
//!
//! Invariants: each round is what a fresh ledger would do: a released part is noised and sealed once, whoever wants it
//! and however often, and every answer is made of the sealed bytes. Noise, bytes and assembly are those of `answer`.
//! Not here: the ledger's promises (`tests`), reading (`scan`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shoal_anonymity::budget::Rho;
use shoal_anonymity::noise::Entropy;
use shoal_storage::Block;

use super::groups::Groups;
use super::looked_up::LookedUp;
use super::noisy::{Exact, noisy};
use crate::budget_epochs::BudgetEpochs;
use crate::charge::ChargedQuery;
use crate::failure::Failure;
use crate::released_parts::{FormWork, Wanted, wanted};
use crate::scan::Raw;

const ROWS_MAX: usize = 10_000;

/// Queries that have been read.
pub(crate) struct Replay {
    queries: Vec<Arc<ChargedQuery>>,
    /// Of each query, one for each span.
    raws: Vec<Vec<Raw>>,
    wanted: Vec<Vec<Wanted>>,
}

impl Replay {
    /// Of queries and the exact totals of each.
    pub(crate) fn new(queries: Vec<Arc<ChargedQuery>>, raws: Vec<Vec<Raw>>, now_ms: i64) -> Replay {
        let mut work = FormWork::default();
        let of = |charged: &Arc<ChargedQuery>| {
            wanted(charged, &BudgetEpochs::default(), now_ms, &mut work).expect("it is little work")
        };
        let wanted = queries.iter().map(of).collect();
        Replay { queries, raws, wanted }
    }

    /// What all of them together charge a block.
    pub(crate) fn charged(&mut self, block: Block) -> Rho {
        let wanted = std::mem::take(&mut self.wanted);
        let looked_up = LookedUp {
            queries: self.queries.clone(),
            wanted,
            found: BTreeMap::new(),
            unsized_blocks: BTreeSet::new(),
        };
        let paid =
            looked_up.missing().into_iter().filter(|(_, part)| part.charges.iter().any(|(b, _)| *b == block));
        let sum = paid.fold(0, |sum, (_, part)| sum + part.price.nano());
        self.wanted = looked_up.wanted;
        Rho::from_nano(sum)
    }

    /// The groups of each query, with fresh noise.
    pub(crate) fn round<E: Entropy>(&mut self, entropy: &mut E) -> Result<Vec<Groups>, Failure> {
        let wanted = std::mem::take(&mut self.wanted);
        let mut looked_up = LookedUp {
            queries: self.queries.clone(),
            wanted,
            found: BTreeMap::new(),
            unsized_blocks: BTreeSet::new(),
        };
        let mut sealed = Vec::new();
        for (query, part) in looked_up.missing() {
            let mut own = self.raws[query].iter();
            let raw = own.find(|raw| raw.days() == Some(part.days)).ok_or(Failure::Internal)?;
            let exact = Exact { raw, form: &part.form, waiting: &AtomicBool::new(true) };
            sealed.push((part.id, noisy(&exact, entropy, ROWS_MAX)?));
        }
        looked_up.found.extend(sealed);
        let groups = looked_up.groups(ROWS_MAX);
        self.wanted = looked_up.wanted;
        groups
    }
}
