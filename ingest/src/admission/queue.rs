//! The queue for turns, as a pure function of times: controlled delay in the form that requests need (ADR 26).
//!
//! While a turn is free now and then, the queue only evens out bursts, and a request may wait for `wait`. When no turn was free for
//! longer than that, the queue will not get shorter by waiting: then a request may wait for `standing_wait` only, which is enough to
//! keep every turn taken. First come, first served.
//!
//! Invariants: no more than `turns` run and `waiting_max` wait; who runs has waited for no longer than `wait`; while a turn is free
//! nobody waits. Not here: clocks and threads (`mod.rs`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::AdmissionConfig;

/// The longest time after which a client is told to come back, seconds.
const RETRY_AFTER_S_MAX: u64 = 10;

pub(super) struct Queue<T> {
    config: AdmissionConfig,
    running: usize,
    waiting: VecDeque<Waiting<T>>,
    /// The last time at which a turn was free.
    free_at: Instant,
    next: u64,
}

struct Waiting<T> {
    number: u64,
    since: Instant,
    ticket: T,
}

/// What becomes of who arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Runs,
    /// It waits under this number, until this time at the latest.
    Waits {
        number: u64,
        until: Instant,
    },
    Refused,
}

/// What becomes of those who wait when a turn is over.
pub(super) struct Left<T> {
    /// The turn is this one's.
    pub(super) next: Option<T>,
    /// These have waited for too long. They hear of it when their tickets are dropped.
    pub(super) refused: Vec<T>,
}

impl<T> Queue<T> {
    pub(super) fn new(config: AdmissionConfig, now: Instant) -> Queue<T> {
        Queue { config, running: 0, waiting: VecDeque::new(), free_at: now, next: 0 }
    }

    /// How long a request may have waited by now.
    fn patience(&self, now: Instant) -> Duration {
        match now.saturating_duration_since(self.free_at) > self.config.wait {
            true => self.config.standing_wait.min(self.config.wait),
            false => self.config.wait,
        }
    }

    pub(super) fn arrive(&mut self, ticket: T, now: Instant) -> Arrival {
        if self.running < self.config.turns {
            self.free_at = now;
            self.running += 1;
            return Arrival::Runs;
        }
        if self.waiting.len() >= self.config.waiting_max {
            self.next += 1;
            return Arrival::Refused;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, since: now, ticket });
        Arrival::Waits { number, until: now + self.patience(now) }
    }

    /// A turn is over.
    pub(super) fn leave(&mut self, now: Instant) -> Left<T> {
        self.running = self.running.saturating_sub(1);
        let patience = self.patience(now);
        let mut left = Left { next: None, refused: Vec::new() };
        while let Some(first) = self.waiting.pop_front() {
            if now.saturating_duration_since(first.since) <= patience {
                self.running += 1;
                left.next = Some(first.ticket);
                break;
            }
            left.refused.push(first.ticket);
        }
        if left.next.is_none() {
            self.free_at = now;
        }
        left
    }

    /// Who waits under this number waits no more, if it still does.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Ok(at) = self.waiting.binary_search_by_key(&number, |waiting| waiting.number) {
            self.waiting.remove(at);
        }
    }

    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.running
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When one that is refused now is to come back: later the longer the queue has been standing, and not all at once.
    pub(super) fn retry_after_s(&self, now: Instant) -> u32 {
        let standing_s = now.saturating_duration_since(self.free_at).as_secs();
        let within = 1 + standing_s.min(RETRY_AFTER_S_MAX - 1);
        u32::try_from(1 + self.next % within).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: AdmissionConfig = AdmissionConfig {
        turns: 2,
        waiting_max: 30,
        wait: Duration::from_millis(100),
        standing_wait: Duration::from_millis(20),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_waits_and_a_standing_queue_refuses_early() {
        let start = Instant::now();
        let mut queue = Queue::new(CONFIG, start);
        assert_eq!((queue.arrive(0, start), queue.arrive(1, start)), (Arrival::Runs, Arrival::Runs));
        assert_eq!(queue.arrive(2, start), Arrival::Waits { number: 0, until: start + ms(100) });
        assert_eq!(queue.arrive(3, start + ms(50)), Arrival::Waits { number: 1, until: start + ms(150) });
        let left = queue.leave(start + ms(60));
        assert_eq!((left.next, left.refused), (Some(2), vec![]));
        // No turn was free for 101 ms: what has waited for more than 20 ms goes, and newcomers wait no longer than that.
        assert_eq!(queue.arrive(4, start + ms(101)), Arrival::Waits { number: 2, until: start + ms(121) });
        let left = queue.leave(start + ms(110));
        assert_eq!((left.next, left.refused), (Some(4), vec![3]));
        // A free turn ends that.
        assert_eq!(queue.leave(start + ms(120)).next, None);
        assert_eq!(queue.arrive(5, start + ms(120)), Arrival::Runs);
        assert_eq!(queue.arrive(6, start + ms(130)), Arrival::Waits { number: 3, until: start + ms(230) });
    }

    #[test]
    fn who_is_refused_comes_back_later_the_longer_it_lasts_and_not_all_at_once() {
        let start = Instant::now();
        let mut queue = Queue::new(AdmissionConfig { waiting_max: 0, turns: 0, ..CONFIG }, start);
        let mut told = |after: Duration| -> std::collections::BTreeSet<u32> {
            (0..100)
                .map(|_| {
                    assert_eq!(queue.arrive((), start + after), Arrival::Refused);
                    queue.retry_after_s(start + after)
                })
                .collect()
        };
        assert_eq!(told(ms(10)), [1].into());
        assert_eq!(told(ms(3500)), (1..=4).collect());
        assert_eq!(told(Duration::from_secs(3600)), (1..=10).collect());
    }

    /// A service of `CONFIG.turns` turns that takes `service` for each request, one of which comes each `between`.
    fn overloaded(between: Duration, service: Duration, until: Duration) -> (u64, u64, Duration) {
        let start = Instant::now();
        let mut queue: Queue<(u64, Instant)> = Queue::new(CONFIG, start);
        let (mut now, mut next_arrival, mut busy): (Instant, Instant, Vec<Instant>) =
            (start, start, Vec::new());
        let (mut served, mut refused, mut longest) = (0, 0, Duration::ZERO);
        let mut deadlines: Vec<(u64, Instant)> = Vec::new();
        while now < start + until {
            let first = [Some(next_arrival), busy.iter().min().copied(), deadlines.iter().map(|d| d.1).min()];
            now = first.into_iter().flatten().min().unwrap_or(now);
            if let Some(at) = busy.iter().position(|end| *end <= now) {
                busy.remove(at);
                let left = queue.leave(now);
                refused += left.refused.len() as u64;
                for gone in left.refused.iter().chain(&left.next) {
                    deadlines.retain(|(number, _)| number != &gone.0);
                }
                if let Some((_, since)) = left.next {
                    longest = longest.max(now - since);
                    served += 1;
                    busy.push(now + service);
                }
            } else if let Some(at) = deadlines.iter().position(|(_, until)| *until <= now) {
                queue.give_up(deadlines.remove(at).0);
                refused += 1;
            } else {
                next_arrival = now + between;
                let number = queue.next;
                match queue.arrive((number, now), now) {
                    Arrival::Runs => {
                        served += 1;
                        busy.push(now + service);
                    }
                    Arrival::Waits { number, until } => deadlines.push((number, until)),
                    Arrival::Refused => refused += 1,
                }
            }
        }
        (served, refused, longest)
    }

    #[test]
    fn at_ten_times_the_capacity_every_turn_is_used_and_nobody_waits_for_long() {
        for service_ms in [5, 20, 60, 200, 400] {
            let service = ms(service_ms);
            // Two turns: one request each half of the service time is just what can be done.
            let (served, refused, longest) = overloaded(service / 20, service, Duration::from_secs(60));
            let most = 60_000 / service_ms * 2;
            assert!(served * 10 >= most * 9, "{service_ms} ms: {served} of {most}");
            assert!(refused > served * 8 && longest <= ms(100), "{service_ms} ms: {refused}, {longest:?}");
        }
        let (served, refused, longest) = overloaded(ms(12), ms(20), Duration::from_secs(60));
        assert!(
            refused == 0 && served >= 4_999 && longest < ms(20),
            "below capacity: {served}, {refused}, {longest:?}"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_the_bounds_hold(steps in prop::collection::vec((0..5_u8, 0..60_u64), 0..400)) {
            let mut now = Instant::now();
            let mut queue = Queue::new(CONFIG, now);
            let mut running = 0_usize;
            let mut waiting: Vec<(u64, Instant)> = Vec::new();
            for (step, wait_ms) in steps {
                now += ms(wait_ms);
                match step {
                    0..=2 => match queue.arrive(now, now) {
                        Arrival::Runs => {
                            prop_assert!(running < CONFIG.turns && waiting.is_empty());
                            running += 1;
                        }
                        Arrival::Waits { number, until } => {
                            prop_assert!(running == CONFIG.turns && until <= now + CONFIG.wait);
                            waiting.push((number, now));
                        }
                        Arrival::Refused => prop_assert_eq!(waiting.len(), CONFIG.waiting_max),
                    },
                    3 if running > 0 => {
                        let left = queue.leave(now);
                        running -= 1;
                        // In the order in which they came, without a gap.
                        let gone: Vec<Instant> = left.refused.iter().copied().chain(left.next).collect();
                        prop_assert_eq!(&gone, &waiting.drain(..gone.len()).map(|w| w.1).collect::<Vec<_>>());
                        if let Some(since) = left.next {
                            prop_assert!(now - since <= CONFIG.wait);
                            running += 1;
                        } else {
                            prop_assert!(waiting.is_empty());
                        }
                    }
                    4 if !waiting.is_empty() => {
                        let at = wait_ms as usize % waiting.len();
                        queue.give_up(waiting.remove(at).0);
                    }
                    _ => {}
                }
                prop_assert_eq!((queue.running(), queue.waiting()), (running, waiting.len()));
            }
        }
    }
}
