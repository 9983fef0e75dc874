//! The whole chain: the registry's examples, recorded requests of real SDKs, markers that must not come through.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, OnceLock};

use shoal_privacy::consent::{ConsentDigest, ConsentRecord, Grant};
use shoal_schemas::{IdentifierKind, Programme, Protocol, Region, calendar::day_of};
use shoal_storage::{ConsentChange, Consents, Effect, Refused};

use super::*;
use crate::{
    config::Epochs,
    consents::{Recorded, open_consents},
    stages::row,
    wire::time::rfc3339,
};

mod broken_batches;
mod consents;
mod event_ids;
mod fixtures;
mod gate;
mod hidden;
mod lenient;
mod meant;
mod native;
mod persons;
mod texts;
mod whose;
mod work;

/// A world to run requests in.
struct World {
    registry: Registry,
    layout: RowLayout,
    keyring: Keyring,
    scrubber: &'static Scrubber,
    config: PipelineConfig,
    consents: Arc<Consents<ConsentRecord>>,
    recorded: Recorded,
    unit_keys: OpenKeys,
}

impl World {
    fn new() -> World {
        let registry = Registry::load(None).unwrap();
        // The files are open as long as the world lives, and have no names any more.
        let dir = tempfile::tempdir().unwrap();
        let consents = Arc::new(open_consents(dir.path()).unwrap());
        World {
            recorded: Recorded::new(Arc::clone(&consents), Refused::default()),
            consents,
            layout: RowLayout::new(&registry),
            registry,
            keyring: Keyring::ephemeral(),
            scrubber: scrubber(),
            config: PipelineConfig::default(),
            unit_keys: OpenKeys::of_one_day(day_of(now())),
        }
    }

    /// Records about an identifier in DE that somebody opted in, but for what is edited.
    fn record(
        &self,
        programmes: &[Programme],
        kind: IdentifierKind,
        value: &str,
        edit: impl Fn(&mut ConsentRecord),
    ) {
        let digest = self.keyring.consent_digester(Region::De).digest(kind, value);
        for programme in programmes {
            self.put(*programme, digest, &edit);
        }
    }

    /// The same under a digest.
    fn put(&self, programme: Programme, digest: ConsentDigest, edit: impl Fn(&mut ConsentRecord)) {
        let after = |_: Option<ConsentRecord>| {
            let mut record = ConsentRecord::default();
            record.history.grant(&granted("2026-1"));
            edit(&mut record);
            record
        };
        let (digests, effect) = ([digest.into_bytes()], Effect::WhenDurable);
        let change = ConsentChange {
            programme,
            digests: &digests,
            where_recorded: &[],
            effect,
            act: None,
            after: &after,
        };
        self.consents.change(Region::De, &[change]).unwrap();
    }

    fn run(&self, request: &Request<'_>, grant: &IngestGrant, now_ms: i64) -> Result<Piped, Refusal> {
        let gate = Gate {
            registry: &self.registry,
            layout: &self.layout,
            keyring: &self.keyring,
            scrubber: self.scrubber,
            consents: &self.recorded,
            config: &self.config,
            geo: None,
            unit_keys: &self.unit_keys,
        };
        let piped = run(request, grant, &gate, now_ms)?;
        let rows: usize = piped.batches.iter().map(|b| b.rows().len()).sum();
        let accepted = piped.outcomes.iter().filter(|o| **o == Outcome::Accepted).count();
        assert_eq!(rows, accepted);
        Ok(piped)
    }

    /// A native body, received at `NOW` under a key that asserts nothing.
    fn native(&self, body: &str) -> Result<Piped, Refusal> {
        self.run(&request(Protocol::Native, body.as_bytes()), &grant(None), now())
    }

    fn outcomes(&self, body: &str) -> Vec<Outcome> {
        self.native(body).unwrap().outcomes
    }

    /// Rows as (event, columns by name in text).
    fn rows(&self, piped: &Piped) -> Vec<(String, Vec<(String, String)>)> {
        let mut out = Vec::new();
        for batch in &piped.batches {
            for bytes in row::rows(batch.bytes()) {
                let (head, values) = row::decode(bytes.unwrap()).unwrap();
                let table = self.registry.table(head.kind);
                let columns = values.map(|v| {
                    let (column, value) = v.unwrap();
                    let text = match value {
                        row::Value::Text(text) => text.to_owned(),
                        row::Value::Integer(number) => number.to_string(),
                        row::Value::Boolean(flag) => flag.to_string(),
                    };
                    (table.columns[usize::from(column)].name.clone(), text)
                });
                let event = &self.registry.events()[usize::from(head.event)];
                assert_eq!((event.kind, event.programme), (head.kind, head.programme));
                out.push((event.name.clone(), columns.collect()));
            }
        }
        out
    }
}

/// A grant of long ago.
fn granted(policy_version: &str) -> Grant<'_> {
    Grant { policy_version, claimed_ms: None, received_ms: 5 }
}

/// `2026-11-20T12:00:00Z`, which the registry's examples are judged at.
fn now() -> i64 {
    rfc3339("2026-11-20T12:00:00Z").unwrap()
}

fn request(protocol: Protocol, body: &[u8]) -> Request<'_> {
    Request {
        protocol,
        content_type: None,
        content_encoding: None,
        message_type: None,
        body,
        peer: None,
        received_ms: now(),
    }
}

/// A server's key for all regions; it asserts consent when it is for one programme.
fn grant(programme: Option<Programme>) -> IngestGrant {
    IngestGrant {
        key_id: "k".into(),
        kind: KeyKind::Server,
        app: "camera".into(),
        programme,
        asserted_policy: programme.map(|_| "2026-1".into()),
        consent_category: None,
        regions: Region::ALL.to_vec(),
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// Compiling the patterns takes a while without optimisation: once for all tests.
fn scrubber() -> &'static Scrubber {
    static SCRUBBER: OnceLock<Scrubber> = OnceLock::new();
    SCRUBBER.get_or_init(|| Scrubber::embedded().unwrap())
}

fn column<'r>(row: &'r (String, Vec<(String, String)>), name: &str) -> Option<&'r str> {
    row.1.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn code(outcome: &Outcome) -> &'static str {
    outcome.code().unwrap_or(outcome.status())
}
