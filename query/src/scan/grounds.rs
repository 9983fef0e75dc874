//! What an accumulator is made for.

use shoal_language::{DayRange, PrivateQuery};

use super::counted::Counted;
use super::span::Span;
use crate::sensitivity::SensitivityLayout;

/// What an accumulator is made for.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    pub(super) query: &'a PrivateQuery,
    pub(super) layout: &'a SensitivityLayout,
    /// All days that are read at once.
    pub(super) days: DayRange,
    pub(super) span: Span,
    /// With a private key: more groups than this fail.
    pub(super) groups_max: Option<u64>,
    pub(super) counted: &'a Counted,
}
