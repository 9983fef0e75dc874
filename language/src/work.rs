//! What taking a statement apart may cost: steps, counted rather than timed.
//!
//! A step is a node that is looked at, made or made normal. The count depends on the text, the public schema, the key's regions
//! and the time of the request alone, so the same statement is refused on every machine and under every load.
//! Not here: how large expressions may be (`expr/sizes.rs`).

use std::sync::atomic::{AtomicU64, Ordering};

use sqlparser::tokenizer::Span;

use crate::error::{Refusal, Rule};
use crate::parse::SHAPE;

/// Most steps of one statement. `docs/sql.md` has it.
pub const WORK_MAX: u64 = 400_000;

/// Steps that were taken, and how many may be.
#[derive(Debug)]
pub struct Work {
    spent: AtomicU64,
    most: u64,
}

impl Default for Work {
    /// The steps of one statement.
    fn default() -> Work {
        Work::of(WORK_MAX)
    }
}

impl Work {
    /// So many steps at the most.
    pub fn of(most: u64) -> Work {
        Work { spent: AtomicU64::new(0), most }
    }

    /// How many steps were taken.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Counts steps; too many are refused at the next [`Work::step`].
    pub(crate) fn add(&self, steps: u64) {
        self.spent.fetch_add(steps.min(self.most.saturating_add(1)), Ordering::Relaxed);
    }

    /// Counts a step at a place of the text.
    ///
    /// # Errors
    /// When there were too many.
    pub(crate) fn step(&self, span: impl FnOnce() -> Span) -> Result<(), Refusal> {
        self.add(1);
        match self.spent() > self.most {
            true => Err(self.refused(span())),
            false => Ok(()),
        }
    }

    fn refused(&self, span: Span) -> Refusal {
        let message = format!(
            "Taking this statement apart takes more than {} steps, because its names stand for long expressions that stand for \
             others. Use each name of a subquery once, or write what it stands for in a shorter way.",
            self.most
        );
        Refusal::new(Rule::Size, span, message, SHAPE)
    }
}
