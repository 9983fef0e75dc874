//! The days of which a place has files of events, from their names alone: also of files that are in no table yet, or not any more.
//!
//! Invariant: reads only, and listings alone. Not here: what follows from it.

use std::collections::BTreeSet;
use std::io;

use shoal_files::Objects;
use shoal_schemas::Region;

use crate::days::parse_day;

/// With what the name of a day's folder begins.
const DAY: &str = "day=";

/// The days since 1970 of which any table of a region has files. A folder of a day whose name cannot be read is of a day before all
/// others.
///
/// # Errors
/// When the place cannot be listed.
pub fn stored_days(objects: &dyn Objects, region: Region) -> io::Result<BTreeSet<i32>> {
    let listed = objects.list(&folder(region))?;
    let day = |name: &str| {
        let folder = name.split('/').find_map(|segment| segment.strip_prefix(DAY))?;
        Some(parse_day(folder).unwrap_or(i32::MIN))
    };
    Ok(listed.iter().filter_map(|entry| day(&entry.name)).collect())
}

/// Whether a place has tables of any region, with events or without.
///
/// # Errors
/// When it cannot be listed.
pub fn has_tables(objects: &dyn Objects) -> io::Result<bool> {
    for region in Region::ALL {
        if !objects.list(&folder(*region))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last day of which any region has files; none when there are none.
///
/// # Errors
/// When the place cannot be listed.
pub fn last_stored_day(objects: &dyn Objects) -> io::Result<Option<i32>> {
    let mut last = None;
    for region in Region::ALL {
        last = last.max(stored_days(objects, *region)?.last().copied());
    }
    Ok(last)
}

fn folder(region: Region) -> String {
    format!("{}/tables", region.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::Memory;

    use super::*;

    #[test]
    fn days_are_those_of_files_of_any_table() {
        let objects = Memory::new();
        // What a first start leaves that was cut off.
        objects.put("us/key-check", b"x").unwrap();
        assert!(!has_tables(&objects).unwrap() && last_stored_day(&objects).unwrap().is_none());
        objects.put("my/tables/usage/_delta_log/0.json", b"x").unwrap();
        objects.put("sg/log/day=1970-02-01", b"no table's").unwrap();
        assert!(has_tables(&objects).unwrap() && last_stored_day(&objects).unwrap().is_none());
        objects.put("us/tables/usage/day=1970-01-08/a", b"x").unwrap();
        objects.put("de/tables/crash/day=1970-01-21/a", b"x").unwrap();
        assert_eq!(last_stored_day(&objects).unwrap(), Some(20));
        assert_eq!(stored_days(&objects, Region::Us).unwrap(), BTreeSet::from([7]));
    }

    #[test]
    fn a_day_of_another_name_is_a_day_all_the_same() {
        let objects = Memory::new();
        objects.put("us/tables/usage/day=0/a", b"x").unwrap();
        assert_eq!(last_stored_day(&objects).unwrap(), Some(i32::MIN));
    }
}
