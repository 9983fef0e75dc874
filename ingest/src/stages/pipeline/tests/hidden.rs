//! What a shipped key is told does not depend on what is recorded, and nothing of a hidden event comes through.

use shoal_privacy::consent::{History, UnreadableConsents};

use super::*;

/// Events that are dropped from, scrubbed, stacked, rejected and kept.
fn body() -> String {
    let click = |id: u32, element: &str| {
        format!(
            r#"{{"id":"{id}","event":"click","time":"2026-11-20T08:00:00Z","user_id":"anna","install_id":"i-{id}",
                "country":"DE","properties":{{"element":"{element}","screen":"anna","unknown":1}}}}"#
        )
    };
    let list = [
        click(1, "ok"),
        click(2, "anna@example.com"),
        click(3, &"x".repeat(4000)),
        r#"{"id":"4","event":"app_crash","user_id":"anna","country":"DE","properties":{
            "exception_type":"E","message":"call +49 170 1234567","frames":[{"module":"a","function":"b"}]}}"#
            .to_owned(),
        r#"{"id":"5","event":"click","serial_number":"anna","country":"DE","properties":{"element":"a"}}"#
            .to_owned(),
        r#"{"id":"6","event":"no_such_event"}"#.to_owned(),
    ];
    format!("[{}]", list.join(","))
}

fn record(world: &World, kind: IdentifierKind, edit: impl Fn(&mut ConsentRecord)) {
    world.record(Programme::ALL, kind, "anna", edit);
}

/// Worlds in which different things are recorded about anna.
fn worlds() -> Vec<World> {
    let edits: [&dyn Fn(&World); 5] = [
        &|_| {},
        &|world| record(world, IdentifierKind::User, |_| {}),
        &|world| record(world, IdentifierKind::User, |r| r.history.withdraw(None, now() - 1)),
        &|world| record(world, IdentifierKind::User, |r| r.erased = true),
        &|world| {
            record(world, IdentifierKind::User, |r| {
                r.history = History::default();
                r.history.grant(&granted("2019-1"));
            });
            record(world, IdentifierKind::Serial, |r| r.restricted = true);
        },
    ];
    let world = |edit: &dyn Fn(&World)| {
        let world = World::new();
        edit(&world);
        world
    };
    edits.into_iter().map(world).collect()
}

fn run(world: &World, grant: &IngestGrant) -> Piped {
    world.run(&request(Protocol::Native, body().as_bytes()), grant, now()).unwrap()
}

#[test]
fn a_shipped_key_is_told_the_same_whatever_is_recorded() {
    for programme in [None, Some(Programme::UserExperience)] {
        let shipped = IngestGrant { kind: KeyKind::Shipped, ..grant(programme) };
        let server = grant(programme);
        let told = |world: &World, grant: &IngestGrant| {
            serde_json::to_string(&run(world, grant).into_answer(grant.kind)).unwrap()
        };
        let worlds = worlds();
        let mut answers: Vec<String> = worlds.iter().map(|world| told(world, &shipped)).collect();
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        let detailed: std::collections::BTreeSet<String> =
            worlds.iter().map(|world| told(world, &server)).collect();
        assert!(detailed.len() > 2, "a server's key is told");
    }
}

#[test]
fn hidden_events_leave_bytes_and_nothing_else() {
    let shipped = IngestGrant { kind: KeyKind::Shipped, ..grant(None) };
    let worlds = worlds();
    let kept = run(&worlds[1], &shipped);
    for world in [&worlds[0], &worlds[2], &worlds[3]] {
        let hidden = run(world, &shipped);
        assert_eq!(hidden.batches.len(), 1);
        let (batch, other) = (&hidden.batches[0], &kept.batches[0]);
        assert!(batch.rows().is_empty() && batch.bytes().is_empty());
        assert_eq!(batch.probes().len(), other.rows().len());
        // They differ in the byte that says on which basis they were kept.
        let kept_bytes = crate::packed::packed_bytes(other.bytes());
        assert!(batch.cover_bytes().abs_diff(kept_bytes) <= 16, "{} of {kept_bytes}", batch.cover_bytes());
        assert!(run(world, &grant(None)).batches.is_empty(), "for a server nothing is hidden");
    }
}

#[test]
fn consents_that_cannot_be_read_refuse_the_request() {
    struct Broken;
    impl ConsentIndex for Broken {
        fn lookup(
            &self,
            _: Region,
            _: Programme,
            _: &ConsentDigest,
        ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
            Err(UnreadableConsents)
        }
    }
    let world = world();
    let gate = Gate {
        registry: &world.registry,
        layout: &world.layout,
        keyring: &world.keyring,
        scrubber: world.scrubber,
        consents: &Broken,
        config: &world.config,
        geo: None,
        unit_keys: &world.unit_keys,
    };
    let body = body();
    let asserting = grant(Some(Programme::UserExperience));
    let refused = super::run(&request(Protocol::Native, body.as_bytes()), &asserting, &gate, now());
    let refusal = refused.err().unwrap();
    assert_eq!((refusal.code.as_str(), refusal.retry_after_s), ("unavailable", Some(5)));
}
