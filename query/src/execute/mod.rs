//! Stage 4: [`ChargedQuery`] -> [`Raw`]: bounded, exact totals of each region. They are not private: only `release`
//! takes them, and nothing shows them.
//!
//! Invariants: each region is read, bounded and totalled by itself. Everything that goes wrong is a [`Failure`], which
//! says nothing.
//!
//! - `scan`: events -> contributions of subjects
//! - `cells`: values of keys <-> dense numbers
//! - `folds`: what is made of the events of one subject after another

mod cells;
#[allow(dead_code)]
mod fold;
#[allow(dead_code)]
mod folds;
#[allow(dead_code)]
mod merge;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use shoal_privacy::bound::{BoundError, Totals, bound_days, bound_range};
use shoal_privacy::noise::{Entropy, NoiseError};
use shoal_schemas::Region;

pub(crate) use self::cells::Cells;
pub(crate) use self::scan::ScanLimits;
use crate::charge::ChargedQuery;

/// Something went wrong after the scan had started. It does not say what: reasons hold values of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

impl From<datafusion::error::DataFusionError> for Failure {
    fn from(_: datafusion::error::DataFusionError) -> Failure {
        Failure
    }
}

impl From<datafusion::arrow::error::ArrowError> for Failure {
    fn from(_: datafusion::arrow::error::ArrowError) -> Failure {
        Failure
    }
}

impl From<BoundError> for Failure {
    fn from(_: BoundError) -> Failure {
        Failure
    }
}

impl From<NoiseError> for Failure {
    fn from(_: NoiseError) -> Failure {
        Failure
    }
}

/// The exact totals of all regions of one query. No `Debug`.
pub(crate) struct Raw {
    pub(crate) charged: ChargedQuery,
    pub(crate) regions: Vec<RegionTotals>,
}

/// The exact totals of one region.
pub(crate) struct RegionTotals {
    pub(crate) region: Region,
    pub(crate) cells: Cells,
    pub(crate) daily: Totals,
    /// One for each bucket of days.
    pub(crate) ranged: Vec<Totals>,
}

/// Reads and bounds every region. `tables` has the provider of each region of the query.
pub(crate) async fn execute<E: Entropy + Send>(
    charged: ChargedQuery,
    tables: Vec<(Region, Arc<dyn TableProvider>)>,
    session: &SessionContext,
    limits: ScanLimits,
    entropy: &mut E,
) -> Result<Raw, Failure> {
    let mut regions = Vec::with_capacity(tables.len());
    for (region, provider) in tables {
        let scanned = scan::scan(&charged, region, provider, session, limits).await?;
        let daily = bound_days(&scanned.daily, &charged.daily, entropy)?;
        let mut ranged = Vec::with_capacity(scanned.ranged.len());
        for bucket in &scanned.ranged {
            ranged.push(bound_range(bucket, &charged.ranged, entropy)?);
        }
        let cells = scanned.cells;
        regions.push(RegionTotals { region, cells, daily, ranged });
    }
    Ok(Raw { charged, regions })
}
