//! What can be asked: the public schema in words, for `GET /v1/tables`.
//!
//! Invariants: made from the registry, the key's regions and the lists by which the language binds, so that it tells of all
//! that can be asked. Hidden columns do not exist here.

use serde::Serialize;
use shoal_anonymity::budget::Precision;
use shoal_schemas::{ColumnRole, ColumnType, Domain, Kind, Region, Registry, TableDef};

use crate::config::QueryConfig;
use shoal_language::{AGGREGATES, AggregateForm, POSTPROCESS_FUNCTIONS, TEMPLATES};

/// Everything that can be asked with a key.
#[derive(Clone, Debug, Serialize)]
pub struct TablesAnswer {
    /// Regions that the key reaches.
    pub regions: Vec<Region>,
    /// The tables.
    pub tables: Vec<TableAnswer>,
    /// Aggregates over events, with what each tells.
    pub aggregates: Vec<(String, String)>,
    /// Tables that are made of another one in FROM, with what each tells.
    pub templates: Vec<(&'static str, &'static str)>,
    /// Functions over released values.
    pub functions: Vec<&'static str>,
    /// Precisions and the rho per block that each costs.
    pub precisions: Vec<(&'static str, String)>,
    /// The most that all queries together may learn about one block (a table's day in a region).
    pub rho_block_max: String,
    /// Fewest subjects of a group with a private key.
    pub k_min: u32,
}

/// One table.
#[derive(Clone, Debug, Serialize)]
pub struct TableAnswer {
    /// Its name in FROM.
    pub name: Kind,
    /// Days before today that can be read, by programme.
    pub readable_days: Vec<(String, u32)>,
    /// Its columns.
    pub columns: Vec<ColumnAnswer>,
    /// Its events and what they mean.
    pub events: Vec<(String, String)>,
    /// Statements that work.
    pub examples: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnAnswer {
    /// Its name.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// `text`, `number`, `boolean`, `timestamp` or `date`.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// What can be done with it.
    pub usage: &'static str,
    /// Unit of a measure.
    pub unit: Option<String>,
    /// All values of a public key; a value of a private key shows only when enough subjects have it.
    pub values: Option<Vec<String>>,
}

const KEY: &str = "filter and group by";

/// Describes all tables to a key.
pub(crate) fn tables(registry: &Registry, regions: &[Region], config: &QueryConfig) -> TablesAnswer {
    TablesAnswer {
        regions: regions.to_vec(),
        tables: Kind::ALL.iter().map(|kind| table(registry, *kind)).collect(),
        aggregates: AGGREGATES.iter().map(aggregate).collect(),
        templates: TEMPLATES.iter().map(|form| (form.written, form.meaning)).collect(),
        functions: POSTPROCESS_FUNCTIONS.to_vec(),
        precisions: [Precision::Low, Precision::Normal, Precision::High]
            .map(|p| (p.as_str(), p.rho().to_string()))
            .to_vec(),
        rho_block_max: config.preset.cap().to_string(),
        k_min: config.k_min,
    }
}

/// How an aggregate is written, and what it tells.
fn aggregate(form: &AggregateForm) -> (String, String) {
    let mut names = form.names.iter().map(|name| name.to_uppercase());
    let written = format!("{}{}", names.next().unwrap_or_default(), form.arguments);
    let mut meaning = form.meaning.to_owned();
    if form.is_per_subject {
        meaning.push_str(", in a subquery that groups by subject");
    }
    let others: Vec<String> = names.collect();
    if !others.is_empty() {
        meaning = format!("{meaning}; also {}", others.join(", "));
    }
    (written, meaning)
}

fn table(registry: &Registry, kind: Kind) -> TableAnswer {
    let def = registry.table(kind);
    let events: Vec<(String, String)> = registry
        .events()
        .iter()
        .filter(|event| event.kind == kind)
        .map(|event| (event.name.clone(), event.doc.clone()))
        .collect();
    let readable_days = shoal_schemas::Programme::ALL
        .iter()
        .map(|p| (p.to_string(), registry.retention_days(*p, kind)))
        .collect();
    let region = ColumnAnswer {
        name: "region".to_owned(),
        doc: "The storage region of the event.".to_owned(),
        ty: "text",
        usage: KEY,
        unit: None,
        values: Some(Region::ALL.iter().map(ToString::to_string).collect()),
    };
    let columns = def.columns.iter().filter_map(column).map(|mut column| {
        if column.name == shoal_schemas::columns::EVENT {
            column.values = Some(events.iter().map(|(name, _)| name.clone()).collect());
        }
        column
    });
    TableAnswer {
        name: kind,
        readable_days,
        columns: std::iter::once(region).chain(columns).collect(),
        examples: examples(def, events.first().map(|(name, _)| name.as_str())),
        events,
    }
}

fn column(column: &shoal_schemas::ColumnDef) -> Option<ColumnAnswer> {
    let ty = match column.ty {
        ColumnType::Text => "text",
        ColumnType::Integer => "number",
        ColumnType::Boolean => "boolean",
        ColumnType::Digest => "digest",
        ColumnType::Time => "timestamp",
        ColumnType::Day => "date",
    };
    let (usage, unit, values) = match &column.role {
        ColumnRole::Hidden => return None,
        ColumnRole::Unit => ("inside COUNT(DISTINCT ..) only", None, None),
        ColumnRole::Dimension { domain: Domain::Listed(values), .. } => (KEY, None, Some(values.clone())),
        ColumnRole::Dimension { domain: Domain::Private, .. } => (KEY, None, None),
        ColumnRole::Time => ("filter and group by, an hour or coarser", None, None),
        ColumnRole::Measure(measure) => {
            ("inside aggregates, bucket and filter", Some(measure.unit.clone()), None)
        }
    };
    Some(ColumnAnswer { name: column.name.clone(), doc: column.doc.clone(), ty, usage, unit, values })
}

/// Statements that work on this table, as the registry has it; a test binds every one.
pub(crate) fn examples(def: &TableDef, event: Option<&str>) -> Vec<String> {
    let table = def.kind;
    let mut examples = vec![
        format!(
            "SELECT day, COUNT(*) AS events, COUNT(DISTINCT subject) AS subjects FROM {table} WHERE day >= current_date - 6 GROUP BY day ORDER BY day"
        ),
        format!(
            "SELECT app_version, COUNT(DISTINCT subject) AS subjects FROM {table} GROUP BY app_version HAVING subjects > 50 ORDER BY subjects DESC LIMIT 10"
        ),
        format!(
            "SELECT region, os, COUNT(*) / COUNT(DISTINCT subject) AS events_each FROM {table} GROUP BY region, os"
        ),
    ];
    if let Some(event) = event {
        examples.push(format!(
            "SELECT date_trunc('hour', time) AS hour, COUNT(*) AS n FROM {table} WHERE event = '{event}' AND day = current_date GROUP BY hour"
        ));
    }
    let measure = def.columns.iter().find(|c| matches!(c.role, ColumnRole::Measure(_)));
    if let Some(measure) = measure {
        let name = &measure.name;
        examples.push(format!(
            "SELECT event, AVG({name}) AS average, COUNT(*) FILTER (WHERE {name} > 1000) AS above FROM {table} GROUP BY event"
        ));
    }
    examples
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_aggregate_and_template_that_can_be_asked_is_told_of() {
        let answer = tables(&Registry::load(None).unwrap(), &[Region::De], &QueryConfig::default());
        for form in AGGREGATES {
            for name in form.names {
                let is_named = |text: &str| {
                    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name.to_uppercase())
                };
                let is_told = |(written, meaning): &(String, String)| {
                    written.ends_with(form.arguments) && (is_named(written) || is_named(meaning))
                };
                assert!(answer.aggregates.iter().any(is_told), "{name}{}", form.arguments);
            }
        }
        let text = serde_json::to_string(&answer).unwrap();
        for one in
            ["QUANTILE(measure, share)", "STDDEV(measure)", "VARIANCE(measure)", "FUNNEL(", "RETENTION("]
        {
            assert!(text.contains(one), "{one}");
        }
        assert_eq!(answer.templates.len(), TEMPLATES.len());
    }
}
