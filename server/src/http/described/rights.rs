//! What a person is told of what is kept of them (`access.rs`), and what is in force of a consent (`shoal-ingest`, `ingest/persons.rs`).
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::{KindWord, ProgrammeWord, RegionWord, Scalar};

/// What is in force for a programme.
#[derive(ToSchema)]
pub(in crate::http) struct ConsentInForce {
    programme: ProgrammeWord,
    /// `granted`, `withdrawn`, or `unrecorded`
    state: String,
    /// Policy version of a grant
    #[schema(required = false)]
    policy_version: String,
    /// Whether the person is to be asked, because events are not kept by what is recorded
    needs_consent: bool,
    /// Policy versions that are accepted, the newest last
    policy_versions: Vec<String>,
}

/// What is kept of a person in a region.
#[derive(ToSchema)]
pub(in crate::http) struct SubjectPackage {
    /// Form of this document
    format: u32,
    region: RegionWord,
    #[schema(format = DateTime)]
    made_at: String,
    /// Whether all of it is there: more than 32 MiB of rows is not
    is_complete: bool,
    /// Who is responsible
    controller: String,
    programmes: Vec<PackageProgramme>,
    periods: Vec<PackagePeriod>,
    consents: Vec<ConsentInForce>,
    tables: Vec<PackageTable>,
    notes: Vec<String>,
}

/// What a programme is for.
#[derive(ToSchema)]
struct PackageProgramme {
    programme: ProgrammeWord,
    purpose: String,
}

/// How many days rows are kept after their own day.
#[derive(ToSchema)]
struct PackagePeriod {
    programme: ProgrammeWord,
    table: KindWord,
    days: u32,
}

/// The rows of a person in a table.
#[derive(ToSchema)]
struct PackageTable {
    table: KindWord,
    is_complete: bool,
    columns: Vec<PackageColumn>,
    /// By the names of the columns; one that a row lacks is left out
    rows: Vec<BTreeMap<String, Scalar>>,
}

/// What a column means.
#[derive(ToSchema)]
struct PackageColumn {
    name: String,
    meaning: String,
    /// Unit of a number
    #[schema(required = false)]
    unit: String,
    /// How many of the last digits of a number are decimal places
    #[schema(required = false)]
    decimals: u8,
}
