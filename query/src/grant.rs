//! Who asks: the key, what it may do, and the regions it reaches.
//!
//! Not here: how a key is checked (`shoal-server`).

use serde::{Deserialize, Serialize};
use shoal_audit::Actor;
use shoal_schemas::Region;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Asks questions.
    Analyst,
    /// Asks questions; acts for subjects elsewhere.
    Officer,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct AnalystGrant {
    /// The key's public part.
    pub key_id: String,
    /// What it may do.
    pub role: Role,
    /// The regions it reaches.
    pub regions: Vec<Region>,
}

impl AnalystGrant {
    /// Who asks, for the audit.
    pub fn actor(&self) -> Actor {
        let role = match self.role {
            Role::Analyst => shoal_audit::Role::Analyst,
            Role::Officer => shoal_audit::Role::Officer,
        };
        Actor { key: Some(self.key_id.clone()), role }
    }
}
