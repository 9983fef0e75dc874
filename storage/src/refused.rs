//! Of whom nothing new is kept, of each region, whatever they have granted: by the digests under which the gate knows them.
//!
//! Invariants: a request that begins after somebody was put in finds them; while nobody is in it, asking costs one look at a number.
//! Not here: why they are in it and for how long (`subject_acts`), who asks (`shoal-ingest`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use shoal_schemas::{Programme, Region};

/// Why nothing new is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusing {
    /// Processing is restricted.
    Restricted,
    /// The person is being erased, or may not take part.
    Erased,
}

/// By programme and digest: 16 bytes, as a big-endian number.
pub type RefusedDigests = FxHashMap<(Programme, u128), Refusing>;

/// The persons of all regions of whom nothing new is kept. Clones are the same. No `Debug`: it has digests.
#[derive(Clone, Default)]
pub struct Refused {
    /// By [`Region::index`].
    regions: Arc<[Home; Region::ALL.len()]>,
}

#[derive(Default)]
struct Home {
    digests: RwLock<RefusedDigests>,
    /// How many there are.
    length: AtomicUsize,
}

impl Refused {
    /// Whether nothing new of this digest is kept, and why.
    pub fn of(&self, region: Region, programme: Programme, digest: [u8; 16]) -> Option<Refusing> {
        let home = &self.regions[region.index()];
        if home.length.load(Ordering::Acquire) == 0 {
            return None;
        }
        let digests = home.digests.read().unwrap_or_else(PoisonError::into_inner);
        digests.get(&(programme, u128::from_be_bytes(digest))).copied()
    }

    /// Exactly these are refused in a region from now on.
    pub fn set(&self, region: Region, digests: RefusedDigests) {
        let home = &self.regions[region.index()];
        let mut held = home.digests.write().unwrap_or_else(PoisonError::into_inner);
        home.length.store(digests.len(), Ordering::Release);
        *held = digests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_in_it_is_refused_in_that_region_and_programme_alone() {
        let (refused, user) = (Refused::default(), Programme::UserExperience);
        let digest = 7_u128.to_be_bytes();
        assert_eq!(refused.of(Region::De, user, digest), None);
        refused.clone().set(Region::De, [((user, 7), Refusing::Restricted)].into_iter().collect());
        assert_eq!(refused.of(Region::De, user, digest), Some(Refusing::Restricted));
        assert_eq!(refused.of(Region::De, user, 8_u128.to_be_bytes()), None);
        assert_eq!(refused.of(Region::De, Programme::DeviceExperience, digest), None);
        assert_eq!(refused.of(Region::Us, user, digest), None);
        refused.set(Region::De, RefusedDigests::default());
        assert_eq!(refused.of(Region::De, user, digest), None);
    }
}
