//! The parts of a service, and which of them does not work: the same words in `GET /readyz`, `shoal status` and the log.
//!
//! Invariant: a part says of itself only whether it works and which of a few reasons keeps it from that, so that strangers may
//! read it. Not here: who asks the files (`state.rs`).

use serde::{Deserialize, Serialize};
use shoal_schemas::Region;
use shoal_storage::Trouble;
use utoipa::ToSchema;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Part {
    /// `events`, `consents`, `questions`, `tables` or `audit`.
    pub(crate) part: String,
    /// The region, of a part that each has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) region: Option<Region>,
    /// `ready`, `full` or `failed`.
    pub(crate) state: String,
}

const READY: &str = "ready";

impl Part {
    /// New events.
    pub(crate) fn events(is_disk_full: bool) -> Part {
        let state = if is_disk_full { "full" } else { READY };
        Part { part: "events".to_owned(), region: None, state: state.to_owned() }
    }

    /// The consents of a region.
    pub(crate) fn consents(region: Region, trouble: Option<Trouble>) -> Part {
        Part { part: "consents".to_owned(), region: Some(region), state: state(trouble) }
    }

    /// Questions.
    pub(crate) fn questions(trouble: Option<Trouble>) -> Part {
        Part { part: "questions".to_owned(), region: None, state: state(trouble) }
    }

    /// What the log is flushed into.
    pub(crate) fn tables(trouble: Option<Trouble>) -> Part {
        Part { part: "tables".to_owned(), region: None, state: state(trouble) }
    }

    /// The lines that acts leave.
    pub(crate) fn audit(trouble: Option<Trouble>) -> Part {
        Part { part: "audit".to_owned(), region: None, state: state(trouble) }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        self.region.map_or_else(|| self.part.clone(), |region| format!("{} of {region}", self.part))
    }

    /// What is the matter with it, as a sentence without its end; none when it works.
    pub(crate) fn trouble(&self) -> Option<String> {
        let reason = match (self.part.as_str(), self.state.as_str()) {
            (_, READY) => return None,
            ("events", _) => "the disk has less room than ingest.free_bytes_min",
            (_, "full") => "there is no room on the disk",
            ("tables", _) => {
                "events are not moved into them, and stay in the log; the log of the service says why"
            }
            _ => "a file has failed, and the service ends",
        };
        Some(format!("{}: {reason}", self.name()))
    }
}

fn state(trouble: Option<Trouble>) -> String {
    let word = match trouble {
        None => READY,
        Some(Trouble::Full) => "full",
        Some(Trouble::Broken) => "failed",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_what_is_the_matter_with_it_and_nothing_else() {
        let parts = [
            Part::events(false),
            Part::events(true),
            Part::consents(Region::De, Some(Trouble::Full)),
            Part::questions(Some(Trouble::Broken)),
            Part::tables(Some(Trouble::Full)),
            Part::tables(Some(Trouble::Broken)),
            Part::audit(Some(Trouble::Full)),
        ];
        let told: Vec<Option<String>> = parts.iter().map(Part::trouble).collect();
        assert_eq!(told[0], None);
        assert_eq!(told[1].as_deref(), Some("events: the disk has less room than ingest.free_bytes_min"));
        assert_eq!(told[2].as_deref(), Some("consents of DE: there is no room on the disk"));
        assert_eq!(told[3].as_deref(), Some("questions: a file has failed, and the service ends"));
        assert_eq!(told[4].as_deref(), Some("tables: there is no room on the disk"));
        assert!(
            told[5].as_deref().is_some_and(|told| told.starts_with("tables: events are not moved into them"))
        );
        assert_eq!(told[6].as_deref(), Some("audit: there is no room on the disk"));
        let json = serde_json::to_value(&parts[..3]).unwrap_or_default();
        assert_eq!(
            json,
            serde_json::json!([{"part": "events", "state": "ready"}, {"part": "events", "state": "full"},
                {"part": "consents", "region": "DE", "state": "full"}])
        );
    }
}
