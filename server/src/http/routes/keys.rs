//! `GET /v1/keys/self`: what a key is, and what became of what came with it.
//!
//! | asked with | told |
//! |---|---|
//! | any key | what the key is |
//! | a server key | and every outcome of its events |
//! | a shipped key | and, of what came from the asker's own network, what its answers told there |
//!
//! Invariants: an analyst's or officer's key is told nothing that depends on events; a shipped key, which anybody may have, is told
//! nothing that depends on what is recorded, and nothing of others' events; where the service cannot tell whose address it sees, it
//! shows none.
//! Not here: the counts (`shoal-ingest`, `senders.rs`), what operators see (`keys_told.rs`).

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use shoal_ingest::{Counters, IngestGrant, KeyKind};

use super::incoming::peer;
use crate::access_keys::{Grant, shown};
use crate::http::auth::{self, Presented};
use crate::http::described::keys::OwnKey;
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why a key is not told what it is.
    Own, Native: refusals::KEY
);

/// Where a proxy that is trusted writes whose request it passes on.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// What else a proxy adds to a request.
const OTHERS_OF_PROXIES: [&str; 3] = ["forwarded", "via", "x-real-ip"];

/// Tells a key what it is.
#[utoipa::path(get, path = "/v1/keys/self", tag = "ingest",
    summary = "What a key is, and what became of what came with it",
    operation_id = "own_key",
    description = "With any key. To an ingest key `counters` says what became of its events, by protocol, declared event, outcome and \
        code, and the last reasons as codes and declared names, since the service started. A server key sees every outcome. A \
        shipped key, which anybody can read out of an app, sees `received`, `taken` and `rejected` of what came from the asker's own \
        network in the last hour, and no name of what was taken.",
    responses(
        (status = 200, description = "The key", body = OwnKey, example = json!({
            "id": "ing0123456789", "name": "camera shipped", "role": "ingest", "kind": "shipped", "app": "camera",
            "programme": "user-experience", "policy": "2026-1", "consent_category": null, "regions": ["DE"],
            "expires_at": null, "counters_of": "network", "counters": {"since": "2026-11-22T10:00:00Z",
                "now": "2026-11-22T10:05:00Z", "received": 1, "taken": 1, "rejected": 0, "dropped_properties": 0,
                "skipped_items": 0, "events": [{"protocol": "native", "event": null, "outcome": "taken", "code": null,
                    "events": 1}], "refused": [], "reasons": []}})),
        Own),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn own(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let grant = match auth::find(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => grant,
        Err(problem) => return problem.response(),
    };
    let keys = state.keys.current();
    // It was there a moment ago.
    let Some(key) = keys.record(grant.key_id()) else {
        return Problem::new(ProblemType::BadKey, "the key was revoked").response();
    };
    let mut members = shown(key);
    if let Grant::Ingest(grant) = &grant {
        let (of, counters) = match grant.kind {
            KeyKind::Server => ("key", Ok(state.ingest.counters_of_key(&grant.key_id))),
            KeyKind::Shipped => ("network", of_sender(&http, &state, grant)),
        };
        members.insert("counters_of".to_owned(), json!(of));
        match counters {
            Ok(counters) => members.insert("counters".to_owned(), json!(counters)),
            Err(reason) => {
                members.insert("counters".to_owned(), Value::Null);
                members.insert("counters_missing".to_owned(), json!(reason))
            }
        };
    }
    HttpResponse::Ok().json(members)
}

/// What came with a shipped key from the network of whoever asks, or why that is not shown.
fn of_sender(http: &HttpRequest, state: &State, grant: &IngestGrant) -> Result<Counters, &'static str> {
    let config = &state.config.http;
    if !config.shipped_key_counters {
        return Err("http.shipped_key_counters is false: ask whoever runs the service");
    }
    // A proxy that is not trusted, or does not tell, has everybody's address: whoever asked through it would see what everybody sends.
    let has = |name: &&str| http.headers().contains_key(*name);
    let is_told = match config.trust_forwarded_for {
        true => has(&FORWARDED_FOR),
        false => !has(&FORWARDED_FOR) && !OTHERS_OF_PROXIES.iter().any(has),
    };
    match peer(http, config).filter(|_| is_told) {
        Some(peer) => Ok(state.ingest.counters_of_sender(&grant.key_id, peer)),
        None => Err(
            "the address of whoever asks is not known: a proxy hides it, or does not write X-Forwarded-For; see \
             http.trust_forwarded_for and http.forwarded_for_hops",
        ),
    }
}
