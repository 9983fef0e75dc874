//! Bytes in flight, bounded: what the requests and the logs of all regions hold in memory together.
//!
//! Invariant: what was reserved is given back when its [`Hold`] is dropped, whatever happens in between.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The bound.
pub(crate) struct Budget {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// A share of the budget.
pub(crate) struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Arc<Budget> {
        let bytes = AtomicU64::new(0);
        Arc::new(Budget { bytes, bytes_max })
    }

    /// A share; when there is none left, what is in flight. One that is larger than everything gets it alone.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Hold, u64> {
        let fits = |held: u64| (held == 0 || held + bytes <= self.bytes_max).then_some(held + bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)?;
        let budget = Arc::clone(self);
        Ok(Hold { budget, bytes })
    }

    /// Bytes in flight.
    pub(crate) fn held(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn never_more_than_the_bound_but_for_one_alone() {
        let budget = Budget::new(100);
        let a = budget.reserve(60).unwrap();
        assert_eq!(budget.reserve(41).err(), Some(60));
        let b = budget.reserve(40).unwrap();
        drop((a, b));
        assert_eq!(budget.held(), 0);
        let large = budget.reserve(1000).unwrap();
        assert_eq!(budget.reserve(1).err(), Some(1000));
        drop(large);
        assert!(budget.reserve(1).is_ok());
    }
}
