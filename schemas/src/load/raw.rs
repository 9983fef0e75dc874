//! The shape of each definition file, as written. Keys that a shape does not name are refused.
//!
//! Every value that a check may object to keeps its place in the file. Not here: what the values may be (the files
//! beside this one), how a file is read into its shape (`parse`).

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::source::Source;

/// A parsed file and where it was read from.
#[derive(Clone, Debug)]
pub(super) struct File<T> {
    pub(super) source: Source,
    pub(super) body: T,
}

/// All files, the overlay already merged in: one file for each name, except for lists, where the overlay's file
/// follows the embedded one.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) common: Vec<File<Common>>,
    pub(super) events: Vec<File<Event>>,
    pub(super) programmes: Vec<File<Programme>>,
    pub(super) regions: Vec<File<Region>>,
    pub(super) countries: Vec<File<Countries>>,
    pub(super) retention: Vec<File<RetentionList>>,
    pub(super) vendors: Vec<File<Vendor>>,
}

/// `common.toml`: the columns that every table has and an analyst may group by.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Common {
    pub(super) columns: BTreeMap<Spanned<String>, Spanned<CommonColumn>>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommonColumn {
    pub(super) doc: Spanned<String>,
    pub(super) domain: Spanned<String>,
    pub(super) values: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) keys_max: Spanned<i64>,
}

/// `events/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) name: Spanned<String>,
    pub(super) kind: Spanned<String>,
    pub(super) programme: Spanned<String>,
    pub(super) doc: Spanned<String>,
    pub(super) day_max: Spanned<i64>,
    #[serde(default)]
    pub(super) properties: BTreeMap<Spanned<String>, Spanned<Property>>,
    #[serde(default)]
    pub(super) pass: Vec<Example>,
    #[serde(default)]
    pub(super) fail: Vec<FailExample>,
}

/// `events/*.toml` of an overlay that adds to a known event and repeats nothing of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extension {
    pub(super) extends: Spanned<String>,
    #[serde(default)]
    pub(super) properties: BTreeMap<Spanned<String>, Spanned<Property>>,
    #[serde(default)]
    pub(super) pass: Vec<Example>,
    #[serde(default)]
    pub(super) fail: Vec<FailExample>,
}

/// One property; which keys go with which class is for `property` to say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Property {
    pub(super) doc: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) ty: Spanned<String>,
    pub(super) class: Spanned<String>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) bytes_max: Option<Spanned<i64>>,
    pub(super) scale: Option<Spanned<i64>>,
    pub(super) unit: Option<Spanned<String>>,
    pub(super) min: Option<Spanned<i64>>,
    pub(super) max: Option<Spanned<i64>>,
    pub(super) day_sum_max: Option<Spanned<i64>>,
    pub(super) domain: Option<Spanned<String>>,
    pub(super) values: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) keys_max: Option<Spanned<i64>>,
    pub(super) identifier: Option<Spanned<String>>,
}

/// A native event that must be accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    pub(super) json: Spanned<String>,
}

/// A native event that must be rejected with this code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailExample {
    pub(super) code: Spanned<String>,
    pub(super) json: Spanned<String>,
}

/// `programmes/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Programme {
    pub(super) programme: Spanned<String>,
    pub(super) purpose: Spanned<String>,
    pub(super) policy_versions: Spanned<Vec<Spanned<String>>>,
    pub(super) age_min: Spanned<i64>,
}

/// `regions/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Region {
    pub(super) region: Spanned<String>,
    pub(super) name: Spanned<String>,
    pub(super) controller: Spanned<String>,
}

/// `countries.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Countries {
    pub(super) countries: BTreeMap<Spanned<String>, Spanned<Country>>,
}

/// One country.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Country {
    pub(super) name: Spanned<String>,
    pub(super) region: Spanned<String>,
    pub(super) controller: Option<Spanned<String>>,
}

/// `retention.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionList {
    pub(super) retention: Vec<Spanned<Retention>>,
}

/// One period.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) programme: Spanned<String>,
    pub(super) kind: Spanned<String>,
    pub(super) days: Spanned<i64>,
}

/// `vendors/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vendor {
    pub(super) protocol: Spanned<String>,
    pub(super) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    #[serde(default)]
    pub(super) properties: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) constants: BTreeMap<Spanned<String>, Spanned<String>>,
}
