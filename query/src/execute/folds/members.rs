//! `subject [NOT] IN (SELECT subject FROM .. WHERE ..)`: a first pass over the other table collects its subjects.
//!
//! Invariants: a set holds pseudonyms and never leaves `execute`: no `Debug`. It takes 16 bytes a subject; above its
//! limit the query fails rather than answer about some of the subjects only.
//! Sensitivity: a day of the other table that is taken away can take a subject's whole contribution away (or, with NOT
//! IN, bring it); that is one of the changes which a range's bounds cover anyway (`layout`).

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;

use super::Fold;
use crate::execute::Failure;
use crate::expr::Scalar;

/// Subjects, in order.
pub(crate) struct SubjectSet(Vec<[u8; 16]>);

impl SubjectSet {
    pub(crate) fn contains(&self, subject: &[u8; 16]) -> bool {
        self.0.binary_search(subject).is_ok()
    }
}

/// Which subjects count: those in (or not in) each of some sets.
#[derive(Clone, Default)]
pub(crate) struct Gate(Vec<(Arc<SubjectSet>, bool)>);

impl Gate {
    /// `negated`: those that are not in the set.
    pub(crate) fn and(mut self, set: Arc<SubjectSet>, negated: bool) -> Gate {
        self.0.push((set, negated));
        self
    }

    pub(crate) fn admits(&self, subject: &[u8; 16]) -> bool {
        self.0.iter().all(|(set, negated)| set.contains(subject) != *negated)
    }
}

/// Collects the subjects that have any row: the membership's filter is the pass's own.
pub(crate) struct MembersFold {
    subjects: Vec<[u8; 16]>,
    has_rows: bool,
    subjects_max: usize,
}

impl MembersFold {
    pub(crate) fn new(subjects_max: usize) -> MembersFold {
        MembersFold { subjects: Vec::new(), has_rows: false, subjects_max }
    }

    pub(crate) fn finish(self) -> SubjectSet {
        let mut subjects = self.subjects;
        subjects.sort_unstable();
        subjects.dedup();
        SubjectSet(subjects)
    }
}

impl Fold for MembersFold {
    fn scalars(&self) -> Vec<Scalar> {
        Vec::new()
    }

    fn load(&mut self, _source: usize, _columns: &[ArrayRef]) -> Result<(), Failure> {
        Ok(())
    }

    fn row(&mut self, _source: usize, _row: usize, _day: i32, _time_us: i64) {
        self.has_rows = true;
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        if std::mem::take(&mut self.has_rows) {
            if self.subjects.len() >= self.subjects_max {
                return Err(Failure);
            }
            self.subjects.push(*subject);
        }
        Ok(())
    }
}
