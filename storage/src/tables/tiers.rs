//! Which files are merged next. Pure.
//!
//! ```text
//! tier 0: fewer than 64 * m rows     tier k: 64 * m^k .. 64 * m^(k+1)          m = files_min
//! ```
//! `m` files of one tier become one file of a higher tier, and the files of lower tiers on the same day go along. So a row is
//! rewritten once a tier at the most, whatever the number of files: the work grows with rows times the logarithm of the
//! rows. In tier 0 a file costs what its opening costs, not its rows.
//!
//! A day that has too many files all the same, since they are large or come quickly, gets its smallest ones merged, however
//! large they are: [`DAY_FILES_MAX`] holds for every day.
//!
//! Invariants: a group has one programme and one day, at least `files_min` files of its highest tier, and stays within the
//! bounds of the policy; files of `bytes_small` and more are left alone, but on a day of too many. Not here: the merge
//! (`merge`), the commit (`compact`).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use shoal_schemas::Programme;

use crate::tables::live_file::LiveFile;

const TIER_ROWS: u64 = 64;
/// How many rows of a file are in memory at most while it is read: a page of each column.
const PAGE_ROWS: u64 = 20_000;
/// How many rows of all files of a merge may be in memory.
const OPEN_ROWS_MAX: u64 = 256_000;

/// Most files that one programme has on one day of a table: an append that would bring one more merges some first. What a
/// query opens, and how long that takes, follows from the days that it reads.
pub const DAY_FILES_MAX: usize = 48;

/// When files are worth merging, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactPolicy {
    /// That many files of a similar size are merged, at least 2. Fewer: fewer files, more rewriting.
    pub files_min: usize,
    /// That many files go into one merge at the most; bounds open files and memory.
    pub files_max: usize,
    /// A file of this size in bytes is large enough to stay as it is.
    pub bytes_small: u64,
    /// The most bytes that go into one file.
    pub bytes_max: u64,
    /// The most merges of one run; the next run goes on.
    pub groups_max: usize,
}

impl Default for CompactPolicy {
    fn default() -> CompactPolicy {
        CompactPolicy {
            files_min: 8,
            files_max: 64,
            bytes_small: 32 * 1024 * 1024,
            bytes_max: 256 * 1024 * 1024,
            groups_max: 64,
        }
    }
}

impl CompactPolicy {
    fn enough(&self) -> usize {
        self.files_min.max(2)
    }

    fn tier(&self, rows: u64) -> u32 {
        (rows / TIER_ROWS).checked_ilog(self.enough() as u64).unwrap_or(0)
    }

    /// The next files to merge into one, of the newest day that has any.
    pub(crate) fn next_group<'a>(&self, files: impl Iterator<Item = &'a LiveFile>) -> Option<Vec<LiveFile>> {
        let mut days: BTreeMap<(Reverse<i32>, Programme), Vec<&LiveFile>> = BTreeMap::new();
        for file in files.filter(|f| f.bytes < self.bytes_small) {
            days.entry((Reverse(file.day), file.programme)).or_default().push(file);
        }
        days.into_values().filter(|files| files.len() >= self.enough()).find_map(|files| self.group(files))
    }

    /// The next files to merge on a day on which a programme has more than so many; of the newest such day.
    pub(crate) fn next_crowded<'a>(
        &self,
        files: impl Iterator<Item = &'a LiveFile>,
        most: usize,
    ) -> Option<Vec<LiveFile>> {
        let mut days: BTreeMap<(Reverse<i32>, Programme), Vec<&LiveFile>> = BTreeMap::new();
        for file in files {
            days.entry((Reverse(file.day), file.programme)).or_default().push(file);
        }
        days.into_values().filter(|files| files.len() > most).find_map(|mut files| {
            let small = files.iter().copied().filter(|file| file.bytes < self.bytes_small);
            self.group(small.collect()).or_else(|| {
                files.sort_by_key(|file| file.bytes);
                let policy = CompactPolicy { bytes_max: u64::MAX, ..*self };
                let mut group = Group { policy: &policy, files: Vec::new(), bytes: 0, open_rows: 0 };
                group.fill(&files);
                (group.files.len() > 1).then_some(group.files)
            })
        })
    }

    /// The highest tier with enough files, and what fits of the lower ones.
    fn group(&self, files: Vec<&LiveFile>) -> Option<Vec<LiveFile>> {
        let mut tiers: BTreeMap<Reverse<u32>, Vec<&LiveFile>> = BTreeMap::new();
        for file in files {
            tiers.entry(Reverse(self.tier(file.rows))).or_default().push(file);
        }
        for (tier, same) in &tiers {
            let mut group = Group { policy: self, files: Vec::new(), bytes: 0, open_rows: 0 };
            group.fill(same);
            if group.files.len() < self.enough() {
                continue;
            }
            for (_, lower) in tiers.range(tier..).skip(1) {
                group.fill(lower);
            }
            return Some(group.files);
        }
        None
    }
}

struct Group<'a> {
    policy: &'a CompactPolicy,
    files: Vec<LiveFile>,
    bytes: u64,
    open_rows: u64,
}

impl Group<'_> {
    fn fill(&mut self, files: &[&LiveFile]) {
        let files_max = self.policy.files_max.max(self.policy.enough());
        let open_rows_max = OPEN_ROWS_MAX.max(PAGE_ROWS * self.policy.enough() as u64);
        for file in files {
            let bytes = self.bytes.saturating_add(file.bytes);
            let open_rows = self.open_rows + file.rows.min(PAGE_ROWS);
            if self.files.len() < files_max && bytes <= self.policy.bytes_max && open_rows <= open_rows_max {
                self.files.push((*file).clone());
                (self.bytes, self.open_rows) = (bytes, open_rows);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn file(n: usize, day: i32, rows: u64) -> LiveFile {
        let programme = Programme::UserExperience;
        let (path, bytes) = (format!("day={day}/ux-{n}.parquet"), 4096 + rows * 40);
        LiveFile { path, day, programme, rows, bytes, digest: None, key: None }
    }

    /// Merges until nothing is left to merge; answers the files and how many rows were written.
    fn settle(policy: &CompactPolicy, files: &mut Vec<LiveFile>) -> u64 {
        let mut written = 0;
        while let Some(group) = policy.next_group(files.iter()) {
            let rows = group.iter().map(|f| f.rows).sum();
            files.retain(|f| !group.iter().any(|g| g.path == f.path));
            let merged = LiveFile { path: format!("{}+", group[0].path), ..file(0, group[0].day, rows) };
            files.push(merged);
            written += rows;
        }
        written
    }

    proptest! {
        #[test]
        fn a_group_keeps_every_bound(
            rows in prop::collection::vec((0i32..2, 1u64..3_000_000), 0..200),
            files_min in 0usize..12, files_max in 0usize..80, bytes_max in 0u64..400_000_000,
        ) {
            let policy = CompactPolicy { files_min, files_max, bytes_max, ..CompactPolicy::default() };
            let files: Vec<_> = rows.iter().enumerate().map(|(n, &(day, rows))| file(n, day, rows)).collect();
            if let Some(group) = policy.next_group(files.iter()) {
                let enough = files_min.max(2);
                prop_assert!(group.len() >= enough && group.len() <= files_max.max(enough));
                prop_assert!(group.iter().map(|f| f.bytes).sum::<u64>() <= bytes_max);
                prop_assert!(group.iter().all(|f| f.day == group[0].day && f.bytes < policy.bytes_small));
                let highest = group.iter().map(|f| policy.tier(f.rows)).max().unwrap();
                prop_assert!(group.iter().filter(|f| policy.tier(f.rows) == highest).count() >= enough);
                let rows: u64 = group.iter().map(|f| f.rows).sum();
                prop_assert!(highest == 0 || policy.tier(rows) > highest, "a merge is a step up");
                let open: u64 = group.iter().map(|f| f.rows.min(PAGE_ROWS)).sum();
                prop_assert!(open <= OPEN_ROWS_MAX.max(PAGE_ROWS * enough as u64));
            }
        }
    }

    #[test]
    fn a_day_of_flushes_is_rewritten_a_few_times_and_leaves_few_files() {
        let policy = CompactPolicy::default();
        for rows_per_flush in [20, 2_000, 50_000] {
            let mut files = Vec::new();
            let mut written = 0;
            for flush in 0..8_640 {
                files.push(file(flush + 1, 7, rows_per_flush));
                if flush % 60 == 59 {
                    written += settle(&policy, &mut files);
                }
            }
            let rows = rows_per_flush * 8_640;
            assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), rows);
            let large = files.iter().filter(|f| f.bytes >= policy.bytes_small).count();
            assert!(files.len() - large < 40, "{} small files for {rows_per_flush}", files.len() - large);
            assert!(written < rows * 6, "{} times", written / rows);
        }
    }

    proptest! {
        /// However large and however many, the files of a day become few enough, and no merge opens too much.
        #[test]
        fn a_crowded_day_becomes_small(
            rows in prop::collection::vec((0i32..3, 1u64..9_000_000), 0..300), most in 8usize..100,
        ) {
            let policy = CompactPolicy::default();
            let mut files: Vec<_> = rows.iter().enumerate().map(|(n, &(day, rows))| file(n, day, rows)).collect();
            let count = |files: &[LiveFile], day: i32| files.iter().filter(|file| file.day == day).count();
            let total = |files: &[LiveFile]| files.iter().map(|file| file.rows).sum::<u64>();
            let before = total(&files);
            while let Some(group) = policy.next_crowded(files.iter(), most) {
                prop_assert!(count(&files, group[0].day) > most && group.len() > 1);
                prop_assert!(group.iter().all(|file| file.day == group[0].day));
                let open: u64 = group.iter().map(|f| f.rows.min(PAGE_ROWS)).sum();
                prop_assert!(open <= OPEN_ROWS_MAX && group.len() <= policy.files_max);
                files.retain(|f| !group.iter().any(|g| g.path == f.path));
                let rows = group.iter().map(|f| f.rows).sum();
                files.push(LiveFile { path: format!("{}+", group[0].path), ..file(0, group[0].day, rows) });
            }
            prop_assert!((0..3).all(|day| count(&files, day) <= most));
            prop_assert_eq!(total(&files), before);
        }
    }

    #[test]
    fn days_and_programmes_never_mix_and_few_files_are_left_alone() {
        let policy = CompactPolicy::default();
        let mut files: Vec<LiveFile> = (0..7).map(|n| file(n, 1, 10)).collect();
        assert_eq!(policy.next_group(files.iter()), None);
        files.push(file(7, 2, 10));
        files.push(LiveFile { programme: Programme::DeviceExperience, ..file(8, 1, 10) });
        assert_eq!(policy.next_group(files.iter()), None);
        files.push(file(9, 1, 10));
        let group = policy.next_group(files.iter()).unwrap();
        assert_eq!(group.len(), 8);
        let kinds: HashMap<_, u32> = group.iter().fold(HashMap::new(), |mut kinds, f| {
            *kinds.entry((f.day, f.programme)).or_default() += 1;
            kinds
        });
        assert_eq!(kinds.len(), 1);
        let large = CompactPolicy { bytes_small: 4096, ..policy };
        assert_eq!(large.next_group(files.iter()), None);
    }
}
