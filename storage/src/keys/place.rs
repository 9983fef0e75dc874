//! Where wrapped keys lie: one place that is read, and replicas of it, in which what is destroyed is destroyed as well.
//!
//! ```text
//! destroy: every replica, then the place itself          a replica that cannot be reached: nothing is destroyed in the place, repeat it
//! escrow:  place -> replica, what is missing there, and the destruction of what was destroyed; then the time, in `escrowed`
//! turn:    one of either at a time, of all processes (`keys.lock`), so that no escrow brings back what is being destroyed
//! ```
//! Nothing leaves a replica because it is missing in the place: a place that is lost takes no replica with it.
//!
//! Invariants: bytes of a key are overwritten before their name goes or stands for something else; a replica without its file `escrowed`
//! is none, as the directory under a disk that is not mounted, and nothing is written there. Blocking calls. Not here: what the files
//! say (`mod.rs`, `epochs.rs`).

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_files::{Disk, Lock, Medium};

use crate::error::{Result, StorageError};

/// No file of a key is longer than this, in bytes.
const FILE_BYTES_MAX: u64 = 4096;
/// When a replica was last brought up to date, ms since 1970.
const STAMP: &str = "escrowed";
/// Held while keys are destroyed or copied, so that no copy brings back what is being destroyed.
const LOCK: &str = "keys.lock";
/// There from when a key was destroyed: a key store without keys is not lost then.
const DESTROYED_SOME: &str = "destroyed-keys";
/// How a file ends whose keys were destroyed, and that stays.
pub(super) const DESTROYED: &str = "destroyed\n";

/// The files of wrapped keys. Clones are the same place.
#[derive(Clone)]
pub struct KeyPlace {
    files: Arc<dyn Medium>,
    replicas: Vec<Arc<dyn Medium>>,
    /// Where the lock is, when other processes may destroy and copy, too.
    shared_on: Option<Disk>,
    turn: Arc<Mutex<()>>,
}

/// Whose turn it is, for as long as it lives.
struct Turn<'p> {
    _own: MutexGuard<'p, ()>,
    _others: Option<Lock>,
}

/// What bringing a replica up to date has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Escrowed {
    /// Files that were copied.
    pub copied: u64,
    /// Files of keys that were destroyed there, because they were destroyed here.
    pub destroyed: u64,
}

impl KeyPlace {
    /// A place with its replicas.
    pub fn new(files: Arc<dyn Medium>, replicas: Vec<Arc<dyn Medium>>) -> KeyPlace {
        KeyPlace { files, replicas, shared_on: None, turn: Arc::default() }
    }

    /// A place on a disk that other processes may use, too.
    pub fn on_disk(disk: Disk, replicas: Vec<Disk>) -> KeyPlace {
        let of = |disk: Disk| Arc::new(disk) as Arc<dyn Medium>;
        let place = KeyPlace::new(of(disk.clone()), replicas.into_iter().map(of).collect());
        KeyPlace { shared_on: Some(disk), ..place }
    }

    fn turn(&self) -> Result<Turn<'_>> {
        let own = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.shared_on.as_ref().map(|disk| disk.lock(LOCK)).transpose();
        Ok(Turn { _own: own, _others: others.map_err(StorageError::io(self.path(LOCK)))? })
    }

    /// Whether there is nothing at all: no key, and no sign that there was one.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        Ok(self.list("")?.is_empty())
    }

    /// What messages call a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    /// Where its replicas are, for messages.
    pub fn replicas(&self) -> Vec<PathBuf> {
        self.replicas.iter().map(|replica| replica.path("")).collect()
    }

    /// The names of all files in a folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.files.list(folder).map_err(StorageError::io(self.path(folder)))?;
        Ok(listed.into_iter().map(|entry| entry.name).filter(|name| is_of_a_key(name)).collect())
    }

    /// The text of a file; none when there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>> {
        read(&*self.files, name).map_err(StorageError::io(self.path(name)))
    }

    /// Makes a file that nobody has made. Durable when it returns.
    pub(crate) fn make(&self, name: &str, text: &str) -> io::Result<()> {
        self.files.put_if_absent(name, text.as_bytes())
    }

    /// Destroys what a file holds, everywhere, and leaves `instead` in its place, or nothing. Whether there was such a file here.
    pub(crate) fn destroy(&self, name: &str, instead: Option<&str>) -> Result<bool> {
        let _turn = self.turn()?;
        for replica in &self.replicas {
            let destroyed = check(&**replica).and_then(|()| destroy(&**replica, name, instead));
            destroyed.map_err(StorageError::io(replica.path(name)))?;
        }
        let io = || StorageError::io(self.path(name));
        self.files.put(DESTROYED_SOME, b"").map_err(io())?;
        destroy(&*self.files, name, instead).map_err(io())
    }

    /// Brings every replica up to date. One that is empty becomes a replica if somebody says so: it may be the directory under a disk
    /// that is not mounted.
    ///
    /// # Errors
    /// When one cannot be read or written, is no replica, or has another key than the place: one of the two is damaged then, and neither
    /// is touched. The others are done.
    pub fn escrow(&self, now_ms: i64, begins: bool) -> Result<Escrowed> {
        if self.replicas.is_empty() {
            return Ok(Escrowed::default());
        }
        let _turn = self.turn()?;
        let (mut done, mut failure) = (Escrowed::default(), None);
        for replica in &self.replicas {
            if let Err(error) = self.escrow_to(&**replica, now_ms, begins, &mut done) {
                failure.get_or_insert(StorageError::io(replica.path(""))(error));
            }
        }
        failure.map_or(Ok(done), Err)
    }

    fn escrow_to(
        &self,
        replica: &dyn Medium,
        now_ms: i64,
        begins: bool,
        done: &mut Escrowed,
    ) -> io::Result<()> {
        if !begins || !replica.list("")?.is_empty() {
            check(replica)?;
        }
        let mut differing = None;
        for entry in self.files.list("")?.into_iter().filter(|entry| is_of_a_key(&entry.name)) {
            let Some(text) = read(&*self.files, &entry.name)? else { continue };
            match read(replica, &entry.name)? {
                None => {
                    replica.put_if_absent(&entry.name, text.as_bytes())?;
                    done.copied += 1;
                }
                Some(known) if known == text => {}
                Some(_) if text.ends_with(DESTROYED) => {
                    destroy(replica, &entry.name, Some(&text))?;
                    done.destroyed += 1;
                }
                Some(_) => differing = Some(entry.name),
            }
        }
        if let Some(name) = differing {
            let told = format!(
                "{name} is another key there than in the key store: one of the two is damaged. Put the right one in both places"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, told));
        }
        replica.put(STAMP, format!("{now_ms}\n").as_bytes())
    }

    /// When each replica was last brought up to date, ms since 1970; none of one that is not there.
    pub fn escrowed_ms(&self) -> Vec<(PathBuf, Option<i64>)> {
        let at = |replica: &Arc<dyn Medium>| {
            let text = read(&**replica, STAMP).ok().flatten()?;
            text.trim_end().parse().ok()
        };
        self.replicas.iter().map(|replica| (replica.path(""), at(replica))).collect()
    }
}

/// Whether a file is that of a key, and not one of the place itself.
fn is_of_a_key(name: &str) -> bool {
    ![STAMP, LOCK].contains(&name)
}

/// Whether a place is a replica.
fn check(replica: &dyn Medium) -> io::Result<()> {
    match replica.open(STAMP) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let reason = "it is no replica of the keys: it has no file `escrowed`. Mount the disk that it is on; `shoal keys escrow` makes a \
                          replica of an empty directory";
            Err(io::Error::new(ErrorKind::NotFound, reason))
        }
        opened => opened.map(|_| ()),
    }
}

fn read(files: &dyn Medium, name: &str) -> io::Result<Option<String>> {
    let file = match files.open(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = vec![0; file.length()?.min(FILE_BYTES_MAX) as usize];
    file.read_at(0, &mut bytes)?;
    // What is no text is no key either, and its reader says so.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn destroy(files: &dyn Medium, name: &str, instead: Option<&str>) -> io::Result<bool> {
    let was_there = match files.edit(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        opened => {
            let file = opened?;
            // In its own place, padded to its own length, and in one sector: either all of the key is there, or nothing of it.
            let mut bytes = instead.unwrap_or_default().as_bytes().to_vec();
            bytes.resize(bytes.len().max(file.length()?.min(FILE_BYTES_MAX) as usize), b'\n');
            file.write_at(0, &bytes)?;
            file.sync()?;
            true
        }
    };
    match instead {
        Some(text) => files.put(name, text.as_bytes())?,
        None => files.remove(&[name])?,
    }
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::{Memory, Objects as _};

    use super::*;

    fn place(files: &Memory, replicas: &[&Memory]) -> KeyPlace {
        let replicas = replicas.iter().map(|replica| Arc::new((*replica).clone()) as Arc<dyn Medium>);
        KeyPlace::new(Arc::new(files.clone()), replicas.collect())
    }

    #[test]
    fn what_is_destroyed_is_destroyed_in_every_replica_and_first_there() {
        let (files, first, second) = (Memory::new(), Memory::new(), Memory::new());
        let own = place(&files, &[&first, &second]);
        own.make("de/a", "a key").unwrap();
        own.make("de/b", "another key").unwrap();
        assert!(own.destroy("de/a", None).is_err(), "a replica is not there yet");
        assert_eq!(own.read("de/a").unwrap().unwrap(), "a key");
        assert!(own.escrow(6, false).is_err(), "nobody has said that these empty directories are replicas");
        assert_eq!(own.escrow(7, true).unwrap(), Escrowed { copied: 4, destroyed: 0 });
        assert_eq!(own.escrow(8, false).unwrap(), Escrowed::default());
        assert_eq!(own.escrow(8, true).unwrap(), Escrowed::default());
        assert!(own.escrowed_ms().iter().all(|(_, at)| *at == Some(8)));
        assert!(own.destroy("de/a", None).unwrap());
        assert!(own.destroy("de/b", Some("destroyed\n")).unwrap());
        for place in [&files, &first, &second] {
            assert!(place.open("de/a").is_err());
            assert_eq!(place.read("de/b").unwrap(), b"destroyed\n");
        }
        assert!(!own.destroy("de/a", None).unwrap(), "it can be repeated");
        let mut left = own.list("").unwrap();
        left.sort();
        assert_eq!(left, ["de/b", "destroyed-keys"], "a store whose keys were destroyed is not a lost one");
        assert!(!own.is_empty().unwrap());
    }

    #[test]
    fn a_place_that_is_lost_takes_no_replica_with_it_and_is_put_back_from_one() {
        let (files, replica) = (Memory::new(), Memory::new());
        place(&files, &[&replica]).make("de/a", "a key").unwrap();
        place(&files, &[&replica]).escrow(1, true).unwrap();
        let lost = Memory::new();
        assert_eq!(place(&lost, &[&replica]).escrow(2, true).unwrap(), Escrowed::default());
        assert_eq!(replica.read("de/a").unwrap(), b"a key");
        // The replica is the place from then on.
        assert_eq!(place(&replica, &[]).read("de/a").unwrap().unwrap(), "a key");
    }

    #[test]
    fn what_was_destroyed_while_a_replica_was_no_part_of_it_is_destroyed_there_by_the_next_escrow() {
        let (files, replica) = (Memory::new(), Memory::new());
        place(&files, &[]).make("de/a", "a key").unwrap();
        place(&files, &[&replica]).escrow(1, true).unwrap();
        place(&files, &[]).destroy("de/a", Some("destroyed\n")).unwrap();
        assert_eq!(place(&files, &[&replica]).escrow(2, true).unwrap(), Escrowed { copied: 1, destroyed: 1 });
        assert_eq!(replica.read("de/a").unwrap(), b"destroyed\n");
    }

    #[test]
    fn a_directory_of_something_else_does_not_become_a_replica() {
        let (files, other) = (Memory::new(), Memory::new());
        other.put("somebody's", b"file").unwrap();
        let own = place(&files, &[&other]);
        own.make("de/a", "a key").unwrap();
        let told = own.escrow(1, true).unwrap_err().to_string();
        assert!(told.contains("no replica"), "{told}");
        assert_eq!(own.escrowed_ms()[0].1, None);
    }

    #[test]
    fn a_key_that_is_damaged_here_does_not_take_its_copy_with_it() {
        let (files, replica) = (Memory::new(), Memory::new());
        let own = place(&files, &[&replica]);
        own.make("de/a", "a key").unwrap();
        own.make("de/b", "another key").unwrap();
        own.escrow(1, true).unwrap();
        files.put("de/a", b"a kez").unwrap();
        own.make("de/c", "a new key").unwrap();
        let told = own.escrow(2, false).unwrap_err().to_string();
        assert!(told.contains("de/a is another key") && told.contains("damaged"), "{told}");
        assert_eq!(replica.read("de/a").unwrap(), b"a key");
        assert_eq!(replica.read("de/c").unwrap(), b"a new key", "the others are kept up to date");
        assert_eq!(own.escrowed_ms()[0].1, Some(1), "which the time tells");
    }
}
