//! Names of several parts, and wildcards.
//!
//! Invariants: a name is made of identifiers only, and a wildcard is nothing but `*`.

use sqlparser::ast::{ObjectName, ObjectNamePart, Spanned, WildcardAdditionalOptions};
use sqlparser::tokenizer::Span;

use super::walk::clause;
use crate::error::Refusal;

/// A wildcard has no additions.
pub(super) fn wildcard(options: &WildcardAdditionalOptions, span: Span) -> Result<(), Refusal> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let is_plain = opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none();
    clause(!is_plain, span, "EXCLUDE, EXCEPT, REPLACE, RENAME or ILIKE after *")
}

/// A name's parts, all of them identifiers.
pub(super) fn plain(name: &ObjectName) -> Result<(), Refusal> {
    let ObjectName(parts) = name;
    for part in parts {
        match part {
            ObjectNamePart::Identifier(_) => {}
            ObjectNamePart::Function(_) => clause(true, name.span(), "A name that is made by a function")?,
        }
    }
    Ok(())
}
