//! What an ingest key may do. Made by the server from the key store; nothing here knows a secret.
//!
//! Not here: keys and their hashes (`shoal-server`), consent itself (`permit.rs`).

use shoal_privacy::consent::Asserted;
use shoal_schemas::{Programme, Region};

/// The scope of one ingest key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestGrant {
    /// Public part of the key.
    pub key_id: String,
    /// The app that sends; becomes the column `app`.
    pub app: String,
    /// The one programme whose events it may send; none means each.
    pub programme: Option<Programme>,
    /// The policy version under which every subject has opted in before the app starts its SDK. Counts only together
    /// with `programme`.
    pub asserted_policy: Option<String>,
    /// The regions that it may write to.
    pub regions: Vec<Region>,
}

impl IngestGrant {
    /// The consent that the key asserts, when it is bound to one programme and policy version.
    pub(crate) fn asserted(&self) -> Option<Asserted<'_>> {
        Some(Asserted { programme: self.programme?, policy_version: self.asserted_policy.as_deref()? })
    }

    /// Whether it may write to a region.
    pub(crate) fn allows(&self, region: Region) -> bool {
        self.regions.contains(&region)
    }
}
