//! When a connection is late: a pure function of what it did and when. Clocks are arguments.
//!
//! | it | may take |
//! |---|---|
//! | has sent no whole head yet | `head` |
//! | is quiet between requests | `quiet` when a valid key has come on it, else `head` |
//! | sends the next head (one request at a time) | `head` from its first byte |
//! | is handled | as long as the route takes: bodies and questions have limits of their own |
//! | was answered before the end of its body | `closing`, and `closing_bytes` more |
//! | does not read its answer | a grace, and then `rate_min` bytes a second |

use std::time::{Duration, Instant};

/// How long a client that does not read its answer is waited for before its rate counts.
const STALL_GRACE: Duration = Duration::from_secs(10);

/// What a connection may take.
#[derive(Clone, Copy)]
pub(in crate::http) struct Limits {
    /// For the head of a request.
    pub(in crate::http) head: Duration,
    /// Between two requests.
    pub(in crate::http) quiet: Duration,
    /// For reading the answer and going away, when the body is not read to its end.
    pub(in crate::http) closing: Duration,
    /// Bytes of such a body that are read and thrown away.
    pub(in crate::http) closing_bytes: u64,
    /// Bytes a second that a client must read of its answer.
    pub(in crate::http) rate_min: u64,
}

struct Since {
    since: Instant,
    bytes: u64,
}

/// What one connection does, and since when.
pub(super) struct Times {
    opened: Instant,
    /// HTTP/2: several requests at once, and frames that belong to none.
    is_multiplexed: bool,
    is_known: bool,
    had_request: bool,
    requests: u32,
    quiet_since: Instant,
    head_since: Option<Instant>,
    closing: Option<Since>,
    stalled: Option<Since>,
}

impl Times {
    pub(super) fn new(opened: Instant) -> Times {
        Times {
            opened,
            is_multiplexed: false,
            is_known: false,
            had_request: false,
            requests: 0,
            quiet_since: opened,
            head_since: None,
            closing: None,
            stalled: None,
        }
    }

    pub(super) fn multiplexed(&mut self) {
        self.is_multiplexed = true;
    }

    /// A valid key has come.
    pub(super) fn known(&mut self) {
        self.is_known = true;
    }

    /// So many bytes came. False when it has sent more than is read of a body that nobody wants.
    pub(super) fn read(&mut self, bytes: u64, now: Instant, limits: &Limits) -> bool {
        if let Some(closing) = &mut self.closing {
            closing.bytes = closing.bytes.saturating_add(bytes);
            return closing.bytes <= limits.closing_bytes;
        }
        if self.requests == 0 && bytes > 0 && !self.is_multiplexed {
            self.head_since.get_or_insert(now);
        }
        true
    }

    /// A request's head is whole.
    pub(super) fn began(&mut self) {
        self.had_request = true;
        self.requests += 1;
        self.head_since = None;
    }

    /// The last byte of an answer is on its way; whether something of the request's body was not read.
    pub(super) fn answered(&mut self, is_unread: bool, now: Instant) {
        self.requests = self.requests.saturating_sub(1);
        self.quiet_since = now;
        if is_unread && !self.is_multiplexed {
            self.closing.get_or_insert(Since { since: now, bytes: 0 });
        }
    }

    /// The client takes no more for now.
    pub(super) fn stalled(&mut self, now: Instant) {
        self.stalled.get_or_insert(Since { since: now, bytes: 0 });
    }

    /// It took so many bytes.
    pub(super) fn wrote(&mut self, bytes: u64) {
        if let Some(stalled) = &mut self.stalled {
            stalled.bytes = stalled.bytes.saturating_add(bytes);
        }
    }

    /// It took everything.
    pub(super) fn flushed(&mut self) {
        self.stalled = None;
    }

    /// When it is late, unless something happens before. `None` while what it waits for has a limit of its own.
    pub(super) fn late_at(&self, limits: &Limits) -> Option<Instant> {
        let read = match (&self.closing, self.head_since) {
            (Some(closing), _) => Some(closing.since + limits.closing),
            (None, _) if self.requests > 0 => None,
            (None, _) if !self.had_request => Some(self.opened + limits.head),
            (None, Some(head_since)) => Some(head_since + limits.head),
            (None, None) if self.is_known => Some(self.quiet_since + limits.quiet),
            (None, None) => Some(self.quiet_since + limits.head),
        };
        let write = self.stalled.as_ref().map(|stalled| {
            let paid = Duration::from_millis(stalled.bytes.saturating_mul(1000) / limits.rate_min.max(1));
            stalled.since + STALL_GRACE + paid
        });
        read.into_iter().chain(write).min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(5),
        quiet: Duration::from_secs(75),
        closing: Duration::from_secs(2),
        closing_bytes: 1000,
        rate_min: 1000,
    };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_head_has_its_time_from_the_opening_and_later_ones_from_their_first_byte() {
        let start = Instant::now();
        let mut times = Times::new(start);
        assert_eq!(times.late_at(&LIMITS), Some(start + s(5)));
        assert!(times.read(10, start + s(4), &LIMITS));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(5)), "a byte now and then buys nothing");
        times.began();
        assert_eq!(times.late_at(&LIMITS), None);
        times.answered(false, start + s(9));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(14)), "a stranger does not stay");
        times.known();
        assert_eq!(times.late_at(&LIMITS), Some(start + s(84)));
        assert!(times.read(1, start + s(40), &LIMITS) && times.read(1, start + s(44), &LIMITS));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(45)));
    }

    #[test]
    fn what_is_sent_after_an_answer_ends_the_connection_by_time_and_by_bytes() {
        let start = Instant::now();
        let mut times = Times::new(start);
        times.known();
        times.began();
        assert!(times.read(1 << 30, start, &LIMITS), "a body that is read has other limits");
        times.answered(true, start + s(1));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(3)));
        assert!(times.read(1000, start + s(2), &LIMITS));
        times.answered(true, start + s(2));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(3)), "nothing moves the end");
        assert!(!times.read(1, start + s(2), &LIMITS));
    }

    #[test]
    fn an_answer_that_is_not_read_has_a_rate() {
        let start = Instant::now();
        let mut times = Times::new(start);
        times.began();
        times.stalled(start + s(1));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(11)));
        times.wrote(3000);
        times.stalled(start + s(9));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(14)));
        times.flushed();
        assert_eq!(times.late_at(&LIMITS), None);
    }

    #[test]
    fn frames_between_requests_are_no_head() {
        let start = Instant::now();
        let mut times = Times::new(start);
        times.multiplexed();
        times.known();
        times.began();
        times.began();
        times.answered(true, start + s(1));
        assert_eq!(times.late_at(&LIMITS), None, "the other request goes on");
        times.answered(false, start + s(2));
        assert!(times.read(9, start + s(30), &LIMITS));
        assert_eq!(times.late_at(&LIMITS), Some(start + s(77)));
    }

    /// Whatever a client does, it is late within a bounded time after its last request was handled.
    #[test]
    fn no_order_of_bytes_keeps_a_connection_open() {
        let mut seed = 7_u64;
        let mut next = |end: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % end
        };
        for _ in 0..2000 {
            let start = Instant::now();
            let (mut times, mut now, mut open) = (Times::new(start), start, 0_u32);
            let mut free_since = start;
            for _ in 0..40 {
                now += Duration::from_millis(next(3000));
                if times.late_at(&LIMITS).is_some_and(|late| late <= now) {
                    break;
                }
                match next(6) {
                    0 if open == 0 => {
                        times.began();
                        open += 1;
                    }
                    1 if open > 0 => {
                        times.answered(next(2) == 0, now);
                        open -= 1;
                        free_since = now;
                    }
                    2 => times.stalled(now),
                    3 => times.flushed(),
                    4 => times.known(),
                    _ => drop(times.read(next(50), now, &LIMITS)),
                }
                if open == 0 {
                    let late = times.late_at(&LIMITS).unwrap();
                    assert!(
                        late <= free_since + LIMITS.quiet + LIMITS.head,
                        "late in {:?}",
                        late - free_since
                    );
                }
            }
        }
    }
}
