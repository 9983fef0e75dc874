//! The time by which answers leave: the system's, or in tests one that they move.

#[cfg(test)]
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

/// Tells the time and waits for it.
#[async_trait]
pub(crate) trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Instant;

    /// Comes back when it is so late.
    async fn until(&self, at: Instant);
}

/// The system's clock.
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn until(&self, at: Instant) {
        tokio::time::sleep_until(at).await;
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
pub(crate) struct TestClock {
    begun: Instant,
    state: tokio::sync::watch::Sender<TestTime>,
}

#[cfg(test)]
#[derive(Clone, Default)]
struct TestTime {
    passed: Duration,
    /// What is waited for, after the beginning.
    waits: Vec<Duration>,
}

#[cfg(test)]
impl TestClock {
    pub(crate) fn new() -> TestClock {
        TestClock { begun: Instant::now(), state: tokio::sync::watch::Sender::default() }
    }

    /// How far it was moved.
    pub(crate) fn passed(&self) -> Duration {
        self.state.borrow().passed
    }

    /// When somebody waits: for what, after the beginning.
    pub(crate) async fn next_wait(&self) -> Duration {
        let mut state = self.state.subscribe();
        let found = state.wait_for(|time| !time.waits.is_empty()).await;
        found.ok().and_then(|time| time.waits.iter().min().copied()).unwrap_or_default()
    }

    /// Moves it to a time after the beginning.
    pub(crate) fn move_to(&self, passed: Duration) {
        self.state.send_modify(|time| {
            time.passed = time.passed.max(passed);
            let now = time.passed;
            time.waits.retain(|wait| *wait > now);
        });
    }

    /// Moves it to whatever is waited for, always.
    pub(crate) fn runs(self: &std::sync::Arc<TestClock>) {
        let clock = std::sync::Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let next = clock.next_wait().await;
                clock.move_to(next);
                tokio::task::yield_now().await;
            }
        });
    }
}

#[cfg(test)]
#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.begun + self.passed()
    }

    async fn until(&self, at: Instant) {
        let wanted = at.saturating_duration_since(self.begun);
        let mut state = self.state.subscribe();
        if self.passed() < wanted {
            self.state.send_modify(|time| time.waits.push(wanted));
            let _ = state.wait_for(|time| time.passed >= wanted).await;
        }
    }
}
