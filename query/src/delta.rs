//! Amounts of delta: what thresholds take of a block, in units of 10^-18, which the ledger counts in.
//!
//! Not here: what a release takes (`ledger.rs`), the thresholds themselves (`charge`).

/// Units of the ledger's deltas in one.
const ATTO: f64 = 1e18;

/// An amount of delta for people and programs, as 4e-9.
pub(crate) fn delta_text(atto: u64) -> String {
    match atto {
        0 => "0".to_owned(),
        atto => format!("{:e}", atto as f64 / ATTO),
    }
}

/// An amount of delta in the ledger's units; one that is too large for them is the largest.
pub(crate) fn delta_atto(delta: f64) -> u64 {
    // The cast of a number that is too large saturates.
    (delta * ATTO).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_and_read() {
        assert_eq!(delta_atto(1e-6), 1_000_000_000_000);
        assert_eq!((delta_text(delta_atto(4e-9)).as_str(), delta_text(0).as_str()), ("4e-9", "0"));
        assert_eq!(delta_atto(125.0), u64::MAX);
    }
}
