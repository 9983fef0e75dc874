//! The texts of all files become their shapes; what the overlay replaces is merged in.
//!
//! Not here: the shapes (`raw`), what an overlaid file may change (`overlay`).

use serde::de::DeserializeOwned;

use super::extension;
use super::fault::Faults;
use super::overlay;
use super::raw::{File, Files};
use super::source::Source;

/// Parses every file and merges the overlay into the embedded definitions.
pub(super) fn parse(sources: Vec<Source>, faults: &mut Faults) -> Files {
    let mut files = Files::default();
    for source in sources {
        let folder = source.name.split_once('/').map_or("", |(folder, _)| folder);
        match (folder, source.stem()) {
            ("events", _) if extension::is_one(&source) => {
                if let Some(file) = toml_file(source, faults) {
                    extension::add(&mut files.events, file, faults);
                }
            }
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
