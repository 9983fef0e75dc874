//! The columns of one table, as Shoal, Arrow and Delta each name them; how a table grows; how a batch is made to fit.
//!
//! ```text
//! ColumnType   Delta        Arrow in the file and in what reads it
//! Text         string       Utf8
//! Integer      long         Int64
//! Boolean      boolean      Boolean
//! Digest       binary       Binary, 16 bytes
//! Time         timestamp    Timestamp(Microsecond, "UTC"); a batch may bring milliseconds
//! Day          date         Date32
//! ```
//! Invariants: `day` is the partition, never a column of a file, and always the last column of the table. A table only ever
//! gains nullable columns. Not here: which columns there should be (`shoal-schemas`).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType, PrimitiveType, StructField, StructType};
use shoal_schemas::{ColumnType, TableDef, columns};

use crate::error::{Result, StorageError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) nullable: bool,
}

/// All columns but `day`, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableLayout {
    table: String,
    columns: Vec<Column>,
    file_schema: SchemaRef,
}

impl TableLayout {
    pub(crate) fn new(table: &str, columns: Vec<Column>) -> TableLayout {
        let fields: Vec<Field> =
            columns.iter().map(|c| Field::new(&c.name, arrow_type(c.ty), c.nullable)).collect();
        TableLayout { table: table.to_owned(), columns, file_schema: Arc::new(Schema::new(fields)) }
    }

    /// The layout that a definition asks for.
    pub(crate) fn from_def(table: &str, def: &TableDef) -> Result<TableLayout> {
        let day = def.column(columns::DAY).map(|(_, c)| c.ty);
        if day != Some(ColumnType::Day) {
            return Err(schema_error(table, "the definition lacks the partition column day"));
        }
        let columns = def
            .columns
            .iter()
            .filter(|c| c.name != columns::DAY)
            .map(|c| Column { name: c.name.clone(), ty: c.ty, nullable: c.nullable })
            .collect();
        Ok(TableLayout::new(table, columns))
    }

    /// The layout that a Delta log records.
    pub(crate) fn from_delta(table: &str, schema: &StructType) -> Result<TableLayout> {
        let mut found = Vec::new();
        for field in schema.fields() {
            let ty = match field.data_type() {
                DataType::Primitive(PrimitiveType::String) => ColumnType::Text,
                DataType::Primitive(PrimitiveType::Long) => ColumnType::Integer,
                DataType::Primitive(PrimitiveType::Boolean) => ColumnType::Boolean,
                DataType::Primitive(PrimitiveType::Binary) => ColumnType::Digest,
                DataType::Primitive(PrimitiveType::Timestamp) => ColumnType::Time,
                DataType::Primitive(PrimitiveType::Date) => ColumnType::Day,
                other => {
                    let reason =
                        format!("column {} has the type {other}, which Shoal never writes", field.name());
                    return Err(schema_error(table, &reason));
                }
            };
            if field.name() != columns::DAY {
                found.push(Column { name: field.name().clone(), ty, nullable: field.is_nullable() });
            }
        }
        Ok(TableLayout::new(table, found))
    }

    /// What `self`, as stored, becomes so that rows of `wanted` fit; none when they fit already.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when columns changed their types, or new ones are not nullable: with all of them.
    pub(crate) fn grown(&self, wanted: &TableLayout) -> Result<Option<TableLayout>> {
        let (mut columns, mut reasons) = (Vec::with_capacity(wanted.columns.len()), Vec::new());
        for want in &wanted.columns {
            match self.column(&want.name) {
                Some(have) if have.ty != want.ty => {
                    reasons.push(format!(
                        "column {} is stored as {:?}, the definition says {:?}",
                        want.name, have.ty, want.ty
                    ));
                }
                Some(have) => {
                    columns.push(Column { nullable: have.nullable || want.nullable, ..want.clone() })
                }
                None if want.nullable => columns.push(want.clone()),
                None => reasons.push(format!("the new column {} must be nullable", want.name)),
            }
        }
        if !reasons.is_empty() {
            return Err(schema_error(&self.table, &reasons.join("; ")));
        }
        for have in &self.columns {
            if wanted.column(&have.name).is_none() {
                columns.push(Column { nullable: true, ..have.clone() });
            }
        }
        let grown = TableLayout::new(&self.table, columns);
        Ok((!grown.same_columns(self)).then_some(grown))
    }

    fn same_columns(&self, other: &TableLayout) -> bool {
        self.columns.len() == other.columns.len()
            && self.columns.iter().all(|c| other.column(&c.name) == Some(c))
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The schema of a file: every column but `day`.
    pub(crate) fn file_schema(&self) -> SchemaRef {
        Arc::clone(&self.file_schema)
    }

    /// The schema of the table as Delta records it, `day` last.
    pub(crate) fn to_delta(&self) -> Result<StructType> {
        let fields = self
            .columns
            .iter()
            .map(|c| StructField::new(c.name.as_str(), delta_type(c.ty), c.nullable))
            .chain([StructField::new(columns::DAY, DataType::DATE, false)]);
        StructType::try_new(fields).map_err(|e| schema_error(&self.table, &e.to_string()))
    }

    /// The batch with exactly the columns of a file, in order: found by name, missing ones null, times in microseconds.
    ///
    /// # Errors
    /// [`StorageError::Schema`] for a column the table does not have, another type, or nulls where none may be.
    pub(crate) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        for field in batch.schema_ref().fields() {
            if field.name() != columns::DAY && self.column(field.name()).is_none() {
                let reason = format!("a batch has the column {}, the table has not", field.name());
                return Err(schema_error(&self.table, &reason));
            }
        }
        let arrays =
            self.columns.iter().map(|c| self.conform_column(c, batch)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.file_schema(), arrays, &options)?)
    }

    fn conform_column(&self, column: &Column, batch: &RecordBatch) -> Result<ArrayRef> {
        let wanted = arrow_type(column.ty);
        let array = match batch.column_by_name(&column.name) {
            Some(array) if array.data_type() == &wanted => Arc::clone(array),
            Some(array) if convertible(column.ty, array.data_type()) => cast(array, &wanted)?,
            Some(array) => {
                let reason =
                    format!("a batch has {} as {}, the table as {wanted}", column.name, array.data_type());
                return Err(schema_error(&self.table, &reason));
            }
            None => new_null_array(&wanted, batch.num_rows()),
        };
        if !column.nullable && array.null_count() > 0 {
            let reason = format!("column {} is null in a batch and may not be", column.name);
            return Err(schema_error(&self.table, &reason));
        }
        Ok(array)
    }
}

/// Conversions that lose nothing: times of a coarser unit, dictionaries, views.
fn convertible(ty: ColumnType, from: &ArrowType) -> bool {
    match (ty, from) {
        (ColumnType::Time, ArrowType::Timestamp(unit, Some(zone))) => {
            matches!(unit, TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond)
                && matches!(zone.as_ref(), "UTC" | "+00:00")
        }
        (_, ArrowType::Dictionary(_, values)) => **values == arrow_type(ty),
        (ColumnType::Text, ArrowType::Utf8View) => true,
        (ColumnType::Digest, ArrowType::BinaryView | ArrowType::FixedSizeBinary(16)) => true,
        _ => false,
    }
}

fn arrow_type(ty: ColumnType) -> ArrowType {
    match ty {
        ColumnType::Text => ArrowType::Utf8,
        ColumnType::Integer => ArrowType::Int64,
        ColumnType::Boolean => ArrowType::Boolean,
        ColumnType::Digest => ArrowType::Binary,
        ColumnType::Time => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Day => ArrowType::Date32,
    }
}

fn delta_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Text => DataType::STRING,
        ColumnType::Integer => DataType::LONG,
        ColumnType::Boolean => DataType::BOOLEAN,
        ColumnType::Digest => DataType::BINARY,
        ColumnType::Time => DataType::TIMESTAMP,
        ColumnType::Day => DataType::DATE,
    }
}

fn schema_error(table: &str, reason: &str) -> StorageError {
    StorageError::Schema { table: table.to_owned(), reason: reason.to_owned() }
}
