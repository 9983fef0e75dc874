//! One run of a trial: its count and seed, its directory, and what it measured.
//!
//! Invariants: the seed is printed before anything begins; a trial that is left out says so on standard error; the
//! directory of a trial that fails stays, and is named. Times are printed and never judged, because machines and builds
//! differ.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shoal_faults::{Counts, Numbers, Trial};
use tempfile::TempDir;

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The time by the clock of the machine, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    since_1970().as_millis() as u64
}

/// A run of a trial.
pub(crate) struct Run {
    pub(crate) trial: Trial,
    pub(crate) count: u64,
    pub(crate) numbers: Numbers,
    dir: Option<TempDir>,
    path: PathBuf,
    times: Vec<(String, Duration)>,
}

impl Run {
    /// Begins; none when the trial is left out.
    pub(crate) fn begin(trial: Trial) -> Option<Run> {
        let new_seed = since_1970().as_nanos() as u64;
        let counts =
            Counts::read(|name| std::env::var(name).ok(), new_seed).unwrap_or_else(|e| panic!("{e}"));
        let Some(count) = counts.of(trial) else {
            eprintln!("LEFT OUT: the trial {} (SHOAL_TRIALS_WITHOUT)", trial.name());
            return None;
        };
        let dir = tempfile::Builder::new().prefix(&format!("shoal-{}-", trial.name())).tempdir().unwrap();
        let path = dir.path().to_path_buf();
        println!(
            "trial {}: count {count}, SHOAL_SEED={:#x}, in {}",
            trial.name(),
            counts.seed,
            path.display()
        );
        let numbers = Numbers::new(counts.seed).part(trial as u64);
        Some(Run { trial, count, numbers, dir: Some(dir), path, times: Vec::new() })
    }

    /// The directory of the run.
    pub(crate) fn dir(&self) -> &Path {
        &self.path
    }

    /// Notes how long something took.
    pub(crate) fn took(&mut self, what: &str, time: Duration) {
        self.times.push((what.to_owned(), time));
    }

    /// Prints what was measured.
    fn print_times(&mut self) {
        let name = self.trial.name();
        let mut whats: Vec<String> = self.times.iter().map(|(what, _)| what.clone()).collect();
        whats.sort();
        whats.dedup();
        for what in whats {
            let mut times: Vec<Duration> =
                self.times.iter().filter(|(of, _)| *of == what).map(|(_, time)| *time).collect();
            times.sort();
            let of = |share: usize| times[(times.len() - 1) * share / 100].as_millis();
            println!(
                "{name}: {what}: {} times, median {} ms, p95 {} ms, most {} ms",
                times.len(),
                of(50),
                of(95),
                of(100)
            );
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.print_times();
        if std::thread::panicking() {
            let kept = self.dir.take().map(TempDir::keep);
            eprintln!("{}: what the trial has left is in {kept:?}", self.trial.name());
        }
    }
}
