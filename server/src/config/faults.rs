//! What is wrong with a configuration, each fault with the place where it is to be put right.

use std::collections::BTreeSet;
use std::fmt;

/// Why a configuration was refused: everything that is wrong with it, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Where a value was set. Faults are listed in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Nowhere: it is a default.
    #[default]
    Default,
    /// In the file. Line and column count from 1.
    File {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// In the environment.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => Ok(()),
            Place::File { path, line, column } => write!(f, "{path}:{line}:{column}: "),
            Place::Variable(name) => write!(f, "{name}: "),
        }
    }
}

/// All that was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<(Place, String)>,
    /// Settings whose value was refused: what follows from their defaults would be no fault of the operator.
    refused: BTreeSet<&'static str>,
    /// The file could not be read, so that what it says is not known.
    is_file_unread: bool,
}

impl Faults {
    /// Notes a fault.
    pub(super) fn push(&mut self, place: Place, reason: impl Into<String>) {
        self.found.push((place, reason.into()));
    }

    /// Notes that the value of this setting is refused.
    pub(super) fn refuse(&mut self, name: &'static str, place: Place, reason: impl Into<String>) {
        self.refused.insert(name);
        self.push(place, reason);
    }

    /// Notes that the file cannot be read.
    pub(super) fn file_unread(&mut self, reason: String) {
        self.is_file_unread = true;
        self.push(Place::Default, reason);
    }

    /// Whether the file could not be read: what follows from defaults in its place would be no fault of the operator.
    pub(super) fn is_file_unread(&self) -> bool {
        self.is_file_unread
    }

    /// Whether one of these settings has a value that was refused.
    pub(super) fn refused(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.refused.contains(name))
    }

    /// # Errors
    /// All faults, one line each, in the order of the places.
    pub(super) fn into_result(mut self) -> Result<(), ConfigError> {
        self.found.sort();
        self.found.dedup();
        match self.found.is_empty() {
            true => Ok(()),
            false => {
                Err(ConfigError(self.found.iter().map(|(place, why)| format!("{place}{why}")).collect()))
            }
        }
    }
}
