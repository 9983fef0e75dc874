//! A person who is named by identifiers: under which pseudonyms events of theirs are, by which digests the gate knows them, what of their
//! consent is in force, and the withdrawal with which an erasure begins.
//!
//! Invariants: no identifier is kept, logged or told; a pseudonym is looked for under each epoch whose keys are there, in both forms of
//! an identifier where either may have been used. Events that name nobody belong to a unit and not to a person, and are not found.
//! Not here: what is done with the pseudonyms (`shoal-storage`, `subject_acts`), who may ask (`shoal-server`).

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use shoal_files::host;
use shoal_privacy::{
    consent::{ConsentIndex as _, ConsentState, UnreadableConsents, in_force},
    identifier::{Forms, is_placeholder},
    pseudonym::PseudonymEpoch,
};
use shoal_schemas::{IdentifierKind, Programme, Region, calendar::day_of};

use super::{Ingest, refusal};
use crate::{
    consents::{Change, Place},
    error::LogError,
    refusal::{Refusal, RefusalCode},
    wire::places::IDENTIFIER_BYTES_MAX,
};

/// Most identifiers of one person.
const IDENTIFIERS_MAX: usize = 64;

/// Identifiers of one person, as they were sent. No `Debug`.
pub struct Person {
    named: Vec<(IdentifierKind, String)>,
}

impl Person {
    /// The person who has these.
    ///
    /// # Errors
    /// Why none of them, or not all, can be looked for; no identifier is quoted.
    pub fn new(named: Vec<(IdentifierKind, String)>) -> Result<Person, &'static str> {
        if named.is_empty() {
            return Err("it names nobody: give user_id, install_id, device_id or serial_number");
        }
        if named.len() > IDENTIFIERS_MAX {
            return Err("it has more than 64 identifiers");
        }
        for (kind, value) in &named {
            if *kind == IdentifierKind::Session {
                return Err("a session is nobody");
            }
            if value.trim().len() > IDENTIFIER_BYTES_MAX {
                return Err("an identifier is longer than 256 bytes, which no event has");
            }
            if is_placeholder(value) {
                return Err(
                    "an identifier is a placeholder, such as programs send that know none, and names nobody",
                );
            }
        }
        Ok(Person { named })
    }
}

/// What is in force of a person's consent for a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsentTold {
    /// Which programme.
    pub programme: Programme,
    /// `granted`, `withdrawn`, or `unrecorded`.
    pub state: &'static str,
    /// The policy version of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// Whether events are kept by a grant only that is asked for anew.
    pub needs_consent: bool,
    /// The versions that are accepted, the newest last.
    pub policy_versions: Vec<String>,
}

impl Ingest {
    /// What is in force of the person's consent in a region now, for each of these programmes, by all of the identifiers together. Erasures and
    /// restrictions are not told.
    ///
    /// # Errors
    /// When the file of consents cannot be read.
    pub async fn consents_of(
        &self,
        person: &Person,
        programmes: &[Programme],
        region: Region,
    ) -> Result<Vec<ConsentTold>, Refusal> {
        let registry = Arc::clone(&self.judge.definitions().registry);
        let digester = self.judge.keyring().consent_digester(region);
        let of = |(kind, value): &(IdentifierKind, String)| {
            let digests = digester.digests(*kind, value);
            [Some(digests.canonical), digests.spelled].into_iter().flatten()
        };
        let digests: Vec<_> = person.named.iter().flat_map(of).collect();
        let (consents, programmes, now_ms) = (self.consents.clone(), programmes.to_vec(), (self.clock)());
        let told = move |programme: Programme| {
            let looked_up = digests.iter().map(|digest| consents.lookup(region, programme, digest));
            let records = looked_up.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
            let def = registry.programme(programme);
            let found = in_force(def, now_ms, records.iter());
            let state = match found.state {
                ConsentState::Granted => "granted",
                ConsentState::Withdrawn => "withdrawn",
                ConsentState::Unrecorded => "unrecorded",
            };
            Ok(ConsentTold {
                programme,
                state,
                policy_version: found.policy_version.map(str::to_owned),
                needs_consent: !found.is_accepted,
                policy_versions: def.policy_versions.clone(),
            })
        };
        let told = host::blocking(move || programmes.into_iter().map(told).collect::<Result<_, _>>()).await;
        let told = told.map_err(|_| refusal(LogError::Stopped))?;
        told.map_err(|_: UnreadableConsents| {
            Refusal::new(RefusalCode::Unavailable, "the recorded consents could not be read; send it again")
        })
    }

    /// Withdraws what these persons have ever granted for these programmes, in these regions. Durable when it returns, and in force for every
    /// request that comes after.
    ///
    /// # Errors
    /// When a file of consents fails: sending it again is safe.
    pub async fn withdraw(
        &self,
        persons: &[Person],
        programmes: &[Programme],
        regions: &[Region],
    ) -> Result<(), Refusal> {
        let registry = Arc::clone(&self.judge.definitions().registry);
        let (keyring, now_ms) = (self.judge.keyring(), (self.clock)());
        let mut changes = Vec::with_capacity(persons.len() * programmes.len());
        for person in persons {
            let named = person.named.iter().map(|(kind, value)| (*kind, Some(value.as_str())));
            let named: Vec<_> = named.collect();
            let places = || regions.iter().map(|region| Place::of(*region, &named, &registry, keyring));
            let withdrawal =
                |programme: &Programme| Change::withdrawal(*programme, &named, places().collect(), now_ms);
            changes.extend(programmes.iter().map(withdrawal));
        }
        let consents = self.consents.clone();
        let recorded = host::blocking(move || consents.record(&changes)).await;
        recorded.unwrap_or_else(|_| Err(refusal(LogError::Stopped))).map(drop)
    }

    /// The pseudonyms under which rows of the person may be in a region, as numbers (16 bytes, big-endian), ascending.
    pub fn pseudonyms(&self, person: &Person, programmes: &[Programme], region: Region) -> Vec<u128> {
        let epochs = self.config.pipeline.epochs;
        // Clocks of apps may be ahead by a day.
        let newest = PseudonymEpoch::of_day(day_of((self.clock)()).saturating_add(1), epochs.days);
        let mut found = BTreeSet::new();
        for (epoch, keys) in self.unit_keys.open().epochs().of(self.judge.keyring(), region, newest) {
            for programme in programmes {
                let subjects = keys.pseudonymiser(*programme);
                for (kind, value) in &person.named {
                    let forms = Forms::of(*kind, value);
                    let mut add = |form| {
                        found.insert(u128::from_be_bytes(subjects.pseudonym(*kind, form).into_bytes()))
                    };
                    add(forms.canonical());
                    if !epochs.is_canonical(epoch) {
                        add(forms.spelled());
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// By which digests the gate knows the person in a region, ascending by the order of [`shoal_storage::SubjectAct::named`].
    pub fn digests(
        &self,
        person: &Person,
        programmes: &[Programme],
        region: Region,
    ) -> Vec<(Programme, u128)> {
        let digester = self.judge.keyring().consent_digester(region);
        // Every event is looked up under the canonical form of its identifiers, whatever it is spelt like.
        let of = |(kind, value): &(IdentifierKind, String)| {
            u128::from_be_bytes(digester.digests(*kind, value).canonical.into_bytes())
        };
        let digests: BTreeSet<u128> = person.named.iter().map(of).collect();
        let of =
            |programme: &Programme| digests.iter().map(|digest| (*programme, *digest)).collect::<Vec<_>>();
        Programme::ALL.iter().filter(|programme| programmes.contains(programme)).flat_map(of).collect()
    }

    /// What a request about these persons is called: the same for the same persons, scope and key, and telling nothing about them.
    pub fn request_id(
        &self,
        persons: &[Person],
        programmes: &[Programme],
        regions: &[Region],
        idempotency_key: &str,
    ) -> [u8; 16] {
        let (keyring, of) = (self.judge.keyring(), Region::ALL[0]);
        let digester = keyring.consent_digester(of);
        let mut text = format!("request\n{}\n{idempotency_key}\n", idempotency_key.len());
        let sorted =
            |names: BTreeSet<&str>| names.into_iter().fold(String::new(), |all, name| all + name + " ");
        text += &sorted(programmes.iter().map(|programme| programme.as_str()).collect());
        text += &sorted(regions.iter().map(|region| region.as_str()).collect());
        for person in persons {
            let ids = person
                .named
                .iter()
                .map(|(kind, value)| digester.digests(*kind, value).canonical.into_bytes());
            let ids: BTreeSet<[u8; 16]> = ids.collect();
            text.push('\n');
            ids.into_iter().for_each(|id| text += &format!("{:032x}", u128::from_be_bytes(id)));
        }
        keyring.event_digester(of).digest(&text)
    }
}
