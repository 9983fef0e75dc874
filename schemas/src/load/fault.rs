//! The list of faults found so far.
//!
//! Not here: what is a fault (the files beside this one).

use std::ops::Range;

use super::source::Source;
use crate::{SchemaError, nearest::nearest};

/// More than this are not listed: the first ones explain the rest.
const FAULTS_MAX: usize = 200;

/// Why a word is none of those that there are, and which of them it may have meant.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let meant = nearest(word, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    let (word, meant) = (word.escape_debug(), meant.unwrap_or_default());
    format!("unknown {what} `{word}`: expected one of {}{meant}", known.join(", "))
}

/// Faults in the order they were found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<SchemaError>,
}

impl Faults {
    /// A fault at a byte range of a file.
    pub(super) fn at(&mut self, source: &Source, span: Range<usize>, reason: impl Into<String>) {
        self.push(source.name.clone(), source.line(span.start), reason.into());
    }

    /// A fault of a file as a whole.
    pub(super) fn at_file(&mut self, file: &str, reason: impl Into<String>) {
        self.push(file.to_owned(), 1, reason.into());
    }

    /// Whether one is of a file whose name begins so.
    pub(super) fn are_of(&self, beginning: &str) -> bool {
        self.list.iter().any(|fault| fault.file.starts_with(beginning))
    }

    /// Adds those of another list.
    pub(super) fn take(&mut self, others: Faults) {
        others.list.into_iter().for_each(|fault| self.push(fault.file, fault.line, fault.reason));
    }

    /// Ok when there is no fault; takes them out otherwise.
    pub(super) fn done(&mut self) -> Result<(), Vec<SchemaError>> {
        if self.list.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.list)) }
    }

    /// The faults, whether there are any or not.
    pub(super) fn into_errors(self) -> Vec<SchemaError> {
        self.list
    }

    fn push(&mut self, file: String, line: usize, reason: String) {
        let fault = SchemaError { file, line, reason };
        if self.list.len() < FAULTS_MAX && !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }
}
