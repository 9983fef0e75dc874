//! What retention plans and does, as an officer's key is told of it: the days, and no number that depends on an event.
//!
//! How many rows, bytes and files there are is exact, and a difference of two such numbers is what one person did, however they are
//! rounded. Whoever asks questions must not have them. So an officer is told which days are kept, and that a run is done, for the
//! regions of the key. Only people on the machine are told how much that is: by the command line while no service runs, by
//! `shoal status`, and by the audit. Not here: plans and runs (`shoal-retention`), the routes.

use serde::{Deserialize, Serialize};
use shoal_language::calendar::day_text;
use shoal_retention::{Refused, Report};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Programme, Region, Registry};

/// Which days of one programme's events of one kind are kept in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptDays {
    pub(crate) region: Region,
    pub(crate) programme: Programme,
    pub(crate) kind: Kind,
    /// Days kept after the event's own day.
    pub(crate) retention_days: u32,
    /// The first day that is kept, as `YYYY-MM-DD`. A run removes what is before it.
    pub(crate) first_day: String,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanTold {
    pub(crate) now_ms: i64,
    pub(crate) lines: Vec<KeptDays>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportTold {
    pub(crate) now_ms: i64,
    pub(crate) dry_run: bool,
    /// What is before the first day of each is gone; after a dry run, would be.
    pub(crate) lines: Vec<KeptDays>,
    /// Tables that did not finish.
    pub(crate) failed: Vec<Unfinished>,
}

/// A table that did not finish. Why is in the log of the service: an error can name files and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    pub(crate) region: Region,
    pub(crate) kind: Kind,
}

/// The days that are kept at this time in some regions: what the definitions say, whatever there is.
fn kept_days(registry: &Registry, now_ms: i64, regions: &[Region]) -> Vec<KeptDays> {
    let mut told = Vec::new();
    for region in Region::ALL.iter().copied().filter(|region| regions.contains(region)) {
        for programme in Programme::ALL.iter().copied() {
            for kind in Kind::ALL.iter().copied() {
                let retention_days = registry.retention_days(programme, kind);
                let first_day = day_of(now_ms).saturating_sub_unsigned(retention_days);
                told.push(KeptDays {
                    region,
                    programme,
                    kind,
                    retention_days,
                    first_day: day_text(first_day),
                });
            }
        }
    }
    told
}

/// A plan, for a key of these regions.
pub(super) fn plan(registry: &Registry, now_ms: i64, regions: &[Region]) -> PlanTold {
    PlanTold { now_ms, lines: kept_days(registry, now_ms, regions) }
}

/// A report, for a key of these regions.
pub(super) fn report(registry: &Registry, report: &Report, regions: &[Region]) -> ReportTold {
    let lines = kept_days(registry, report.now_ms, regions);
    let failed = report.failed.iter().filter(|of| regions.contains(&of.region));
    let failed = failed.map(|of| Unfinished { region: of.region, kind: of.kind }).collect();
    ReportTold { now_ms: report.now_ms, dry_run: report.dry_run, lines, failed }
}

/// Why a run is refused.
pub(super) fn refused(refused: &Refused) -> String {
    match refused {
        Refused::Share { percent_max, .. } => format!(
            "the run would remove more than {percent_max} percent of all rows. Look at the plan, the clock and the periods of \
             retention; if they are right, run retention once and accept the share"
        ),
        Refused::Clock { .. } => "the clock of this machine is more than 7 days beyond everything that is known of the time. Set the clock; or, \
             if it is right, run retention once and accept the clock"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use shoal_retention::{Failure, Line};

    #[test]
    fn what_is_told_depends_on_no_event_and_is_of_the_regions_of_the_key() {
        let registry = Registry::load(None).unwrap();
        let now_ms = 20_000 * 86_400_000;
        let told = plan(&registry, now_ms, &[Region::De]);
        assert_eq!(told.lines.len(), Programme::ALL.len() * Kind::ALL.len());
        assert!(told.lines.iter().all(|line| line.region == Region::De));
        let usage = told.lines.iter().find(|line| line.kind == Kind::Usage).unwrap();
        assert_eq!((usage.retention_days, usage.first_day.as_str()), (180, "2024-04-07"));
        let report_of = |rows| {
            let expired = Line {
                region: Region::Us,
                programme: Programme::UserExperience,
                kind: Kind::Usage,
                retention_days: 180,
                files: rows,
                rows,
                bytes: rows,
                oldest_day: Some(7),
                kept_files: rows,
                kept_rows: rows,
            };
            let expired = std::iter::repeat_n(expired, rows as usize).collect();
            let of = |region| Failure { region, kind: Kind::Usage, reason: format!("{rows} rows") };
            let failed = vec![of(Region::De), of(Region::Us)];
            let done = Report { now_ms, dry_run: false, expired, purged: Vec::new(), failed };
            report(&registry, &done, &[Region::Us])
        };
        assert_eq!(report_of(4), report_of(0));
        assert_eq!(report_of(4).failed, [Unfinished { region: Region::Us, kind: Kind::Usage }]);
        assert!(!report_of(4).lines.is_empty());
        let told = refused(&Refused::Share { rows: 4_711, rows_all: 4_712, percent_max: 50 });
        assert!(told.contains("50 percent") && !told.contains("471"), "{told}");
        let clock = |beyond_days| refused(&Refused::Clock { beyond_days });
        assert_eq!(clock(8), clock(4_711));
    }
}
