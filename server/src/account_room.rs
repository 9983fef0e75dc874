//! How many persons account services may act for: what a key that got into wrong hands can do in an hour has a bound.
//!
//! A key has room for so many persons, which comes back over an hour. Officers and operators have no bound here. Invariant: what is
//! refused takes no room. Not here: how many persons one request may have of anybody (`subjects/asked.rs`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shoal_audit::{Actor, Role};

use crate::problem::{Problem, ProblemType};

/// Most persons of one request of an account service.
const REQUEST_MAX: usize = 100;
/// Most persons of an hour, and of one moment.
const HOUR_MAX: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;

/// The room of all keys.
#[derive(Default)]
pub(crate) struct AccountRoom {
    /// By key: when the whole of its room is there again, milliseconds by the clock that nobody sets.
    full_ms: Mutex<HashMap<String, i64>>,
}

impl AccountRoom {
    /// Takes the room of a request, at a time by the clock that nobody sets (milliseconds).
    ///
    /// # Errors
    /// When it has too many persons, or there is no room left; then it says when there is.
    pub(crate) fn enter(&self, actor: &Actor, persons: usize, now_ms: i64) -> Result<(), Problem> {
        let Actor { key: Some(key), role: Role::AccountService } = actor else { return Ok(()) };
        if persons > REQUEST_MAX {
            let reason = "an account service may name 100 persons in a request: send more requests";
            return Err(Problem::new(ProblemType::BadRequest, reason));
        }
        let cost_ms = i64::try_from(persons).unwrap_or(HOUR_MAX) * (HOUR_MS / HOUR_MAX);
        let mut full_ms = self.full_ms.lock().unwrap_or_else(PoisonError::into_inner);
        // What is full again needs no place.
        full_ms.retain(|_, at| *at > now_ms);
        let held = full_ms.get(key).copied().unwrap_or(now_ms).max(now_ms);
        let after = held.saturating_add(cost_ms);
        let late_ms = after.saturating_sub(now_ms.saturating_add(HOUR_MS));
        if late_ms > 0 {
            let reason = "an account service may act for 1000 persons an hour: wait, or ask an officer for what is more";
            let wait_s = u32::try_from(late_ms / 1000 + 1).unwrap_or(u32::MAX);
            return Err(Problem::new(ProblemType::Busy, reason).retry_after(wait_s));
        }
        full_ms.insert(key.clone(), after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, role: Role) -> Actor {
        Actor { key: Some(key.to_owned()), role }
    }

    #[test]
    fn a_key_has_room_for_so_many_persons_an_hour_and_others_have_their_own() {
        let (room, service) = (AccountRoom::default(), of("acc1", Role::AccountService));
        assert!(room.enter(&service, 101, 0).is_err(), "takes no room");
        for _ in 0..10 {
            assert!(room.enter(&service, 100, 0).is_ok());
        }
        let refused = room.enter(&service, 1, 0).err();
        assert_eq!(refused.map(|problem| problem.of), Some(ProblemType::Busy));
        assert!(room.enter(&service, 1, 3_599).is_err() && room.enter(&service, 1, 3_600).is_ok());
        assert!(room.enter(&service, 1, 3_600).is_err());
        assert!(room.enter(&of("acc2", Role::AccountService), 100, 3_600).is_ok());
        assert!(room.enter(&of("off1", Role::Officer), 10_000, 3_600).is_ok());
        assert!(room.enter(&service, 100, 2 * HOUR_MS).is_ok());
        assert!(room.enter(&service, 1, 10 * HOUR_MS).is_ok());
        let held = room.full_ms.lock().map(|held| held.len());
        assert_eq!(held.ok(), Some(1), "what is full again is forgotten");
    }
}
