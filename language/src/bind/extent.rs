//! The extent of a private query: its regions, and how many numbers its answer has.
//!
//! Not here: days and retention (`scope`).

use shoal_schemas::Region;
use sqlparser::tokenizer::Span;

use super::{CELLS_MAX, DRAWS_MAX, scope};
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::Scalar;
use crate::private_query::{AggregateOp, PrivateQuery};

/// Numbers of a quantile's tree.
const NODES: u64 = 510;

/// The regions that a condition leaves, of those that the key reaches.
pub(crate) fn asked_regions(
    filter: Option<&Scalar>,
    granted: &[Region],
) -> Result<Vec<Region>, LanguageError> {
    // The first region that the key has.
    let suggestion = match granted.first() {
        Some(region) => format!("SELECT COUNT(*) FROM usage WHERE region = '{region}'"),
        None => "SELECT COUNT(*) FROM usage".to_owned(),
    };
    let refuse = |message: &str| Refusal::new(Rule::Range, Span::empty(), message, suggestion.clone());
    let mut regions = match scope::pinned(filter, "region") {
        None => granted.to_vec(),
        Some(names) => {
            let mut regions = Vec::new();
            for name in names {
                let region = Region::parse(&name).filter(|region| region.as_str() == name);
                let region = region.ok_or_else(|| refuse("There is no such region."))?;
                if !granted.contains(&region) {
                    return Err(LanguageError::NotAllowed(region.to_string()));
                }
                regions.push(region);
            }
            regions
        }
    };
    regions.sort_unstable();
    regions.dedup();
    if regions.is_empty() {
        return Err(refuse("No region is left.").into());
    }
    Ok(regions)
}

/// Refuses a query whose answer is too large, or takes too many samples of noise.
pub(crate) fn size(query: &PrivateQuery) -> Result<(), Refusal> {
    let refuse = |message: String| {
        let suggestion =
            format!("SELECT os, COUNT(*) FROM {} WHERE day >= current_date - 6 GROUP BY os", query.table);
        Err(Refusal::new(Rule::Cells, Span::empty(), message, suggestion))
    };
    let regions = query.regions.len() as u64;
    let buckets = query.buckets().len() as u64;
    let Some(cells) = query.public_cells() else {
        return Ok(());
    };
    let rows = cells.saturating_mul(buckets).saturating_mul(regions);
    if rows > CELLS_MAX {
        return refuse(format!("The answer would have {rows} groups; {CELLS_MAX} is the most."));
    }
    let width = |op: &AggregateOp| if matches!(op, AggregateOp::Quantile { .. }) { NODES } else { 1 };
    let numbers = query.aggregates.iter().map(|aggregate| width(&aggregate.op)).sum();
    let days = query.days_read().saturating_mul(regions);
    let draws = cells.saturating_mul(days).saturating_mul(numbers);
    if draws > DRAWS_MAX {
        return refuse("The days and groups of this query are too many.".to_owned());
    }
    Ok(())
}
