//! What an operator is told of keys by the running service: what each is, when it was used last, and every outcome of its events.
//!
//! Not here: who can ask (`operator_socket.rs`), what the holder of a key is told (`http/routes/keys.rs`), how it is shown
//! (`cli/keys_shown.rs`, `cli/watch.rs`).

use serde_json::{Map, Value, json};

use crate::access_keys::{KeyRecord, Scope};
use crate::state::State;

/// All active keys.
pub(crate) fn all(state: &State) -> Value {
    let keys = state.keys.current();
    let told: Vec<_> = keys.records().into_iter().map(|key| told(state, key)).collect();
    json!(told)
}

/// The active key of this id, as a list.
pub(crate) fn one(state: &State, id: &str) -> Result<Value, String> {
    let keys = state.keys.current();
    let key = keys.record(id).ok_or_else(|| "no active key has this id; see `shoal keys list`".to_owned())?;
    Ok(json!([told(state, key)]))
}

fn told(state: &State, key: &KeyRecord) -> Map<String, Value> {
    let mut members = key.shown_to_operators(state.keys.last_day(&key.id));
    if matches!(key.scope, Scope::Ingest { .. }) {
        members.insert("counters_of".to_owned(), json!("key"));
        members.insert("counters".to_owned(), json!(state.ingest.counters_of_key(&key.id)));
    }
    members
}
