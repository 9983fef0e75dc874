//! What an access key may do.
//!
//! Not here: the file of keys (`access_keys.rs`), what such a key takes, in words (`takes.rs`), the grant that a request works with
//! (`live.rs`).

use serde::{Deserialize, Serialize};
use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region};

use crate::error::Error;

/// Longest name of a consent category.
const CATEGORY_BYTES_MAX: usize = 128;

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Scope {
    /// Send events and consents, nothing else.
    Ingest {
        /// Where it is kept, and so what it is told.
        #[serde(default)]
        kind: KeyKind,
        /// The app, which becomes the column `app`.
        app: String,
        /// The regions it may write to.
        regions: Vec<Region>,
        /// The one programme it may send; none: both.
        programme: Option<Programme>,
        /// The policy version under which every subject opted in before the app starts its SDK.
        policy: Option<String>,
        /// The category of a consent manager that stands for the programme.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent_category: Option<String>,
    },
    /// Act on behalf of persons of an app, and nothing else: for the service that knows that an account was deleted.
    Account {
        /// The app.
        app: String,
        /// The regions in which it may act.
        regions: Vec<Region>,
    },
    /// Ask questions; as an officer also run retention, and read what others asked.
    Analyst {
        /// `analyst` or `officer`.
        role: Role,
        /// The regions it may ask about.
        regions: Vec<Region>,
    },
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ask questions.
    Analyst,
    /// Ask questions, run retention, read what others asked.
    Officer,
}

impl Scope {
    /// What the ids of such keys begin with.
    pub(super) fn id_prefix(&self) -> &'static str {
        match self {
            Scope::Ingest { kind: KeyKind::Shipped, .. } => "ing",
            Scope::Ingest { kind: KeyKind::Server, .. } => "srv",
            Scope::Account { .. } => "acc",
            Scope::Analyst { role: Role::Analyst, .. } => "ana",
            Scope::Analyst { role: Role::Officer, .. } => "off",
        }
    }

    /// What it is for, in one word.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Scope::Ingest { .. } => "ingest",
            Scope::Account { .. } => "account-service",
            Scope::Analyst { role: Role::Analyst, .. } => "analyst",
            Scope::Analyst { role: Role::Officer, .. } => "officer",
        }
    }

    /// What a key is called that nobody has named.
    pub(super) fn usual_name(&self) -> String {
        match self {
            Scope::Ingest { app, kind, .. } => format!("{app} {}", kind.as_str()),
            Scope::Account { app, .. } => format!("{app} {}", self.role()),
            Scope::Analyst { .. } => self.role().to_owned(),
        }
    }

    /// The regions that it reaches.
    pub(crate) fn regions(&self) -> &[Region] {
        match self {
            Scope::Ingest { regions, .. }
            | Scope::Account { regions, .. }
            | Scope::Analyst { regions, .. } => regions,
        }
    }

    /// # Errors
    /// When it makes no sense.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |reason: &str| Err(Error::Keys(reason.into()));
        match self {
            _ if self.regions().is_empty() => wrong("a key needs at least one region"),
            _ if has_twice(self.regions()) => wrong("a region is named twice"),
            Scope::Ingest { programme: None, policy: Some(_), .. } => {
                wrong("a policy can be asserted for one programme only: name it with --programme")
            }
            Scope::Ingest { app, .. } | Scope::Account { app, .. } if !is_name(app) => {
                wrong("an app's name has 1 to 64 of a-z, A-Z, 0-9, `.`, `-` and `_`")
            }
            Scope::Ingest { programme: None, consent_category: Some(_), .. } => {
                wrong("a consent category stands for one programme: name it with --programme")
            }
            Scope::Ingest { consent_category: Some(category), .. }
                if category.trim().is_empty() || category.len() > CATEGORY_BYTES_MAX =>
            {
                wrong("a consent category has 1 to 128 bytes")
            }
            _ => Ok(()),
        }
    }
}

fn has_twice(regions: &[Region]) -> bool {
    regions.iter().enumerate().any(|(at, region)| regions[..at].contains(region))
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}
