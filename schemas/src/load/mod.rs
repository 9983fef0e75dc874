//! From files to a checked registry: read the files, parse each, check them together, lay out the tables.
//!
//! Invariants: no content of a file makes it panic; a fault names file and line; all files are parsed before any
//! check, and every check runs, so one run reports everything that can be known. Where a file of an event does not parse, the
//! mappings of vendors are not checked, because what would follow are faults of the missing event, not of theirs.
//!
//! - `read`: the embedded files and the overlay directory; `source`: one of them
//! - `parse`: from text to shape; `raw`: the shape of each file
//! - `fault`: the list of faults
//! - `event`, `property`, `policy`, `country`, `vendor`: what a file may say
//! - `overlay`: what an overlaid file may change; `extension`: a file that adds to an event and repeats nothing
//! - `table_columns`: from properties to the tables' columns; `system`: the columns that every table has
//! - `definitions`: what all of it makes

mod country;
mod definitions;
mod event;
mod extension;
mod fault;
mod overlay;
mod parse;
mod policy;
mod property;
mod raw;
mod read;
mod source;
mod system;
mod table_columns;
#[cfg(test)]
mod tests;
mod vendor;

use std::path::Path;

pub(crate) use definitions::Definitions;
use fault::Faults;
use source::Source;

use crate::{Kind, Programme, Region, SchemaError};

/// Reads and checks everything; the definitions are complete and consistent.
pub(crate) fn load(overlay: Option<&Path>) -> Result<Definitions, Vec<SchemaError>> {
    let mut faults = Faults::default();
    let mut sources = read::embedded();
    if let Some(dir) = overlay {
        sources.extend(read::directory(dir, &mut faults));
    }
    check(sources, faults)
}

/// Parses and checks the files.
fn check(sources: Vec<Source>, mut faults: Faults) -> Result<Definitions, Vec<SchemaError>> {
    let files = parse::parse(sources, &mut faults);
    build(files, faults)
}

/// Checks the parsed files together. Cheapest and most basic first.
fn build(files: raw::Files, mut faults: Faults) -> Result<Definitions, Vec<SchemaError>> {
    let are_events_whole = !faults.are_of("events/");
    let common = table_columns::common(&files.common, &mut faults);
    let mut events = event::events(&files.events, &mut faults);
    let tables = table_columns::tables(&mut events, &files.events, &common, &mut faults);
    let programmes = policy::programmes(&files.programmes, &mut faults);
    let regions = policy::regions(&files.regions, &mut faults);
    let retention = policy::retention(&files.retention, &mut faults);
    let countries = country::countries(&files.countries, &regions, &mut faults);
    let mut of_vendors = Faults::default();
    let vendors = vendor::vendors(&files.vendors, &events, &mut of_vendors);
    if are_events_whole {
        faults.take(of_vendors);
    }
    faults.done()?;
    // Each of these lists is complete when no fault was found; the fault is for a mistake in this crate.
    let incomplete = |what: &str| {
        let mut faults = Faults::default();
        faults.at_file("defs", format!("{what} are incomplete"));
        faults.into_errors()
    };
    Ok(Definitions {
        events,
        tables: exact::<_, { Kind::ALL.len() }>(tables).ok_or_else(|| incomplete("tables"))?,
        programmes: exact::<_, { Programme::ALL.len() }>(programmes)
            .ok_or_else(|| incomplete("programmes"))?,
        regions: exact::<_, { Region::ALL.len() }>(regions).ok_or_else(|| incomplete("regions"))?,
        retention,
        countries,
        vendors,
    })
}

/// An array of exactly these, or none when there are more or fewer.
fn exact<T, const N: usize>(list: Vec<T>) -> Option<[T; N]> {
    list.try_into().ok()
}
