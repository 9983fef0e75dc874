//! `information_schema.tables` and `information_schema.columns`, from the public schema.
//!
//! ```text
//! FROM information_schema.tables        FROM schema_tables, with WITH schema_tables (..) AS (VALUES ..) in front
//! ```
//! Invariants: they are rows of the text when a planner sees them; there is no catalogue but the registry's. Columns that
//! analysts do not have are not among them.
//! Not here: `SHOW TABLES` and `DESCRIBE`, which are queries of these (`parse`), `GET /v1/tables` (`shoal-query`).

use std::fmt::Write as _;

use shoal_schemas::{ColumnDef, ColumnRole, ColumnType, Domain, Kind, Registry};

const TABLES: &str = "table_catalog, table_schema, table_name, table_type";
const COLUMNS: &str = "table_catalog, table_schema, table_name, column_name, ordinal_position, data_type, is_nullable, usage, \
    unit, description";

/// The name in the postprocessing text and the query of a relation of `information_schema`; `None` for every other relation.
pub(super) fn relation(name: &str, registry: &Registry) -> Option<(&'static str, String)> {
    match name {
        "tables" => Some(("schema_tables", with("schema_tables", TABLES, &tables()))),
        "columns" => Some(("schema_columns", with("schema_columns", COLUMNS, &columns(registry)))),
        _ => None,
    }
}

/// A CTE of rows.
pub(super) fn with(name: &str, columns: &str, rows: &str) -> String {
    let columns: Vec<String> = columns.split(", ").map(|column| format!("\"{column}\"")).collect();
    format!("WITH \"{name}\" ({}) AS (VALUES {rows}) SELECT 1", columns.join(", "))
}

fn tables() -> String {
    let rows = Kind::ALL.iter().map(|kind| format!("('shoal', 'public', '{kind}', 'BASE TABLE')"));
    rows.collect::<Vec<_>>().join(", ")
}

/// A text as a literal that is read the same when it is written again.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace(['\'', '\\'], "\u{2019}"))
}

fn columns(registry: &Registry) -> String {
    let mut rows = String::new();
    for kind in Kind::ALL {
        let region = "'text', 'NO', 'filter and group by', NULL, 'The storage region of the event.'";
        let own = registry.table(*kind).columns.iter();
        let own = own.filter_map(|column| Some((column.name.as_str(), self::column(column)?)));
        let all = std::iter::once(("region", region.to_owned())).chain(own);
        for (at, (name, rest)) in all.enumerate() {
            let between = if rows.is_empty() { "" } else { ", " };
            // Writing to a text cannot fail.
            let _ = write!(rows, "{between}('shoal', 'public', '{kind}', '{name}', {}, {rest})", at + 1);
        }
    }
    rows
}

/// A column's row behind its name and position; `None` when analysts have no such column.
fn column(column: &ColumnDef) -> Option<String> {
    let ty = match column.ty {
        ColumnType::Text => "text",
        ColumnType::Integer => "bigint",
        ColumnType::Boolean => "boolean",
        ColumnType::Digest => "digest",
        ColumnType::Time => "timestamp with time zone",
        ColumnType::Day => "date",
    };
    let (ty, usage, unit) = match &column.role {
        ColumnRole::Hidden => return None,
        ColumnRole::Unit => (ty, "inside COUNT(DISTINCT ..) only", None),
        ColumnRole::Dimension { domain: Domain::Listed(_) | Domain::Private, .. } => {
            (ty, "filter and group by", None)
        }
        ColumnRole::Time => (ty, "filter and group by, an hour or coarser", None),
        ColumnRole::Measure(measure) => ("numeric", "aggregate and filter", Some(measure.unit.as_str())),
    };
    let nullable = if column.nullable { "YES" } else { "NO" };
    let unit = unit.map_or("NULL".to_owned(), literal);
    Some(format!("'{ty}', '{nullable}', '{usage}', {unit}, {}", literal(&column.doc)))
}
