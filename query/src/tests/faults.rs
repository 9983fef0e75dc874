//! What goes wrong while events are read, in one world or in both, always or once: around a scan that is otherwise the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shoal_anonymity::noise::Entropy;
use shoal_storage::Block;

use crate::clock::{Clock, TestClock};
use crate::failure::Failure;
use crate::scan::{Due, Scan, Taker};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    /// Before anything is read.
    Panic,
    /// The same, of the first question alone.
    PanicOnce,
    /// When everything has been read.
    PanicAtTheEnd,
    /// The memory is used up, or a file cannot be read, at once.
    Fails(Failure),
    /// It never ends.
    Never,
    /// It takes so much longer.
    Slow(Duration),
    /// Files say that they have so many times as many rows.
    Rows(u64),
}

/// A scan with a fault.
pub(super) struct Faulty {
    inner: Arc<dyn Scan>,
    clock: Arc<TestClock>,
    fault: Fault,
    was_asked: AtomicBool,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Scan>, clock: Arc<TestClock>, fault: Fault) -> Faulty {
        Faulty { inner, clock, fault, was_asked: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Scan for Faulty {
    async fn totals(
        &self,
        due: Due,
        entropy: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        let is_first = !self.was_asked.swap(true, Ordering::Relaxed);
        match self.fault {
            Fault::Panic => panic!("a fault in a scan"),
            Fault::PanicOnce => assert!(!is_first, "a fault in the first scan"),
            Fault::Fails(failure) => return Err(failure),
            Fault::Never => std::future::pending().await,
            Fault::Slow(by) => self.clock.until(self.clock.now() + by).await,
            Fault::Nothing | Fault::PanicAtTheEnd | Fault::Rows(_) => {}
        }
        let done = self.inner.totals(due, entropy, take).await;
        assert!(self.fault != Fault::PanicAtTheEnd, "a fault at the end of a scan");
        done
    }

    async fn rows(&self, block: Block, most_of_one: Option<u64>) -> Result<u64, Failure> {
        let times = if let Fault::Rows(times) = self.fault { times } else { 1 };
        Ok(self.inner.rows(block, most_of_one).await? * times)
    }
}
