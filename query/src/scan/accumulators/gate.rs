//! `subject [NOT] IN (SELECT subject FROM .. WHERE ..)`: whether the current subject counts.
//!
//! The rows of the other tables come in the same merge, so no set of subjects is kept: a mark for each membership is.
//! Sensitivity: a day of the other table that is taken away can take a subject's whole contribution away (or, with NOT
//! IN, bring it); that is one of the changes which a range's bounds cover anyway (`sensitivity`).

use shoal_language::PrivateQuery;

/// The memberships of the current subject.
pub(super) struct Gate {
    /// (has a row there, is negated)
    memberships: Vec<(bool, bool)>,
}

impl Gate {
    pub(super) fn new(query: &PrivateQuery) -> Gate {
        Gate { memberships: query.members().iter().map(|members| (false, members.negated)).collect() }
    }

    /// The subject has a row in the table of this membership.
    pub(super) fn member(&mut self, membership: usize) {
        if let Some((has, _)) = self.memberships.get_mut(membership) {
            *has = true;
        }
    }

    /// Whether the subject counts, now that all its rows have been seen; ready for the next one.
    pub(super) fn close(&mut self) -> bool {
        self.memberships.iter_mut().fold(true, |counts, (has, negated)| {
            let is_member = std::mem::take(has);
            counts && is_member != *negated
        })
    }
}
