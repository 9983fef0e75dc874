//! How much looking at the texts of one request may take, in steps that are counted and never timed, so that the same request
//! always has the same result.
//!
//! A step is about a byte that a regular expression looks at. The search for an event's own identifiers and the scrubber take
//! from the same steps. Not here: how many a request may take (`shoal-ingest`, `config.rs`).

/// What is left of a text that is withheld.
pub const WITHHELD: &str = "<text>";
/// Steps that beginning a search takes, whatever it looks at.
const SEARCH_STEPS: u64 = 16;

/// Why a text is withheld as a whole.
pub(crate) enum Withheld {
    /// No steps were left.
    Unscanned,
    /// It did not come to rest.
    Unsettled,
}

/// What is left of a request's steps, and what was withheld for want of them.
#[derive(Clone, Debug)]
pub struct Work {
    left: u64,
    unscanned: u64,
    unsettled: u64,
}

impl Work {
    /// So many steps.
    pub const fn of(steps_max: u64) -> Work {
        Work { left: steps_max, unscanned: 0, unsettled: 0 }
    }

    /// As many as any text may need.
    pub const fn unlimited() -> Work {
        Work::of(u64::MAX)
    }

    /// Whether nothing is left. What is not looked at then is withheld.
    pub const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Steps that are left.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Texts that were withheld as a whole because no steps were left for them.
    pub const fn unscanned(&self) -> u64 {
        self.unscanned
    }

    /// Texts that were withheld as a whole because they did not come to rest.
    pub const fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Takes the steps of a search over so many bytes; false when nothing is left.
    pub(crate) fn search(&mut self, bytes: usize) -> bool {
        self.spend(SEARCH_STEPS.saturating_add(bytes as u64))
    }

    /// Takes the steps of a pass that reads so many bytes one by one, which is cheaper than a search.
    pub(crate) fn pass(&mut self, bytes: usize) -> bool {
        self.spend(1 + bytes as u64 / 8)
    }

    /// Takes so many steps; false when nothing is left.
    pub(crate) fn spend(&mut self, steps: u64) -> bool {
        self.left = self.left.saturating_sub(steps);
        self.left > 0
    }

    pub(crate) fn note(&mut self, withheld: &Withheld) {
        match withheld {
            Withheld::Unscanned => self.unscanned += 1,
            Withheld::Unsettled => self.unsettled += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Work;

    #[test]
    fn steps_are_taken_until_none_is_left() {
        let mut work = Work::of(100);
        assert!(work.search(10) && work.left() == 74 && !work.is_spent());
        assert!(!work.search(58) && work.is_spent() && !work.pass(0));
        assert!(Work::unlimited().search(usize::MAX / 2));
    }
}
