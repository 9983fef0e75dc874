//! The embedded definitions load, and hold what the public schema promises.
#![allow(clippy::unwrap_used)]

use shoal_schemas::Registry;

#[test]
fn the_embedded_definitions_load() {
    let registry = Registry::load(None).unwrap();
    assert!(registry.events().len() >= 20);
}
