//! Why the definitions were refused: a fault with its file and line. Not here: what is a fault (`load`).

/// Why the definitions were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct SchemaError {
    /// The file, relative to its directory.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
}
