//! Budgets in nano-rho, the precisions an analyst chooses from and the caps an operator chooses from.
//!
//! Invariants: integers, so that a sum of charges is exact whatever their order; nothing wraps.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::BudgetError;

const NANO: u64 = 1_000_000_000;

/// A zero-concentrated differential privacy budget (rho), in billionths.
///
/// Serialised as the number of nano-rho; shown and parsed as a decimal (`0.002`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rho(u64);

impl Rho {
    /// Nothing.
    pub const ZERO: Rho = Rho(0);

    /// From billionths of rho.
    pub const fn from_nano(nano: u64) -> Rho {
        Rho(nano)
    }

    /// In billionths of rho.
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// The sum, unless it leaves 64 bits.
    pub fn checked_add(self, other: Rho) -> Option<Rho> {
        self.0.checked_add(other.0).map(Rho)
    }

    /// What is left, unless it is below 0.
    pub fn checked_sub(self, other: Rho) -> Option<Rho> {
        self.0.checked_sub(other.0).map(Rho)
    }

    /// `count` times this, unless it leaves 64 bits.
    pub fn checked_mul(self, count: u64) -> Option<Rho> {
        self.0.checked_mul(count).map(Rho)
    }

    /// For display and for `epsilon`; never for accounting.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / NANO as f64
    }

    /// Equal shares for so many aggregates, rounded down: their sum is at most this.
    pub fn split(self, shares: usize) -> Result<Vec<Rho>, BudgetError> {
        let count = u64::try_from(shares).map_err(|_| BudgetError::Overflow)?;
        match self.0.checked_div(count) {
            None => Err(BudgetError::NoShares),
            Some(0) => Err(BudgetError::ShareTooSmall),
            Some(share) => Ok(vec![Rho(share); shares]),
        }
    }

    /// Shares in proportion to the weights, rounded down: their sum is at most this. A weight of 0 is refused.
    pub fn split_weighted(self, weights: &[u32]) -> Result<Vec<Rho>, BudgetError> {
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if sum == 0 {
            return Err(BudgetError::NoShares);
        }
        weights
            .iter()
            .map(|weight| {
                let share = u128::from(self.0) * u128::from(*weight) / sum;
                match u64::try_from(share) {
                    Ok(0) => Err(BudgetError::ShareTooSmall),
                    Ok(share) => Ok(Rho(share)),
                    Err(_) => Err(BudgetError::Overflow),
                }
            })
            .collect()
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANO);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{point}{fraction}", self.0 / NANO)
    }
}

impl FromStr for Rho {
    type Err = BudgetError;

    /// A decimal without sign or exponent and with at most nine places: exact, or an error.
    fn from_str(text: &str) -> Result<Rho, BudgetError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(BudgetError::Parse);
        }
        let whole: u64 = whole.parse().map_err(|_| BudgetError::Overflow)?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| BudgetError::Parse)?;
        whole
            .checked_mul(NANO)
            .and_then(|nano| nano.checked_add(fraction))
            .map(Rho)
            .ok_or(BudgetError::Overflow)
    }
}

/// How precise an answer shall be, and so what it costs every block that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// rho 0.0005: a count of subjects (one group each) gets sigma 31.6.
    Low,
    /// rho 0.002: sigma 15.8.
    #[default]
    Normal,
    /// rho 0.01: sigma 7.1.
    High,
}

impl Precision {
    /// The price of a query, per block.
    pub const fn rho(self) -> Rho {
        match self {
            Precision::Low => Rho(500_000),
            Precision::Normal => Rho(2_000_000),
            Precision::High => Rho(10_000_000),
        }
    }

    /// Its name in requests and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Precision::Low => "low",
            Precision::Normal => "normal",
            Precision::High => "high",
        }
    }
}

impl FromStr for Precision {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Precision, BudgetError> {
        [Precision::Low, Precision::Normal, Precision::High]
            .into_iter()
            .find(|precision| precision.as_str() == text)
            .ok_or(BudgetError::Parse)
    }
}

/// How much everyone together may ever learn about one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// rho 0.125 (epsilon 2.4 at delta 1e-6): for publication.
    Strict,
    /// rho 0.5 (epsilon 5.2): analysts of one organisation.
    #[default]
    Standard,
    /// rho 2 (epsilon 11.7): a small closed team.
    Internal,
}

impl Preset {
    /// The cap of every block.
    pub const fn cap(self) -> Rho {
        match self {
            Preset::Strict => Rho(125_000_000),
            Preset::Standard => Rho(500_000_000),
            Preset::Internal => Rho(2_000_000_000),
        }
    }

    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Preset::Strict => "strict",
            Preset::Standard => "standard",
            Preset::Internal => "internal",
        }
    }
}

impl FromStr for Preset {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Preset, BudgetError> {
        [Preset::Strict, Preset::Standard, Preset::Internal]
            .into_iter()
            .find(|preset| preset.as_str() == text)
            .ok_or(BudgetError::Parse)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_never_exceed_the_whole(nano in 1u64.., weights in prop::collection::vec(1u32.., 1..40)) {
            let whole = Rho::from_nano(nano);
            for shares in [whole.split(weights.len()), whole.split_weighted(&weights)] {
                if let Ok(shares) = shares {
                    let sum = shares.iter().try_fold(Rho::ZERO, |sum, share| sum.checked_add(*share)).unwrap();
                    prop_assert!(sum <= whole && shares.iter().all(|share| *share > Rho::ZERO));
                    prop_assert!(nano - sum.nano() < weights.len() as u64, "less than one nano-rho a share is lost");
                } else {
                    prop_assert!(nano / 40 < u64::from(u32::MAX));
                }
            }
        }

        #[test]
        fn text_goes_both_ways(nano: u64) {
            let rho = Rho::from_nano(nano);
            prop_assert_eq!(rho.to_string().parse(), Ok(rho));
        }
    }

    #[test]
    fn texts_are_exact_or_refused() {
        assert_eq!(Precision::Normal.rho().to_string(), "0.002");
        assert_eq!(Preset::Internal.cap().to_string(), "2");
        assert_eq!("0.000000001".parse(), Ok(Rho::from_nano(1)));
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000000001", "1,5", " 1", "0x1"] {
            assert_eq!(bad.parse::<Rho>(), Err(BudgetError::Parse), "{bad}");
        }
        assert_eq!("18446744074".parse::<Rho>(), Err(BudgetError::Overflow));
    }

    #[test]
    fn sums_are_checked() {
        let most = Rho::from_nano(u64::MAX);
        assert_eq!(most.checked_add(Rho::from_nano(1)), None);
        assert_eq!(most.checked_mul(2), None);
        assert_eq!(Rho::ZERO.checked_sub(Rho::from_nano(1)), None);
        assert_eq!(Rho::from_nano(3).split(4), Err(BudgetError::ShareTooSmall));
        assert_eq!(most.split(0), Err(BudgetError::NoShares));
        assert_eq!(most.split_weighted(&[0, 0]), Err(BudgetError::NoShares));
    }

    #[test]
    fn names_go_both_ways() {
        for name in ["low", "normal", "high"] {
            assert_eq!(serde_json::to_value(name.parse::<Precision>().unwrap()).unwrap(), name);
        }
        for name in ["strict", "standard", "internal"] {
            assert_eq!(serde_json::to_value(name.parse::<Preset>().unwrap()).unwrap(), name);
        }
        assert_eq!("max".parse::<Preset>(), Err(BudgetError::Parse));
        assert_eq!(serde_json::to_value(Rho::from_nano(7)).unwrap(), 7);
    }
}
