//! The recorded consents: written by `POST /v1/consents` and by what consent managers say, asked by the gate.
//!
//! Invariants: what could not be read is never taken for nothing; a change is answered as recorded when it is durable in every
//! region that it is for, and when one region fails the others are written all the same; of whom an act on persons says so nothing is
//! kept, whatever is recorded. Not here: the files (`shoal-storage`, `consents`, `refused`).

use std::sync::Arc;

use serde::Serialize;
use shoal_privacy::consent::{ConsentDigest, ConsentIndex, ConsentRecord, UnreadableConsents};
use shoal_schemas::{Programme, Region};
use shoal_storage::{ConsentChange, Consents, Effect, Refused, Refusing, StorageError};

use super::{
    change::{Change, Place},
    read::CHANGES_MAX,
};
use crate::{
    refusal::{Refusal, RefusalCode},
    wire::places::Kinds,
};

/// The recorded consents, as the gate asks for them. No `Debug`.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(super) consents: Arc<Consents<ConsentRecord>>,
    refused: Refused,
}

/// What `POST /v1/consents` answers: nothing of what was recorded before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsentAnswer {
    /// Grants and withdrawals in the request; all are durable.
    pub recorded: u64,
    /// The regions in which they are: that of a grant, and for a withdrawal every one that the key may write to.
    pub regions: Vec<Region>,
    /// The kinds of identifiers under which they are, as the fields that have them: whoever expects another one sees that it was not
    /// understood.
    pub identifiers: Vec<&'static str>,
}

impl Recorded {
    pub(crate) fn new(consents: Arc<Consents<ConsentRecord>>, refused: Refused) -> Recorded {
        Recorded { consents, refused }
    }

    /// Records the changes, those of one region together and in their order. Blocks until they are durable in all regions.
    ///
    /// # Errors
    /// When the file of consents of a region failed: the reason names those in which it is recorded and those in which it is
    /// not. Sending all again is safe.
    pub(crate) fn record(&self, changes: &[Change]) -> Result<ConsentAnswer, Refusal> {
        let (mut regions, mut failed) = (Vec::new(), Vec::new());
        for region in Region::ALL {
            let own: Vec<(&Change, &Place)> =
                changes.iter().filter_map(|change| Some((change, change.place(*region)?))).collect();
            if own.is_empty() {
                continue;
            }
            // Others have their turn between the parts of a long list.
            match own.chunks(part_changes(&own)).try_for_each(|part| self.apply(*region, part)) {
                Ok(()) => regions.push(*region),
                Err(error) => {
                    tracing::error!(%error, %region, "a consent could not be recorded");
                    failed.push(*region);
                }
            }
        }
        match failed.is_empty() {
            true => {
                let kinds = changes.iter().fold(Kinds::default(), |all, change| all.and(change.kinds));
                let identifiers = kinds.fields().collect();
                Ok(ConsentAnswer { recorded: changes.len() as u64, regions, identifiers })
            }
            false => Err(incomplete(&regions, &failed)),
        }
    }

    fn apply(&self, region: Region, changes: &[(&Change, &Place)]) -> Result<(), StorageError> {
        let canonical: Vec<Vec<[u8; 16]>> = each(changes, |place| {
            place.digests.iter().map(|digests| digests.canonical.into_bytes()).collect()
        });
        let spelled: Vec<Vec<[u8; 16]>> = each(changes, |place| {
            place.digests.iter().filter_map(|digests| Some(digests.spelled?.into_bytes())).collect()
        });
        let after: Vec<_> =
            changes.iter().map(|(change, place)| move |before| change.after(place, before)).collect();
        let noted: Vec<Option<Vec<u8>>> = changes.iter().map(|(change, _)| change.noted()).collect();
        let list: Vec<ConsentChange<'_, ConsentRecord>> = changes
            .iter()
            .enumerate()
            .map(|(at, (change, _))| ConsentChange {
                programme: change.programme,
                digests: &canonical[at],
                where_recorded: &spelled[at],
                effect: if change.is_grant() { Effect::WhenDurable } else { Effect::AtOnce },
                act: noted[at].as_deref(),
                after: &after[at],
            })
            .collect();
        self.consents.change(region, &list)
    }
}

/// Changes that are recorded at a time: with grants all of them, and else as many as make so many records.
fn part_changes(own: &[(&Change, &Place)]) -> usize {
    if own.iter().any(|(change, _)| change.is_grant()) {
        return CHANGES_MAX;
    }
    let records = own.iter().map(|(_, place)| place.digests.len()).sum::<usize>();
    (CHANGES_MAX * own.len() / records.max(own.len())).max(1)
}

fn each<T>(changes: &[(&Change, &Place)], of: impl Fn(&Place) -> T) -> Vec<T> {
    changes.iter().map(|(_, place)| of(place)).collect()
}

fn incomplete(done: &[Region], failed: &[Region]) -> Refusal {
    let named = |regions: &[Region]| match regions {
        [] => "no region".to_owned(),
        some => some.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", "),
    };
    let reason = format!("recorded in {}, and not in {}; send it again", named(done), named(failed));
    Refusal { retry_after_s: Some(5), ..Refusal::new(RefusalCode::Unavailable, reason) }
}

impl ConsentIndex for Recorded {
    fn lookup(
        &self,
        region: Region,
        programme: Programme,
        subject: &ConsentDigest,
    ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
        let recorded = self.consents.get(region, programme, subject.into_bytes()).map_err(|error| {
            tracing::error!(%error, "the recorded consents could not be read");
            UnreadableConsents
        })?;
        let Some(why) = self.refused.of(region, programme, subject.into_bytes()) else { return Ok(recorded) };
        let mut record = recorded.unwrap_or_default();
        match why {
            Refusing::Restricted => record.restricted = true,
            Refusing::Erased => record.erased = true,
        }
        Ok(Some(record))
    }
}

/// As if nothing were recorded about anybody: for whoever may not learn what is.
pub(crate) struct Nothing;

impl ConsentIndex for Nothing {
    fn lookup(
        &self,
        _: Region,
        _: Programme,
        _: &ConsentDigest,
    ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
        Ok(None)
    }
}
