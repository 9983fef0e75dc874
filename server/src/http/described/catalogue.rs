//! What can be sent, as `GET /v1/schema` tells it (`catalogue.rs`).
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use utoipa::ToSchema;

use super::sent::Event;
use super::{KindWord, ProgrammeWord};

/// What can be sent with a key.
#[derive(ToSchema)]
pub(in crate::http) struct Catalogue {
    /// The fields of Shoal's own protocol
    fields: Vec<CatalogueField>,
    /// The events of the key's programme
    events: Vec<CatalogueEvent>,
}

/// A field of Shoal's own protocol.
#[derive(ToSchema)]
struct CatalogueField {
    name: String,
    /// Where it stands: `event`, `event or batch`, or `batch`
    of: String,
    /// The type of its value
    r#type: String,
    /// Longest text
    #[schema(nullable = false)]
    bytes_max: Option<u64>,
    doc: String,
}

/// An event that can be sent.
#[derive(ToSchema)]
struct CatalogueEvent {
    name: String,
    doc: String,
    kind: KindWord,
    programme: ProgrammeWord,
    properties: Vec<CatalogueProperty>,
    /// One that is accepted
    example: Event,
}

/// A property of an event.
#[derive(ToSchema)]
struct CatalogueProperty {
    name: String,
    required: bool,
    /// `text`, `number`, `boolean` or `frames`
    r#type: String,
    /// Longest text
    #[schema(nullable = false)]
    bytes_max: Option<u64>,
    /// Digits behind the point that are kept of a number
    #[schema(nullable = false)]
    decimal_places: Option<u32>,
    /// Smallest number
    #[schema(nullable = false)]
    min: Option<i64>,
    /// Largest number
    #[schema(nullable = false)]
    max: Option<i64>,
    /// What it is for: `identifier`, `dimension`, `measure`, `text`, `location` or `drop`
    class: String,
    /// Of an identifier: whose it is
    #[schema(nullable = false)]
    identifier: Option<String>,
    /// Of a dimension with listed values: these
    #[schema(nullable = false)]
    values: Option<Vec<String>>,
    /// Of a measure: its unit
    #[schema(nullable = false)]
    unit: Option<String>,
    doc: String,
}
