//! One connection: its seat and its times, which the stream, the requests on it and the one who watches it share.
//!
//! It belongs to the thread that serves it. Not here: when it is late (`times.rs`), who must leave (`gate.rs`).

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::gate::{Seat, Standing};
use super::times::{Limits, Times};

/// How often a connection is looked at. Every limit is longer.
const TICK: Duration = Duration::from_millis(500);

/// One connection.
pub(in crate::http) struct Line {
    seat: Seat,
    times: RefCell<Times>,
    limits: Limits,
    is_known: Cell<bool>,
}

impl Line {
    pub(super) fn new(seat: Seat, limits: Limits) -> Line {
        Line { seat, times: RefCell::new(Times::new(Instant::now())), limits, is_known: Cell::new(false) }
    }

    /// Changes what it does. Nothing that is done with the times calls anything else.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Times) -> T) -> T {
        change(&mut self.times.borrow_mut())
    }

    /// So many bytes came; whether more may come.
    pub(super) fn read(&self, bytes: u64) -> bool {
        self.note(|times| times.read(bytes, Instant::now(), &self.limits))
    }

    /// Whether a valid key has come.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.get()
    }

    /// A valid key has come.
    pub(in crate::http) fn known(&self) {
        if !self.is_known.replace(true) {
            self.seat.known();
            self.note(Times::known);
        }
    }

    /// What is known of it while no valid key has come.
    pub(super) fn stands(&self, standing: Standing) {
        if !self.is_known() {
            self.seat.stands(standing);
        }
    }

    /// Whether it is for health checks alone.
    pub(super) fn is_reserve(&self) -> bool {
        self.seat.is_reserve()
    }

    /// Returns when it must end: it is late, or somebody else needs its seat.
    pub(super) async fn must_end(&self) {
        loop {
            let now = Instant::now();
            let late_at = self.times.borrow().late_at(&self.limits);
            if late_at.is_some_and(|late_at| late_at <= now) {
                return;
            }
            let next = late_at.map_or(now + TICK, |late_at| late_at.min(now + TICK));
            tokio::select! {
                () = self.seat.told_to_leave() => return,
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }
}
