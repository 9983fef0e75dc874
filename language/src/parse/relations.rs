//! The clauses that a table, a subquery or a join in FROM cannot have.
//!
//! Invariants: the structs are taken apart without `..`, so a parser that learns a new clause does not compile until
//! somebody has decided about it; what [`clause_of`] finds is what [`clear_clauses`] takes away.
//! Not here: which relations there are (`clauses`).

use sqlparser::ast::TableFactor;

/// The name of the first clause that cannot be used; none when there is none of them.
pub(super) fn clause_of(factor: &TableFactor) -> Option<&'static str> {
    let found: &[(bool, &'static str)] = match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args: _,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => &[
            (!with_hints.is_empty(), "A table hint"),
            (version.is_some(), "Time travel"),
            (*with_ordinality, "WITH ORDINALITY"),
            (!partitions.is_empty(), "PARTITION"),
            (json_path.is_some(), "A JSON path"),
            (sample.is_some(), "TABLESAMPLE"),
            (!index_hints.is_empty(), "An index hint"),
        ],
        TableFactor::Derived { lateral, subquery: _, alias: _, sample } => {
            &[(*lateral, "LATERAL"), (sample.is_some(), "TABLESAMPLE")]
        }
        TableFactor::NestedJoin { table_with_joins: _, alias } => &[(alias.is_some(), "An alias of a join")],
        // Every other relation is refused as a whole.
        _ => &[],
    };
    found.iter().find(|(is_there, _)| *is_there).map(|(_, name)| *name)
}

/// Takes away the clauses that cannot be used.
pub(crate) fn clear_clauses(factor: &mut TableFactor) {
    match factor {
        TableFactor::Table {
            name: _,
            alias: _,
            args: _,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            with_hints.clear();
            *version = None;
            *with_ordinality = false;
            partitions.clear();
            *json_path = None;
            *sample = None;
            index_hints.clear();
        }
        TableFactor::Derived { lateral, subquery: _, alias: _, sample } => {
            *lateral = false;
            *sample = None;
        }
        TableFactor::NestedJoin { table_with_joins: _, alias } => *alias = None,
        _ => {}
    }
}
