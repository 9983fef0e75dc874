//! Programmes, regions and retention.

use crate::{Country, Kind, Programme, Region};

/// A programme and the versions of its policy under which consent counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgrammeDef {
    /// Which one.
    pub programme: Programme,
    /// What it is for, as its policy says.
    pub purpose: String,
    /// Accepted policy versions, oldest first.
    pub policy_versions: Vec<String>,
    /// Subjects younger than this are refused, in years.
    pub age_min: u8,
}

/// A storage region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionDef {
    /// Which one.
    pub region: Region,
    /// Its name in plain words.
    pub name: String,
    /// Who controls the data of most of its countries, recorded with a consent. A country may name another.
    pub controller: String,
}

/// A country, and where its people's data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryDef {
    /// Its code.
    pub country: Country,
    /// Its name in English.
    pub name: String,
    /// The storage region of its data.
    pub region: Region,
    /// The controller of its subjects, recorded with a consent.
    pub controller: String,
}

/// How long events are kept: a day is readable while `today - day <= days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Which programme.
    pub programme: Programme,
    /// Which kind.
    pub kind: Kind,
    /// Whole days after the event's own day.
    pub days: u32,
}
