//! What is known of objects, and which of their blocks are in which slot.
//!
//! ```text
//! name -> object -> block -> in a slot | coming, with a request that others wait for
//! slot -> object and block | busy: it is being written or erased, and nobody is led to it
//! ```
//! Invariants: a slot belongs to one block at most, and its generation changes before anything in it does, so that whoever has read
//! from it can tell whether it was the block's. What was forgotten is in no slot that anybody is led to. An object that somebody has
//! open stays known. Pure: nothing here reads or writes. Not here: the file (`local`), requests (`reading`).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::clock::Clock;
use super::flight::Flight;
use super::local::BLOCK_BYTES;
use crate::objects::Source;

/// Blocks that one request reads at the most.
pub(super) const REQUEST_BLOCKS: u64 = 8;
/// Objects that are known at the most.
const OBJECTS_MAX: usize = 16 << 10;
/// Names share a mark of when they were forgotten with a few others.
const STAMPS: usize = 1 << 10;

/// An object of the store, open.
pub(super) struct Object {
    pub(super) name: Arc<str>,
    pub(super) source: Box<dyn Source>,
    pub(super) length: u64,
}

impl Object {
    /// The number of its blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.length.div_ceil(BLOCK_BYTES)
    }
}

struct Known {
    object: Arc<Object>,
    blocks: HashMap<u64, Block>,
}

enum Block {
    Local(usize),
    Coming(Arc<Flight>),
}

enum Slot {
    Busy,
    /// The place of the object, and the number of the block.
    Of(usize, u64),
}

/// Where a block is.
pub(super) enum Found {
    /// In a slot, at this generation of it.
    Local(usize, u64),
    /// On its way.
    Coming(Arc<Flight>),
    /// Nowhere: whoever asked is to make this request.
    Missing(Arc<Flight>),
    /// The object is not known any more.
    Forgotten,
}

pub(super) struct Index {
    names: HashMap<Arc<str>, usize>,
    objects: Clock<Known>,
    slots: Clock<Slot>,
    /// One for each slot that was ever used.
    generations: Vec<u64>,
    stamps: Vec<u64>,
    hasher: RandomState,
}

impl Index {
    pub(super) fn new(slots: usize) -> Index {
        Index {
            names: HashMap::new(),
            objects: Clock::new(OBJECTS_MAX),
            slots: Clock::new(slots),
            generations: Vec::new(),
            stamps: vec![0; STAMPS],
            hasher: RandomState::new(),
        }
    }

    /// The object of this name, if it is known.
    pub(super) fn find(&mut self, name: &str) -> Option<Arc<Object>> {
        let at = *self.names.get(name)?;
        self.objects.touch(at);
        self.objects.get(at).map(|known| Arc::clone(&known.object))
    }

    fn stripe(&self, name: &str) -> usize {
        self.hasher.hash_one(name) as usize % STAMPS
    }

    /// Changes whenever the name is forgotten.
    pub(super) fn stamp(&self, name: &str) -> u64 {
        self.stamps[self.stripe(name)]
    }

    /// Takes in an object that was opened at the time of this stamp, unless its name was forgotten since, and answers the one of the name
    /// that is known, if there is one already. The slots of one that made room are busy, and to be erased.
    pub(super) fn remember(&mut self, object: Arc<Object>, stamp: u64) -> (Arc<Object>, Vec<usize>) {
        if self.stamp(&object.name) != stamp {
            return (object, Vec::new());
        }
        if let Some(known) = self.find(&object.name) {
            return (known, Vec::new());
        }
        let known = Known { object: Arc::clone(&object), blocks: HashMap::new() };
        let is_closed = |known: &Known| Arc::strong_count(&known.object) == 1;
        let Some((at, gone)) = self.objects.put(known, is_closed) else { return (object, Vec::new()) };
        let slots = gone.map_or_else(Vec::new, |gone| {
            self.names.remove(&gone.object.name);
            self.vacate_all(&gone)
        });
        self.names.insert(Arc::clone(&object.name), at);
        (object, slots)
    }

    /// Forgets a name. Its slots are busy, and to be erased.
    pub(super) fn forget(&mut self, name: &str) -> Vec<usize> {
        let stripe = self.stripe(name);
        self.stamps[stripe] += 1;
        let known = self.names.remove(name).and_then(|at| self.objects.take(at));
        known.map_or_else(Vec::new, |known| self.vacate_all(&known))
    }

    fn known(&self, object: &Arc<Object>) -> Option<usize> {
        let at = *self.names.get(&object.name)?;
        self.objects.get(at).filter(|known| Arc::ptr_eq(&known.object, object)).map(|_| at)
    }

    /// Where a block is. When it is nowhere, it is on its way from now on, with those behind it that are nowhere and before `end`.
    pub(super) fn look(&mut self, object: &Arc<Object>, block: u64, end: u64) -> Found {
        let Some(at) = self.known(object) else { return Found::Forgotten };
        let Some(known) = self.objects.get_mut(at) else { return Found::Forgotten };
        match known.blocks.get(&block) {
            Some(Block::Local(slot)) => Found::Local(*slot, self.generations[*slot]),
            Some(Block::Coming(flight)) => Found::Coming(Arc::clone(flight)),
            None => {
                let end = end.min(block + REQUEST_BLOCKS).max(block + 1);
                let end = (block + 1..end).find(|next| known.blocks.contains_key(next)).unwrap_or(end);
                let flight = Arc::new(Flight::new(block, end));
                known.blocks.extend((block..end).map(|next| (next, Block::Coming(Arc::clone(&flight)))));
                Found::Missing(flight)
            }
        }
    }

    /// Whether nothing is to be done for these blocks.
    pub(super) fn is_here(&self, object: &Arc<Object>, mut blocks: std::ops::Range<u64>) -> bool {
        let known = self.known(object).and_then(|at| self.objects.get(at));
        known.is_none_or(|known| blocks.all(|block| known.blocks.contains_key(&block)))
    }

    /// Whether a slot is what it was at this generation, and notes that it was used.
    pub(super) fn is_still(&mut self, slot: usize, generation: u64) -> bool {
        self.slots.touch(slot);
        self.generations[slot] == generation
    }

    /// A slot to write a block into, which is busy until [`Index::settle`], and whether another block made room for it. None when the
    /// object is not known any more, or all slots are busy.
    pub(super) fn slot_for(&mut self, object: &Arc<Object>) -> Option<(usize, bool)> {
        self.known(object)?;
        let (slot, gone) = self.slots.put(Slot::Busy, |slot| matches!(slot, Slot::Of(..)))?;
        if slot == self.generations.len() {
            self.generations.push(0);
        }
        self.generations[slot] += 1;
        let Some(Slot::Of(at, block)) = gone else { return Some((slot, false)) };
        if let Some(known) = self.objects.get_mut(at) {
            known.blocks.remove(&block);
        }
        Some((slot, true))
    }

    /// Leads readers of a block to the slot that was written. Not so when the object was forgotten meanwhile: the slot is to be erased.
    pub(super) fn settle(&mut self, object: &Arc<Object>, block: u64, slot: usize) -> bool {
        let Some(at) = self.known(object) else { return false };
        let Some((known, held)) = self.objects.get_mut(at).zip(self.slots.get_mut(slot)) else {
            return false;
        };
        *held = Slot::Of(at, block);
        known.blocks.insert(block, Block::Local(slot));
        true
    }

    /// The request is over: what came of it and is in no slot is nowhere.
    pub(super) fn land(&mut self, object: &Arc<Object>, flight: &Arc<Flight>) {
        let Some(known) = self.known(object).and_then(|at| self.objects.get_mut(at)) else { return };
        for block in flight.first..flight.end {
            let is_own = |held: &Block| matches!(held, Block::Coming(other) if Arc::ptr_eq(other, flight));
            if known.blocks.get(&block).is_some_and(is_own) {
                known.blocks.remove(&block);
            }
        }
    }

    /// Gives up a block whose slot cannot be read. True when the slot is busy from now on, and to be erased.
    pub(super) fn lose(&mut self, object: &Arc<Object>, block: u64, slot: usize, generation: u64) -> bool {
        if self.generations[slot] != generation {
            return false;
        }
        let known = self.known(object).and_then(|at| self.objects.get_mut(at));
        let is_lost = known.is_some_and(|known| known.blocks.remove(&block).is_some());
        if is_lost {
            self.vacate(slot);
        }
        is_lost
    }

    /// A slot that was erased may be used again.
    pub(super) fn free(&mut self, slot: usize) {
        self.slots.take(slot);
    }

    fn vacate(&mut self, slot: usize) {
        self.generations[slot] += 1;
        if let Some(held) = self.slots.get_mut(slot) {
            *held = Slot::Busy;
        }
    }

    fn vacate_all(&mut self, known: &Known) -> Vec<usize> {
        let local = |block: &Block| match block {
            Block::Local(slot) => Some(*slot),
            Block::Coming(_) => None,
        };
        let slots: Vec<usize> = known.blocks.values().filter_map(local).collect();
        slots.iter().for_each(|slot| self.vacate(*slot));
        slots
    }

    /// Blocks in slots.
    #[cfg(test)]
    pub(super) fn local_blocks(&self) -> usize {
        let is_local = |block: &&Block| matches!(block, Block::Local(_));
        let known = self.names.values().filter_map(|at| self.objects.get(*at));
        known.map(|known| known.blocks.values().filter(is_local).count()).sum()
    }
}
