//! What retention plans and does, as an officer's key is told of it: of the key's regions only, and coarse.
//!
//! The numbers of rows, bytes and files are exact, and a difference of two of them is what one person did. Whoever asks questions
//! must not have them: so each is rounded up, and what is exact is for people on the machine (the command line while no service runs,
//! the audit, the socket of the operator).
//! Invariants: nothing is zero that is not, and zero stays zero. Not here: plans and runs (`shoal-retention`), the routes.

use shoal_retention::{Line, Plan, Purged, Refused, Report};
use shoal_schemas::Region;

/// Numbers of rows, bytes and files are multiples of these.
const ROWS: u64 = 10_000;
const BYTES: u64 = 10_000_000;
const FILES: u64 = 10;

fn rounded(number: u64, to: u64) -> u64 {
    number.div_ceil(to).saturating_mul(to)
}

fn line(line: Line) -> Line {
    Line {
        files: rounded(line.files, FILES),
        rows: rounded(line.rows, ROWS),
        bytes: rounded(line.bytes, BYTES),
        kept_files: rounded(line.kept_files, FILES),
        kept_rows: rounded(line.kept_rows, ROWS),
        ..line
    }
}

fn lines(all: Vec<Line>, regions: &[Region]) -> Vec<Line> {
    all.into_iter().filter(|of| regions.contains(&of.region)).map(line).collect()
}

/// A plan, for a key of these regions.
pub(super) fn plan(plan: Plan, regions: &[Region]) -> Plan {
    Plan { lines: lines(plan.lines, regions), ..plan }
}

/// A report, for a key of these regions.
pub(super) fn report(report: Report, regions: &[Region]) -> Report {
    let purged = report.purged.into_iter().filter(|of| regions.contains(&of.region));
    let purged = purged.map(|of| Purged {
        files: rounded(of.files, FILES),
        bytes: rounded(of.bytes, BYTES),
        log_entries: rounded(of.log_entries, FILES),
        pinned: rounded(of.pinned, FILES),
        ..of
    });
    let purged = purged.collect();
    let failed = report.failed.into_iter().filter(|of| regions.contains(&of.region)).collect();
    Report { expired: lines(report.expired, regions), purged, failed, ..report }
}

/// How many files have left the disk, of a run that goes on.
pub(super) fn files(files: u64) -> u64 {
    rounded(files, FILES)
}

/// Why a run is refused.
pub(super) fn refused(refused: &Refused) -> String {
    match refused {
        Refused::Share { percent_max, .. } => format!(
            "the run would remove more than {percent_max} percent of all rows. Look at the plan, the clock and the periods of \
             retention; if they are right, run retention once and accept the share"
        ),
        Refused::Clock { .. } => refused.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_schemas::{Kind, Programme};

    fn of(region: Region, rows: u64) -> Line {
        Line {
            region,
            programme: Programme::UserExperience,
            kind: Kind::Usage,
            retention_days: 3,
            files: rows,
            rows,
            bytes: 1_000 * rows,
            oldest_day: Some(7),
            kept_files: rows,
            kept_rows: rows,
        }
    }

    #[test]
    fn one_persons_rows_change_nothing_and_other_regions_are_not_told() {
        let with = |rows| {
            let plan = Plan { now_ms: 5, lines: vec![of(Region::De, rows), of(Region::Us, rows)] };
            super::plan(plan, &[Region::De])
        };
        let told = with(9_001);
        assert_eq!(told, with(9_007));
        assert_eq!((told.lines.len(), told.lines[0].region), (1, Region::De));
        let told = &told.lines[0];
        assert_eq!((told.rows, told.kept_rows, told.bytes, told.files), (10_000, 10_000, 10_000_000, 9_010));
        assert_eq!((told.oldest_day, told.retention_days), (Some(7), 3));
        let nothing = &with(0).lines[0];
        assert_eq!((nothing.rows, nothing.bytes, nothing.kept_files), (0, 0, 0));
    }

    #[test]
    fn a_report_is_as_coarse_as_a_plan() {
        let purged =
            |region| Purged { region, kind: Kind::Usage, files: 3, bytes: 77, log_entries: 1, pinned: 1 };
        let (expired, failed) = (vec![of(Region::Us, 4), of(Region::De, 4)], Vec::new());
        let purged = vec![purged(Region::De), purged(Region::Us)];
        let told = report(Report { now_ms: 5, dry_run: false, expired, purged, failed }, &[Region::Us]);
        assert_eq!((told.expired.len(), told.purged.len()), (1, 1));
        assert_eq!((told.expired_total(), told.purged_total()), ((10, 10_000, 10_000_000), (10, 10_000_000)));
        let told = refused(&Refused::Share { rows: 4_711, rows_all: 4_712, percent_max: 50 });
        assert!(told.contains("50 percent") && !told.contains("471"), "{told}");
    }
}
