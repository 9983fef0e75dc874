//! The definitions in force, with what follows from them for rows.
//!
//! Invariant: where columns are, and what their positions are called, is never that of other definitions than those that a request is
//! judged by. Not here: the definitions (`shoal-schemas`), who replaces them (`shoal-server`).

use std::sync::Arc;

use arc_swap::ArcSwap;
use shoal_schemas::{InForce, Registry};

use crate::stages::row_layout::RowLayout;

/// What a request is judged by, all of one version.
pub(super) struct Version {
    pub(super) registry: Arc<Registry>,
    pub(super) layout: RowLayout,
}

impl Version {
    fn of(registry: Arc<Registry>) -> Version {
        Version { layout: RowLayout::new(&registry), registry }
    }
}

/// The definitions in force, laid out once for each version.
pub(super) struct Definitions {
    in_force: InForce,
    last: ArcSwap<Version>,
}

impl Definitions {
    pub(super) fn new(in_force: InForce) -> Definitions {
        let last = ArcSwap::from_pointee(Version::of(in_force.current()));
        Definitions { in_force, last }
    }

    /// Those of now: to be taken once for each request.
    pub(super) fn current(&self) -> Arc<Version> {
        let registry = self.in_force.current();
        let last = self.last.load();
        if Arc::ptr_eq(&last.registry, &registry) {
            return Arc::clone(&last);
        }
        let version = Arc::new(Version::of(registry));
        // Two that come here together lay out the same; where one of them is late, the next one does it again.
        self.last.store(Arc::clone(&version));
        version
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_version_is_laid_out_once_and_is_that_of_its_definitions() {
        let load = || Arc::new(Registry::load(None).unwrap());
        let in_force = InForce::new(load());
        let definitions = Definitions::new(in_force.clone());
        let first = definitions.current();
        assert!(Arc::ptr_eq(&first, &definitions.current()));
        let next = load();
        in_force.replace(Arc::clone(&next));
        let second = definitions.current();
        assert!(Arc::ptr_eq(&second.registry, &next) && !Arc::ptr_eq(&first.registry, &next));
        assert!(Arc::ptr_eq(&second, &definitions.current()));
        assert!(first.layout.names().means_the_same(second.layout.names()));
    }
}
