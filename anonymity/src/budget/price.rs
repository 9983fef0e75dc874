//! From a wanted standard deviation to the least share of rho that gives it: the other way round from `sigma`.
//!
//! Invariants: the share is the smallest number of nano-rho for which the noise, as `variance` computes it, is small
//! enough; one nano-rho less would not do. It follows from public bounds alone.

use super::{BudgetError, Rho, variance};

/// No price is looked for above this: 2^40 nano-rho, about a thousand times what the widest preset allows for a block.
const NANO_MAX: u64 = 1 << 40;

/// The least share with which the sum of `releases` numbers has a standard deviation of at most `sd_max`, in units of
/// the numbers, if each is noised for `squared_sensitivity`.
pub fn share_for(squared_sensitivity: u128, releases: u64, sd_max: f64) -> Result<Rho, BudgetError> {
    if !(sd_max > 0.0 && sd_max.is_finite()) || releases == 0 || squared_sensitivity == 0 {
        return Err(BudgetError::Sensitivity);
    }
    let wanted = sd_max * sd_max;
    let does = |nano: u64| {
        let one = variance(squared_sensitivity, Rho::from_nano(nano));
        one.is_ok_and(|one| one.to_f64() * releases as f64 <= wanted)
    };
    if !does(NANO_MAX) {
        return Err(BudgetError::Overflow);
    }
    // `low` does not do, `high` does.
    let (mut low, mut high) = (0, NANO_MAX);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if does(middle) { high = middle } else { low = middle }
    }
    Ok(Rho::from_nano(high))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_subjects_of_noise_cost_what_the_formula_says() {
        // 1 / (2 * 0.005) = 100
        assert_eq!(share_for(1, 1, 10.0), Ok(Rho::from_nano(5_000_000)));
        assert_eq!(share_for(1, 30, 10.0), Ok(Rho::from_nano(150_000_000)));
        assert_eq!(share_for(4, 1, 10.0), Ok(Rho::from_nano(20_000_000)));
        assert_eq!(share_for(1, 1, 1e-9), Err(BudgetError::Overflow));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(share_for(1, 1, bad), Err(BudgetError::Sensitivity));
        }
    }

    proptest! {
        #[test]
        fn the_share_does_and_one_nano_rho_less_does_not(
            squared in 1_u128..1 << 40, releases in 1_u64..400, sd in 0.01_f64..1e9
        ) {
            if let Ok(share) = share_for(squared, releases, sd) {
                let sum = |nano| variance(squared, Rho::from_nano(nano)).map(|v| v.to_f64() * releases as f64);
                prop_assert!(sum(share.nano()).unwrap() <= sd * sd);
                prop_assert!(share.nano() == 1 || sum(share.nano() - 1).is_ok_and(|v| v > sd * sd));
            }
        }
    }
}
