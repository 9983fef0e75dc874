//! Bytes in flight, bounded: what the requests and the logs of all regions hold in memory together.
//!
//! Invariant: what was reserved is given back when its [`Hold`] is dropped, whatever happens in between.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many bytes are in flight, and their bound.
pub(crate) struct InFlight {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// A share of the bytes in flight.
pub(crate) struct Hold {
    in_flight: Arc<InFlight>,
    bytes: u64,
}

impl InFlight {
    pub(crate) fn new(bytes_max: u64) -> Arc<InFlight> {
        let bytes = AtomicU64::new(0);
        Arc::new(InFlight { bytes, bytes_max })
    }

    /// A share; when there is none left, what is in flight. One that is larger than everything gets it alone.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Hold, u64> {
        let fits = |held: u64| (held == 0 || held + bytes <= self.bytes_max).then_some(held + bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)?;
        let in_flight = Arc::clone(self);
        Ok(Hold { in_flight, bytes })
    }

    /// Bytes in flight.
    pub(crate) fn held(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn never_more_than_the_bound_but_for_one_alone() {
        let in_flight = InFlight::new(100);
        let a = in_flight.reserve(60).unwrap();
        assert_eq!(in_flight.reserve(41).err(), Some(60));
        let b = in_flight.reserve(40).unwrap();
        drop((a, b));
        assert_eq!(in_flight.held(), 0);
        let large = in_flight.reserve(1000).unwrap();
        assert_eq!(in_flight.reserve(1).err(), Some(1000));
        drop(large);
        assert!(in_flight.reserve(1).is_ok());
    }
}
