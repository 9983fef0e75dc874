//! What is totalled by itself: a day, or a bucket of days.

/// What is totalled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// A day.
    Day(i32),
    /// A bucket of days, by its position among those of what is due.
    Bucket(usize),
}
