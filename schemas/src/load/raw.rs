//! The shape of each definition file, as written. Keys that a shape does not name are refused.
//!
//! Every value that a check may object to keeps its place in the file. Not here: what the values may be (the files
//! beside this one), and what an overlaid file may change (`overlay`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::fault::Faults;
use super::{Source, overlay};

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

/// Parses every file and merges the overlay into the embedded definitions.
pub(super) fn parse(sources: Vec<Source>, faults: &mut Faults) -> Files {
    let mut files = Files::default();
    for source in sources {
        let folder = source.name.split_once('/').map_or("", |(folder, _)| folder);
        match (folder, source.stem()) {
            ("events", _) => replace(&mut files.events, source, faults, overlay::event),
            ("programmes", _) => replace(&mut files.programmes, source, faults, overlay::programme),
            ("regions", _) => replace(&mut files.regions, source, faults, overlay::region),
            ("vendors", _) => append(&mut files.vendors, source, faults),
            ("", "common") => replace(&mut files.common, source, faults, overlay::common),
            ("", "countries") => append(&mut files.countries, source, faults),
            ("", "retention") => append(&mut files.retention, source, faults),
            _ => faults.at_file(&source.name, "is not a definition"),
        }
    }
    files
}

/// A file of the overlay takes the place of the embedded one of the same name, when it only adds.
fn replace<T: DeserializeOwned>(
    files: &mut Vec<File<T>>,
    source: Source,
    faults: &mut Faults,
    check: fn(&File<T>, &File<T>, &mut Faults),
) {
    let Some(file) = toml_file(source, faults) else {
        return;
    };
    match files.iter_mut().find(|f| f.source.name == file.source.name) {
        Some(old) => {
            check(old, &file, faults);
            *old = file;
        }
        None => files.push(file),
    }
}

/// A list: the overlay's entries come after the embedded ones, and win.
fn append<T: DeserializeOwned>(files: &mut Vec<File<T>>, source: Source, faults: &mut Faults) {
    files.extend(toml_file(source, faults));
}

fn toml_file<T: DeserializeOwned>(source: Source, faults: &mut Faults) -> Option<File<T>> {
    match toml::from_str(&source.text) {
        Ok(body) => Some(File { source, body }),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            faults.at(&source, span, error.message().trim().replace('\n', ", "));
            None
        }
    }
}
