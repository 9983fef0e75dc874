//! The files of the keys: made ahead of their day, destroyed when its late window is over.
//!
//! ```text
//! key, check value   that differ, or a check value alone: lost, no key     a key alone: it is adopted
//! neither            a new key: file, then check value, then in use
//! ```
//! The order makes a crash harmless: a key without its check value has been used by nobody. Of several processes that
//! share a directory one makes the key, and the others read it. A bit that flips in either makes the two differ: a check value
//! needs none of its own.
//!
//! What is destroyed is gone, so two times are asked: the clock, and the settled time, which does not go with a clock that was set
//! ahead. A day is over when both say so. Its check value stays for [`CHECK_DAYS`] more, so that a clock that is set back
//! makes no second key for it.
//! Not here: what is done without a key (`open.rs`), when this runs (`shoal-server`, `jobs.rs`), the settled time
//! (`shoal-server`, `served_time.rs`).

use std::{
    io::{self, ErrorKind},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use shoal_files::{Medium, Objects, host};
use shoal_privacy::unit_key::UnitKey;
use shoal_schemas::{
    Region,
    calendar::{HOUR_MS, day_of},
};
use zeroize::Zeroizing;

use super::open::OpenKeys;
use crate::epoch_keys::Epochs;
use crate::key_times::{Times, date, day_in};

/// No file of a key is longer than this, bytes.
const FILE_BYTES_MAX: u64 = 4096;
const SUFFIX: &str = ".key";
/// Days for which the check value of a key outlives it: so far a clock may be set back.
pub(super) const CHECK_DAYS: i32 = 60;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitKeysReport {
    /// Keys that were made.
    pub made: u64,
    /// Open days of regions whose key is lost: until they close, events that name nobody count as one unit for each app.
    pub lost: u64,
    /// Keys that were destroyed.
    pub destroyed: u64,
    /// Pseudonym epochs whose keys were destroyed.
    pub epochs_destroyed: u64,
}

/// The keys of all regions.
pub(crate) struct UnitKeys {
    keys: Arc<dyn Medium>,
    /// Check values, by [`Region::index`].
    checks: Vec<Arc<dyn Objects>>,
    late_days: i32,
    epochs: Epochs,
    open: ArcSwap<OpenKeys>,
    turn: Mutex<()>,
}

impl UnitKeys {
    /// Keys in one place, check values in a place for each region. A day's late window is over so many days after it.
    pub(crate) fn new(
        keys: Arc<dyn Medium>,
        checks: Vec<Arc<dyn Objects>>,
        late_days: u32,
        epochs: Epochs,
    ) -> UnitKeys {
        UnitKeys {
            epochs,
            keys,
            checks,
            late_days: i32::try_from(late_days).unwrap_or(i32::MAX),
            open: ArcSwap::from_pointee(OpenKeys::default()),
            turn: Mutex::new(()),
        }
    }

    /// The keys in memory.
    pub(crate) fn open(&self) -> Arc<OpenKeys> {
        self.open.load_full()
    }

    /// The keys as they are needed now. A new day has its keys before its first event is judged.
    pub(crate) async fn current(self: &Arc<Self>, times: Times) -> Arc<OpenKeys> {
        if !self.open().are_current(day_of(times.now_ms)) {
            let keys = Arc::clone(self);
            let renewed = host::blocking(move || keys.run_once(times)).await;
            if let Ok(Err(error)) = renewed {
                tracing::error!(%error, "unit keys; events that name nobody count as one unit for each app");
            }
        }
        self.open()
    }

    /// Makes the keys of the days that are open, and destroys those of days whose late window is over.
    ///
    /// # Errors
    /// The first failure. The other keys are in use, or destroyed, all the same; it can be repeated.
    pub(crate) fn run_once(&self, times: Times) -> io::Result<UnitKeysReport> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let today = day_of(times.now_ms);
        let first = today.saturating_sub(self.late_days);
        let before = self.open();
        let mut report = UnitKeysReport::default();
        let mut failure = None;
        let epochs = match self.epochs.open(times, before.epochs()) {
            Ok((epochs, destroyed)) => {
                report.epochs_destroyed = destroyed;
                Arc::new(epochs)
            }
            Err(error) => {
                failure = Some(error);
                Arc::clone(before.epochs())
            }
        };
        let mut after = OpenKeys::as_of(today, epochs);
        for region in Region::ALL {
            for day in first..=today.saturating_add(1) {
                let opened = match before.get(*region, day) {
                    Some(key) => Ok(Some(Arc::clone(key))),
                    None => self.open_day(*region, day, &mut report),
                };
                match opened {
                    Ok(Some(key)) => after.add(*region, day, key),
                    Ok(None) => report.lost += 1,
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
        }
        self.open.store(Arc::new(after));
        if let Err(error) = self.destroy(times.now_ms.min(times.settled_ms), &mut report) {
            failure.get_or_insert(error);
        }
        failure.map_or(Ok(report), Err)
    }

    /// The key of a day; none when it is lost.
    fn open_day(
        &self,
        region: Region,
        day: i32,
        report: &mut UnitKeysReport,
    ) -> io::Result<Option<Arc<UnitKey>>> {
        let date = date(day)?;
        let name = format!("{}/{date}{SUFFIX}", region.as_str().to_ascii_lowercase());
        let checks = &self.checks[region.index()];
        let known = match checks.read(&date) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let mut key = self.read(&name)?;
        if key.is_none() && known.is_none() {
            let fresh = UnitKey::generate().map_err(io::Error::other)?;
            match self.keys.put_if_absent(&name, fresh.to_text().as_bytes()) {
                Ok(()) => {
                    report.made += 1;
                    key = Some(fresh);
                }
                // Another process was faster, or the file holds no key.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => key = self.read(&name)?,
                Err(error) => return Err(error),
            }
        }
        let Some(key) = key else { return Ok(None) };
        let check = key.check_value();
        match known {
            Some(known) if known != check.as_bytes() => return Ok(None),
            Some(_) => {}
            None => checks.put(&date, check.as_bytes())?,
        }
        Ok(Some(Arc::new(key)))
    }

    /// The key in a file; none when there is no file, or no key in it.
    fn read(&self, name: &str) -> io::Result<Option<UnitKey>> {
        let file = match self.keys.open(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = file.length()?.min(FILE_BYTES_MAX);
        // The full size at once: a buffer that grows leaves copies of secrets behind.
        let mut bytes = Zeroizing::new(vec![0; length as usize]);
        file.read_at(0, &mut bytes)?;
        Ok(std::str::from_utf8(&bytes).ok().and_then(|text| UnitKey::parse(text).ok()))
    }

    /// Destroys the keys of the days whose late window is over by this time, and what unfinished files left.
    fn destroy(&self, by_ms: i64, report: &mut UnitKeysReport) -> io::Result<()> {
        let first = day_of(by_ms).saturating_sub(self.late_days);
        for entry in self.keys.list("")? {
            let file = entry.name.rsplit_once('/').map(|(_, file)| file);
            if file.and_then(|file| day_in(file.strip_suffix(SUFFIX)?)).is_some_and(|day| day < first) {
                let zeros = vec![0; entry.bytes.min(FILE_BYTES_MAX) as usize];
                let file = self.keys.edit(&entry.name)?;
                file.write_at(0, &zeros)?;
                file.sync()?;
                drop(file);
                self.keys.remove(&[&entry.name])?;
                report.destroyed += 1;
            }
        }
        self.keys.sweep("", by_ms.saturating_sub(HOUR_MS))?;
        for checks in &self.checks {
            let all = checks.list("")?;
            let oldest = first.saturating_sub(CHECK_DAYS);
            let is_over = |name: &&str| day_in(name).is_some_and(|day| day < oldest);
            let over: Vec<&str> = all.iter().map(|entry| entry.name.as_str()).filter(is_over).collect();
            checks.remove(&over)?;
        }
        Ok(())
    }
}
