//! Whether a store keeps the promise that exclusivity is made of.
//!
//! Some stores take `If-None-Match: *` without a word and write over what is there, others look and then write, so that of two
//! that come at once both succeed. A start finds out, by objects of its own that it removes again.
//!
//! Invariant: a store is refused with what it did and what to do. Not here: what a store must do besides (`conformance`).

use std::io::{self, ErrorKind};
use std::sync::Barrier;

use crate::objects::Objects;

/// The folder of what a probe writes.
const FOLDER: &str = ".probe";
/// How many put the same name at once, and how often.
const THREADS: usize = 8;
const ROUNDS: usize = 4;

/// Refuses a store whose put-if-absent is none. Leaves nothing.
pub(super) fn conditions(objects: &dyn Objects) -> io::Result<()> {
    let folder = format!("{FOLDER}/{}", uuid::Uuid::new_v4().simple());
    let outcome = taken(objects, &format!("{folder}/taken"))
        .and_then(|()| (0..ROUNDS).try_for_each(|round| race(objects, &format!("{folder}/race-{round}"))));
    let names: Vec<String> = (0..ROUNDS).map(|round| format!("{folder}/race-{round}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let taken = format!("{folder}/taken");
    names.push(&taken);
    outcome.and(objects.remove(&names))
}

fn taken(objects: &dyn Objects, name: &str) -> io::Result<()> {
    objects.put_if_absent(name, b"first")?;
    match objects.put_if_absent(name, b"second") {
        Ok(()) => return Err(refused("it answered a second put of a name that was taken with success")),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    if objects.read(name)? != b"first" {
        return Err(refused("it refused a second put of a name that was taken, and wrote it all the same"));
    }
    let mut middle = [0; 3];
    objects.open(name)?.read_at(1, &mut middle)?;
    if &middle != b"irs" {
        Err(unfit("a range of an object has other bytes than the object"))
    } else {
        Ok(())
    }
}

/// Many put the same name at once.
fn race(objects: &dyn Objects, name: &str) -> io::Result<()> {
    let barrier = Barrier::new(THREADS);
    let put = |thread: usize| {
        barrier.wait();
        objects.put_if_absent(name, &[thread as u8; 100])
    };
    let outcomes: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || put(thread))).collect();
        let panicked = |_| Err(io::Error::other("a thread of the probe panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let mut winners = Vec::new();
    for (thread, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(()) => winners.push(thread),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    match winners[..] {
        [winner] if objects.read(name)? == [winner as u8; 100] => Ok(()),
        [_] => Err(refused(
            "of several that put the same name at once one was answered with success, and another was written",
        )),
        _ => Err(refused(&format!(
            "of {THREADS} that put the same name at once, {} were answered with success",
            winners.len()
        ))),
    }
}

/// A store that does not know conditions.
fn refused(what: &str) -> io::Error {
    unfit(&format!(
        "{what}. It does not keep to `If-None-Match: *`, so that two services could both believe that something is \
         theirs alone. Use a store, or a newer version of this one, that has conditional writes, as Amazon S3 and SeaweedFS have"
    ))
}

/// A store that is of no use here.
pub(super) fn unfit(what: &str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, format!("this store cannot be used: {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use super::*;
    use crate::memory::Memory;
    use crate::objects::{Entry, NewObject, Source};

    /// What a store does wrong.
    #[derive(Clone, Copy, PartialEq)]
    enum Wrong {
        Nothing,
        Ignores,
        WritesAllTheSame,
        LooksFirst,
    }

    struct Broken(Memory, Wrong, Barrier);

    impl Objects for Broken {
        fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.0.put(name, bytes)
        }
        fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            match self.1 {
                Wrong::Nothing => self.0.put_if_absent(name, bytes),
                Wrong::Ignores => self.0.put(name, bytes),
                Wrong::WritesAllTheSame => {
                    let outcome = self.0.put_if_absent(name, bytes);
                    self.0.put(name, bytes).and(outcome)
                }
                Wrong::LooksFirst => {
                    let is_there = self.0.read(name).is_ok();
                    if name.contains("race") {
                        self.2.wait();
                    }
                    if is_there { Err(ErrorKind::AlreadyExists.into()) } else { self.0.put(name, bytes) }
                }
            }
        }
        fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
            self.0.write(name)
        }
        fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
            self.0.open(name)
        }
        fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
            self.0.list(folder)
        }
        fn remove(&self, names: &[&str]) -> io::Result<()> {
            self.0.remove(names)
        }
        fn sync(&self, folder: &str) -> io::Result<()> {
            self.0.sync(folder)
        }
        fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
            self.0.sweep(folder, unchanged_since_ms)
        }
        fn path(&self, name: &str) -> PathBuf {
            self.0.path(name)
        }
    }

    #[test]
    fn a_store_that_breaks_the_promise_is_refused_with_what_it_did() {
        for (wrong, told) in [
            (Wrong::Nothing, None),
            (Wrong::Ignores, Some("a second put of a name that was taken with success")),
            (Wrong::WritesAllTheSame, Some("wrote it all the same")),
            (Wrong::LooksFirst, Some("of 8 that put the same name at once, 8 were")),
        ] {
            let store = Broken(Memory::new(), wrong, Barrier::new(THREADS));
            let error = conditions(&store).err().map(|e| (e.kind(), e.to_string()));
            match told {
                None => assert_eq!(error, None),
                Some(told) => {
                    let (kind, text) = error.unwrap();
                    assert_eq!(kind, ErrorKind::Unsupported);
                    assert!(text.contains(told) && text.contains("Use a store"), "{text}");
                }
            }
            assert!(store.list("").unwrap().is_empty(), "a probe leaves nothing");
        }
    }
}
