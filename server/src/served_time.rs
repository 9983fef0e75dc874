//! How long a data directory has been served, and the newest time that is known to have been: both survive a restart.
//!
//! ```text
//! <data_dir>/served-time      "<known ms> <served ms> <settled ms> <known ms> <served ms> <settled ms>\n"     all of it twice
//! served: milliseconds, counted by ticks while a service runs. Their beginning is arbitrary: it is about 1970, so that times
//!         of earlier versions, which were of the clock, are on the same scale
//! known:  the newest time of day that was believed. It goes on with what is served, and up to the clock, but never to a
//!         clock that is more than seven days beyond it
//! settled: the time of day by which something may be destroyed. It is the clock, but where that is ahead of what is expected, only
//!         after an hour, and only if it is believed. A mark of before has none: it is what is known
//! ```
//! What must wait counts what is served: a clock that is set back stops nothing, and one that is set ahead ends nothing
//! early. Whether a run of retention may believe the clock is asked of `known`. The destruction of unit keys goes
//! by `settled`.
//!
//! Invariants: what is served never goes back while the service runs, and by no more than an hour in a crash; one look adds an
//! hour at the most, whatever the clocks do. The mark is written each hour, at the end, and by each run of retention.
//! Not here: what is done when the clock is not believed (`shoal-retention`, `permit.rs`), who looks (`jobs.rs`).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_files::{Disk, Objects};
use shoal_retention::{FAR_MS, KnownTimes, plausible};
use shoal_schemas::calendar::HOUR_MS;

use crate::clocks::Clock;
use crate::error::Error;

const FILE: &str = "served-time";
/// The most that one look adds to what is served: more has not passed between two looks, but the clocks were changed.
const LOOK_MS_MAX: i64 = HOUR_MS;
/// A clock that goes otherwise than the ticks by more than this was set, or the machine slept. Of the ticks no more counts than
/// [`LOOK_MS_MAX`], so this finds also what moves both.
const STEP_MS: i64 = 5 * 60_000;
/// So long a clock must have stood ahead of what is expected before anything is destroyed by it: somebody may set it right again.
const SETTLE_MS: i64 = HOUR_MS;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    known_ms: i64,
    served_ms: i64,
    settled_ms: i64,
}

/// The bytes of a mark.
fn twice(numbers: &[i64]) -> String {
    let once = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    format!("{once} {once}\n")
}

impl Mark {
    /// The mark of a directory that has none.
    fn begin(known: &KnownTimes, now_ms: i64) -> Mark {
        let newest = known.newest_ms();
        let known_ms = match plausible(now_ms, known) {
            Ok(()) => newest.map_or(now_ms, |newest| newest.max(now_ms)),
            Err(_) => newest.unwrap_or(now_ms),
        };
        Mark { known_ms, served_ms: known_ms, settled_ms: newest.unwrap_or(now_ms) }
    }

    fn text(&self) -> String {
        twice(&[self.known_ms, self.served_ms, self.settled_ms])
    }

    fn parse(text: &[u8]) -> Option<Mark> {
        let text = std::str::from_utf8(text).ok()?;
        let numbers = text.strip_suffix('\n')?.split(' ').map(|number| number.parse().ok());
        let numbers = numbers.collect::<Option<Vec<i64>>>()?;
        let (once, again) = numbers.split_at(numbers.len() / 2);
        let mark = match *once {
            [known_ms, served_ms] => Mark { known_ms, served_ms, settled_ms: known_ms },
            [known_ms, served_ms, settled_ms] => Mark { known_ms, served_ms, settled_ms },
            _ => return None,
        };
        (once == again && twice(once) == text).then_some(mark)
    }

    /// So much was served, and the clock says this now.
    fn pass(&mut self, passed_ms: i64, now_ms: i64) {
        let passed_ms = passed_ms.clamp(0, LOOK_MS_MAX);
        self.served_ms = self.served_ms.saturating_add(passed_ms);
        let expected = self.known_ms.saturating_add(passed_ms);
        let is_believed = now_ms <= expected.saturating_add(FAR_MS);
        self.known_ms = if is_believed { expected.max(now_ms) } else { expected };
    }

    /// The same for what is settled, when that much was served since the clock was set. Whether the clock is settled now.
    fn settle(&mut self, passed_ms: i64, stood_ms: i64, now_ms: i64) -> bool {
        let expected = self.settled_ms.saturating_add(passed_ms.clamp(0, LOOK_MS_MAX));
        // Whoever waits for longer destroys nothing too early, so a clock that is set back is believed at once.
        let is_settled = now_ms <= expected || (stood_ms >= SETTLE_MS && now_ms <= self.known_ms);
        self.settled_ms = if is_settled { now_ms } else { expected };
        is_settled
    }
}

/// When somebody looked last.
#[derive(Clone, Copy)]
struct Look {
    now_ms: i64,
    ticks_ms: i64,
}

struct State {
    mark: Mark,
    /// What was served since the clock was set, or since it was settled.
    stood_ms: i64,
    last: Option<Look>,
    steps: u64,
    /// What was served when the mark was written last.
    marked_ms: i64,
}

/// How long a data directory has been served.
pub(crate) struct ServedTime {
    disk: Disk,
    state: Mutex<State>,
    served_ms: Arc<AtomicI64>,
    settled_ms: Arc<AtomicI64>,
}

impl ServedTime {
    /// Reads the mark of a data directory, or makes it from what is known besides.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is damaged.
    pub(crate) fn open(data_dir: &Path, others: &KnownTimes, now_ms: i64) -> Result<ServedTime, Error> {
        let disk = Disk::new(data_dir).private();
        let io = |error| Error::io(data_dir.join(FILE), error);
        let mut mark = match read(&disk)? {
            Some(mark) => {
                let known = KnownTimes { mark_ms: Some(mark.known_ms), ..*others };
                Mark { known_ms: known.newest_ms().unwrap_or(mark.known_ms), ..mark }
            }
            None => {
                let mark = Mark::begin(others, now_ms);
                // Before anything is written under a clock that may be wrong.
                disk.put(FILE, mark.text().as_bytes()).map_err(io)?;
                mark
            }
        };
        mark.settled_ms = mark.settled_ms.min(now_ms);
        let state = State { mark, stood_ms: 0, last: None, steps: 0, marked_ms: mark.served_ms };
        Ok(ServedTime {
            disk,
            state: Mutex::new(state),
            served_ms: Arc::new(AtomicI64::new(mark.served_ms)),
            settled_ms: Arc::new(AtomicI64::new(mark.settled_ms)),
        })
    }

    /// Takes note of what both clocks say. Answers what is served, in milliseconds.
    pub(crate) fn look(&self, now_ms: i64, ticks_ms: i64) -> i64 {
        let mut state = self.state();
        let last = state.last.replace(Look { now_ms, ticks_ms }).unwrap_or(Look { now_ms, ticks_ms });
        // Two looks are never further apart. What moved the ticks further has moved both clocks, and that was no time that passed.
        let passed_ms = ticks_ms.saturating_sub(last.ticks_ms).clamp(0, LOOK_MS_MAX);
        let step = now_ms.saturating_sub(last.now_ms).saturating_sub(passed_ms);
        let is_set = step.saturating_abs() > STEP_MS;
        state.steps += u64::from(is_set);
        state.mark.pass(passed_ms, now_ms);
        let stood_ms = if is_set { 0 } else { state.stood_ms.saturating_add(passed_ms) };
        let is_settled = state.mark.settle(passed_ms, stood_ms, now_ms);
        state.stood_ms = if is_settled { 0 } else { stood_ms };
        self.served_ms.store(state.mark.served_ms, Ordering::Relaxed);
        self.settled_ms.store(state.mark.settled_ms, Ordering::Relaxed);
        state.mark.served_ms
    }

    /// Milliseconds that were served, as of the last look.
    pub(crate) fn served_ms(&self) -> i64 {
        self.served_ms.load(Ordering::Relaxed)
    }

    /// [`ServedTime::served_ms`] as a clock.
    pub(crate) fn clock(&self) -> Clock {
        let served_ms = Arc::clone(&self.served_ms);
        Arc::new(move || served_ms.load(Ordering::Relaxed))
    }

    /// The time of day by which something may be destroyed, as of the last look, as a clock.
    pub(crate) fn settled_clock(&self) -> Clock {
        let settled_ms = Arc::clone(&self.settled_ms);
        Arc::new(move || settled_ms.load(Ordering::Relaxed))
    }

    /// How often the clock was set since the start.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// What is known of the time.
    pub(crate) fn known(&self) -> KnownTimes {
        KnownTimes { mark_ms: Some(self.state().mark.known_ms), ..KnownTimes::default() }
    }

    /// Somebody has accepted that it is so late.
    pub(crate) fn accept(&self, now_ms: i64) {
        let mut state = self.state();
        state.mark.known_ms = state.mark.known_ms.max(now_ms);
    }

    /// Whether an hour was served since the mark was written.
    pub(crate) fn is_due(&self) -> bool {
        let state = self.state();
        state.mark.served_ms.saturating_sub(state.marked_ms) >= HOUR_MS
    }

    /// Writes the mark. Blocks until it is durable.
    ///
    /// # Errors
    /// When it cannot be written. The mark of before stays.
    pub(crate) fn write(&self) -> Result<(), Error> {
        let mark = {
            let mut state = self.state();
            // Also when it fails: it is tried again in an hour.
            state.marked_ms = state.mark.served_ms;
            state.mark
        };
        let written = self.disk.put(FILE, mark.text().as_bytes());
        written.map_err(|error| Error::io(self.disk.path(FILE), error))
    }

    /// Every section under this lock leaves whole values, so a panic elsewhere does not make them wrong.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest time that the mark of a data directory knows, ms since 1970; none where there is no mark.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub(crate) fn known_ms(data_dir: &Path) -> Result<Option<i64>, Error> {
    Ok(read(&Disk::new(data_dir))?.map(|mark| mark.known_ms))
}

/// The mark of a directory, if it has one.
fn read(disk: &Disk) -> Result<Option<Mark>, Error> {
    let path: PathBuf = disk.path(FILE);
    match disk.read(FILE) {
        Ok(text) => match Mark::parse(&text) {
            Some(mark) => Ok(Some(mark)),
            None => Err(Error::Service(format!(
                "{} is damaged: put it back as it was, or move it away if there is no copy",
                path.display()
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

#[cfg(test)]
mod tests;
