//! The rows of one file as an accumulator wants them: readable, meeting the filter, with the values of its expressions.
//!
//! ```text
//! stored batch -barrier-> readable rows -filter-> asked rows -expressions-> Loaded
//! ```
//! Invariants: the barrier comes first and is no part of any plan, so that no expression of an analyst is evaluated on a row
//! of an expired day, or of a programme that is not read; files are chosen by day and programme before that. Expressions
//! are total. One over a single column of texts is evaluated once for each distinct text: texts come as dictionaries.
//! Not here: which files (`source`), their order (`merge`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::compute::{
    FilterBuilder, cast, concat, filter_record_batch, prep_null_mask_filter, take,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::DFSchema;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{Expr, SessionContext};
use shoal_schemas::{Programme, Region, columns};

use super::plan;
use super::runs::{Loaded, subject_runs};
use crate::failure::Failure;
use shoal_language::calendar::Grain;
use shoal_language::{Scalar, Type};
use shoal_schemas::calendar::HOUR_MS;

/// What is read of a table, and what is made of it.
pub(super) struct Template {
    /// The stored columns: subject, programme, day, then whatever is needed.
    names: Vec<String>,
    schema: SchemaRef,
    cutoffs: Vec<(Programme, i32)>,
    filter: Option<Step>,
    scalars: Vec<Step>,
    /// The columns that the scalars and the time are made of.
    used: Vec<usize>,
    /// That of the time, if it is wanted.
    time: Option<usize>,
}

/// What a template is made for.
pub(super) struct RowSelection<'a> {
    pub(super) region: Region,
    pub(super) cutoffs: &'a [(Programme, i32)],
    pub(super) filter: Option<&'a Scalar>,
    pub(super) scalars: &'a [Scalar],
    pub(super) is_timed: bool,
}

/// One expression.
struct Step {
    way: Way,
    /// What its value is given as; as it is when the type is not known.
    wanted: Option<DataType>,
}

enum Way {
    /// A stored column.
    Column(usize),
    /// The hour of the time at this position.
    Hour(usize),
    /// Of one column of texts: once for each distinct one.
    Text(usize, Arc<dyn PhysicalExpr>),
    /// Of these columns, texts unpacked, in this order.
    Any(Vec<usize>, SchemaRef, Arc<dyn PhysicalExpr>),
}

const FIXED: [&str; 3] = [columns::SUBJECT, columns::PROGRAMME, columns::DAY];
const SUBJECT: usize = 0;
const PROGRAMME: usize = 1;
const DAY: usize = 2;

/// Text as it is read.
pub(super) fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

impl Template {
    /// `schema_of` gives the schema in which stored columns are read.
    pub(super) fn new(
        session: &SessionContext,
        schema_of: &dyn Fn(&[&str]) -> Result<SchemaRef, Failure>,
        selection: &RowSelection<'_>,
    ) -> Result<Template, Failure> {
        let mut names: Vec<String> = FIXED.iter().map(|name| (*name).to_owned()).collect();
        let all = selection.filter.into_iter().chain(selection.scalars);
        let mut used: Vec<String> = all
            .flat_map(|s| {
                plan::plan(s, selection.region)
                    .column_refs()
                    .into_iter()
                    .map(|c| c.name.clone())
                    .collect::<Vec<_>>()
            })
            .collect();
        if selection.is_timed {
            used.push(columns::TIME.to_owned());
        }
        used.sort_unstable();
        used.dedup();
        names.extend(used.into_iter().filter(|name| !FIXED.contains(&name.as_str())));
        let schema = schema_of(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let step = |scalar: &Scalar| Step::new(session, &schema, scalar, selection.region);
        let filter = selection.filter.map(step).transpose()?;
        let scalars: Vec<Step> = selection.scalars.iter().map(step).collect::<Result<_, _>>()?;
        let time = selection.is_timed.then(|| schema.index_of(columns::TIME)).transpose()?;
        let mut used: Vec<usize> = scalars.iter().flat_map(Step::columns).chain(time).collect();
        used.sort_unstable();
        used.dedup();
        Ok(Template { names, schema, cutoffs: selection.cutoffs.to_vec(), filter, scalars, used, time })
    }

    /// The stored columns that it needs.
    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Whether the files of this programme and day may be read at all.
    pub(super) fn is_readable(&self, programme: Programme, day: i32) -> bool {
        self.cutoffs.iter().any(|(readable, cutoff)| *readable == programme && day >= *cutoff)
    }

    /// Rows for the accumulator; none of them may be left.
    pub(super) fn load(&self, batch: &RecordBatch, memo: &mut Memo) -> Result<Loaded, Failure> {
        let batch = self.barrier(batch)?;
        let keep = match &self.filter {
            Some(filter) => Some(filter.value(batch.columns(), batch.num_rows(), usize::MAX, memo)?),
            None => None,
        };
        let keep = keep.as_ref().map(|keep| keep.as_boolean_opt().ok_or(Failure::Internal)).transpose()?;
        let rows = keep.map_or(batch.num_rows(), BooleanArray::true_count);
        if rows == 0 {
            return Ok(Loaded { runs: Vec::new(), times_us: Vec::new(), columns: Vec::new() });
        }
        let mut arrays = batch.columns().to_vec();
        let keep = keep.filter(|_| rows < batch.num_rows()).map(|keep| match keep.null_count() {
            0 => keep.clone(),
            _ => prep_null_mask_filter(keep),
        });
        let runs = subject_runs(batch.column(SUBJECT), keep.as_ref().map(BooleanArray::values))?;
        if let Some(keep) = &keep {
            let keep = FilterBuilder::new(keep).optimize().build();
            for at in &self.used {
                let array = arrays.get_mut(*at).ok_or(Failure::Internal)?;
                *array = keep.filter(array)?;
            }
        }
        let times_us = match self.time {
            Some(at) => {
                let time = arrays.get(at).ok_or(Failure::Internal)?;
                let time = time.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
                time.values().to_vec()
            }
            None => Vec::new(),
        };
        let column = |(at, step): (usize, &Step)| step.value(&arrays, rows, at, memo);
        let columns = self.scalars.iter().enumerate().map(column).collect::<Result<_, _>>()?;
        Ok(Loaded { runs, times_us, columns })
    }

    /// The readable rows. Where there can be others, texts are packed anew, so that those of the others are gone.
    fn barrier(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        if batch.schema().fields().len() != self.schema.fields().len() {
            return Err(Failure::Internal);
        }
        let days = batch.column(DAY).as_primitive_opt::<Date32Type>().ok_or(Failure::Internal)?;
        let programmes = batch.column(PROGRAMME).as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)?;
        let names = programmes.values().as_string_opt::<i32>().ok_or(Failure::Internal)?;
        let cutoff = |name: Option<&str>| {
            let known = self.cutoffs.iter().find(|(programme, _)| Some(programme.as_str()) == name);
            known.map_or(i32::MAX, |(_, cutoff)| *cutoff)
        };
        let cutoffs: Vec<i32> = names.iter().map(cutoff).collect();
        let first = days.values().iter().copied().min().unwrap_or(i32::MAX);
        if programmes.null_count() == 0 && days.null_count() == 0 && cutoffs.iter().all(|c| *c <= first) {
            return Ok(batch.clone());
        }
        let is_readable = |row: usize| {
            let key = programmes.key(row).and_then(|key| cutoffs.get(key));
            days.is_valid(row) && key.is_some_and(|cutoff| days.value(row) >= *cutoff)
        };
        let keep: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_readable(row))).collect();
        let kept = filter_record_batch(batch, &keep)?;
        let repack = |array: &ArrayRef| match array.data_type() {
            DataType::Dictionary(..) => cast(&cast(array, &DataType::Utf8)?, &text_type()),
            _ => Ok(Arc::clone(array)),
        };
        let arrays = kept.columns().iter().map(repack).collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new(kept.schema(), arrays)?)
    }
}

/// What was made of dictionaries, by the position of the expression. One for each file. It holds the texts, so that
/// the same place in memory means the same texts.
#[derive(Default)]
pub(super) struct Memo {
    made: HashMap<usize, (StringArray, ArrayRef)>,
}

/// Whether both are the same texts at the same place.
pub(super) fn is_same(one: &StringArray, other: &StringArray) -> bool {
    one.len() == other.len()
        && one.value_offsets().as_ptr() == other.value_offsets().as_ptr()
        && one.value_data().as_ptr() == other.value_data().as_ptr()
}

impl Step {
    fn new(
        session: &SessionContext,
        schema: &SchemaRef,
        scalar: &Scalar,
        region: Region,
    ) -> Result<Step, Failure> {
        let wanted = match scalar.ty() {
            Some(Type::Text) => Some(text_type()),
            Some(Type::Boolean) => Some(DataType::Boolean),
            Some(Type::Number { .. }) => Some(DataType::Int64),
            Some(Type::Time) => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            Some(Type::Day) => Some(DataType::Date32),
            None => None,
        };
        let position = |name: &str| schema.index_of(name).map_err(|_| Failure::Internal);
        match scalar {
            Scalar::Column { name, .. } if [columns::SESSION, columns::SUBJECT].contains(&name.as_str()) => {
                return Ok(Step { way: Way::Column(position(name)?), wanted: None });
            }
            Scalar::Column { name, .. } => return Ok(Step { way: Way::Column(position(name)?), wanted }),
            Scalar::Day => return Ok(Step { way: Way::Column(DAY), wanted }),
            Scalar::Time(Grain::Hour) => {
                return Ok(Step { way: Way::Hour(position(columns::TIME)?), wanted });
            }
            _ => {}
        }
        let plan = plan::plan(scalar, region);
        let mut used: Vec<usize> =
            plan.column_refs().iter().map(|column| position(&column.name)).collect::<Result<_, _>>()?;
        used.sort_unstable();
        let unpacked = |at: &usize| {
            let field = schema.field(*at);
            match field.data_type() {
                DataType::Dictionary(..) => Field::new(field.name(), DataType::Utf8, true),
                _ => field.clone(),
            }
        };
        let own: SchemaRef = Arc::new(Schema::new(used.iter().map(unpacked).collect::<Vec<_>>()));
        let expr =
            session.create_physical_expr(simple(plan, &own)?, &DFSchema::try_from(Arc::clone(&own))?)?;
        let is_text = |at: &usize| matches!(schema.field(*at).data_type(), DataType::Dictionary(..));
        let way = match used.as_slice() {
            [one] if is_text(one) => Way::Text(*one, expr),
            _ => Way::Any(used, own, expr),
        };
        Ok(Step { way, wanted })
    }

    /// The columns that it is made of.
    fn columns(&self) -> Vec<usize> {
        match &self.way {
            Way::Column(at) | Way::Hour(at) | Way::Text(at, _) => vec![*at],
            Way::Any(used, ..) => used.clone(),
        }
    }

    fn value(
        &self,
        stored: &[ArrayRef],
        rows: usize,
        at: usize,
        memo: &mut Memo,
    ) -> Result<ArrayRef, Failure> {
        let column = |at: usize| stored.get(at).ok_or(Failure::Internal);
        let value = match &self.way {
            Way::Column(at) => Arc::clone(column(*at)?),
            Way::Hour(at) => hours(column(*at)?)?,
            Way::Text(text, expr) => self.of_texts(column(*text)?, expr, at, memo)?,
            Way::Any(used, schema, expr) => {
                let unpack = |at: &usize| -> Result<ArrayRef, Failure> {
                    let column = column(*at)?;
                    Ok(match column.data_type() {
                        DataType::Dictionary(..) => cast(column, &DataType::Utf8)?,
                        _ => Arc::clone(column),
                    })
                };
                let arrays = used.iter().map(unpack).collect::<Result<Vec<_>, _>>()?;
                evaluate(schema, arrays, rows, expr)?
            }
        };
        self.conform(value)
    }

    fn conform(&self, value: ArrayRef) -> Result<ArrayRef, Failure> {
        match &self.wanted {
            Some(wanted) if value.data_type() != wanted => Ok(cast(&value, wanted)?),
            _ => Ok(value),
        }
    }

    /// Evaluates each text of the dictionary, and null as the last one, and looks the rows up in that. The expression
    /// finds its column by position.
    fn of_texts(
        &self,
        column: &ArrayRef,
        expr: &Arc<dyn PhysicalExpr>,
        at: usize,
        memo: &mut Memo,
    ) -> Result<ArrayRef, Failure> {
        let column = column.as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)?;
        let texts = column.values().as_string_opt::<i32>().ok_or(Failure::Internal)?;
        let made = match memo.made.get(&at).filter(|(known, _)| is_same(known, texts)) {
            Some((_, made)) => Arc::clone(made),
            None => {
                let null = new_null_array(&DataType::Utf8, 1);
                let all = concat(&[column.values().as_ref(), null.as_ref()])?;
                let rows = all.len();
                let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
                let value = evaluate(&schema, vec![all], rows, expr)?;
                let value = match &self.wanted {
                    Some(DataType::Dictionary(..)) | None => value,
                    Some(wanted) => cast(&value, wanted)?,
                };
                memo.made.insert(at, (texts.clone(), Arc::clone(&value)));
                value
            }
        };
        let null = i32::try_from(texts.len()).map_err(|_| Failure::Internal)?;
        let keys: Int32Array = match column.keys().null_count() {
            0 => column.keys().clone(),
            _ => column.keys().iter().map(|key| Some(key.unwrap_or(null))).collect(),
        };
        if made.data_type() == &DataType::Utf8 && made.null_count() == 0 {
            return Ok(Arc::new(DictionaryArray::try_new(keys, made)?));
        }
        if made.data_type() == &DataType::Utf8 {
            let keys: Int32Array =
                keys.iter().map(|key| key.filter(|key| made.is_valid(*key as usize))).collect();
            return Ok(Arc::new(DictionaryArray::try_new(keys, made)?));
        }
        Ok(take(&made, &keys, None)?)
    }
}

/// Some functions (`coalesce`) exist in a simpler form only.
fn simple(plan: Expr, schema: &SchemaRef) -> Result<Expr, Failure> {
    let schema = Arc::new(DFSchema::try_from(Arc::clone(schema))?);
    let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).build();
    let simplifier = ExprSimplifier::new(context);
    Ok(simplifier.simplify(simplifier.coerce(plan, &schema)?)?)
}

fn evaluate(
    schema: &SchemaRef,
    arrays: Vec<ArrayRef>,
    rows: usize,
    expr: &Arc<dyn PhysicalExpr>,
) -> Result<ArrayRef, Failure> {
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?;
    Ok(expr.evaluate(&batch)?.into_array(rows)?)
}

fn hours(times: &ArrayRef) -> Result<ArrayRef, Failure> {
    let hour_us = HOUR_MS * 1_000;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
    let hours: TimestampMicrosecondArray =
        times.unary(|time: i64| time.saturating_sub(time.rem_euclid(hour_us)));
    Ok(Arc::new(hours.with_timezone("UTC")))
}
