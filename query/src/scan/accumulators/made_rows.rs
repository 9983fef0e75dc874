//! The accumulator of every shape whose rows are made of a subject's events: what funnels, retention and rows of subjects
//! have in common.
//!
//! ```text
//! event -take-> state of the subject -close-> made rows -Frame-> groups
//! ```
//! Invariant: a state is of the current subject alone; when it is closed it begins anew. Not here: what a shape makes of
//! events (`funnel`, `retention`, `subjects`), how a made row is counted (`frame`).

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::noise::Entropy;

use super::columns::Columns;
use super::frame::{EventKeys, Frame};
use crate::failure::Failure;
use crate::scan::accumulator::{Accumulated, Accumulator};
use crate::scan::grounds::Grounds;
use shoal_language::{Scalar, Value};

/// What a shape keeps of the current subject while its events come.
pub(super) trait SubjectState: Send {
    /// Whether keys can be read from an event, which is then the first one that counts.
    const HAS_EVENT_KEYS: bool;

    /// The expressions that it reads of each event.
    fn scalars(&self) -> Vec<Scalar>;

    /// One event more of the current subject.
    fn take(&mut self, event: &Event<'_>);

    /// There are no more events: gives the rows that they make to the frame, and is ready for the next subject.
    fn close(&mut self, frame: &mut Frame) -> Result<(), Failure>;
}

/// An event of the current subject. Positions are those of [`SubjectState::scalars`]. No `Debug`: it is an event.
pub(super) struct Event<'a> {
    pub(super) day: i32,
    pub(super) time_us: i64,
    columns: &'a Columns,
    frame: &'a Frame,
    /// The position of the first key that is read from events.
    first_key: usize,
    source: usize,
    row: usize,
}

impl Event<'_> {
    /// Whether a condition is true: neither false nor null.
    pub(super) fn is_true(&self, at: usize) -> bool {
        self.columns.is_true(self.source, at, self.row)
    }

    /// Whether a value is not null.
    pub(super) fn is_present(&self, at: usize) -> bool {
        self.columns.is_present(self.source, at, self.row)
    }

    /// The units of a number; none for null.
    pub(super) fn number(&self, at: usize) -> Option<i64> {
        self.columns.number(self.source, at, self.row)
    }

    /// Any value.
    pub(super) fn value(&self, at: usize) -> Value {
        self.columns.value(self.source, at, self.row)
    }

    /// Its keys; none when it has a value that is not in a public domain.
    pub(super) fn keys(&self) -> Option<EventKeys> {
        self.frame.event_keys(|key| self.value(self.first_key + key))
    }
}

/// The accumulator of one shape.
pub(super) struct MadeRows<S> {
    state: S,
    frame: Frame,
    /// Those of the state, then the keys that are read from events.
    scalars: Vec<Scalar>,
    first_key: usize,
    columns: Columns,
}

impl<S: SubjectState> MadeRows<S> {
    pub(super) fn new(
        state: S,
        grounds: &Grounds<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<MadeRows<S>, Failure> {
        let frame = Frame::new(grounds, entropy)?;
        let mut scalars = state.scalars();
        let first_key = scalars.len();
        scalars.extend(frame.event_scalars());
        if scalars.len() > first_key && !S::HAS_EVENT_KEYS {
            return Err(Failure::Internal);
        }
        let columns = Columns::new(&scalars);
        Ok(MadeRows { state, frame, scalars, first_key, columns })
    }
}

impl<S: SubjectState> Accumulator for MadeRows<S> {
    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn made(&self) -> Vec<Scalar> {
        self.frame.made()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.load(source, columns)
    }

    fn row(&mut self, source: usize, row: usize, day: i32, time_us: i64) {
        let (columns, frame, first_key) = (&self.columns, &self.frame, self.first_key);
        self.state.take(&Event { day, time_us, columns, frame, first_key, source, row });
    }

    fn member(&mut self, membership: usize) {
        self.frame.member(membership);
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        self.state.close(&mut self.frame)?;
        self.frame.close(subject)
    }

    fn bytes(&self) -> usize {
        self.frame.bytes() + self.columns.bytes()
    }

    fn row_bytes(&self) -> usize {
        self.columns.row_bytes()
    }

    fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
        self.frame.finish()
    }
}
