//! The documented examples are accepted, and their postprocessing can be planned.
//!
//! Not here: what is accepted and what is refused, which the language's own tests say.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use shoal_language::{LanguageError, PrivateQuery, Question, SETS, Type, ask};
use shoal_postprocess::{Limits, PostprocessError, Postprocessor};
use shoal_schemas::Region;

use super::refused::{REFUSED, schemas};
use super::{engine, grant, now_ms, registry, request};
use crate::request::QueryRequest;
use crate::tables::examples;

#[derive(Deserialize)]
struct Accept {
    accept: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    sql: String,
}

fn asked(sql: &str) -> Result<Question, LanguageError> {
    ask(sql, &registry(), Region::ALL, now_ms())
}

#[test]
fn documented_examples_are_accepted() {
    let registry = registry();
    for kind in shoal_schemas::Kind::ALL {
        let event = registry.events().iter().find(|e| e.kind == *kind).map(|e| e.name.as_str());
        for sql in examples(registry.table(*kind), event) {
            assert!(asked(&sql).is_ok(), "{sql}: {:?}", asked(&sql).err());
        }
    }
}

/// A table with the columns of a release and no rows.
fn empty(query: &PrivateQuery) -> Arc<dyn datafusion::catalog::TableProvider> {
    use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    let keys = query.keys().iter().enumerate().map(|(at, key)| {
        let ty = match key.scalar.ty().unwrap() {
            Type::Text => DataType::Utf8,
            Type::Boolean => DataType::Boolean,
            Type::Number { scale: 0 } => DataType::Int64,
            Type::Number { .. } => DataType::Float64,
            Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Type::Day => DataType::Date32,
        };
        Field::new(format!("k{at}"), ty, true)
    });
    let numbers =
        (0..query.aggregates().len()).map(|at| Field::new(format!("a{at}"), DataType::Float64, true));
    let schema = Arc::new(Schema::new(keys.chain(numbers).collect::<Vec<_>>()));
    Arc::new(datafusion::datasource::MemTable::try_new(schema, vec![vec![]]).unwrap())
}

#[tokio::test]
async fn postprocessing_can_be_planned_and_reads_nothing_but_releases() {
    let list: Accept = toml::from_str(include_str!("../../../language/tests/data/accept.toml")).unwrap();
    let mut wrong = Vec::new();
    for one in list.accept {
        let question = asked(&one.sql).unwrap();
        let session = datafusion::prelude::SessionContext::new();
        for (at, query) in question.releases.iter().enumerate() {
            session.register_table(format!("r{at}"), empty(query)).unwrap();
        }
        let planned = match session.sql(&question.postprocess.sql).await {
            Ok(frame) => frame.create_physical_plan().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = planned {
            wrong.push(format!("{}\n  {}\n  {error}", one.sql, question.postprocess.sql));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_the_gate_above_a_release_suggests_is_accepted() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let (engine, grant) = (engine(), grant(Region::ALL));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut suggested = BTreeSet::from([SETS.to_owned()]);
    for (sql, _) in REFUSED {
        let checked = postprocessor.check(sql, &schemas(), deadline).await;
        let Err(PostprocessError::Refused(refusal)) = checked else { panic!("accepted: {sql}") };
        suggested.insert(refusal.example);
    }
    for sql in suggested {
        let request = QueryRequest { dry_run: true, ..request(&sql) };
        let answer = engine.answer(&grant, &request, now_ms()).await;
        assert!(answer.is_ok(), "{sql}: {:?}", answer.err());
    }
}
