//! Threads that read what readers said they will read.
//!
//! Invariants: so many threads, and so many requests that wait, at the most: what is more is dropped. Nothing is read for a reader
//! that is gone. Whoever asks waits for nothing. Not here: how blocks are read (`reading`).

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::index::Object;
use super::reading::Reading;

const THREADS: usize = 8;
/// Requests that wait, at the most.
const WAITING_MAX: usize = 64;

/// Somebody who has an object open.
pub(super) struct Reader {
    pub(super) object: Arc<Object>,
}

/// What is to be read: blocks of an object, for as long as its reader is there.
pub(super) struct Hint {
    pub(super) reader: Weak<Reader>,
    pub(super) blocks: Range<u64>,
}

/// What waits for the threads.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    hints: VecDeque<Hint>,
    is_ended: bool,
}

impl Queue {
    /// The hints under this lock are whole whenever a panic can happen.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hint, if there is room for it.
    pub(super) fn push(&self, hint: Hint) -> bool {
        let mut state = self.state();
        if state.is_ended || state.hints.len() >= self.max {
            return false;
        }
        state.hints.push_back(hint);
        self.changed.notify_one();
        true
    }

    /// Waits for the next hint; none at the end.
    fn next(&self) -> Option<Hint> {
        let is_idle = |state: &mut State| state.hints.is_empty() && !state.is_ended;
        let state = self.changed.wait_while(self.state(), is_idle);
        state.unwrap_or_else(PoisonError::into_inner).hints.pop_front()
    }
}

/// The threads. They end, without being waited for, when it is dropped.
pub(super) struct Ahead {
    pub(super) queue: Arc<Queue>,
}

impl Ahead {
    /// Starts them. What waits is no more than a part of what the cache has room for.
    pub(super) fn start(reading: &Arc<Reading>, requests_max: usize) -> io::Result<Ahead> {
        let max = (requests_max / 2).clamp(1, WAITING_MAX);
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), max });
        let ahead = Ahead { queue };
        for _ in 0..THREADS {
            let (queue, reading) = (Arc::clone(&ahead.queue), Arc::clone(reading));
            std::thread::Builder::new().name("read-ahead".to_owned()).spawn(move || {
                while let Some(hint) = queue.next() {
                    let Some(reader) = hint.reader.upgrade() else { continue };
                    // A panic of the store is for the reader, who will ask for itself.
                    let read = AssertUnwindSafe(|| reading.read_ahead(&reader.object, hint.blocks));
                    let _ = panic::catch_unwind(read);
                }
            })?;
        }
        Ok(ahead)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.is_ended = true;
        state.hints.clear();
        self.queue.changed.notify_all();
    }
}
