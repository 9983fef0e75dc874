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

    /// Comes back when it is so late. Nothing is done before.
    async fn until(&self, at: Instant);

    /// Comes back when it is so late, beside work that may be done before.
    async fn late(&self, at: Instant) {
        self.until(at).await;
    }
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
    /// When what is worked at is late.
    late: Vec<Duration>,
}

#[cfg(test)]
fn first_end(time: &TestTime) -> Option<Duration> {
    time.waits.iter().chain(&time.late).min().copied()
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

    /// When somebody waits: for what, after the beginning. Who works does not wait.
    pub(crate) async fn next_wait(&self) -> Duration {
        self.next_of(1).await
    }

    /// When so many wait: for what the first of them does.
    pub(crate) async fn next_of(&self, many: usize) -> Duration {
        self.next(|time| time.waits.iter().min().copied().filter(|_| time.waits.len() >= many)).await
    }

    /// The same, also of those who work: when the first of them is late.
    pub(crate) async fn next_end(&self) -> Duration {
        self.next(first_end).await
    }

    /// Moves it to a time after the beginning.
    pub(crate) fn move_to(&self, passed: Duration) {
        self.state.send_modify(|time| {
            time.passed = time.passed.max(passed);
            let now = time.passed;
            time.waits.retain(|wait| *wait > now);
            time.late.retain(|late| *late > now);
        });
    }

    /// Moves it to whatever is waited for, always, and leaves those who work as much time as they need.
    pub(crate) fn runs(self: &std::sync::Arc<TestClock>) {
        self.goes_on(|time| time.waits.iter().min().copied());
    }

    /// The same, also while others work: whoever does not end at once is late.
    pub(crate) fn races(self: &std::sync::Arc<TestClock>) {
        self.goes_on(first_end);
    }

    fn goes_on(self: &std::sync::Arc<TestClock>, next: fn(&TestTime) -> Option<Duration>) {
        let clock = std::sync::Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let next = clock.next(next).await;
                clock.move_to(next);
                tokio::task::yield_now().await;
            }
        });
    }

    async fn next(&self, next: impl Fn(&TestTime) -> Option<Duration>) -> Duration {
        let mut state = self.state.subscribe();
        let found = state.wait_for(|time| next(time).is_some()).await;
        found.ok().and_then(|time| next(&time)).unwrap_or_default()
    }

    async fn wait(&self, at: Instant, of: fn(&mut TestTime) -> &mut Vec<Duration>) {
        let wanted = at.saturating_duration_since(self.begun);
        let mut state = self.state.subscribe();
        if self.passed() < wanted {
            self.state.send_modify(|time| of(time).push(wanted));
            let _ = state.wait_for(|time| time.passed >= wanted).await;
        }
    }
}

#[cfg(test)]
#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.begun + self.passed()
    }

    async fn until(&self, at: Instant) {
        self.wait(at, |time| &mut time.waits).await;
    }

    async fn late(&self, at: Instant) {
        self.wait(at, |time| &mut time.late).await;
    }
}
