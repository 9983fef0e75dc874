//! The files that definitions are read from: those embedded in the binary, and those of an overlay directory.
//!
//! Invariants: names are relative to the root of the definitions and use `/`; an overlay's size, number of files and
//! depth are bounded; files come in the order of their names, so that loading is deterministic.

use std::io::Read;
use std::path::Path;

use super::fault::Faults;
use super::source::Source;

/// A definition file is a page of text; anything larger is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files in one folder; many times what a large organisation would declare.
const FILES_MAX: usize = 2_000;
/// The folders of the layout.
pub(super) const FOLDERS: [&str; 4] = ["events", "programmes", "regions", "vendors"];
/// The files of the layout's root.
pub(super) const ROOT_FILES: [&str; 3] = ["common.toml", "countries.toml", "retention.toml"];
/// Name and text of each file of `defs/`, in the order of the names; `build.rs` lists them.
const EMBEDDED: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/definitions.rs"));

/// The files in the binary.
pub(super) fn embedded() -> Vec<Source> {
    EMBEDDED
        .iter()
        .map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned(), is_overlay: false })
        .collect()
}

/// The files of an operator's directory, by name. Names that start with a dot (editors, mounted config maps) and
/// `README.md` are passed over; any other file that is not of the layout is a fault, since it would have no effect.
pub(super) fn directory(root: &Path, faults: &mut Faults) -> Vec<Source> {
    let mut names = Vec::new();
    list(root, "", &mut names, faults);
    for folder in FOLDERS {
        if root.join(folder).is_dir() {
            list(&root.join(folder), folder, &mut names, faults);
        }
    }
    names.sort();
    names.into_iter().filter_map(|name| read(root, name, faults)).collect()
}

/// Adds the names of the definition files of one folder.
fn list(dir: &Path, folder: &str, names: &mut Vec<String>, faults: &mut Faults) {
    let shown = if folder.is_empty() { "." } else { folder };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return faults.at_file(shown, format!("cannot be read: {}", error.kind())),
    };
    for (count, entry) in entries.enumerate() {
        if count >= FILES_MAX {
            return faults.at_file(shown, format!("holds more than {FILES_MAX} files"));
        }
        let name = match entry {
            Ok(entry) => entry.file_name(),
            Err(error) => return faults.at_file(shown, format!("cannot be read: {}", error.kind())),
        };
        let Some(name) = name.to_str() else {
            faults.at_file(shown, "holds a file whose name is not UTF-8");
            continue;
        };
        if name.starts_with('.') || name == "README.md" {
            continue;
        }
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let known_folder = folder.is_empty() && FOLDERS.contains(&name);
        let wanted = if folder.is_empty() { ROOT_FILES.contains(&name) } else { name.ends_with(".toml") };
        let path_on_disk = dir.join(name);
        if wanted && path_on_disk.is_file() {
            names.push(path);
        } else if !(known_folder && path_on_disk.is_dir()) {
            faults.at_file(
                &path,
                "is not a definition: expected common.toml, countries.toml, retention.toml, or a .toml file in events, programmes, regions or vendors",
            );
        }
    }
}

/// Reads one file, bounded.
fn read(root: &Path, name: String, faults: &mut Faults) -> Option<Source> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(root.join(&name));
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        faults.at_file(&name, format!("cannot be read: {}", error.kind()));
        return None;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        faults.at_file(&name, format!("is larger than {FILE_BYTES_MAX} bytes"));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(Source { name, text, is_overlay: true }),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
            faults.at_file(&name, format!("line {line} is not UTF-8"));
            None
        }
    }
}
