//! Rows of the log become Arrow columns, one set for each (kind, programme, day).
//!
//! The rows name events and columns by position as of the definitions that they were made by; the segment's dictionary has the
//! names, so a registry that has grown since reads them right.
//! Invariants: every row ends up in exactly one part; columns that a row lacks are null.
//! Not here: reading segments (`log/segment.rs`), what happens to the parts (`mod.rs`), Parquet (`shoal-storage`).

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::Schema,
};
use shoal_schemas::{ColumnType, Kind, Programme, Region, Registry, TableDef, calendar::DAY_MS, columns};
use shoal_storage::Part;

use crate::{
    dictionary::Dictionary,
    error::IngestError,
    stages::row::{self, RowHead, Value},
};

/// Columns that are being filled.
pub(crate) struct Columns<'r> {
    registry: &'r Registry,
    region: Region,
    tables: Vec<Arc<Places>>,
    parts: BTreeMap<(usize, Programme, i32), Filling>,
}

/// Where the columns that every row has are in the table of a kind.
struct Places {
    kind: Kind,
    event_id: usize,
    subject: usize,
    session: usize,
    time: usize,
    event: usize,
    programme: usize,
    consent: usize,
    epoch: usize,
    types: Vec<ColumnType>,
}

/// What the positions in a segment's rows mean now.
pub(crate) struct Translation {
    events: Vec<String>,
    /// For each kind: the columns' names and where they are now.
    columns: Vec<Vec<(String, Option<usize>)>>,
}

struct Filling {
    places: Arc<Places>,
    rows: usize,
    builders: Vec<Builder>,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Digest(BinaryBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl<'r> Columns<'r> {
    /// Nothing yet.
    pub(crate) fn new(registry: &'r Registry, region: Region) -> Columns<'r> {
        let places = |kind: &Kind| Arc::new(Places::of(registry.table(*kind)));
        Columns { registry, region, tables: Kind::ALL.iter().map(places).collect(), parts: BTreeMap::new() }
    }

    /// What a segment's positions mean.
    pub(crate) fn translation(&self, dictionary: &Dictionary) -> Translation {
        let columns = |(kind, names): (&Kind, &Vec<String>)| {
            let table = self.registry.table(*kind);
            let place = |name: &String| (name.clone(), table.column(name).map(|(at, _)| usize::from(at)));
            names.iter().map(place).collect()
        };
        Translation {
            events: dictionary.events.clone(),
            columns: Kind::ALL.iter().zip(&dictionary.columns).map(columns).collect(),
        }
    }

    /// Adds the rows of a payload whose kind is wanted.
    pub(crate) fn add(
        &mut self,
        translation: &Translation,
        payload: &[u8],
        wanted: &dyn Fn(Kind) -> bool,
    ) -> Result<(), IngestError> {
        for row in row::rows(payload) {
            let (head, values) = row.and_then(row::decode).map_err(|e| self.defect(e.0))?;
            if wanted(head.kind) {
                self.add_row(translation, &head, values)?;
            }
        }
        Ok(())
    }

    fn add_row(
        &mut self,
        translation: &Translation,
        head: &RowHead,
        values: row::ValueIter<'_>,
    ) -> Result<(), IngestError> {
        let event = translation.events.get(usize::from(head.event));
        let event = event.ok_or_else(|| self.defect("an event that the dictionary lacks"))?;
        let kind = head.kind.index();
        let day = i32::try_from(head.time_ms.div_euclid(DAY_MS));
        let day = day.map_err(|_| self.defect("a time that is no day"))?;
        let places = &self.tables[kind];
        let part =
            self.parts.entry((kind, head.programme, day)).or_insert_with(|| Filling::new(Arc::clone(places)));
        part.put_head(head, event);
        let mut wrong = None;
        for value in values {
            let (column, value) = value.map_err(|e| IngestError::Config(defect(self.region, e.0)))?;
            let place = translation.columns.get(kind).and_then(|columns| columns.get(usize::from(column)));
            let kept = place.and_then(|(_, now)| *now).is_some_and(|now| part.put(now, value));
            if !kept {
                wrong = Some(place.map_or_else(|| format!("column {column}"), |(name, _)| name.clone()));
            }
        }
        part.rows += 1;
        match wrong {
            Some(name) => Err(IngestError::Undeclared { region: self.region, kind: head.kind, name }),
            None => Ok(()),
        }
    }

    /// The parts, by kind.
    pub(crate) fn finish(self) -> Result<Vec<(Kind, Vec<Part>)>, IngestError> {
        let mut kinds: Vec<(Kind, Vec<Part>)> = Vec::new();
        for ((kind, programme, day), filling) in self.parts {
            let kind = Kind::ALL[kind];
            let batch = filling.finish(self.registry.table(kind))?;
            let part = Part { programme, day, batch };
            match kinds.last_mut() {
                Some((last, parts)) if *last == kind => parts.push(part),
                _ => kinds.push((kind, vec![part])),
            }
        }
        Ok(kinds)
    }

    fn defect(&self, what: &'static str) -> IngestError {
        IngestError::Config(defect(self.region, what))
    }
}

fn defect(region: Region, what: &'static str) -> String {
    format!("a row in the log of {region} cannot be read: {what}")
}

impl Places {
    fn of(table: &TableDef) -> Places {
        // A table without one of these does not get past the registry; out of range means never written.
        let at = |name: &str| table.column(name).map_or(usize::MAX, |(at, _)| usize::from(at));
        Places {
            kind: table.kind,
            event_id: at(columns::EVENT_ID),
            subject: at(columns::SUBJECT),
            session: at(columns::SESSION),
            time: at(columns::TIME),
            event: at(columns::EVENT),
            programme: at(columns::PROGRAMME),
            consent: at(columns::CONSENT),
            epoch: at(columns::EPOCH),
            types: table.columns.iter().map(|c| c.ty).collect(),
        }
    }
}

impl Filling {
    fn new(places: Arc<Places>) -> Filling {
        let builder = |ty: &ColumnType| match ty {
            ColumnType::Text => Builder::Text(StringBuilder::with_capacity(0, 0)),
            ColumnType::Integer | ColumnType::Day => Builder::Integer(Int64Builder::with_capacity(0)),
            ColumnType::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(0)),
            ColumnType::Digest => Builder::Digest(BinaryBuilder::with_capacity(0, 0)),
            ColumnType::Time => {
                Builder::Time(TimestampMicrosecondBuilder::with_capacity(0).with_timezone("UTC"))
            }
        };
        let builders = places.types.iter().map(builder).collect();
        Filling { places, rows: 0, builders }
    }

    fn put_head(&mut self, head: &RowHead, event: &str) {
        debug_assert_eq!(head.kind, self.places.kind);
        let places = Arc::clone(&self.places);
        self.digest(places.event_id, &head.event_id);
        self.digest(places.subject, &head.subject);
        if let Some(session) = &head.session {
            self.digest(places.session, session);
        }
        if let Some(Builder::Time(builder)) = self.builders.get_mut(places.time) {
            builder.append_value(head.time_ms.saturating_mul(1000));
        }
        self.put(places.event, Value::Text(event));
        self.put(places.programme, Value::Text(head.programme.as_str()));
        self.put(places.consent, Value::Text(head.consent.as_str()));
        self.put(places.epoch, Value::Integer(i64::from(head.epoch)));
    }

    fn digest(&mut self, at: usize, digest: &[u8; 16]) {
        let rows = self.rows;
        if let Some(Builder::Digest(builder)) = self.builders.get_mut(at) {
            builder.append_nulls(rows - builder.len());
            builder.append_value(digest);
        }
    }

    /// False when the column is not of this type, or has a value in this row.
    fn put(&mut self, at: usize, value: Value<'_>) -> bool {
        let rows = self.rows;
        let Some(builder) = self.builders.get_mut(at) else {
            return false;
        };
        if builder.length() > rows {
            return false;
        }
        builder.pad(rows);
        match (builder, value) {
            (Builder::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Builder::Integer(builder), Value::Integer(number)) => builder.append_value(number),
            (Builder::Boolean(builder), Value::Boolean(flag)) => builder.append_value(flag),
            _ => return false,
        }
        true
    }

    fn finish(mut self, table: &TableDef) -> Result<RecordBatch, IngestError> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (field, builder) in table.arrow_schema().fields().iter().zip(&mut self.builders) {
            if field.name() != columns::DAY {
                builder.pad(self.rows);
                arrays.push(builder.finish());
                fields.push(Arc::clone(field));
            }
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

impl Builder {
    fn length(&self) -> usize {
        match self {
            Builder::Text(builder) => builder.len(),
            Builder::Integer(builder) => builder.len(),
            Builder::Boolean(builder) => builder.len(),
            Builder::Digest(builder) => builder.len(),
            Builder::Time(builder) => builder.len(),
        }
    }

    /// Nulls up to so many rows.
    fn pad(&mut self, rows: usize) {
        let nulls = rows - self.length().min(rows);
        match self {
            Builder::Text(builder) => builder.append_nulls(nulls),
            Builder::Integer(builder) => builder.append_nulls(nulls),
            Builder::Boolean(builder) => builder.append_nulls(nulls),
            Builder::Digest(builder) => builder.append_nulls(nulls),
            Builder::Time(builder) => builder.append_nulls(nulls),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Integer(builder) => Arc::new(builder.finish()),
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Digest(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
        }
    }
}
