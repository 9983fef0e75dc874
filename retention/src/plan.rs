//! Which files are past their time. Pure: the live files of each table, the registry and the time go in.
//!
//! Invariant: a file holds rows of one programme and one day only, so a file is expired as a whole or not at all.
//! Not here: doing it (`run.rs`).

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize, Serializer};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Programme, Region, Registry};
use shoal_storage::LiveFile;

/// Whether a day of this programme and kind is past its time on `today`: kept while `today - day <= retention days`.
pub fn is_expired(registry: &Registry, programme: Programme, kind: Kind, day: i32, today: i32) -> bool {
    i64::from(today) - i64::from(day) > i64::from(registry.retention_days(programme, kind))
}

/// The live files of one table.
#[derive(Clone, Debug)]
pub struct TableFiles {
    /// The table's region.
    pub region: Region,
    /// The table's kind.
    pub kind: Kind,
    /// Its live files.
    pub files: Vec<LiveFile>,
}

/// What a run would do in one region to one programme's events of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The region.
    pub region: Region,
    /// The programme.
    pub programme: Programme,
    /// The kind.
    pub kind: Kind,
    /// Days kept after the event's own day.
    pub retention_days: u32,
    /// Expired files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The oldest expired day; none when nothing is expired.
    #[serde(serialize_with = "day_as_date", deserialize_with = "day_from_date")]
    pub oldest_day: Option<i32>,
    /// Files that stay.
    pub kept_files: u64,
    /// Rows that stay.
    pub kept_rows: u64,
}

impl Line {
    pub(crate) fn empty(registry: &Registry, region: Region, programme: Programme, kind: Kind) -> Line {
        Line {
            region,
            programme,
            kind,
            retention_days: registry.retention_days(programme, kind),
            files: 0,
            rows: 0,
            bytes: 0,
            oldest_day: None,
            kept_files: 0,
            kept_rows: 0,
        }
    }

    pub(crate) fn count(&mut self, file: &LiveFile, expired: bool) {
        if expired {
            self.files += 1;
            self.rows += file.rows;
            self.bytes += file.bytes;
            self.oldest_day = Some(self.oldest_day.map_or(file.day, |d| d.min(file.day)));
        } else {
            self.kept_files += 1;
            self.kept_rows += file.rows;
        }
    }
}

/// What a run at this time would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// For when it was made, ms since 1970.
    pub now_ms: i64,
    /// One line for each region, programme and kind that has files, in that order.
    pub lines: Vec<Line>,
}

impl Plan {
    /// Expired files of all lines.
    pub fn files(&self) -> u64 {
        self.lines.iter().map(|l| l.files).sum()
    }

    /// Expired rows of all lines.
    pub fn rows(&self) -> u64 {
        self.lines.iter().map(|l| l.rows).sum()
    }

    /// Expired bytes of all lines.
    pub fn bytes(&self) -> u64 {
        self.lines.iter().map(|l| l.bytes).sum()
    }
}

/// What a run at `now_ms` would do to these tables.
pub fn plan(registry: &Registry, tables: &[TableFiles], now_ms: i64) -> Plan {
    let today = day_of(now_ms);
    let mut lines: BTreeMap<(Region, Programme, Kind), Line> = BTreeMap::new();
    for table in tables {
        for file in &table.files {
            let line = lines
                .entry((table.region, file.programme, table.kind))
                .or_insert_with(|| Line::empty(registry, table.region, file.programme, table.kind));
            line.count(file, is_expired(registry, file.programme, table.kind, file.day, today));
        }
    }
    Plan { now_ms, lines: lines.into_values().collect() }
}

fn date_of(day: i32) -> Option<NaiveDate> {
    let epoch = NaiveDate::default();
    let days = Days::new(u64::from(day.unsigned_abs()));
    if day < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) }
}

fn day_as_date<S: Serializer>(day: &Option<i32>, serializer: S) -> Result<S::Ok, S::Error> {
    day.and_then(date_of).map(|d| d.to_string()).serialize(serializer)
}

fn day_from_date<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    let date = Option::<NaiveDate>::deserialize(deserializer)?;
    Ok(date.and_then(|d| i32::try_from(d.signed_duration_since(NaiveDate::default()).num_days()).ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::calendar::start_of;

    use super::*;

    fn file(programme: Programme, day: i32, rows: u64) -> LiveFile {
        LiveFile {
            path: format!("day={day}/{rows}.parquet"),
            day,
            programme,
            rows,
            bytes: rows * 10,
            digest: None,
            key: None,
        }
    }

    #[test]
    fn the_last_kept_day_stays_and_the_day_before_goes() {
        let registry = Registry::load(None).unwrap();
        let programme = Programme::UserExperience;
        let today = 20_000;
        let keep = i32::try_from(registry.retention_days(programme, Kind::Usage)).unwrap();
        assert!(!is_expired(&registry, programme, Kind::Usage, today - keep, today));
        assert!(is_expired(&registry, programme, Kind::Usage, today - keep - 1, today));
        // The second of expiry: the last ms of the day keeps it, the next one does not.
        let end = start_of(today + 1);
        assert!(!is_expired(&registry, programme, Kind::Usage, today - keep, day_of(end - 1)));
        assert!(is_expired(&registry, programme, Kind::Usage, today - keep, day_of(end)));
    }

    #[test]
    fn a_plan_counts_exactly_what_is_past_its_time() {
        let registry = Registry::load(None).unwrap();
        let today = 20_000;
        let keep = i32::try_from(registry.retention_days(Programme::UserExperience, Kind::Crash)).unwrap();
        let tables = [TableFiles {
            region: Region::De,
            kind: Kind::Crash,
            files: vec![
                file(Programme::UserExperience, today - keep - 5, 7),
                file(Programme::UserExperience, today - keep - 9, 5),
                file(Programme::UserExperience, today - keep, 3),
            ],
        }];
        let plan = plan(&registry, &tables, start_of(today));
        assert_eq!(plan.lines.len(), 1);
        let line = &plan.lines[0];
        assert_eq!((line.files, line.rows, line.bytes), (2, 12, 120));
        assert_eq!((line.kept_files, line.kept_rows), (1, 3));
        assert_eq!(line.oldest_day, Some(today - keep - 9));
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
