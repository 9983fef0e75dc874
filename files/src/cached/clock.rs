//! A fixed number of places. When all are taken, one that was not used for long makes room for what is new (the CLOCK algorithm).
//!
//! Invariant: never more than so many things are held. Not here: what they are (`index`).

/// Places for things, each with a number.
pub(super) struct Clock<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
    /// The place that is looked at next for something to give up.
    hand: usize,
    max: usize,
}

struct Place<T> {
    held: Option<T>,
    /// Whether it was used since the hand came by.
    is_used: bool,
}

impl<T> Clock<T> {
    pub(super) fn new(max: usize) -> Clock<T> {
        Clock { places: Vec::new(), free: Vec::new(), hand: 0, max: max.max(1) }
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.places.get(at)?.held.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.places.get_mut(at)?.held.as_mut()
    }

    /// Notes that it was used.
    pub(super) fn touch(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(at) {
            place.is_used = true;
        }
    }

    /// Takes something in. Answers its place, and what was given up for it; none when nothing may be given up.
    pub(super) fn put(&mut self, new: T, may_go: impl Fn(&T) -> bool) -> Option<(usize, Option<T>)> {
        let place = |held| Place { held, is_used: false };
        if let Some(at) = self.free.pop() {
            self.places[at] = place(Some(new));
            return Some((at, None));
        }
        if self.places.len() < self.max {
            self.places.push(place(Some(new)));
            return Some((self.places.len() - 1, None));
        }
        // Once around all that was used has lost its mark.
        for _ in 0..2 * self.max {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.max;
            let found = &mut self.places[at];
            if found.held.as_ref().is_some_and(|held| !may_go(held)) {
                continue;
            }
            if std::mem::take(&mut found.is_used) {
                continue;
            }
            return Some((at, found.held.replace(new)));
        }
        None
    }

    /// Takes something out.
    pub(super) fn take(&mut self, at: usize) -> Option<T> {
        let taken = self.places.get_mut(at)?.held.take()?;
        self.free.push(at);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_not_used_goes_first_and_what_may_not_go_stays() {
        let mut clock = Clock::new(3);
        let all = |_: &u8| true;
        for new in 0..3 {
            assert_eq!(clock.put(new, all), Some((usize::from(new), None)));
        }
        clock.touch(0);
        assert_eq!(clock.put(3, all), Some((1, Some(1))));
        assert_eq!(clock.put(4, |held| *held != 2), Some((0, Some(0))));
        assert_eq!(clock.put(5, |_| false), None);
        assert_eq!((clock.get(0), clock.get(1), clock.get(2)), (Some(&4), Some(&3), Some(&2)));
        assert_eq!((clock.take(1), clock.take(1), clock.get(1)), (Some(3), None, None));
        assert_eq!(clock.put(6, |_| false), Some((1, None)));
        assert_eq!(clock.get_mut(1), Some(&mut 6));
        assert_eq!(clock.get_mut(3), None);
    }

    #[test]
    fn when_all_was_used_something_goes_all_the_same() {
        let mut clock = Clock::new(2);
        for new in 0..2 {
            clock.put(new, |_| true).unwrap();
            clock.touch(new);
        }
        assert!(clock.put(2, |_| true).is_some());
    }
}
