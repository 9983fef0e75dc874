//! Since when and until when a subject takes part in a programme, as it was recorded.
//!
//! ```text
//!          grant         withdrawal        grant      new version
//! -----------[----------------)--------------[-------------[--------------->      intervals [from, until)
//! ```
//! Invariants: the order is that in which the service was told, whatever the clocks said; only the last interval can be open,
//! and while none is, and there was a withdrawal, nothing counts; no two intervals hold the same moment. A grant that claims to be
//! from before a recorded withdrawal is an old message and changes nothing. What a consent manager tells with every message is a state and no act: it ends no
//! withdrawal that was made elsewhere. An interval after a withdrawal never begins before its receipt, or, where the service's
//! clock has gone back since, before its own; a first one begins a little before the grant. The number of intervals is bounded: the
//! oldest one goes, and with it what would lie in it.
//! Not here: what is decided by it (`decision.rs`), its bytes (`record.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A first grant counts from this much before it, ms: an app that starts with the opt-in must not lose its first events.
pub const FIRST_GRANT_MS: i64 = 5 * 60_000;

/// Intervals of one subject, at the most.
const INTERVALS_MAX: usize = 64;

/// One time for which consent was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The policy version that was agreed to.
    pub policy_version: Arc<str>,
    /// When it was granted, as the client said, and never later than the receipt; ms since 1970.
    pub granted_ms: i64,
    /// When the service was told, ms since 1970.
    pub received_ms: i64,
    /// The first millisecond for which it counts.
    pub from_ms: i64,
    /// The first millisecond for which it does not count any more; none while it is open.
    pub until_ms: Option<i64>,
}

/// All of it, for one subject and programme.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// In the order in which they were recorded.
    intervals: Vec<Interval>,
    /// Receipt of the latest withdrawal; none when there never was one.
    withdrawn_ms: Option<i64>,
    /// Whether it was told by a consent manager, which will tell when it is not so any more.
    #[serde(default)]
    is_told: bool,
}

/// A grant, as the service was told.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The policy version that is agreed to.
    pub policy_version: &'a str,
    /// When it was granted, as the client says: of several readings the earliest. None when it does not say.
    pub claimed_ms: Option<i64>,
    /// When the service was told.
    pub received_ms: i64,
}

/// When an event happened, in both readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As the client says.
    pub claimed_ms: i64,
    /// With the difference of the client's clock taken out, which may be wrong, too: a body that waited looks like a clock
    /// that is slow.
    pub corrected_ms: i64,
}

/// What a history says of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'h> {
    /// Neither a grant nor a withdrawal was ever recorded.
    Unrecorded,
    /// Consent was in force, in both readings of the time, under these policy versions.
    Given([&'h str; 2]),
    /// It was before the first grant, and nothing was ever withdrawn.
    Before,
    /// It was withdrawn: a withdrawal is in force, or there was one and the moment is in no interval.
    Withdrawn,
}

impl History {
    /// What a record says that has the times of its last grant and its last withdrawal alone.
    pub(super) fn of_times(policy_version: &str, granted: Option<i64>, withdrawn: Option<i64>) -> History {
        let mut history = History::default();
        let grant = |at: i64| Grant { policy_version, claimed_ms: Some(at), received_ms: at };
        match (granted, withdrawn) {
            (Some(granted), Some(withdrawn)) if granted > withdrawn => {
                history.withdraw(None, withdrawn);
                history.grant(&grant(granted));
            }
            (granted, withdrawn) => {
                granted.into_iter().for_each(|at| history.grant(&grant(at)));
                withdrawn.into_iter().for_each(|at| history.withdraw(None, at));
            }
        }
        history
    }

    /// The intervals, oldest first.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Whether a withdrawal is in force.
    pub fn is_withdrawn(&self) -> bool {
        self.was_withdrawn() && !self.is_open()
    }

    /// Whether there ever was a withdrawal.
    pub fn was_withdrawn(&self) -> bool {
        self.withdrawn_ms.is_some()
    }

    /// Receipt of the latest withdrawal, ms since 1970; none when there never was one.
    pub fn withdrawn_ms(&self) -> Option<i64> {
        self.withdrawn_ms
    }

    /// The first end of an interval that no other one follows at once; none when there is none.
    pub fn first_end_ms(&self) -> Option<i64> {
        let goes_on =
            |at: usize, until: i64| self.intervals.get(at + 1).is_some_and(|next| next.from_ms == until);
        let ends = self
            .intervals
            .iter()
            .enumerate()
            .filter_map(|(at, i)| i.until_ms.filter(|until| !goes_on(at, *until)));
        ends.min()
    }

    /// Whether the latest withdrawal was told by a consent manager.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether consent is in force.
    pub fn is_open(&self) -> bool {
        self.intervals.last().is_some_and(|last| last.until_ms.is_none())
    }

    /// Records a grant.
    pub fn grant(&mut self, grant: &Grant<'_>) {
        if let (Some(claimed), Some(withdrawn)) = (grant.claimed_ms, self.withdrawn_ms)
            && claimed <= withdrawn
        {
            return;
        }
        // The clock has gone back since a withdrawal: until when consent counted before it is not known.
        let contradicts = |until: i64| self.withdrawn_ms.is_some() && until > grant.received_ms;
        self.intervals.retain(|i| !i.until_ms.is_some_and(contradicts));
        let granted_ms = grant.claimed_ms.map_or(grant.received_ms, |at| at.min(grant.received_ms));
        let from_ms = match self.withdrawn_ms {
            // The receipt of the withdrawal is by a clock that was ahead, or this one by a clock that is slow. It was told after it,
            // and a time of the other clock's would shut the person out until that comes.
            Some(withdrawn) if grant.received_ms < withdrawn => grant.received_ms,
            Some(withdrawn) => granted_ms.max(withdrawn),
            None => granted_ms.saturating_sub(FIRST_GRANT_MS),
        };
        let new = Interval {
            policy_version: grant.policy_version.into(),
            granted_ms,
            received_ms: grant.received_ms,
            from_ms,
            until_ms: None,
        };
        // What an interval before the open one holds stays its own.
        let least_ms = self.intervals.iter().rev().find_map(|i| i.until_ms).unwrap_or(i64::MIN);
        match self.intervals.last_mut().filter(|last| last.until_ms.is_none()) {
            None => self.intervals.push(new),
            // The same again: it may be known to have begun earlier.
            Some(open) if open.policy_version == new.policy_version => {
                open.from_ms = open.from_ms.min(from_ms.max(least_ms));
                open.granted_ms = open.granted_ms.min(granted_ms.max(least_ms));
            }
            // The clock has gone back since the version before this one: it counts until this one was told.
            Some(open) if grant.received_ms < open.received_ms => {
                let from_ms = grant.received_ms.max(least_ms);
                open.until_ms = Some(from_ms);
                self.intervals.push(Interval { from_ms, ..new });
            }
            // An old message about another version.
            Some(open) if granted_ms < open.granted_ms => {}
            Some(open) => {
                let from_ms = granted_ms.max(open.from_ms);
                open.until_ms = Some(from_ms);
                self.intervals.push(Interval { from_ms, ..new });
            }
        }
        self.tidy();
    }

    /// Records what a consent manager tells with every message: that consent is given. It ends a withdrawal that was told the
    /// same way, and none that somebody has made elsewhere.
    pub fn tell_grant(&mut self, grant: &Grant<'_>) {
        if !self.is_withdrawn() || self.is_told {
            self.grant(grant);
        }
    }

    /// Records what a consent manager tells with every message: that consent is withdrawn.
    pub fn tell_withdrawal(&mut self, claimed_ms: Option<i64>, received_ms: i64) {
        let is_told = self.is_told || !self.is_withdrawn();
        self.withdraw(claimed_ms, received_ms);
        self.is_told = is_told;
    }

    /// Records a withdrawal, which ends what was granted before, whatever times that has. When the client says that it was
    /// earlier than the receipt, consent counts until then.
    pub fn withdraw(&mut self, claimed_ms: Option<i64>, received_ms: i64) {
        self.is_told = false;
        if let Some(open) = self.intervals.last_mut().filter(|last| last.until_ms.is_none()) {
            open.until_ms = Some(claimed_ms.map_or(received_ms, |at| at.min(received_ms)));
        }
        // An interval that ended later than this was told under a clock that has gone back since.
        self.intervals
            .iter_mut()
            .filter_map(|i| i.until_ms.as_mut())
            .for_each(|until| *until = received_ms.min(*until));
        self.withdrawn_ms = self.withdrawn_ms.max(Some(received_ms));
        self.tidy();
    }

    /// What is recorded about a moment.
    pub fn standing(&self, moment: Moment) -> Standing<'_> {
        let within = |at: i64| {
            let mut holding = self.intervals.iter().rev();
            holding.find(|i| i.from_ms <= at && i.until_ms.is_none_or(|until| at < until))
        };
        match (within(moment.claimed_ms), within(moment.corrected_ms)) {
            _ if self.is_withdrawn() => Standing::Withdrawn,
            (Some(one), Some(other)) => Standing::Given([&one.policy_version, &other.policy_version]),
            _ if self.was_withdrawn() => Standing::Withdrawn,
            _ if self.intervals.is_empty() => Standing::Unrecorded,
            _ => Standing::Before,
        }
    }

    /// Takes out what holds no moment, and what is too many.
    fn tidy(&mut self) {
        self.intervals.retain(|i| i.until_ms.is_none_or(|until| i.from_ms < until));
        let excess = self.intervals.len().saturating_sub(INTERVALS_MAX);
        self.intervals.drain(..excess);
    }
}
