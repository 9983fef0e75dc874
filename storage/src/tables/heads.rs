//! The heads of many sorted streams: which stream comes next. Every merge by key stands on it.
//!
//! Invariants: of equal keys the stream with the smaller number comes first. Whoever merges keeps the streams; here are
//! their keys and numbers only. Not here: what a stream is, and what is done with its rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// The keys of the rows that come next in so many streams, each with its stream's number.
#[derive(Debug)]
pub struct Heads<K: Ord>(BinaryHeap<Reverse<(K, usize)>>);

impl<K: Ord + Copy> Heads<K> {
    /// Room for so many streams.
    pub fn with_capacity(streams: usize) -> Heads<K> {
        Heads(BinaryHeap::with_capacity(streams))
    }

    /// A stream that begins with this key.
    pub fn push(&mut self, key: K, stream: usize) {
        self.0.push(Reverse((key, stream)));
    }

    /// The head that comes first; `None` when all streams have ended.
    pub fn first(&self) -> Option<(K, usize)> {
        self.0.peek().map(|Reverse(head)| *head)
    }

    /// The head that comes after the first.
    pub fn second(&self) -> Option<(K, usize)> {
        // It is one of the two below the first in the heap.
        let heads = self.0.as_slice();
        match (heads.get(1), heads.get(2)) {
            (Some(Reverse(a)), Some(Reverse(b))) => Some(*a.min(b)),
            (one, _) => one.map(|Reverse(head)| *head),
        }
    }

    /// The first stream goes on with this key, or has ended.
    pub fn advance(&mut self, key: Option<K>) {
        let Some(mut first) = self.0.peek_mut() else { return };
        match key {
            Some(key) => first.0.0 = key,
            None => {
                PeekMut::pop(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_in_the_order_of_their_keys_and_streams(
            mut streams in prop::collection::vec(prop::collection::vec(0..9_u8, 0..6), 0..6),
        ) {
            streams.iter_mut().for_each(|stream| stream.sort_unstable());
            let mut expected: Vec<(u8, usize)> =
                streams.iter().enumerate().flat_map(|(at, keys)| keys.iter().map(move |key| (*key, at))).collect();
            expected.sort_unstable();
            let mut heads = Heads::with_capacity(streams.len());
            let mut rest: Vec<_> = streams.into_iter().map(Vec::into_iter).collect();
            for (at, stream) in rest.iter_mut().enumerate() {
                stream.next().into_iter().for_each(|key| heads.push(key, at));
            }
            let mut found = Vec::new();
            while let Some((key, at)) = heads.first() {
                let open: Vec<(u8, usize)> = heads.0.iter().map(|Reverse(head)| *head).collect();
                let mut others: Vec<_> = open.into_iter().filter(|head| *head != (key, at)).collect();
                others.sort_unstable();
                prop_assert_eq!(heads.second(), others.first().copied());
                found.push((key, at));
                heads.advance(rest[at].next());
            }
            prop_assert_eq!(found, expected);
        }
    }
}
