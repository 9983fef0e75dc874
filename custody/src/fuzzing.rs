//! What decodes bytes of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Not here:
//! inputs (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`), what a token answers, which its module decodes.

use crate::envelope::Envelope;
use crate::{transit, wrapping_file};

/// A wrapped key file, which is written as it is read; a file of wrapping keys; an answer of a transit service.
pub fn custody(bytes: &[u8]) -> bool {
    let is_answer = transit::is_answer(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return is_answer };
    let envelope = Envelope::parse(text);
    if let Ok(envelope) = &envelope {
        assert!(Envelope::is_one(text));
        assert!(Envelope::parse(&envelope.to_text()).is_ok_and(|again| again == *envelope));
    }
    envelope.is_ok() || wrapping_file::is_one(text) || is_answer
}

#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_texts_of_custody_end_in_no_panic() {
        malformed::check("custody", custody);
    }
}
