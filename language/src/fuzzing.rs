//! What reads texts of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Not here:
//! inputs (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`), what DataFusion makes of the text that postprocesses (`shoal-postprocess`).

use std::sync::LazyLock;

use shoal_schemas::{Kind, Region, Registry};

use crate::{ask, condition};

/// 2026-11-22T10:00:00Z.
const NOW_MS: i64 = 1_795_341_600_000;

/// A statement, or a condition over events. What is asked does not change from one reading to the next.
pub fn sql(bytes: &[u8]) -> bool {
    static REGISTRY: LazyLock<Registry> =
        LazyLock::new(|| Registry::load(None).expect("the embedded definitions are whole"));
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let _ = condition(text, Kind::Usage, &REGISTRY, NOW_MS);
    let Ok(question) = ask(text, &REGISTRY, Region::ALL, NOW_MS) else { return false };
    let again = ask(text, &REGISTRY, Region::ALL, NOW_MS);
    assert!(again.is_ok_and(|again| again.postprocess.sql == question.postprocess.sql
        && again.releases.len() == question.releases.len()));
    true
}

#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_statements_end_in_no_panic() {
        malformed::check("sql", sql);
    }
}
