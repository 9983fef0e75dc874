//! How exact an answer shall be -> what it costs each block.
//!
//! Invariants: from the text and the registry alone. With a standard deviation that is wanted, the price is the least, in
//! nano-rho, for which every number that is shown has it, after adding up the days of a bucket and the regions; but never
//! less than [`PRICE_MIN`].

use std::fmt;

use shoal_anonymity::budget::{Precision, Rho, share_for};

use super::share::{LIMIT_SHARE, Unaffordable};
use crate::sensitivity::SensitivityLayout;
use shoal_language::{KeyKind, PrivateQuery};

/// The lowest price of a question on each block: what asks for less precision pays it all the same, and gets what it pays for.
/// Cheaper questions could be asked more often than anybody would count, and what their noise needs in memory has no bound.
pub const PRICE_MIN: Rho = Rho::from_nano(100_000);

/// How exact an answer shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accuracy {
    /// One of three prices.
    Precision(Precision),
    /// Every number of a group has at most this standard deviation, in the number's unit (of a quantile: the number of
    /// values in a part of the grid).
    SdMax(f64),
}

impl Default for Accuracy {
    fn default() -> Accuracy {
        Accuracy::Precision(Precision::default())
    }
}

impl From<Precision> for Accuracy {
    fn from(precision: Precision) -> Accuracy {
        Accuracy::Precision(precision)
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accuracy::Precision(precision) => f.write_str(precision.as_str()),
            Accuracy::SdMax(sd_max) => write!(f, "sd_max {sd_max}"),
        }
    }
}

/// The price of each block, to be split over so many shares.
pub(super) fn price(
    accuracy: &Accuracy,
    query: &PrivateQuery,
    layout: &SensitivityLayout,
    shares: usize,
) -> Result<Rho, Unaffordable> {
    let sd_max = match accuracy {
        Accuracy::Precision(precision) => return Ok(precision.rho()),
        Accuracy::SdMax(sd_max) => *sd_max,
    };
    let regions = match query.keys().iter().any(|key| key.kind == KeyKind::Region) {
        true => 1,
        false => query.regions().len() as u64,
    };
    let days = match layout.is_daily {
        true => query.buckets().iter().map(|bucket| bucket.days.len()).max().unwrap_or(1),
        false => 1,
    };
    let mut most = Rho::ZERO;
    for (aggregate, place) in query.aggregates().iter().zip(&layout.slots) {
        let units = sd_max * 10_f64.powi(i32::from(aggregate.scale));
        let releases = regions.max(1).saturating_mul(days.max(1));
        most = most.max(share_for(layout.sensitivity(Some(*place))?, releases, units)?);
    }
    let shares = u64::try_from(shares).map_err(|_| Unaffordable)?;
    let slots = most.checked_mul(shares).ok_or(Unaffordable)?.max(PRICE_MIN);
    let [limit, rest] = LIMIT_SHARE.map(u64::from);
    match query.is_thresholded() {
        // What is left when the limit has taken its part.
        true => slots
            .nano()
            .checked_mul(limit + rest)
            .map(|all| Rho::from_nano(all.div_ceil(rest)))
            .ok_or(Unaffordable),
        false => Ok(slots),
    }
}
