//! What may be collected, as data: events, programmes, regions, retention, and the layout of the tables.
//!
//! Everything in this crate is pure, but for the one holder of the definitions in force: it reads definitions (embedded, and overlaid
//! by a directory) and answers questions about them. What is not declared here is never stored.
//!
//! - `names`: the closed sets (region, kind, programme, protocol) and the country code
//! - `event`: what an event is made of: properties with type, unit, bounds and class
//! - `table`: the columns of the table of a kind, and its Arrow schema
//! - `policy`: programmes with their accepted policy versions, regions, retention
//! - `vendor`: how a vendor's event names and properties become Shoal's
//! - `calendar`: days and hours; [`nearest`]: which known name a written one is near to
//! - `registry`: all of it, loaded and checked; `error`: why it was refused
//! - `in_force`: what a running service goes by; `changes`: what may take its place
//! - `load`: reading, checking and laying out
//!
//! The definitions themselves are TOML files in `defs/`. Not here: how a value is checked against its definition
//! (`shoal-ingest`, `validate.rs`), patterns of personal data (`shoal-privacy`, `patterns/`).

pub mod calendar;
mod changes;
mod error;
mod event;
mod in_force;
mod load;
mod names;
pub mod nearest;
mod policy;
mod registry;
mod table;
mod vendor;

pub use changes::Changes;
pub use error::SchemaError;
pub use event::{Class, Domain, EventDef, Measure, PropertyDef, ValueType, grid};
pub use in_force::InForce;
pub use names::{Country, IdentifierKind, Kind, Programme, Protocol, Region};
pub use policy::{CountryDef, ProgrammeDef, RegionDef, Retention};
pub use registry::Registry;
pub use table::{ColumnDef, ColumnRole, ColumnType, TableDef, columns};
pub use vendor::{EventRule, VendorMap};
