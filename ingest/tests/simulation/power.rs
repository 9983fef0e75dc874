//! How a process ends, and what becomes of each change that it makes to a disk or a store: by a seed.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use crate::chance::Chance;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine lives on.
    Killed,
    /// What was not synced is there or not.
    PowerCut,
}

/// When a process ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub how: End,
    /// After how many changes.
    pub after: u64,
    /// Which are counted once the logs of tables were changed so often.
    pub after_commits: u64,
}

/// How often what fails, once in so many changes; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Troubles {
    /// A call on the disk fails, with or without its effect.
    pub disk: u64,
    /// A call on the store does.
    pub store: u64,
    /// Of those of a store, the effect comes later.
    pub late: bool,
}

/// What a process has its disks and stores by: nothing happens after its end.
pub struct Power {
    state: Mutex<State>,
    pub late: Late,
    pub ended: Notify,
}

/// Effects of calls on a store that were answered with an error, and come later.
pub type Late = Arc<Mutex<VecDeque<Box<dyn FnOnce() + Send>>>>;

struct State {
    chance: Chance,
    changes: u64,
    commits: u64,
    ending: Option<Ending>,
    ended: Option<End>,
    troubles: Troubles,
    is_full: bool,
    was_full: bool,
    /// A digest of all changes, in their order.
    trace: u64,
    /// Whether anything has failed that may have lost something, or has come late.
    has_failed: bool,
}

/// What becomes of a change.
pub enum Fate {
    Whole,
    Before(io::Error),
    After(io::Error),
    /// The process is killed meanwhile: it is seen, and not durable.
    Dying,
    Later(io::Error),
}

pub fn trouble(what: &'static str) -> io::Error {
    io::Error::other(what)
}

impl Power {
    pub fn new(chance: Chance, troubles: Troubles, ending: Option<Ending>, late: &Late) -> Arc<Power> {
        let state = State {
            chance,
            trace: 0,
            changes: 0,
            commits: 0,
            ending,
            ended: None,
            troubles,
            is_full: false,
            was_full: false,
            has_failed: false,
        };
        Arc::new(Power { state: Mutex::new(state), late: Arc::clone(late), ended: Notify::new() })
    }

    pub fn end(&self, end: End) {
        self.state.lock().unwrap().ended.get_or_insert(end);
        self.ended.notify_one();
    }

    pub fn has_ended(&self) -> Option<End> {
        self.state.lock().unwrap().ended
    }

    pub fn has_failed(&self) -> bool {
        self.state.lock().unwrap().has_failed
    }

    /// What has happened, in a number.
    pub fn trace(&self) -> u64 {
        self.state.lock().unwrap().trace
    }

    /// Whether there was no room at any time: what had begun then may fail later.
    pub fn was_full(&self) -> bool {
        self.state.lock().unwrap().was_full
    }

    /// Whether there is no room now.
    pub fn is_full(&self) -> bool {
        self.state.lock().unwrap().is_full
    }

    pub fn set_full(&self, is_full: bool) {
        let mut state = self.state.lock().unwrap();
        state.is_full = is_full;
        state.was_full |= is_full;
    }

    /// Whether anything is late.
    pub fn is_late(&self) -> bool {
        !self.late.lock().unwrap().is_empty()
    }

    /// Lets what is late happen.
    pub fn settle(&self) {
        let next = self.late.lock().unwrap().pop_front();
        if let Some(effect) = next {
            effect();
            self.state.lock().unwrap().has_failed = true;
        }
    }

    /// Counts a change, and says what becomes of it.
    pub fn next(&self, name: &str, is_store: bool, takes_room: bool) -> io::Result<Fate> {
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        for byte in name.bytes().chain([u8::from(is_store), u8::from(takes_room)]) {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if state.ended.is_some() {
            return Err(trouble("the process has ended"));
        }
        if name.contains("_delta_log") {
            state.commits += 1;
        }
        if let Some(ending) = state.ending
            && state.commits >= ending.after_commits
        {
            state.changes += 1;
        }
        if let Some(ending) = state.ending
            && state.changes > ending.after
        {
            state.ended = Some(ending.how);
            self.ended.notify_one();
            let error = trouble("the process ends");
            return Ok(match state.chance.below(3) {
                0 => Fate::Before(error),
                1 if !is_store => Fate::Dying,
                1 if state.troubles.late => Fate::Later(error),
                _ => Fate::After(error),
            });
        }
        if !is_store && takes_room && state.is_full {
            return Ok(Fate::Before(ErrorKind::StorageFull.into()));
        }
        let times = if is_store { state.troubles.store } else { state.troubles.disk };
        if state.chance.one_in(times) {
            state.has_failed = true;
            return Ok(match state.chance.below(3) {
                0 => Fate::Before(trouble("it fails")),
                1 if is_store && state.troubles.late => Fate::Later(trouble("it fails, and happens later")),
                _ => Fate::After(trouble("it fails, and has happened")),
            });
        }
        let is_due = is_store && state.chance.one_in(4);
        drop(guard);
        if is_due {
            self.settle();
        }
        Ok(Fate::Whole)
    }

    pub fn part_of(&self, bytes: usize) -> usize {
        self.state.lock().unwrap().chance.below(bytes as u64 + 1) as usize
    }
}
