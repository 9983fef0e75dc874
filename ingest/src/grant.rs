//! What an ingest key may do, and what it is told. Made by the server from the key store; nothing here knows a secret.
//!
//! Not here: keys and their hashes (`shoal-server`), consent itself (`permit.rs`).

use serde::{Deserialize, Serialize};
use shoal_privacy::consent::Asserted;
use shoal_schemas::{Programme, Region};

/// Where an ingest key is kept, which decides what whoever holds it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// In apps and devices, where anybody can read it. No answer tells what is recorded about anybody.
    #[default]
    Shipped,
    /// On servers only. It is told what became of each event.
    Server,
}

impl KeyKind {
    /// Its word in the key file and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyKind::Shipped => "shipped",
            KeyKind::Server => "server",
        }
    }

    /// The kind of this word.
    pub fn parse(text: &str) -> Option<KeyKind> {
        [KeyKind::Shipped, KeyKind::Server].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The scope of one ingest key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestGrant {
    /// Public part of the key.
    pub key_id: String,
    /// Where the key is kept.
    pub kind: KeyKind,
    /// The app that sends; becomes the column `app`.
    pub app: String,
    /// The one programme whose events it may send; none means each.
    pub programme: Option<Programme>,
    /// The policy version under which every subject has opted in before the app starts its SDK. Counts only together
    /// with `programme`.
    pub asserted_policy: Option<String>,
    /// The name of the consent category that stands for the programme in what consent managers send.
    pub consent_category: Option<String>,
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
