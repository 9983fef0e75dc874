//! Seats: how many connections there may be, of whom.
//!
//! Invariants: there are never more seats than `Bounds::most`; a network never has more strangers than `of_network` that were not
//! told to leave; somebody with a valid key is never told to leave. When there is no room for a newcomer a stranger makes it: the
//! oldest of those who were answered without a valid key, or else of those to whom a refusal is on its way, and only where there
//! is none the oldest who was not heard yet. So whoever connects and shows a key is served, however many others hold on.
//! Not here: how a connection leaves when it is told (`line.rs`), what its times are (`times.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::network::Network;

/// Seats for health checks, beyond all others.
const RESERVE: usize = 64;
/// Connections that were told to leave and have not left yet, at the most.
const LEAVING_MAX: usize = 512;

/// How many there may be.
#[derive(Clone, Copy)]
pub(in crate::http) struct Bounds {
    /// Connections.
    pub(in crate::http) all: usize,
    /// Strangers of one network.
    pub(in crate::http) of_network: usize,
}

impl Bounds {
    /// What lies beyond `all`: the reserve, and those that are leaving.
    pub(in crate::http) const BEYOND: usize = RESERVE + LEAVING_MAX;

    /// The most connections that are ever open.
    pub(in crate::http) fn most(&self) -> usize {
        self.all + Bounds::BEYOND
    }
}

/// Who may come in.
pub(in crate::http) struct Gate {
    bounds: Bounds,
    crowd: Mutex<Crowd>,
}

/// A connection's seat, until it is dropped.
pub(super) struct Seat {
    gate: Arc<Gate>,
    number: u64,
    is_reserve: bool,
    leave: Arc<Notify>,
}

struct Stranger {
    network: Network,
    leave: Arc<Notify>,
}

/// What is known of a stranger. Those who come first here make room first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// A request was answered to the end, and no valid key had come with it.
    Answered,
    /// No valid key came, and the answer that says so is on its way.
    Refused,
    /// A valid key may be on its way.
    New,
}

impl Standing {
    const ALL: [Standing; 3] = [Standing::Answered, Standing::Refused, Standing::New];
}

/// In which order strangers make room: by what is known of them, and then the oldest.
type Rank = (Standing, u64);

/// The strangers of one kind of seat.
#[derive(Default)]
struct Strangers {
    by_rank: BTreeMap<Rank, Stranger>,
    by_network: HashMap<Network, BTreeSet<Rank>>,
}

impl Strangers {
    fn add(&mut self, rank: Rank, stranger: Stranger) {
        self.by_network.entry(stranger.network).or_default().insert(rank);
        self.by_rank.insert(rank, stranger);
    }

    fn remove(&mut self, rank: Rank) -> Option<Stranger> {
        let stranger = self.by_rank.remove(&rank)?;
        if let Some(ranks) = self.by_network.get_mut(&stranger.network) {
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.by_network.remove(&stranger.network);
            }
        }
        Some(stranger)
    }

    /// It is none of them any more.
    fn leaves(&mut self, number: u64) {
        for standing in Standing::ALL {
            self.remove((standing, number));
        }
    }

    /// This is known of it now. What was known before and lets it make room earlier stays known.
    fn stands(&mut self, number: u64, standing: Standing) {
        let better = Standing::ALL.into_iter().filter(|before| *before > standing);
        if let Some(stranger) = better.into_iter().find_map(|before| self.remove((before, number))) {
            self.add((standing, number), stranger);
        }
    }

    /// Tells the first to leave; which it was.
    fn dismiss_first(&mut self) -> Option<u64> {
        let first = self.by_rank.keys().next().copied()?;
        self.dismiss(first)
    }

    /// Tells the first of a network to leave, when it has so many.
    fn dismiss_first_of(&mut self, network: Network, many: usize) -> Option<u64> {
        let ranks = self.by_network.get(&network).filter(|ranks| ranks.len() >= many)?;
        let first = ranks.first().copied()?;
        self.dismiss(first)
    }

    fn dismiss(&mut self, rank: Rank) -> Option<u64> {
        self.remove(rank)?.leave.notify_one();
        Some(rank.1)
    }
}

#[derive(Default)]
struct Crowd {
    next: u64,
    open: usize,
    /// Who was told to leave and has not left yet.
    leaving: BTreeSet<u64>,
    /// Reserved seats whose clients were not told to leave.
    reserved: usize,
    strangers: Strangers,
    reserve: Strangers,
}

impl Crowd {
    /// Makes room for a newcomer; whether it is a reserved seat.
    fn make_room(&mut self, network: Network, bounds: &Bounds) -> bool {
        if let Some(first) = self.strangers.dismiss_first_of(network, bounds.of_network) {
            self.leaving.insert(first);
            return false;
        }
        if self.open - self.leaving.len() - self.reserved < bounds.all {
            return false;
        }
        if let Some(first) = self.strangers.dismiss_first() {
            self.leaving.insert(first);
            return false;
        }
        if self.reserved >= RESERVE
            && let Some(first) = self.reserve.dismiss_first()
        {
            self.leaving.insert(first);
            self.reserved -= 1;
        }
        true
    }
}

impl Gate {
    pub(in crate::http) fn new(bounds: Bounds) -> Arc<Gate> {
        Arc::new(Gate { bounds, crowd: Mutex::default() })
    }

    /// A seat for a newcomer; `None` when even those that were told to leave are too many.
    pub(super) fn enter(self: &Arc<Self>, network: Network) -> Option<Seat> {
        let mut crowd = self.crowd();
        if crowd.open >= self.bounds.most() {
            return None;
        }
        let is_reserve = crowd.make_room(network, &self.bounds);
        let (number, leave) = (crowd.next, Arc::new(Notify::new()));
        crowd.next += 1;
        crowd.open += 1;
        let stranger = Stranger { network, leave: Arc::clone(&leave) };
        if is_reserve {
            crowd.reserved += 1;
            crowd.reserve.add((Standing::New, number), stranger);
        } else {
            crowd.strangers.add((Standing::New, number), stranger);
        }
        drop(crowd);
        Some(Seat { gate: Arc::clone(self), number, is_reserve, leave })
    }

    /// Open connections.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.crowd().open
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// A valid key has come: it is no stranger's any more. A reserved seat stays what it is.
    pub(super) fn known(&self) {
        if !self.is_reserve {
            self.gate.crowd().strangers.leaves(self.number);
        }
    }

    /// What is known of its stranger, if it is one's.
    pub(super) fn stands(&self, standing: Standing) {
        let mut crowd = self.gate.crowd();
        let strangers = if self.is_reserve { &mut crowd.reserve } else { &mut crowd.strangers };
        strangers.stands(self.number, standing);
    }

    /// Whether it is for health checks alone.
    pub(super) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Returns when it is told to leave.
    pub(super) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut crowd = self.gate.crowd();
        crowd.open -= 1;
        if crowd.leaving.remove(&self.number) {
            return;
        }
        if self.is_reserve {
            crowd.reserved -= 1;
            crowd.reserve.leaves(self.number);
        } else {
            crowd.strangers.leaves(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::FutureExt;

    use super::*;

    fn gate(all: usize, of_network: usize) -> Arc<Gate> {
        Gate::new(Bounds { all, of_network })
    }

    fn network(number: u64) -> Network {
        Network::V6(number.to_be_bytes())
    }

    fn must_leave(seat: &Seat) -> bool {
        seat.told_to_leave().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_stranger_makes_room_and_whoever_has_a_key_stays() {
        let gate = gate(3, 100);
        let seats: Vec<Seat> = (0..3).map(|number| gate.enter(network(number)).unwrap()).collect();
        seats[0].known();
        let newcomer = gate.enter(network(9)).unwrap();
        assert!(!newcomer.is_reserve());
        assert_eq!(seats.iter().map(must_leave).collect::<Vec<_>>(), [false, true, false]);
        drop(seats);
        assert_eq!(gate.open(), 1);
        drop(newcomer);
        let crowd = gate.crowd();
        assert!(crowd.leaving.is_empty() && crowd.strangers.by_rank.is_empty() && crowd.reserved == 0);
    }

    /// A burst of many between a client's connection and the arrival of its key does not close it.
    #[test]
    fn whoever_was_answered_without_a_key_makes_room_before_whoever_was_not_heard_yet() {
        let gate = gate(10, 8);
        let client = gate.enter(network(2)).unwrap();
        let other = gate.enter(network(3)).unwrap();
        let burst = |network: Network| {
            let seat = gate.enter(network).unwrap();
            seat.stands(Standing::Answered);
            seat
        };
        let of_one: Vec<Seat> = (0..50).map(|_| burst(network(2))).collect();
        assert!(!must_leave(&client), "the limit of a network");
        let of_all: Vec<Seat> = (0..50).map(|number| burst(network(100 + number))).collect();
        assert!(!must_leave(&client) && !must_leave(&other), "the limit of all");
        assert_eq!(of_one.iter().chain(&of_all).filter(|seat| !must_leave(seat)).count(), 8);
        drop((of_one, of_all));
        // Whoever waits for a refusal goes before whoever was not heard, and after whoever was answered.
        client.stands(Standing::Refused);
        let answered = burst(network(4));
        let new: Vec<Seat> = (0..8).map(|number| gate.enter(network(300 + number)).unwrap()).collect();
        assert!(must_leave(&answered) && !must_leave(&client));
        new[7].stands(Standing::Answered);
        client.stands(Standing::New);
        drop(gate.enter(network(5)).unwrap());
        assert!(must_leave(&new[7]) && !must_leave(&client));
        drop(gate.enter(network(6)).unwrap());
        drop(gate.enter(network(7)).unwrap());
        drop((answered, new));
        // Where nobody was answered it is the oldest all the same.
        let silent: Vec<Seat> = (0..10).map(|number| gate.enter(network(200 + number)).unwrap()).collect();
        assert!(must_leave(&client) && must_leave(&other) && !silent.iter().any(must_leave));
        drop((client, other, silent));
        let crowd = gate.crowd();
        assert!(crowd.leaving.is_empty() && crowd.strangers.by_rank.is_empty() && crowd.open == 0);
    }

    #[test]
    fn one_network_takes_no_room_from_the_others() {
        let gate = gate(100, 4);
        let other = gate.enter(network(1)).unwrap();
        let many: Vec<Seat> = (0..50).map(|_| gate.enter(network(2)).unwrap()).collect();
        assert_eq!(many.iter().filter(|seat| !must_leave(seat)).count(), 4);
        assert!(!must_leave(&other) && !must_leave(many.last().unwrap()));
        // Whoever has a key does not count.
        many.last().unwrap().known();
        let more = gate.enter(network(2)).unwrap();
        assert!(!must_leave(&many[46]) && !must_leave(&more));
    }

    #[test]
    fn when_all_have_keys_there_are_seats_for_health_checks() {
        let gate = gate(2, 100);
        let known: Vec<Seat> = (0..2).map(|_| gate.enter(network(1)).unwrap()).collect();
        known.iter().for_each(Seat::known);
        let reserve: Vec<Seat> = (0..RESERVE + 10).map(|_| gate.enter(network(2)).unwrap()).collect();
        assert!(reserve.iter().all(Seat::is_reserve));
        let gone = reserve.iter().map(must_leave).collect::<Vec<_>>();
        assert!(gone[..10].iter().all(|gone| *gone) && gone[10..].iter().all(|gone| !gone));
        drop(known);
        assert!(!gate.enter(network(3)).unwrap().is_reserve());
    }

    /// Any order of coming, being answered, showing a key and going.
    #[test]
    fn there_are_never_more_than_the_bounds_and_nobody_with_a_key_is_told_to_leave() {
        let mut seed = 11_u64;
        let mut next = |end: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % end
        };
        let bounds = Bounds { all: 20, of_network: 5 };
        let gate = Gate::new(bounds);
        let mut seats: Vec<(Seat, bool, bool)> = Vec::new();
        for _ in 0..20_000 {
            match next(5) {
                2 if !seats.is_empty() => {
                    let standing = Standing::ALL[next(3)];
                    seats[next(seats.len())].0.stands(standing);
                }
                0 if !seats.is_empty() => drop(seats.swap_remove(next(seats.len()))),
                1 if !seats.is_empty() => {
                    let at = next(seats.len());
                    let (seat, is_known, told) = &mut seats[at];
                    *told |= must_leave(seat);
                    seat.known();
                    *is_known |= !*told && !seat.is_reserve();
                }
                _ => {
                    let network = network(next(6) as u64);
                    match gate.enter(network) {
                        Some(seat) => seats.push((seat, false, false)),
                        None => seats.retain(|(seat, _, told)| !told && !must_leave(seat)),
                    }
                }
            }
            assert!(gate.open() == seats.len() && seats.len() <= bounds.most());
            let crowd = gate.crowd();
            assert!(crowd.strangers.by_network.values().all(|numbers| numbers.len() <= bounds.of_network));
            assert!(crowd.reserved <= RESERVE);
            drop(crowd);
            assert!(seats.iter().all(|(seat, is_known, _)| !is_known || !must_leave(seat)));
        }
    }
}
