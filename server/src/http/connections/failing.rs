//! Wrong keys are answered later and later, for each network: guessing is slow, and an app whose key was revoked sends seldom.
//!
//! ```text
//! debt of a network: + COST for each wrong key, - 1 s each second; free up to FREE, then the answer waits, `most` at the longest
//! ```
//! Invariants: a valid key is not looked at here; there are never more than `NETWORKS_MAX` networks in memory; a debt is forgiven
//! within a minute. Not here: what a valid key is (`auth.rs`), how many connections a network has (`gate.rs`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::network::Network;

/// What a wrong key costs.
const COST: Duration = Duration::from_millis(500);
/// A debt that nobody notices: an app that was started with a mistyped key.
const FREE: Duration = Duration::from_secs(10);
/// Networks that are remembered.
const NETWORKS_MAX: usize = 4096;

/// Networks that have presented wrong keys lately.
pub(crate) struct FailingKeys {
    /// The longest wait.
    most: Duration,
    paid_at: Mutex<HashMap<Network, Instant>>,
}

/// When the debt will be paid after one more wrong key, and how long its answer waits.
fn charge(paid_at: Option<Instant>, now: Instant, most: Duration) -> (Instant, Duration) {
    let debt = paid_at.map_or(Duration::ZERO, |paid_at| paid_at.saturating_duration_since(now)) + COST;
    (now + debt.min(FREE + most), debt.saturating_sub(FREE).min(most))
}

impl FailingKeys {
    pub(crate) fn new(most: Duration) -> FailingKeys {
        FailingKeys { most, paid_at: Mutex::default() }
    }

    /// A wrong key came from there; how long its answer waits.
    pub(in crate::http) fn failed(&self, network: Network, now: Instant) -> Duration {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, wait) = charge(paid_at.get(&network).copied(), now, self.most);
        if paid_at.len() >= NETWORKS_MAX && !paid_at.contains_key(&network) {
            paid_at.retain(|_, at| *at > now);
            // All of them owe something: the one that owes least is let go.
            if paid_at.len() >= NETWORKS_MAX {
                let least = paid_at.iter().min_by_key(|(_, at)| **at).map(|(network, _)| *network);
                least.and_then(|network| paid_at.remove(&network));
            }
        }
        paid_at.insert(network, at);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(2);

    fn network(number: u64) -> Network {
        Network::V6(number.to_be_bytes())
    }

    #[test]
    fn the_first_wrong_keys_are_free_then_each_waits_and_a_minute_forgives_everything() {
        let (failing, now) = (FailingKeys::new(MOST), Instant::now());
        let waits: Vec<Duration> = (0..40).map(|_| failing.failed(network(1), now)).collect();
        assert!(waits[..20].iter().all(Duration::is_zero));
        assert_eq!(waits[20], COST);
        assert_eq!(waits[39], MOST);
        assert!(failing.failed(network(2), now).is_zero(), "another network is another");
        assert!(failing.failed(network(1), now + Duration::from_secs(60)).is_zero());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_that_owe_most() {
        let (failing, now) = (FailingKeys::new(MOST), Instant::now());
        for _ in 0..40 {
            failing.failed(network(0), now);
        }
        for number in 1..3 * NETWORKS_MAX as u64 {
            failing.failed(network(number), now);
        }
        assert!(failing.paid_at.lock().is_ok_and(|networks| networks.len() == NETWORKS_MAX));
        assert_eq!(failing.failed(network(0), now), MOST);
    }

    #[test]
    fn a_steady_rate_below_the_price_never_waits_and_one_above_always_does() {
        for (interval_ms, is_slowed) in [(600, false), (500, false), (400, true), (10, true)] {
            let (failing, start) = (FailingKeys::new(MOST), Instant::now());
            let waits = (0..2000_u64)
                .map(|at| failing.failed(network(1), start + Duration::from_millis(at * interval_ms)));
            assert_eq!(waits.last().is_some_and(|wait| !wait.is_zero()), is_slowed, "{interval_ms}");
        }
    }
}
