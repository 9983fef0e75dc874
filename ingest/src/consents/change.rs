//! One grant or withdrawal, and what it makes of the record before it.
//!
//! Invariant: no act undoes a restriction or an erasure. Not here: what an act makes of a history, and the bytes of a record
//! (`shoal_privacy::consent`).

use shoal_privacy::{
    consent::{ConsentDigester, ConsentDigests, ConsentRecord, Grant, Withdrawal},
    identifier::is_placeholder,
    keyring::Keyring,
};
use shoal_schemas::{IdentifierKind, Programme, Region, Registry};

use crate::wire::places::Kinds;

/// One grant or withdrawal, without raw identifiers.
pub(crate) struct Change {
    pub(super) programme: Programme,
    pub(super) act: Act,
    /// The regions that it is for: one for a grant, and each that the key may write to for a withdrawal.
    pub(super) places: Vec<Place>,
    /// The kinds of the identifiers that it is recorded under.
    pub(super) kinds: Kinds,
}

/// What a change is about in one region.
#[derive(Clone)]
pub(crate) struct Place {
    pub(super) region: Region,
    pub(super) controller: String,
    pub(super) digests: Vec<ConsentDigests>,
}

impl Place {
    /// Whoever is named, in a region, whose controller is that of its data.
    pub(crate) fn of(region: Region, named: &Named<'_>, registry: &Registry, keyring: &Keyring) -> Place {
        let controller = registry.region(region).controller.clone();
        Place { region, controller, digests: digests(&keyring.consent_digester(region), named) }
    }
}

/// Times are in ms since 1970. What is claimed is by a client's clock, and of several readings the earliest. What a consent
/// manager tells with every message is *told*: a state, and no act of its person.
pub(super) enum Act {
    Grant { policy_version: String, claimed_ms: Option<i64>, received_ms: i64, is_told: bool },
    Withdraw { claimed_ms: Option<i64>, received_ms: i64, is_told: bool },
}

impl Act {
    /// It is claimed to be from this time as well: of several the earliest counts, and none when one is not told.
    pub(super) fn is_claimed_at(&mut self, at_ms: Option<i64>) {
        let (Act::Grant { claimed_ms, .. } | Act::Withdraw { claimed_ms, .. }) = self;
        *claimed_ms = match (*claimed_ms, at_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// The identifiers of somebody, as they were sent.
pub(crate) type Named<'i> = [(IdentifierKind, Option<&'i str>)];

/// The digests of those that are identifiers.
pub(super) fn digests(digester: &ConsentDigester, named: &Named<'_>) -> Vec<ConsentDigests> {
    let known = named.iter().filter_map(|(kind, value)| Some((*kind, (*value)?)));
    known
        .filter(|(_, value)| !is_placeholder(value))
        .map(|(kind, value)| digester.digests(kind, value))
        .collect()
}

/// The kinds of those that are identifiers.
pub(super) fn kinds(named: &Named<'_>) -> Kinds {
    let mut kinds = Kinds::default();
    let is_named = |value: &Option<&str>| value.is_some_and(|value| !is_placeholder(value));
    named.iter().filter(|(_, value)| is_named(value)).for_each(|(kind, _)| kinds.insert(*kind));
    kinds
}

impl Change {
    /// The withdrawal of whoever is named, which somebody who may act for them has asked for: in these places, from now on.
    pub(crate) fn withdrawal(
        programme: Programme,
        named: &Named<'_>,
        places: Vec<Place>,
        now_ms: i64,
    ) -> Change {
        let act = Act::Withdraw { claimed_ms: None, received_ms: now_ms, is_told: false };
        Change { programme, act, places, kinds: kinds(named) }
    }

    /// Whether it allows something.
    pub(crate) fn is_grant(&self) -> bool {
        matches!(self.act, Act::Grant { .. })
    }

    /// What the journal keeps of it: of a withdrawal only.
    pub(super) fn noted(&self) -> Option<Vec<u8>> {
        match self.act {
            Act::Grant { .. } => None,
            Act::Withdraw { claimed_ms, received_ms, is_told } => {
                Some(Withdrawal::new(claimed_ms, received_ms, is_told).encode())
            }
        }
    }

    /// What it is about in a region.
    pub(super) fn place(&self, region: Region) -> Option<&Place> {
        self.places.iter().find(|place| place.region == region)
    }

    /// How many records it makes, of all regions.
    pub(super) fn records(&self) -> usize {
        self.places.iter().map(|place| place.digests.len()).sum()
    }

    /// The record of a place after it.
    pub(super) fn after(&self, place: &Place, before: Option<ConsentRecord>) -> ConsentRecord {
        let mut record = before.unwrap_or_default();
        let had = record.history.clone();
        match &self.act {
            Act::Grant { policy_version, claimed_ms, received_ms, is_told } => {
                let (claimed_ms, received_ms) = (*claimed_ms, *received_ms);
                let grant = Grant { policy_version, claimed_ms, received_ms };
                match is_told {
                    true => record.history.tell_grant(&grant),
                    false => record.history.grant(&grant),
                }
                // An old message changes nothing.
                if record.history != had {
                    record.controller = place.controller.as_str().into();
                }
            }
            Act::Withdraw { claimed_ms, received_ms, is_told } => {
                match is_told {
                    true => record.history.tell_withdrawal(*claimed_ms, *received_ms),
                    false => record.history.withdraw(*claimed_ms, *received_ms),
                }
                if record.controller.is_empty() {
                    record.controller = place.controller.as_str().into();
                }
            }
        }
        record
    }
}
