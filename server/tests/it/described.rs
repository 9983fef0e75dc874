//! What a service answers is what its OpenAPI description says, so that a client that is made of the description works.
//!
//! `tests/sdk/description.py` asks what a person would, and compares each answer with its schema, member by member; then schemathesis
//! (from PyPI) sends what it makes of the description itself, good and bad, with few examples and a fixed seed. `typed_client.py` makes a
//! client of the description with another generator, and asks with it.
//! Not here: which refusal is right (`problems.rs`), that every route and problem is described (`http/routes/openapi.rs`).

use serde_json::json;
use shoal_schemas::{Programme, Region};
use shoal_server::access_keys::Scope;

use crate::stage::{POLICY, TODAY, World, ingest};
use crate::tables::script;

/// Examples of each kind for each operation.
const EXAMPLES: &str = "2";

#[test]
fn every_answer_is_one_that_the_description_has() {
    let world = World::new();
    let host = format!("http://{}", world.client().0);
    let server = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY)));
    let service = world.key(Scope::Account { app: "camera".into(), regions: Region::ALL.to_vec() });
    let keys = json!({
        "account": service.reveal(), "server": server.reveal(), "shipped": world.keys.shipped, "sentry": world.keys.asserting.reveal(),
        "analyst": world.keys.analyst, "officer": world.keys.officer,
    });
    script("description.py", &[&host, &keys.to_string(), TODAY, EXAMPLES]);
}

#[test]
fn a_typed_client_is_made_of_the_description_and_works() {
    let world = World::new();
    let host = format!("http://{}", world.client().0);
    let server = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY)));
    let keys = json!({
        "server": server.reveal(), "shipped": world.keys.shipped, "analyst": world.keys.analyst,
    });
    script("typed_client.py", &[&host, &keys.to_string(), TODAY]);
}
