//! The two places of a region's erasures, which say the same once they are open.
//!
//! ```text
//! <outside>/acts/<name>    <inside>/acts/<name>    <inside>/done/<name>         names and bytes: `form`
//! ```
//! Invariants: what has been answered for is durable, and what is found at a start is made so before it is believed; an act goes from
//! outside to inside when it is written and when it is forgotten, and its mark in `done` goes last, so that no crash leaves an act
//! without the mark that it had. Not here: what follows from them (`erasures`).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use shoal_files::Objects;
use shoal_schemas::Region;
use uuid::Uuid;

use super::act::{Erased, Erasure};
use super::form::{self, FORM, Unread};
use crate::error::{Result, StorageError};

/// Acts, in both places.
const ACTS: &str = "acts";
/// What was done, in the inside one.
const DONE: &str = "done";

/// Where the erasures of a region are kept, twice.
pub struct ErasurePlaces {
    /// The region.
    pub region: Region,
    /// A place that is not put back with the data.
    pub outside: Arc<dyn Objects>,
    /// One beside the tables.
    pub inside: Arc<dyn Objects>,
}

impl ErasurePlaces {
    /// All acts that any of the places has, and what was done of them. What one place lacks is put there.
    pub(super) fn open(&self) -> Result<Vec<(Erasure, Option<Erased>)>> {
        // A call that was cut off may have left what can be seen and would be gone after a power cut.
        settle(&*self.outside, ACTS)?;
        settle(&*self.inside, ACTS)?;
        settle(&*self.inside, DONE)?;
        let (outside, inside) = (list(&*self.outside, ACTS)?, list(&*self.inside, ACTS)?);
        let done = list(&*self.inside, DONE)?;
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut all = Vec::new();
        for name in outside.union(&inside) {
            let act = self.unite(name, outside.contains(name), inside.contains(name))?;
            if !ids.insert(act.id) {
                return Err(damaged(&*self.inside, &below(ACTS, name), "has the id of another act"));
            }
            let mark = done.contains(name).then(|| read(&*self.inside, DONE, name, form::done));
            all.push((act, mark.transpose()?));
        }
        // What is left of those that were being forgotten.
        let is_left = |name: &&String| !outside.contains(*name) && !inside.contains(*name);
        remove(&*self.inside, DONE, done.iter().filter(is_left))?;
        Ok(all)
    }

    /// An act that one of the places has, or each of them, and then in the same words.
    fn unite(&self, name: &str, is_outside: bool, is_inside: bool) -> Result<Erasure> {
        let of = |place: &dyn Objects, is_there: bool| {
            is_there.then(|| read(place, ACTS, name, form::act)).transpose()
        };
        match (of(&*self.outside, is_outside)?, of(&*self.inside, is_inside)?) {
            (Some(act), Some(other)) if act.subjects == other.subjects => Ok(act),
            (Some(act), None) => put(&*self.inside, ACTS, name, &form::act_bytes(&act)).map(|()| act),
            (None, Some(act)) => put(&*self.outside, ACTS, name, &form::act_bytes(&act)).map(|()| act),
            _ => {
                let reason = "says something else than its copy in the other place";
                Err(damaged(&*self.inside, &below(ACTS, name), reason))
            }
        }
    }

    /// Writes an act down in both places, in place of what is there of it.
    pub(super) fn put_act(&self, act: &Erasure) -> Result<()> {
        let (name, bytes) = (form::name(act.asked_ms, act.id), form::act_bytes(act));
        put(&*self.outside, ACTS, &name, &bytes)?;
        put(&*self.inside, ACTS, &name, &bytes)
    }

    /// The act of this time and id.
    pub(super) fn act(&self, asked_ms: i64, id: Uuid) -> Result<Erasure> {
        read(&*self.inside, ACTS, &form::name(asked_ms, id), form::act)
    }

    /// Writes down what was done of the act of this time and id.
    pub(super) fn put_done(&self, asked_ms: i64, id: Uuid, erased: Erased) -> Result<()> {
        put(&*self.inside, DONE, &form::name(asked_ms, id), &form::done_bytes(asked_ms, id, erased))
    }

    /// Removes acts of these times and ids, and only then that they are done.
    pub(super) fn forget(&self, acts: &[(i64, Uuid)]) -> Result<()> {
        let names: Vec<String> = acts.iter().map(|(asked_ms, id)| form::name(*asked_ms, *id)).collect();
        remove(&*self.outside, ACTS, names.iter())?;
        remove(&*self.inside, ACTS, names.iter())?;
        remove(&*self.inside, DONE, names.iter())
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
        Unread::Form(found) => StorageError::Format { path: place.path(&whole), found, known: FORM },
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
