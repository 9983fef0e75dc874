//! The definitions that a running service goes by: one holder, shared by everybody who needs them.
//!
//! Invariants: what is handed out is whole and never changes, so whoever takes it once for an act sees one version in all of it;
//! whoever takes it after seeing what newer definitions have made gets those or newer ones. Not here: which definitions may follow
//! on which (`changes`), who replaces them (`shoal-server`).

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::Registry;

/// The definitions in force. Clones are the same ones.
#[derive(Clone)]
pub struct InForce {
    current: Arc<ArcSwap<Registry>>,
}

impl InForce {
    /// These, until they are replaced.
    pub fn new(registry: Arc<Registry>) -> InForce {
        InForce { current: Arc::new(ArcSwap::new(registry)) }
    }

    /// Those of now. To be taken once for each act: a request, a flush, a question, a run of retention.
    pub fn current(&self) -> Arc<Registry> {
        self.current.load_full()
    }

    /// From now on these are handed out. Acts that have begun keep what they have taken.
    pub fn replace(&self, by: Arc<Registry>) {
        self.current.store(by);
    }
}

impl From<Arc<Registry>> for InForce {
    fn from(registry: Arc<Registry>) -> InForce {
        InForce::new(registry)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_act_keeps_what_it_has_taken_and_every_clone_has_the_new_ones() {
        let first = Arc::new(Registry::load(None).unwrap());
        let in_force = InForce::new(Arc::clone(&first));
        let (elsewhere, taken) = (in_force.clone(), in_force.current());
        let second = Arc::new(Registry::load(None).unwrap());
        in_force.replace(Arc::clone(&second));
        assert!(Arc::ptr_eq(&taken, &first));
        assert!(Arc::ptr_eq(&elsewhere.current(), &second));
        drop((taken, first));
    }
}
