//! What the audit says of an act on an access key: which key, what it is for, and which regions it reaches. Never its secret,
//! and never the secret's hash.
//!
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"key_create","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"done","key_id":"ana0123456789","key_role":"analyst","regions":["DE"],"hash":".."}
//! ```
//! The line of an ingest key has its `app` as well, and its `programme`, `policy` and `consent_category` where it has them; that of
//! any key its `key_name`, and its `key_owner` and `expires_at_ms` where it has them.
//!
//! Invariants: the line is durable before the file of keys changes, so that no key is made or revoked without one, and
//! without a line nothing is done. An act that fails after its line gets a second line of the same id, which says so; one that
//! a crash cuts off there has a line and did not happen.
//! Not here: the file of keys (`access_keys.rs`), the audit (`shoal-audit`).

use std::cell::RefCell;
use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, ChainPlace, Origin};
use shoal_schemas::{Programme, Region};
use uuid::Uuid;

use crate::access_keys::{Announce, KeyRecord, Scope};
use crate::error::Error;

/// The fields that an act on a key has beside those of every act.
#[derive(Clone, Serialize)]
struct Fields {
    key_id: String,
    key_role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_kind: Option<&'static str>,
    key_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<i64>,
    regions: Vec<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programme: Option<Programme>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_category: Option<String>,
}

impl Fields {
    fn of(key: &KeyRecord) -> Fields {
        let fields = Fields {
            key_id: key.id.clone(),
            key_role: key.scope.role(),
            key_kind: None,
            key_name: key.name(),
            key_owner: key.owner.clone(),
            expires_at_ms: key.expires_at_ms,
            regions: key.scope.regions().to_vec(),
            app: None,
            programme: None,
            policy: None,
            consent_category: None,
        };
        match key.scope.clone() {
            Scope::Ingest { kind, app, programme, policy, consent_category, .. } => {
                let (key_kind, app) = (Some(kind.as_str()), Some(app));
                Fields { key_kind, app, programme, policy, consent_category, ..fields }
            }
            Scope::Account { app, .. } => Fields { app: Some(app), ..fields },
            Scope::Analyst { .. } => fields,
        }
    }
}

/// Writes the lines of somebody's acts on keys.
pub(crate) struct KeyLines {
    audit: Arc<Audit>,
    actor: Actor,
}

impl KeyLines {
    /// For somebody with a shell on the machine. A service may be running beside.
    ///
    /// # Errors
    /// When the audit is not whole or cannot be opened: then no key may be changed.
    pub(crate) fn of_operator(place: ChainPlace) -> Result<KeyLines, Error> {
        let actor = Actor { key: None, role: shoal_audit::Role::Operator };
        Ok(KeyLines { audit: Arc::new(Audit::open_at(place)?), actor })
    }

    /// Changes a key, and writes the line as the change's announcement.
    ///
    /// # Errors
    /// Those of the change, and when the line cannot be written: then nothing was changed.
    pub(crate) fn act<T>(
        &self,
        act: Act,
        now_ms: i64,
        change: impl FnOnce(Announce<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let id = Uuid::new_v4();
        let write = |fields, outcome| {
            let origin = Origin { at_ms: now_ms, act, id, actor: self.actor.clone() };
            futures::executor::block_on(self.audit.begin(origin, fields).end(outcome))
        };
        let noted = RefCell::new(None);
        let changed = change(&|key| {
            let fields = Fields::of(key);
            write(fields.clone(), ActOutcome::Done).map_err(|error| {
                Error::Keys(format!("nothing was changed, because the audit cannot be written: {error}"))
            })?;
            noted.replace(Some(fields));
            Ok(())
        });
        if changed.is_err()
            && let Some(fields) = noted.take()
            && let Err(error) = write(fields, ActOutcome::Failed)
        {
            tracing::error!(%error, "the audit says that an act on a key was done, which failed");
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::access_keys::{KeyStore, Role, Wanted};
    use shoal_ingest::KeyKind;

    fn lines(dir: &Path) -> Vec<Value> {
        let mut found = Vec::new();
        shoal_audit::verify(&Audit::place(dir), &mut |line| {
            found.push(serde_json::from_slice(line.text).unwrap());
        })
        .unwrap();
        found
    }

    fn ingest() -> Scope {
        let programme = Some(Programme::UserExperience);
        let policy = Some("2026-1".to_owned());
        let (kind, regions) = (KeyKind::Shipped, vec![Region::De, Region::Us]);
        let consent_category = Some("C0002".to_owned());
        Scope::Ingest { kind, app: "camera".to_owned(), regions, programme, policy, consent_category }
    }

    #[test]
    fn an_act_on_a_key_has_its_line_before_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (store, own) =
            (KeyStore::new(dir.path()), KeyLines::of_operator(Audit::place(dir.path())).unwrap());
        let key = own.act(Act::KeyCreate, 7, |announce| {
            let owner = Some("mobile team".to_owned());
            let wanted = Wanted { owner, expires_at_ms: Some(99), ..Wanted::from(ingest()) };
            store.create(wanted, 7, &|key| {
                announce(key)?;
                assert_eq!((lines(dir.path()).len(), store.list()?.len()), (1, 0));
                Ok(())
            })
        });
        let key = key.unwrap();
        let officer = Scope::Analyst { role: Role::Officer, regions: vec![Region::De] };
        own.act(Act::KeyCreate, 8, |announce| store.create(officer, 8, announce)).unwrap();
        own.act(Act::KeyRevoke, 9, |announce| store.revoke(&key.id, 9, announce)).unwrap();
        let found = lines(dir.path());
        let expected = json!({"seq": 1, "prev": found[0]["prev"], "at_ms": 7, "act": "key_create", "id": found[0]["id"],
            "key": null, "role": "operator", "outcome": "done", "key_id": key.id, "key_role": "ingest",
            "key_kind": "shipped", "key_name": "camera shipped", "key_owner": "mobile team", "expires_at_ms": 99,
            "regions": ["DE", "US"], "app": "camera", "programme": "user-experience", "policy": "2026-1",
            "consent_category": "C0002", "hash": found[0]["hash"]});
        assert_eq!(found[0], expected);
        assert_eq!((&found[1]["key_role"], &found[1]["key_name"]), (&json!("officer"), &json!("officer")));
        assert!(["app", "key_owner", "expires_at_ms"].iter().all(|absent| found[1].get(absent).is_none()));
        assert_eq!((&found[2]["act"], &found[2]["key_id"]), (&json!("key_revoke"), &json!(key.id)));
        let secret = key.reveal().split_once('.').unwrap().1.to_owned();
        assert!(found.iter().all(|line| !line.to_string().contains(&secret)));
    }

    #[test]
    fn a_key_whose_line_cannot_be_written_is_neither_made_nor_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path());
        let key = store.create(ingest(), 7, &|_| Ok(())).unwrap();
        let own = KeyLines::of_operator(Audit::place(dir.path())).unwrap();
        // Where the folder of the lines would be made.
        fs::write(dir.path().join("audit"), "").unwrap();
        let made = own.act(Act::KeyCreate, 8, |announce| store.create(ingest(), 8, announce));
        assert!(made.err().unwrap().to_string().contains("nothing was changed"));
        assert!(own.act(Act::KeyRevoke, 8, |announce| store.revoke(&key.id, 8, announce)).is_err());
        let keys = store.list().unwrap();
        assert_eq!((keys.len(), keys[0].revoked_at_ms), (1, None));
    }

    #[test]
    fn an_act_that_fails_after_its_line_has_another_one_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (store, own) =
            (KeyStore::new(dir.path()), KeyLines::of_operator(Audit::place(dir.path())).unwrap());
        let failed: Result<(), Error> = own.act(Act::KeyCreate, 7, |announce| {
            store.create(ingest(), 7, announce)?;
            Err(Error::Keys("the disk is full".to_owned()))
        });
        assert!(failed.is_err());
        // What changes nothing has no line: there is no such key.
        assert!(own.act(Act::KeyRevoke, 8, |announce| store.revoke("nobody", 8, announce)).is_err());
        let found = lines(dir.path());
        let told: Vec<_> = found.iter().map(|line| (&line["outcome"], &line["id"])).collect();
        assert_eq!(told, [(&json!("done"), told[0].1), (&json!("failed"), told[0].1)]);
    }
}
