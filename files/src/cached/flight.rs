//! A request that is on its way to the store: several readers wait for one.
//!
//! Invariant: whoever waits is woken, also when the request has failed or whoever made it has panicked. Not here: who makes it
//! (`reading`).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Adjacent blocks of an object that one request brings.
pub(super) struct Flight {
    pub(super) first: u64,
    /// The block after the last.
    pub(super) end: u64,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Coming,
    Here(Arc<Vec<u8>>),
    Failed,
}

impl Flight {
    pub(super) fn new(first: u64, end: u64) -> Flight {
        Flight { first, end, state: Mutex::new(State::Coming), changed: Condvar::new() }
    }

    /// The states under this lock are whole whenever a panic can happen.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives everybody the bytes of its blocks.
    pub(super) fn arrive(&self, bytes: &Arc<Vec<u8>>) {
        *self.state() = State::Here(Arc::clone(bytes));
        self.changed.notify_all();
    }

    /// Sends everybody away who still waits. Nothing happens when it has arrived.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if matches!(*state, State::Coming) {
            *state = State::Failed;
            self.changed.notify_all();
        }
    }

    /// Waits for the bytes of its blocks; none when they do not come.
    pub(super) fn wait(&self) -> Option<Arc<Vec<u8>>> {
        let is_coming = |state: &mut State| matches!(*state, State::Coming);
        let state = self.changed.wait_while(self.state(), is_coming);
        match &*state.unwrap_or_else(PoisonError::into_inner) {
            State::Here(bytes) => Some(Arc::clone(bytes)),
            State::Coming | State::Failed => None,
        }
    }
}
