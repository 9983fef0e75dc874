//! What is known of a service that runs here. Not here: how it is asked (`cli/doctor.rs`), what it says (`status.rs`).

use crate::status::Status;

/// Whether a service runs here.
pub(crate) enum Served {
    /// None does.
    Not,
    /// One seems to run, but what it says of itself cannot be read by this program.
    Unknown,
    /// It says this of itself.
    By(Box<Status>),
}

impl Served {
    /// What it says of itself, if it does.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Served::By(status) => Some(status),
            Served::Not | Served::Unknown => None,
        }
    }
}
