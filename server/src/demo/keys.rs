//! The access keys of the demo.

use shoal_audit::Act;
use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region};

use crate::access_keys::{KeyStore, Role, Scope};
use crate::config::Config;
use crate::error::Error;
use crate::file_keys::audit_place;
use crate::key_line::KeyLines;
use crate::system_clock;

/// The policy version that everybody in the demo has agreed to.
pub(super) const POLICY: &str = "2026-1";
/// Where the people live whose events the SDK's lines send: the only region of their key, so they need not name a country.
pub(super) const SDK_REGION: Region = Region::De;

/// The keys of the demo, as they are presented.
pub(super) struct Keys {
    pub(super) app: String,
    pub(super) devices: String,
    pub(super) sdk: String,
    pub(super) sdk_for_dsn: String,
    pub(super) officer: String,
}

impl Keys {
    /// Makes them in a new data directory.
    ///
    /// # Errors
    /// When the file of keys or the audit cannot be written.
    pub(super) fn make(config: &Config) -> Result<Keys, Error> {
        let store = KeyStore::new(&config.data_dir);
        let now_ms = system_clock()();
        let regions = Region::ALL.to_vec();
        // The keys of servers: the demo counts what became of its events.
        let ingest = |app: &str, programme, policy: Option<&str>| Scope::Ingest {
            kind: KeyKind::Server,
            app: app.to_owned(),
            regions: regions.clone(),
            programme,
            policy: policy.map(str::to_owned),
            consent_category: None,
        };
        let lines = KeyLines::of_operator(audit_place(config)?)?;
        let make =
            |scope| lines.act(Act::KeyCreate, now_ms, |announce| store.create(scope, now_ms, announce));
        let app = make(ingest("camera", None, None))?;
        let devices = make(ingest("firmware", Some(Programme::DeviceExperience), Some(POLICY)))?;
        // SDKs carry neither consent nor country, so their key asserts the one and has a single region for the other.
        let sdk = make(Scope::Ingest {
            kind: KeyKind::Server,
            app: "camera".to_owned(),
            regions: vec![SDK_REGION],
            programme: Some(Programme::UserExperience),
            policy: Some(POLICY.to_owned()),
            consent_category: None,
        })?;
        let officer = make(Scope::Analyst { role: Role::Officer, regions: regions.clone() })?;
        Ok(Keys {
            app: app.reveal(),
            devices: devices.reveal(),
            sdk: sdk.reveal(),
            sdk_for_dsn: sdk.reveal_for_dsn(),
            officer: officer.reveal(),
        })
    }
}
