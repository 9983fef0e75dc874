//! The table of a kind: system columns that every table has, then one column for each declared property.
//!
//! ```text
//! event_id binary | subject binary | session binary? | time timestamp(us) | event text | country text | programme text |
//! app text? | app_version text? | os text? | os_version text? | device_model text? | consent text | epoch int |
//! (columns of declared properties, in the order of their names) | day date (partition)
//! ```
//! The crash table has `crash_group` and `stack` in place of the property `frames`. Positions hold within one loaded
//! registry; what is stored (log, Parquet, Delta) goes by name. A column that several events declare has the union of
//! their bounds and listed values. `time` is in microseconds, because Delta knows no other timestamp; its values are
//! whole milliseconds.
//!
//! `event_id`, `subject` and `session` are 16-byte keyed digests. `region` is the table's, not a column of a row.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::{Domain, Kind, Measure};

/// The names of the columns that every table has.
pub mod columns {
    /// Keyed digest of the event id, 16 bytes.
    pub const EVENT_ID: &str = "event_id";
    /// The pseudonym, 16 bytes.
    pub const SUBJECT: &str = "subject";
    /// Keyed digest of the session id, 16 bytes; null when the event has none.
    pub const SESSION: &str = "session";
    /// Corrected time of the event, UTC: whole milliseconds, in Arrow's and Delta's microseconds.
    pub const TIME: &str = "time";
    /// The event's name.
    pub const EVENT: &str = "event";
    /// ISO 3166-1 alpha-2.
    pub const COUNTRY: &str = "country";
    /// `user-experience` or `device-experience`.
    pub const PROGRAMME: &str = "programme";
    /// The app that sent it, from the ingest key.
    pub const APP: &str = "app";
    /// The app's version.
    pub const APP_VERSION: &str = "app_version";
    /// Operating system, a listed dimension.
    pub const OS: &str = "os";
    /// Operating system's version.
    pub const OS_VERSION: &str = "os_version";
    /// Model of the phone, or of the device in `device`.
    pub const DEVICE_MODEL: &str = "device_model";
    /// How consent reached the gate: `carried`, `recorded` or `asserted`.
    pub const CONSENT: &str = "consent";
    /// Number of the pseudonym's epoch.
    pub const EPOCH: &str = "epoch";
    /// The partition: UTC day of `time`.
    pub const DAY: &str = "day";

    /// Every system column, in the order of the table; [`DAY`] comes last of all columns.
    pub const SYSTEM: [&str; 15] = [
        EVENT_ID,
        SUBJECT,
        SESSION,
        TIME,
        EVENT,
        COUNTRY,
        PROGRAMME,
        APP,
        APP_VERSION,
        OS,
        OS_VERSION,
        DEVICE_MODEL,
        CONSENT,
        EPOCH,
        DAY,
    ];

    /// Whether a name is a system column's.
    pub fn is_system(name: &str) -> bool {
        SYSTEM.contains(&name)
    }
}

/// The table of a kind.
#[derive(Clone, Debug)]
pub struct TableDef {
    /// The kind.
    pub kind: Kind,
    /// All columns, system columns first, `day` last.
    pub columns: Vec<ColumnDef>,
    /// How many events of any name one subject's day contributes to one group at the most.
    pub day_max: u32,
    pub(crate) schema: SchemaRef,
}

impl TableDef {
    /// A table of these columns, `day` last.
    pub(crate) fn new(kind: Kind, columns: Vec<ColumnDef>, day_max: u32) -> TableDef {
        let fields = columns.iter().map(|c| Field::new(&c.name, c.ty.arrow(), c.nullable));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        TableDef { kind, columns, day_max, schema }
    }

    /// The column of this name and its position.
    pub fn column(&self, name: &str) -> Option<(u16, &ColumnDef)> {
        let at = self.columns.iter().position(|c| c.name == name)?;
        Some((u16::try_from(at).ok()?, &self.columns[at]))
    }

    /// The Arrow schema of a row, `day` included as the last field.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// What it means, one sentence, for `GET /v1/tables`.
    pub doc: String,
    /// How it is stored.
    pub ty: ColumnType,
    /// What an analyst may do with it.
    pub role: ColumnRole,
    /// Whether a row may lack it.
    pub nullable: bool,
}

/// How a column is stored: the Arrow type is Utf8, Int64, Boolean, Binary, Timestamp(us, UTC) or Date32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Utf8.
    Text,
    /// Int64, in units of 10^-scale for a measure.
    Integer,
    /// Boolean.
    Boolean,
    /// Binary of 16 bytes.
    Digest,
    /// Timestamp in microseconds (Delta knows no other), UTC; values are whole milliseconds.
    Time,
    /// Date32.
    Day,
}

impl ColumnType {
    /// The type in Arrow, Parquet and Delta.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Text => DataType::Utf8,
            ColumnType::Integer => DataType::Int64,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Digest => DataType::Binary,
            ColumnType::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Day => DataType::Date32,
        }
    }
}

/// What an analyst may do with a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// Not in the analyst's schema at all: `event_id`, `consent`, `epoch`, and every `text` and `location` property.
    Hidden,
    /// Inside COUNT(DISTINCT ..) only: `subject`, `session`.
    Unit,
    /// Filter and group by. Public key values when listed.
    Dimension {
        /// Whether every value is known in advance.
        domain: Domain,
        /// How many values one subject's day usually has.
        keys_max: u32,
    },
    /// `time` (an hour or coarser) and `day`.
    Time,
    /// SUM and AVG, and comparison in filters.
    Measure(Measure),
}
