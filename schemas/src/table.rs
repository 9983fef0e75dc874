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

use crate::load::CommonRoles;
use crate::{Domain, Kind, Measure, Programme};

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
#[derive(Clone, Debug)]
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

/// The system columns before the declared ones. `events` are the names of the table's events.
pub(crate) fn system_columns(common: &CommonRoles, events: Vec<String>) -> Vec<ColumnDef> {
    use ColumnType::{Digest, Integer, Text, Time};
    let hidden = ColumnRole::Hidden;
    let programmes = Programme::ALL.iter().map(|p| p.as_str().to_owned());
    let programme = ColumnRole::Dimension {
        domain: Domain::Listed(programmes.collect()),
        keys_max: 1, // a pseudonym belongs to one programme
    };
    let unit = ColumnRole::Unit;
    vec![
        column(columns::EVENT_ID, "Keyed digest of the event id.", Digest, hidden.clone(), false),
        column(
            columns::SUBJECT,
            "The pseudonym: inside COUNT(DISTINCT subject) only.",
            Digest,
            unit.clone(),
            false,
        ),
        column(
            columns::SESSION,
            "Keyed digest of the session: inside COUNT(DISTINCT session) only.",
            Digest,
            unit,
            true,
        ),
        column(columns::TIME, "When it happened, UTC; an hour or coarser.", Time, ColumnRole::Time, false),
        event_column(common, events),
        common_column(common, columns::COUNTRY, false),
        column(columns::PROGRAMME, "The programme that the subject opted into.", Text, programme, false),
        common_column(common, columns::APP, true),
        common_column(common, columns::APP_VERSION, true),
        common_column(common, columns::OS, true),
        common_column(common, columns::OS_VERSION, true),
        common_column(common, columns::DEVICE_MODEL, true),
        column(
            columns::CONSENT,
            "How consent reached the gate: carried, recorded or asserted.",
            Text,
            hidden.clone(),
            false,
        ),
        column(columns::EPOCH, "Number of the pseudonym's epoch.", Integer, hidden, false),
    ]
}

/// The partition column.
pub(crate) fn day_column() -> ColumnDef {
    column(columns::DAY, "UTC day of `time`.", ColumnType::Day, ColumnRole::Time, false)
}

fn column(name: &str, doc: &str, ty: ColumnType, role: ColumnRole, nullable: bool) -> ColumnDef {
    ColumnDef { name: name.to_owned(), doc: doc.to_owned(), ty, role, nullable }
}

/// A column of `common.toml`. One that is missing there has been reported; hidden is the safe stand-in.
fn common_column(common: &CommonRoles, name: &str, nullable: bool) -> ColumnDef {
    let (doc, role) = match common.get(name) {
        Some((doc, role)) => (doc.as_str(), role.clone()),
        None => ("", ColumnRole::Hidden),
    };
    column(name, doc, ColumnType::Text, role, nullable)
}

/// `event`: listed, its values are the table's events; a subject has no more keys than there are events.
fn event_column(common: &CommonRoles, events: Vec<String>) -> ColumnDef {
    let mut def = common_column(common, columns::EVENT, false);
    if let ColumnRole::Dimension { domain, keys_max } = &mut def.role {
        *keys_max = (*keys_max).min(u32::try_from(events.len()).unwrap_or(u32::MAX));
        *domain = Domain::Listed(events);
    }
    def
}
