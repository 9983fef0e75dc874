//! Which erasures of persons are recorded in each region, and which of them are done.
//!
//! ```text
//! record: outside/acts/<name> -> inside/acts/<name> -> suppressed        pending until it is done in this data directory
//! done:   inside/done/<name> -> no longer suppressed, unless another pending one has the subject
//! open:   the acts of both places; what one of them lacks is put there; what has no mark in done/ is pending
//! prune:  outside/acts -> inside/acts -> inside/done
//! ```
//! The outside place is not put back with the data: an older data directory has older marks, so that what was erased after it is
//! erased again. An outside place that is lost is filled again.
//!
//! Invariants: what `record` has answered for is suppressed, also after any crash, until it is done; what `done` has answered for is
//! not, after a crash either. An act has one name for as long as it is kept, so that both places have the same bytes of it. What
//! cannot be read is an error that names the file, and nothing is opened. Blocking calls.
//! Not here: an act (`erasures/act`) and its bytes (`erasures/form`), where they lie (`erasures/places`), whose pseudonyms they are
//! (`shoal-ingest`), the rows (`tables/erase`), encryption, which the places bring with them.

mod act;
mod form;
mod places;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shoal_schemas::Region;
use uuid::Uuid;

pub use self::act::{Erased, Erasure, ErasureState};
pub use self::places::ErasurePlaces;
use crate::error::{Result, StorageError};
use crate::suppressed::{Subjects, Suppressed};

/// The erasures of all regions. No `Debug`: it has pseudonyms.
pub struct Erasures {
    homes: BTreeMap<Region, Home>,
    suppressed: Suppressed,
}

/// Those of one region.
struct Home {
    places: ErasurePlaces,
    acts: Mutex<BTreeMap<Uuid, Act>>,
}

struct Act {
    asked_ms: i64,
    progress: Progress,
}

enum Progress {
    /// Writing it down has failed, and nobody knows in which places it is.
    InDoubt(Vec<u128>),
    /// With its subjects.
    Pending(Vec<u128>),
    Done(Erased),
}

impl Erasures {
    /// Opens the places of each region, makes them say the same, and suppresses whose erasure is pending.
    ///
    /// # Errors
    /// When a place cannot be read or written; [`StorageError::Damaged`] and [`StorageError::Format`] name a file that cannot be read.
    pub fn open(places: Vec<ErasurePlaces>, suppressed: Suppressed) -> Result<Erasures> {
        let mut homes = BTreeMap::new();
        for places in places {
            let region = places.region;
            let acts = places.open()?.into_iter().map(|(Erasure { id, asked_ms, subjects }, done)| {
                let progress = done.map_or(Progress::Pending(subjects), Progress::Done);
                (id, Act { asked_ms, progress })
            });
            let acts = acts.collect();
            suppressed.set(region, pending_subjects(&acts));
            homes.insert(region, Home { places, acts: Mutex::new(acts) });
        }
        Ok(Erasures { homes, suppressed })
    }

    /// Writes an erasure down in both places; from then on its subjects are suppressed. The same id again changes nothing. After an error
    /// it may be in force after the next start: repeat it.
    ///
    /// # Errors
    /// When a place cannot be written; [`StorageError::Erasure`] when the region has none, the id has other subjects, the subjects are not
    /// ascending or too many, or the time has no name.
    pub fn record(&self, region: Region, erasure: &Erasure) -> Result<()> {
        let refused = |reason| StorageError::Erasure { id: erasure.id, reason };
        if erasure.subjects.len() > form::SUBJECTS_MAX || !form::is_ascending(&erasure.subjects) {
            return Err(refused("its subjects are too many, or not ascending"));
        }
        if !(0..=form::ASKED_MAX_MS).contains(&erasure.asked_ms) {
            return Err(refused("it was asked for at no time from 1970 to 2286"));
        }
        let home = self.home(region, erasure.id)?;
        let mut acts = home.hold();
        // What was written of it in vain has the time of the first try in its name.
        let known = acts.get(&erasure.id);
        let asked_ms = known.map_or(erasure.asked_ms, |act| act.asked_ms);
        let is_same = match known.map(|act| &act.progress) {
            None => true,
            Some(Progress::InDoubt(subjects) | Progress::Pending(subjects)) => *subjects == erasure.subjects,
            Some(Progress::Done(_)) => home.places.act(asked_ms, erasure.id)?.subjects == erasure.subjects,
        };
        if !is_same {
            return Err(refused("it was recorded with other subjects"));
        }
        if known.is_some_and(|act| !matches!(act.progress, Progress::InDoubt(_))) {
            return Ok(());
        }
        let erasure = Erasure { asked_ms, ..erasure.clone() };
        let progress = Progress::InDoubt(erasure.subjects.clone());
        acts.insert(erasure.id, Act { asked_ms, progress });
        home.places.put_act(&erasure)?;
        acts.insert(erasure.id, Act { asked_ms, progress: Progress::Pending(erasure.subjects) });
        self.suppressed.set(region, pending_subjects(&acts));
        Ok(())
    }

    /// Those that are recorded and not done in this data directory, the oldest first.
    pub fn pending(&self, region: Region) -> Vec<Erasure> {
        let Some(home) = self.homes.get(&region) else { return Vec::new() };
        let acts = home.hold();
        let pending = acts.iter().filter_map(|(id, act)| match &act.progress {
            Progress::Pending(subjects) => {
                Some(Erasure { id: *id, asked_ms: act.asked_ms, subjects: subjects.clone() })
            }
            _ => None,
        });
        let mut pending: Vec<Erasure> = pending.collect();
        pending.sort_by_key(|erasure| (erasure.asked_ms, erasure.id));
        pending
    }

    /// Writes down that an erasure is done; from then on its subjects are suppressed no more, unless another pending one has them. Of one
    /// that is done already, nothing changes.
    ///
    /// # Errors
    /// When it cannot be written: repeat it. [`StorageError::Erasure`] when none of this id is recorded.
    pub fn done(&self, region: Region, id: Uuid, erased: Erased) -> Result<()> {
        let home = self.home(region, id)?;
        let mut acts = home.hold();
        let act = acts.get_mut(&id).filter(|act| !matches!(act.progress, Progress::InDoubt(_)));
        let act = act.ok_or(StorageError::Erasure { id, reason: "it is not recorded" })?;
        if matches!(act.progress, Progress::Done(_)) {
            return Ok(());
        }
        home.places.put_done(act.asked_ms, id, erased)?;
        act.progress = Progress::Done(erased);
        self.suppressed.set(region, pending_subjects(&acts));
        Ok(())
    }

    /// How far the erasure of this id is; none when none is recorded.
    pub fn state(&self, region: Region, id: Uuid) -> Option<ErasureState> {
        match self.homes.get(&region)?.hold().get(&id)?.progress {
            Progress::InDoubt(_) => None,
            Progress::Pending(_) => Some(ErasureState::Recorded),
            Progress::Done(erased) => Some(ErasureState::Done(erased)),
        }
    }

    /// Forgets those that are done and were asked for before this time (milliseconds since 1970), in all places, and answers how many
    /// there were. A data directory that is put back from before them has their rows again, and nobody knows it.
    ///
    /// # Errors
    /// When they cannot be removed: repeat it.
    pub fn prune(&self, before_ms: i64) -> Result<u64> {
        let mut pruned = 0;
        for home in self.homes.values() {
            let mut acts = home.hold();
            let is_over = |act: &Act| act.asked_ms < before_ms && matches!(act.progress, Progress::Done(_));
            let over = acts.iter().filter(|(_, act)| is_over(act));
            let over: Vec<(i64, Uuid)> = over.map(|(id, act)| (act.asked_ms, *id)).collect();
            home.places.forget(&over)?;
            acts.retain(|_, act| !is_over(act));
            pruned += over.len() as u64;
        }
        Ok(pruned)
    }

    fn home(&self, region: Region, id: Uuid) -> Result<&Home> {
        self.homes.get(&region).ok_or(StorageError::Erasure { id, reason: "its region is not kept here" })
    }
}

impl Home {
    /// Every section under this lock leaves whole values, so a panic elsewhere does not make them wrong.
    fn hold(&self) -> MutexGuard<'_, BTreeMap<Uuid, Act>> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose erasure is pending.
fn pending_subjects(acts: &BTreeMap<Uuid, Act>) -> Subjects {
    let subjects = acts.values().filter_map(|act| match &act.progress {
        Progress::Pending(subjects) => Some(subjects),
        _ => None,
    });
    subjects.flatten().copied().collect()
}

#[cfg(test)]
mod tests;
