//! Tests of the folds.
#![allow(clippy::unwrap_used)]
