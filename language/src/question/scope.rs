//! What is known while a statement is taken apart: its CTEs in scope, its tables, its releases so far.
//!
//! Every step of taking a statement apart is a method of [`Split`]. A query holds expressions and an expression holds queries,
//! so the steps call each other as methods, and this file is below all of them.
//! Not here: the steps (`split` and the others).

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use shoal_schemas::{Kind, Region, Registry};
use sqlparser::ast::{Cte, ObjectName, ObjectNamePart};

use super::origin::{Days, Source};
use crate::bind::Asking;
use crate::bind::scope::{Readable, When, readable};
use crate::error::{LanguageError, Refusal};
use crate::expr::{Scalar, Shared};
use crate::private_query::{DayRange, PrivateQuery};
use crate::syntax::plain_name;
use crate::work::Work;

/// A CTE in scope, innermost first.
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) cte: Known,
    pub(super) outer: Option<Rc<Scope>>,
}

/// What a CTE is.
pub(super) enum Known {
    /// It has released rows; `name` is its name in the rewritten text, and `days` are those that its rows are known to have.
    Free { name: String, is_used: Cell<bool>, days: Option<Box<Days>> },
    /// It has rows of events or of subjects. It is taken apart once, where it is written.
    Rows { cte: Box<Cte>, source: Box<Result<Source, LanguageError>> },
}

/// A statement that is being taken apart.
pub(super) struct Split<'a> {
    pub(super) registry: &'a Registry,
    pub(super) regions: &'a [Region],
    pub(super) first_days: &'a BTreeMap<Region, i32>,
    /// Counts the steps of taking apart and binding.
    pub(super) work: &'a Work,
    pub(super) now_ms: i64,
    pub(super) releases: Vec<PrivateQuery>,
    /// The text of each release.
    pub(super) canonicals: Vec<String>,
    /// The different parts of the releases' expressions, and how many there are written out.
    pub(super) parts: HashSet<Shared<Scalar>>,
    pub(super) expanded: u64,
    /// Relations that are rows of the text: the name of each, and a query with its CTE.
    pub(super) added: Vec<(String, String)>,
    /// How many rows all series have.
    pub(super) rows_of_text: usize,
    pub(super) scope: Option<Rc<Scope>>,
}

/// The name of a table, without the schema `public`.
pub(super) fn table_name(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(plain_name(name)),
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(name)] => {
            (plain_name(schema) == "public").then(|| plain_name(name))
        }
        _ => None,
    }
}

/// The table of a name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.as_str() == name)
}

impl<'a> Split<'a> {
    pub(super) fn new(registry: &'a Registry, asking: Asking<'a>, work: &'a Work) -> Split<'a> {
        Split {
            registry,
            regions: asking.regions,
            first_days: asking.first_days,
            work,
            now_ms: asking.now_ms,
            releases: Vec::new(),
            canonicals: Vec::new(),
            parts: HashSet::new(),
            expanded: 0,
            added: Vec::new(),
            rows_of_text: 0,
            scope: None,
        }
    }

    /// The days that a condition on a table asks for; where it names none, the usual ones.
    pub(super) fn readable(
        &self,
        kind: Kind,
        filter: Option<&Scalar>,
        usual: Option<DayRange>,
    ) -> Result<Readable, Refusal> {
        let (regions, first_days, now_ms) = (self.regions, self.first_days, self.now_ms);
        let when = When::of(filter, Asking { regions, first_days, now_ms });
        readable(self.registry, kind, filter, when, usual)
    }

    /// The CTE of a name.
    pub(super) fn cte(&self, name: &str) -> Option<Rc<Scope>> {
        let mut scope = self.scope.clone();
        while let Some(one) = scope {
            if one.name == name {
                return Some(one);
            }
            scope = one.outer.clone();
        }
        None
    }
}
