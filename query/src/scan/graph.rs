//! The expressions of a query over rows, each of them once.
//!
//! ```text
//! stored columns -> node, node, node .. (parts before what is made of them) -> the filter, the expressions of the accumulator
//! ```
//! An expression that is used in several places is one node. A node of one column of texts is evaluated once for each text of
//! a file's dictionary and looked up for the rows; all others are evaluated row by row.
//!
//! Invariants: every node is evaluated on every row that is readable, whatever the values of other nodes are: no branch is
//! skipped, no condition is decided early, and rows that the filter leaves out cost what the others cost. Patterns match in
//! time that is linear in the text. So the work of a row follows from the query (`units`), not from what the row holds.
//! Not here: how expressions become nodes (`nodes`), which rows may be read, and which meet the filter (`rows`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Int32Type, SchemaRef, TimestampMicrosecondType};
use datafusion::prelude::SessionContext;
use shoal_schemas::Region;

use super::counted::{Counted, What};
use super::nodes::{Builder, Node, Step, wanted};
use super::texts::{is_same, looked_up};
use crate::failure::Failure;
use shoal_language::{Casing, Scalar};
use shoal_schemas::calendar::HOUR_MS;

/// What a text in a batch takes besides its bytes; any other value.
const TEXT_BYTES: usize = 8;
const NUMBER_BYTES: usize = 24;

/// Expressions that are evaluated together.
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// The nodes whose values are wanted, and as what.
    wanted: Vec<(usize, Option<DataType>)>,
    counted: Counted,
}

/// What was made of dictionaries, by node. One for each file. It holds the texts, so that the same place in memory means
/// the same texts.
#[derive(Default)]
pub(super) struct Memo {
    made: HashMap<usize, (StringArray, ArrayRef)>,
}

impl Graph {
    /// Of these expressions, over stored columns of this schema.
    pub(super) fn new<'s>(
        session: &SessionContext,
        schema: &SchemaRef,
        region: Region,
        scalars: impl Iterator<Item = &'s Scalar>,
        counted: &Counted,
    ) -> Result<Graph, Failure> {
        let mut builder = Builder::new(session, schema, region, counted);
        let of = |scalar: &Scalar| Ok((builder.node(scalar)?, wanted(scalar)));
        let wanted = scalars.map(of).collect::<Result<Vec<_>, Failure>>()?;
        let nodes = builder.finish();
        let made = nodes.iter().filter(|node| !matches!(node.step, Step::Stored(_)));
        let (of_texts, of_rows): (Vec<&Node>, Vec<&Node>) = made.partition(|node| node.texts.is_some());
        counted.add(What::TextNodes, of_texts.len());
        counted.add(What::RowNodes, of_rows.len());
        Ok(Graph { nodes, wanted, counted: counted.clone() })
    }

    /// How many expressions are kept for each text of a dictionary.
    pub(super) fn text_nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.texts.is_some()).count()
    }

    /// The most bytes that a row takes while the values of all expressions are made.
    pub(super) fn row_bytes(&self) -> usize {
        let of = |node: &Node| match node.ty {
            Some(DataType::Boolean) => 1,
            Some(DataType::Utf8) => node.text_bytes + TEXT_BYTES,
            _ => NUMBER_BYTES,
        };
        self.nodes.iter().map(of).sum()
    }

    /// The values of what is wanted, for each of so many rows of these stored columns.
    pub(super) fn values(
        &self,
        stored: &[ArrayRef],
        rows: usize,
        memo: &mut Memo,
    ) -> Result<Vec<ArrayRef>, Failure> {
        self.counted.add(What::Rows, rows);
        let none = || vec![None; self.nodes.len()];
        let (nodes, counted) = (&self.nodes, &self.counted);
        let mut held = Held { nodes, counted, stored, rows, of_texts: none(), of_rows: none() };
        for (at, node) in self.nodes.iter().enumerate() {
            match (&node.step, node.texts) {
                // Those are there; what others need of them is made when they do.
                (Step::Stored(_), _) => {}
                (_, Some(column)) => held.of_texts[at] = Some(held.evaluated_texts(at, node, column, memo)?),
                (_, None) => held.of_rows[at] = Some(held.evaluated_rows(node)?),
            }
        }
        let mut values = Vec::with_capacity(self.wanted.len());
        for (at, wanted) in &self.wanted {
            let value = held.rows(*at)?;
            values.push(match wanted {
                Some(wanted) if value.data_type() != wanted => cast(&value, wanted)?,
                _ => value,
            });
        }
        Ok(values)
    }
}

/// What nodes have made of a batch so far.
struct Held<'a> {
    nodes: &'a [Node],
    counted: &'a Counted,
    stored: &'a [ArrayRef],
    rows: usize,
    /// Of a node of one column of texts: of each text of its dictionary, and of null as the last one.
    of_texts: Vec<Option<ArrayRef>>,
    of_rows: Vec<Option<ArrayRef>>,
}

impl Held<'_> {
    fn dictionary(&self, column: usize) -> Result<&DictionaryArray<Int32Type>, Failure> {
        let column = self.stored.get(column).ok_or(Failure::Internal)?;
        column.as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)
    }

    /// The values of a node of one column of texts, made before if it is the same dictionary.
    fn evaluated_texts(
        &mut self,
        at: usize,
        node: &Node,
        column: usize,
        memo: &mut Memo,
    ) -> Result<ArrayRef, Failure> {
        let texts =
            self.dictionary(column)?.values().as_string_opt::<i32>().ok_or(Failure::Internal)?.clone();
        if let Some((_, made)) = memo.made.get(&at).filter(|(known, _)| is_same(known, &texts)) {
            return Ok(Arc::clone(made));
        }
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            inputs.push(self.texts(*input, &texts)?);
        }
        self.counted.add(What::OfTexts, texts.len() + 1);
        let made = conformed(evaluated(&node.step, inputs, texts.len() + 1)?, node.ty.as_ref())?;
        memo.made.insert(at, (texts, Arc::clone(&made)));
        Ok(made)
    }

    /// The values of an input for each text, and for null.
    fn texts(&mut self, at: usize, texts: &StringArray) -> Result<ArrayRef, Failure> {
        if let Some(made) = self.of_texts.get(at).ok_or(Failure::Internal)? {
            return Ok(Arc::clone(made));
        }
        let null = new_null_array(&DataType::Utf8, 1);
        let made = concat(&[texts as &dyn Array, null.as_ref()])?;
        self.of_texts[at] = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The values of any other node.
    fn evaluated_rows(&mut self, node: &Node) -> Result<ArrayRef, Failure> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            let value = self.rows(*input)?;
            inputs.push(match value.data_type() {
                DataType::Dictionary(..) => cast(&value, &DataType::Utf8)?,
                _ => value,
            });
        }
        self.counted.add(What::OfRows, self.rows);
        conformed(evaluated(&node.step, inputs, self.rows)?, node.ty.as_ref())
    }

    /// The values of a node for each row; those of texts are looked up, and kept, since several nodes may want them.
    fn rows(&mut self, at: usize) -> Result<ArrayRef, Failure> {
        if let Some(values) = self.of_rows.get(at).ok_or(Failure::Internal)? {
            return Ok(Arc::clone(values));
        }
        let node = self.nodes.get(at).ok_or(Failure::Internal)?;
        let values = match (&node.step, node.texts) {
            (Step::Stored(column), _) => self.stored.get(*column).cloned().ok_or(Failure::Internal)?,
            (_, Some(column)) => {
                let made = self.of_texts.get(at).cloned().flatten().ok_or(Failure::Internal)?;
                looked_up(self.dictionary(column)?, &made)?
            }
            (_, None) => return Err(Failure::Internal),
        };
        self.of_rows[at] = Some(Arc::clone(&values));
        Ok(values)
    }
}

fn evaluated(step: &Step, inputs: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef, Failure> {
    match step {
        Step::Stored(_) => Err(Failure::Internal),
        Step::Hour => hours(inputs.first().ok_or(Failure::Internal)?),
        Step::Matches(pattern) => {
            let matches: BooleanArray =
                texts_of(&inputs)?.iter().map(|text| text.map(|text| pattern.matches(text))).collect();
            Ok(Arc::new(matches))
        }
        Step::Cased(casing) => Ok(Arc::new(cased(texts_of(&inputs)?, *casing))),
        Step::Any(schema, expr) => {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(Arc::clone(schema), inputs, &options)?;
            Ok(expr.evaluate(&batch)?.into_array(rows)?)
        }
    }
}

fn texts_of(inputs: &[ArrayRef]) -> Result<&StringArray, Failure> {
    inputs.first().and_then(|texts| texts.as_string_opt::<i32>()).ok_or(Failure::Internal)
}

fn cased(texts: &StringArray, casing: Casing) -> StringArray {
    let (mut made, mut own) =
        (StringBuilder::with_capacity(texts.len(), texts.value_data().len()), String::new());
    for text in texts {
        own.clear();
        text.iter().for_each(|text| casing.write(text, &mut own));
        made.append_option(text.map(|_| own.as_str()));
    }
    made.finish()
}

fn conformed(value: ArrayRef, ty: Option<&DataType>) -> Result<ArrayRef, Failure> {
    match ty {
        Some(ty) if value.data_type() != ty => Ok(cast(&value, ty)?),
        _ => Ok(value),
    }
}

fn hours(times: &ArrayRef) -> Result<ArrayRef, Failure> {
    let hour_us = HOUR_MS * 1_000;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
    let hours: TimestampMicrosecondArray =
        times.unary(|time: i64| time.saturating_sub(time.rem_euclid(hour_us)));
    Ok(Arc::new(hours.with_timezone("UTC")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::datatypes::{Field, Schema};
    use shoal_language::{Compare, Type, Value};

    use super::super::texts::text_type;
    use super::*;

    fn text(name: &str) -> Scalar {
        Scalar::Column { name: name.to_owned(), ty: Type::Text }
    }

    fn matches(item: Scalar, pattern: &str) -> Scalar {
        Scalar::Like { item: item.into(), pattern: pattern.to_owned(), any_case: false }
    }

    /// A condition that is never met, one that always is, and values behind each of them, cost the same.
    #[test]
    fn the_work_of_a_batch_does_not_depend_on_its_values() {
        let number = Scalar::Column { name: "amount".to_owned(), ty: Type::Number { scale: 0 } };
        let dear = |version: &str| {
            let both = Scalar::Coalesce(vec![text("os").into(), text("version").into()]);
            matches(both, version)
        };
        let rare = Scalar::Compare(Compare::Gt, number.into(), Scalar::Value(Value::Number(10, 0)).into());
        let key = Scalar::Case {
            branches: vec![
                (rare.clone().into(), Scalar::Value(Value::Text("x".to_owned())).into()),
                (dear("%9%").into(), text("os").into()),
            ],
            otherwise: Some(Scalar::Lower(text("version").into()).into()),
        };
        let filter = Scalar::And(rare.into(), dear("4.%").into());
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("os", text_type(), true),
            Field::new("version", text_type(), true),
            Field::new("amount", DataType::Int64, true),
        ]));
        let all = [filter, key];
        let (session, counted) = (SessionContext::new(), Counted::default());
        let graph = Graph::new(&session, &schema, Region::De, all.iter(), &counted).unwrap();
        let work = |amounts: Vec<i64>, versions: Vec<Option<&str>>| {
            let texts = |values: Vec<Option<&str>>| -> ArrayRef {
                Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
            };
            let rows = amounts.len();
            let os = texts(vec![Some("ios"); rows]);
            let stored = [os, texts(versions), Arc::new(Int64Array::from(amounts)) as ArrayRef];
            counted.take();
            let values = graph.values(&stored, rows, &mut Memo::default()).unwrap();
            let counts = counted.take();
            (values[0].as_boolean().true_count(), counts[&What::OfRows] + counts[&What::OfTexts])
        };
        let (none, quiet) = work(vec![1, 2, 3], vec![Some("4.1"), Some("5.0"), Some("6")]);
        let (some, loud) = work(vec![11, 12, 13], vec![Some("4.1"), Some("4.9"), Some("9")]);
        assert_eq!((none, some), (0, 0), "the first of `os` and `version` is `ios`");
        assert_eq!(quiet, loud);
        assert!(quiet > 3 * 4, "several expressions on each of three rows: {quiet}");
    }
}
