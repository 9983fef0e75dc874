//! Tests of the scrubber as a whole.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn embedded_patterns_hold_their_examples() {
    if let Err(why) = Scrubber::embedded() {
        panic!("{why}");
    }
}
