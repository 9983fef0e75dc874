//! A key as it is shown: as JSON to its holder and to operators, and in a few words.
//!
//! Invariant: neither its secret nor the secret's hash is in it. Not here: what came with it (`shoal-ingest`, `senders.rs`), what it
//! takes (`takes.rs`).

use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde_json::{Map, Value, json};

use super::KeyRecord;
use super::scope::Scope;

/// What everybody may know who holds the key.
pub(crate) fn shown(key: &KeyRecord) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("id", json!(key.id));
    put("name", json!(key.name()));
    put("role", json!(key.scope.role()));
    if let Scope::Ingest { kind, app, programme, policy, consent_category, .. } = &key.scope {
        put("kind", json!(kind));
        put("app", json!(app));
        put("programme", json!(programme));
        put("policy", json!(policy));
        put("consent_category", json!(consent_category));
    }
    if let Scope::Account { app, .. } = &key.scope {
        put("app", json!(app));
    }
    put("regions", json!(key.scope.regions()));
    put("expires_at", json!(key.expires_at_ms.map(time)));
    members
}

impl KeyRecord {
    /// What operators may know beside, when the key was used last on this day.
    pub(crate) fn shown_to_operators(&self, last_day: Option<i32>) -> Map<String, Value> {
        let mut members = shown(self);
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("owner", json!(self.owner));
        put("created_at", json!(time(self.created_at_ms)));
        put("revoked_at", json!(self.revoked_at_ms.map(time)));
        put("last_used_on", json!(last_day.and_then(NaiveDate::from_epoch_days)));
        members
    }
}

/// A scope in a few words, without its regions.
pub(crate) fn described(scope: &Scope) -> String {
    let (kind, app, programme, policy, consent_category) = match scope {
        Scope::Ingest { kind, app, programme, policy, consent_category, .. } => {
            (kind, app, programme, policy, consent_category)
        }
        Scope::Account { app, .. } => return format!("app {app}"),
        Scope::Analyst { .. } => return String::new(),
    };
    let programme = programme.map_or("both programmes".to_owned(), |p| p.to_string());
    let policy = policy.as_ref().map(|p| format!(", asserts policy {p}")).unwrap_or_default();
    let category = consent_category.as_ref().map(|c| format!(", consent category {c}")).unwrap_or_default();
    format!("{}, app {app}, {programme}{policy}{category}", kind.as_str())
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
