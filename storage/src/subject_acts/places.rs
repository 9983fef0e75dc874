//! The two places of a region's acts on persons, which say the same once they are open.
//!
//! ```text
//! <outside>/acts/<name>    <inside>/acts/<name>    <inside>/done/<name>         names and bytes: `form`
//! <outside>/lifted/<name>  <inside>/lifted/<name>
//! ```
//! Invariants: what has been answered for is durable, and what is found at a start is made so before it is believed; an act and the mark
//! that it is lifted go from outside to inside when they are written and when they are forgotten, and marks go last, so that no crash
//! leaves an act without a mark that it had. Not here: what follows from them (`subject_acts`).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use shoal_files::Objects;
use shoal_schemas::Region;
use uuid::Uuid;

use super::act::{Erased, Lifted, SubjectAct};
use super::form::{self, Unread};
use crate::error::{Result, StorageError};

/// Acts, in both places.
const ACTS: &str = "acts";
/// What was done, in the inside one.
const DONE: &str = "done";
/// Which acts are lifted, in both places.
const LIFTED: &str = "lifted";

/// An act, and what became of it.
pub(super) struct Found {
    pub(super) act: SubjectAct,
    pub(super) erased: Option<Erased>,
    pub(super) lifted: Option<Lifted>,
}

/// Where the acts on persons of a region are kept, twice.
pub struct ActPlaces {
    /// The region.
    pub region: Region,
    /// A place that is not put back with the data.
    pub outside: Arc<dyn Objects>,
    /// One beside the tables.
    pub inside: Arc<dyn Objects>,
}

impl ActPlaces {
    /// All acts that any of the places has, and what became of them. What one place lacks is put there.
    pub(super) fn open(&self) -> Result<Vec<Found>> {
        // A call that was cut off may have left what can be seen and would be gone after a power cut.
        for folder in [ACTS, LIFTED] {
            settle(&*self.outside, folder)?;
            settle(&*self.inside, folder)?;
        }
        settle(&*self.inside, DONE)?;
        let (outside, inside) = (list(&*self.outside, ACTS)?, list(&*self.inside, ACTS)?);
        let done = list(&*self.inside, DONE)?;
        let marks = [list(&*self.outside, LIFTED)?, list(&*self.inside, LIFTED)?];
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut all = Vec::new();
        for name in outside.union(&inside) {
            let act = self.unite((ACTS, name), [&outside, &inside], form::act, form::act_bytes)?;
            let act = act.ok_or_else(|| damaged(&*self.inside, &below(ACTS, name), "is gone"))?;
            if !ids.insert(act.id) {
                return Err(damaged(&*self.inside, &below(ACTS, name), "has the id of another act"));
            }
            let erased =
                done.contains(name).then(|| read(&*self.inside, DONE, name, form::done)).transpose()?;
            let mark = |lifted: &Lifted| form::lifted_bytes(act.asked_ms, act.id, *lifted);
            let lifted = self.unite((LIFTED, name), [&marks[0], &marks[1]], form::lifted, mark)?;
            all.push(Found { act, erased, lifted });
        }
        // What is left of those that were being forgotten.
        let is_left = |name: &&String| !outside.contains(*name) && !inside.contains(*name);
        remove(&*self.outside, LIFTED, marks[0].iter().filter(is_left))?;
        remove(&*self.inside, LIFTED, marks[1].iter().filter(is_left))?;
        remove(&*self.inside, DONE, done.iter().filter(is_left))?;
        Ok(all)
    }

    /// The same as they are now, and nothing is changed. What is forgotten meanwhile may be missing, and what is being written.
    pub(super) fn look(&self) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for name in list(&*self.outside, ACTS)?.union(&list(&*self.inside, ACTS)?) {
            let Some(act) = self.either(ACTS, name, form::act)? else { continue };
            // Marks come after acts and go after them, so those that an act has are there as long as it is.
            let erased = if_there(read(&*self.inside, DONE, name, form::done))?;
            let lifted = self.either(LIFTED, name, form::lifted)?;
            all.push(Found { act, erased, lifted });
        }
        Ok(all)
    }

    fn either<T>(
        &self,
        folder: &str,
        name: &str,
        parse: fn(&str, &[u8]) -> std::result::Result<T, Unread>,
    ) -> Result<Option<T>> {
        match if_there(read(&*self.inside, folder, name, parse))? {
            Some(said) => Ok(Some(said)),
            None => if_there(read(&*self.outside, folder, name, parse)),
        }
    }

    /// What the file of this folder and name says, which may be in one of the places or in each of them, and then in the same words.
    fn unite<T: PartialEq>(
        &self,
        (folder, name): (&str, &String),
        [outside, inside]: [&BTreeSet<String>; 2],
        parse: fn(&str, &[u8]) -> std::result::Result<T, Unread>,
        bytes: impl Fn(&T) -> Vec<u8>,
    ) -> Result<Option<T>> {
        let of = |place: &dyn Objects, names: &BTreeSet<String>| {
            names.contains(name).then(|| read(place, folder, name, parse)).transpose()
        };
        let (one, other) = (of(&*self.outside, outside)?, of(&*self.inside, inside)?);
        match (&one, &other) {
            (Some(said), None) => put(&*self.inside, folder, name, &bytes(said))?,
            (None, Some(said)) => put(&*self.outside, folder, name, &bytes(said))?,
            (Some(said), Some(copy)) if said != copy => {
                let reason = "says something else than its copy in the other place";
                return Err(damaged(&*self.inside, &below(folder, name), reason));
            }
            _ => {}
        }
        Ok(one.or(other))
    }

    /// Writes an act down in both places, in place of what is there of it.
    pub(super) fn put_act(&self, act: &SubjectAct) -> Result<()> {
        self.put_both(ACTS, &form::name(act.asked_ms, act.id), &form::act_bytes(act))
    }

    /// The act of this time and id.
    pub(super) fn act(&self, asked_ms: i64, id: Uuid) -> Result<SubjectAct> {
        read(&*self.inside, ACTS, &form::name(asked_ms, id), form::act)
    }

    /// Writes down in both places that the act of this time and id is lifted, in place of what is there of that.
    pub(super) fn put_lifted(&self, asked_ms: i64, id: Uuid, lifted: Lifted) -> Result<()> {
        self.put_both(LIFTED, &form::name(asked_ms, id), &form::lifted_bytes(asked_ms, id, lifted))
    }

    fn put_both(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<()> {
        put(&*self.outside, folder, name, bytes)?;
        put(&*self.inside, folder, name, bytes)
    }

    /// Writes down what was done of the act of this time and id.
    pub(super) fn put_done(&self, asked_ms: i64, id: Uuid, erased: Erased) -> Result<()> {
        put(&*self.inside, DONE, &form::name(asked_ms, id), &form::done_bytes(asked_ms, id, erased))
    }

    /// Removes acts of these times and ids, and only then what became of them.
    pub(super) fn forget(&self, acts: &[(i64, Uuid)]) -> Result<()> {
        let names: Vec<String> = acts.iter().map(|(asked_ms, id)| form::name(*asked_ms, *id)).collect();
        for (place, folder) in [
            (&self.outside, ACTS),
            (&self.inside, ACTS),
            (&self.outside, LIFTED),
            (&self.inside, LIFTED),
            (&self.inside, DONE),
        ] {
            remove(&**place, folder, names.iter())?;
        }
        Ok(())
    }
}

fn if_there<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn below(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}

fn damaged(place: &dyn Objects, name: &str, reason: &str) -> StorageError {
    StorageError::Damaged { path: place.path(name), reason: reason.to_owned() }
}

/// Makes durable what can be seen in a folder, if it is there.
fn settle(place: &dyn Objects, folder: &str) -> Result<()> {
    match place.sync(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(StorageError::io(place.path(folder))),
    }
}

/// The names in a folder.
fn list(place: &dyn Objects, folder: &str) -> Result<BTreeSet<String>> {
    let listed = place.list(folder).map_err(StorageError::io(place.path(folder)))?;
    let name = |whole: String| whole.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    Ok(listed.into_iter().filter_map(|entry| name(entry.name)).collect())
}

fn read<T>(
    place: &dyn Objects,
    folder: &str,
    name: &str,
    parse: fn(&str, &[u8]) -> std::result::Result<T, Unread>,
) -> Result<T> {
    let whole = below(folder, name);
    let bytes = place.read(&whole).map_err(StorageError::io(place.path(&whole)))?;
    parse(name, &bytes).map_err(|unread| match unread {
        Unread::Form { found, known } => StorageError::Format { path: place.path(&whole), found, known },
        Unread::Damaged(reason) => damaged(place, &whole, reason),
    })
}

fn put(place: &dyn Objects, folder: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let whole = below(folder, name);
    place.put(&whole, bytes).map_err(StorageError::io(place.path(&whole)))
}

fn remove<'n>(place: &dyn Objects, folder: &str, names: impl Iterator<Item = &'n String>) -> Result<()> {
    let names: Vec<String> = names.map(|name| below(folder, name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    place.remove(&names).map_err(StorageError::io(place.path(folder)))
}
