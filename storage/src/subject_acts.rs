//! Which acts on persons are recorded in each region (erasures, exclusions, restrictions), and how far each of them is.
//!
//! ```text
//! record: outside/acts/<name> -> inside/acts/<name> -> in force: its subjects are suppressed, its digests refused
//! done:   inside/done/<name> -> an erasure is in force no longer; an exclusion refuses on
//! lift:   outside/lifted/<name> -> inside/lifted/<name> -> a restriction or an exclusion is in force no longer
//! open:   the acts and the lifts of both places; what one of them lacks is put there; what has no mark in done/ is to be erased
//! prune:  outside/acts -> inside/acts -> outside/lifted -> inside/lifted -> inside/done
//! ```
//! The outside place is not put back with the data: an older data directory has older marks of what is done, so that what was erased after
//! it is erased again; what was restricted or lifted after it is so there, too. An outside place that is lost is filled again.
//!
//! Invariants: what `record` has answered for is in force, also after any crash, until `done` or `lift` has answered; what these have
//! answered for is so after a crash, too. An act has one name for as long as it is kept, so that both places have the same bytes of it.
//! What cannot be read is an error that names the file, and nothing is opened. Blocking calls.
//! Not here: an act (`subject_acts/act`) and its bytes (`subject_acts/form`), where they lie (`subject_acts/places`), whose pseudonyms and
//! digests they are (`shoal-ingest`), the rows (`tables/erase`), encryption, which the places bring with them.

mod act;
mod form;
mod places;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shoal_schemas::{Programme, Region};
use uuid::Uuid;

pub use self::act::{ActKind, ActState, AskedBy, Erased, Ground, Lifted, Restriction, SubjectAct};
pub use self::places::ActPlaces;
use self::places::Found;
use crate::error::{Result, StorageError};
use crate::refused::{Refused, RefusedDigests, Refusing};
use crate::suppressed::{Subjects, Suppressed};

/// The acts on persons of all regions. No `Debug`: it has pseudonyms.
pub struct SubjectActs {
    homes: BTreeMap<Region, Home>,
    suppressed: Suppressed,
    refused: Refused,
}

/// Those of one region.
struct Home {
    places: ActPlaces,
    acts: Mutex<BTreeMap<Uuid, Kept>>,
}

/// What is known of an act.
struct Kept {
    /// Of one that is over it has neither subjects nor digests.
    act: SubjectAct,
    programmes: Vec<Programme>,
    /// Writing it down has failed, and nobody knows in which places it is.
    is_in_doubt: bool,
    erased: Option<Erased>,
    /// How it was lifted, or was to be: writing that down may have failed.
    lifting: Option<Lifted>,
    is_lifted: bool,
}

impl Kept {
    fn of(Found { act, erased, lifted }: Found) -> Kept {
        let is_lifted = lifted.is_some();
        let is_in = |programme: &Programme| act.named.iter().any(|(named, _)| named == programme);
        let programmes = Programme::ALL.iter().copied().filter(is_in).collect();
        let mut kept = Kept { act, programmes, is_in_doubt: false, erased, lifting: lifted, is_lifted };
        kept.forget_persons();
        kept
    }

    fn state(&self) -> ActState {
        ActState {
            number: self.act.number,
            by: self.act.by,
            kind: self.act.kind,
            programmes: self.programmes.clone(),
            asked_ms: self.act.asked_ms,
            erased: self.erased,
            lifted: self.lifting.filter(|_| self.is_lifted),
        }
    }

    fn is_in_force(&self, question: fn(&ActState) -> bool) -> bool {
        !self.is_in_doubt && question(&self.state())
    }

    /// Forgets whose it was, where nothing asks that any more.
    fn forget_persons(&mut self) {
        if self.state().is_over() {
            self.act.subjects = Vec::new();
            self.act.named = Vec::new();
        }
    }
}

impl SubjectActs {
    /// Opens the places of each region, makes them say the same, and suppresses and refuses whoever an act in force says.
    ///
    /// # Errors
    /// When a place cannot be read or written; [`StorageError::Damaged`] and [`StorageError::Format`] name a file that cannot be read.
    pub fn open(places: Vec<ActPlaces>, suppressed: Suppressed, refused: Refused) -> Result<SubjectActs> {
        let mut opened = SubjectActs { homes: BTreeMap::new(), suppressed, refused };
        for places in places {
            let region = places.region;
            let acts = places.open()?.into_iter().map(|found| (found.act.id, Kept::of(found)));
            let home = Home { acts: Mutex::new(acts.collect()), places };
            opened.puts_in_force(region, &home.hold());
            opened.homes.insert(region, home);
        }
        Ok(opened)
    }

    /// Whom the acts of a region suppress, as whoever reads tables beside a service must know, or before it has started over data that were
    /// put back. Changes nothing.
    ///
    /// # Errors
    /// As [`SubjectActs::open`].
    pub fn look(places: &ActPlaces) -> Result<Subjects> {
        let found = places.look()?.into_iter().map(Kept::of);
        let suppressing = found.filter(|kept| kept.is_in_force(ActState::suppresses));
        Ok(suppressing.flat_map(|kept| kept.act.subjects).collect())
    }

    /// Writes an act down in both places; from then on it is in force. The same id again changes nothing. After an error it may be in
    /// force after the next start: repeat it.
    ///
    /// # Errors
    /// When a place cannot be written; [`StorageError::SubjectAct`] when the region has none, the id is that of another act, a list is not
    /// ascending or too long, or the time has no name.
    pub fn record(&self, region: Region, act: &SubjectAct) -> Result<()> {
        let refused = |reason| StorageError::SubjectAct { id: act.id, reason };
        let is_list = act.subjects.len() <= form::SUBJECTS_MAX && form::is_ascending(&act.subjects);
        if !is_list || act.named.len() > form::SUBJECTS_MAX || !form::is_ascending_by_bytes(&act.named) {
            return Err(refused("its subjects or its digests are too many, or not ascending"));
        }
        if !(0..=form::ASKED_MAX_MS).contains(&act.asked_ms) {
            return Err(refused("it was asked for at no time from 1970 to 2286"));
        }
        let home = self.home(region, act.id)?;
        let mut acts = home.hold();
        // What was written of it in vain has the time of the first try in its name, and is the same act, whoever asks again.
        let known = acts.get(&act.id).map(|kept| (kept.act.asked_ms, kept.act.number, kept.act.by));
        let (asked_ms, number, by) = known.unwrap_or((act.asked_ms, act.number, act.by));
        let act = SubjectAct { asked_ms, number, by, ..act.clone() };
        if let Some(kept) = acts.get(&act.id) {
            let is_same = match kept.state().is_over() {
                true => home.places.act(asked_ms, act.id)? == act,
                false => kept.act == act,
            };
            if !is_same {
                return Err(refused("another act was recorded under its name"));
            }
            if !kept.is_in_doubt {
                return Ok(());
            }
        }
        let id = act.id;
        let found = Found { act: act.clone(), erased: None, lifted: None };
        let kept = Kept::of(found);
        acts.insert(id, Kept { is_in_doubt: true, ..kept });
        home.places.put_act(&act)?;
        acts.entry(id).and_modify(|kept| kept.is_in_doubt = false);
        self.puts_in_force(region, &acts);
        Ok(())
    }

    /// Those whose rows are to go and that are not done in this data directory, the oldest first.
    pub fn to_erase(&self, region: Region) -> Vec<SubjectAct> {
        self.those(region, |kept| kept.is_in_force(ActState::is_to_erase).then(|| kept.act.clone()))
    }

    /// When the oldest of these was asked for, in milliseconds since 1970.
    pub fn oldest_to_erase_ms(&self, region: Region) -> Option<i64> {
        let asked_ms = |kept: &Kept| kept.is_in_force(ActState::is_to_erase).then_some(kept.act.asked_ms);
        self.those(region, asked_ms).first().copied()
    }

    /// Those that are in force until somebody lifts them, the oldest first.
    pub fn to_lift(&self, region: Region) -> Vec<(Uuid, ActState)> {
        self.those(region, |kept| kept.is_in_force(ActState::is_to_lift).then(|| (kept.act.id, kept.state())))
    }

    /// Those that erase nothing, and those that were lifted, the oldest first: whatever is told of them without their rows.
    pub fn without_rows(&self, region: Region) -> Vec<ActState> {
        let of =
            |kept: &Kept| Some(kept.state()).filter(|state| !state.kind.erases() || state.lifted.is_some());
        self.those(region, |kept| of(kept).filter(|_| !kept.is_in_doubt))
    }

    /// Some of a region, the oldest first.
    fn those<T>(&self, region: Region, of: impl Fn(&Kept) -> Option<T>) -> Vec<T> {
        let Some(home) = self.homes.get(&region) else { return Vec::new() };
        let acts = home.hold();
        let mut those: Vec<(i64, Uuid, T)> =
            acts.values().filter_map(|kept| Some((kept.act.asked_ms, kept.act.id, of(kept)?))).collect();
        those.sort_by_key(|(asked_ms, id, _)| (*asked_ms, *id));
        those.into_iter().map(|(_, _, of)| of).collect()
    }

    /// Writes down that what an act erases is gone. Of one that is done already, nothing changes.
    ///
    /// # Errors
    /// When it cannot be written: repeat it. [`StorageError::SubjectAct`] when none of this id is recorded, or it erases nothing.
    pub fn done(&self, region: Region, id: Uuid, erased: Erased) -> Result<()> {
        self.change(region, id, |places, kept| {
            if !kept.act.kind.erases() {
                return Err(StorageError::SubjectAct { id, reason: "it erases nothing" });
            }
            if kept.erased.is_none() {
                places.put_done(kept.act.asked_ms, id, erased)?;
                kept.erased = Some(erased);
            }
            Ok(())
        })
    }

    /// Writes down in both places that an act is lifted. Of one that is lifted already, nothing changes.
    ///
    /// # Errors
    /// When it cannot be written: repeat it. [`StorageError::SubjectAct`] when none of this id is recorded, or it cannot be lifted.
    pub fn lift(&self, region: Region, id: Uuid, lifted: Lifted) -> Result<()> {
        self.change(region, id, |places, kept| {
            if !kept.act.kind.can_be_lifted() {
                return Err(StorageError::SubjectAct { id, reason: "an erasure cannot be lifted" });
            }
            if !kept.is_lifted {
                // Both places say the same, also when this fails in between and is repeated.
                let lifting = *kept.lifting.get_or_insert(lifted);
                places.put_lifted(kept.act.asked_ms, id, lifting)?;
                kept.is_lifted = true;
            }
            Ok(())
        })
    }

    fn change(
        &self,
        region: Region,
        id: Uuid,
        change: impl FnOnce(&ActPlaces, &mut Kept) -> Result<()>,
    ) -> Result<()> {
        let home = self.home(region, id)?;
        let mut acts = home.hold();
        let kept = acts.get_mut(&id).filter(|kept| !kept.is_in_doubt);
        let kept = kept.ok_or(StorageError::SubjectAct { id, reason: "it is not recorded" })?;
        let changed = change(&home.places, kept);
        kept.forget_persons();
        self.puts_in_force(region, &acts);
        changed
    }

    /// How far the act of this id is; none when none is recorded.
    pub fn state(&self, region: Region, id: Uuid) -> Option<ActState> {
        let acts = self.homes.get(&region)?.hold();
        acts.get(&id).filter(|kept| !kept.is_in_doubt).map(Kept::state)
    }

    /// Forgets those that are over and were asked for before this time (milliseconds since 1970), in all places, and answers how many
    /// there were. A data directory that is put back from before them has their rows again, and nobody knows it.
    ///
    /// # Errors
    /// When they cannot be removed: repeat it.
    pub fn prune(&self, before_ms: i64) -> Result<u64> {
        let mut pruned = 0;
        for home in self.homes.values() {
            let mut acts = home.hold();
            let is_over = |kept: &Kept| kept.act.asked_ms < before_ms && kept.is_in_force(ActState::is_over);
            let over = acts.values().filter(|kept| is_over(kept));
            let over: Vec<(i64, Uuid)> = over.map(|kept| (kept.act.asked_ms, kept.act.id)).collect();
            home.places.forget(&over)?;
            acts.retain(|_, kept| !is_over(kept));
            pruned += over.len() as u64;
        }
        Ok(pruned)
    }

    fn home(&self, region: Region, id: Uuid) -> Result<&Home> {
        self.homes.get(&region).ok_or(StorageError::SubjectAct { id, reason: "its region is not kept here" })
    }

    /// Suppresses and refuses exactly those whom the acts of a region say.
    fn puts_in_force(&self, region: Region, acts: &BTreeMap<Uuid, Kept>) {
        let suppressing = acts.values().filter(|kept| kept.is_in_force(ActState::suppresses));
        let subjects: Subjects = suppressing.flat_map(|kept| kept.act.subjects.iter().copied()).collect();
        let mut refused = RefusedDigests::default();
        for kept in acts.values().filter(|kept| kept.is_in_force(ActState::refuses)) {
            let why = if kept.act.kind.erases() { Refusing::Erased } else { Refusing::Restricted };
            for named in &kept.act.named {
                let held = refused.entry(*named).or_insert(why);
                *held = why.max(*held);
            }
        }
        self.refused.set(region, refused);
        self.suppressed.set(region, subjects);
    }
}

impl Home {
    /// Every section under this lock leaves whole values, so a panic elsewhere does not make them wrong.
    fn hold(&self) -> MutexGuard<'_, BTreeMap<Uuid, Kept>> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
