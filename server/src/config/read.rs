//! Values of the settings: the defaults, overlaid by a file, then by variables. Each value is judged by itself, so that all
//! faults are found in one run; only values that were judged good reach the typed [`Config`].
//!
//! Not here: what values must hold together (`check.rs`), or with the files they name (`surroundings.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::declare::{Kind, Setting, VARIABLE_PREFIX};
use super::faults::{ConfigError, Faults, Place};
use super::nearest::{nearest, nearest_section, nearest_variable};
use super::settings::{Config, all, find, sections};

/// Variables of the command line, which are no settings.
const OTHER_VARIABLES: [&str; 3] = ["SHOAL_CONFIG", "SHOAL_KEY", "SHOAL_URL"];

/// The values so far, where they come from, and what is wrong.
pub(super) struct Reader {
    values: Table,
    places: BTreeMap<&'static str, Place>,
    faults: Faults,
}

/// A configuration whose values are good each by itself.
pub(super) struct Read {
    pub(super) config: Config,
    pub(super) values: Table,
    places: BTreeMap<&'static str, Place>,
    pub(super) faults: Faults,
}

impl Read {
    /// Where a setting was set.
    pub(super) fn place(&self, name: &str) -> Place {
        self.places.get(name).cloned().unwrap_or_default()
    }
}

impl Reader {
    /// All defaults.
    pub(super) fn defaults() -> Reader {
        Reader { values: default_values(), places: BTreeMap::new(), faults: Faults::default() }
    }

    /// Overlays a TOML text; `path` is shown with each fault.
    pub(super) fn overlay_file(&mut self, path: &str, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let place = |span: Range<usize>| place(path, text, span);
        let mut broken_lines = BTreeSet::new();
        for error in errors {
            let at = place(error.span().unwrap_or_default());
            if let Place::File { line, .. } = &at {
                broken_lines.insert(*line);
            }
            self.faults.push(at, format!("broken TOML: {}", error.message().replace('\n', "; ")));
        }
        // What the parser made of a broken line is a guess: it would be called a second fault.
        let is_broken =
            |place: &Place| matches!(place, Place::File { line, .. } if broken_lines.contains(line));
        for (key, value) in table.get_ref() {
            let (name, at) = (key.get_ref().as_ref(), place(key.span()));
            let section = sections().find(|section| *section == name);
            match (section, value.get_ref(), find(name)) {
                (Some(section), DeValue::Table(inner), _) => {
                    for (key, value) in inner {
                        let at = place(key.span());
                        if !is_broken(&at) {
                            self.take(&format!("{section}.{}", key.get_ref()), value, at);
                        }
                    }
                }
                _ if is_broken(&at) => {}
                (Some(section), ..) => {
                    self.faults.push(at, format!("`{section}` must be a section, written `[{section}]`"));
                }
                (None, DeValue::Table(_), None) => self.faults.push(at, unknown_section(name)),
                (None, ..) => self.take(name, value, at),
            }
        }
    }

    fn take(&mut self, name: &str, value: &Spanned<DeValue<'_>>, place: Place) {
        match find(name) {
            Some(setting) => self.set(setting, plain(value.get_ref()), place),
            None => self.faults.push(place, unknown_key(name)),
        }
    }

    /// Overlays the variables `SHOAL_<SECTION>_<KEY>`. A variable that begins like those of a section, or that is nearly one of
    /// a setting, must be one; every other variable is somebody else's.
    pub(super) fn overlay_variables(&mut self, environment: impl Iterator<Item = (OsString, OsString)>) {
        for (variable, text) in environment {
            let Some(variable) = variable.to_str().filter(|v| v.starts_with(VARIABLE_PREFIX)) else {
                continue;
            };
            let place = Place::Variable(variable.to_owned());
            match (all().find(|setting| setting.variable() == variable), text.to_str()) {
                (Some(setting), Some(text)) => self.set(setting, of_variable(setting, text), place),
                (Some(setting), None) => {
                    self.faults.refuse(setting.name, place, "the value must be UTF-8");
                }
                (None, _) => {
                    if let Some(reason) = unknown_variable(variable) {
                        self.faults.push(place, reason);
                    }
                }
            }
        }
    }

    /// Notes that the file cannot be read. The variables are looked at all the same.
    pub(super) fn file_unread(&mut self, reason: String) {
        self.faults.file_unread(reason);
    }

    fn set(&mut self, setting: &'static Setting, value: Option<Value>, place: Place) {
        match value.filter(|value| is_good(setting, value)) {
            Some(value) => {
                put(&mut self.values, setting, value);
                self.places.insert(setting.name, place);
            }
            None => {
                let reason = format!("`{}` must be {}", setting.name, setting.must_be());
                self.faults.refuse(setting.name, place, reason);
            }
        }
    }

    /// The typed settings.
    ///
    /// # Errors
    /// When the values do not fit their types, which they were judged to do.
    pub(super) fn finish(self) -> Result<Read, ConfigError> {
        let values = self.values;
        let config = typed(values.clone()).map_err(|error| ConfigError(vec![error.to_string()]))?;
        Ok(Read { config, values, places: self.places, faults: self.faults })
    }
}

fn default_values() -> Table {
    let mut values: Table =
        sections().map(|section| (section.to_owned(), Value::Table(Table::new()))).collect();
    for setting in all() {
        if let Some(value) = setting.default_value() {
            put(&mut values, setting, value);
        }
    }
    values
}

/// An empty text is kept as none where a setting may have none.
fn put(values: &mut Table, setting: &Setting, value: Value) {
    let (table, key) = match setting.name.split_once('.') {
        None => (Some(values), setting.name),
        Some((section, key)) => (values.get_mut(section).and_then(Value::as_table_mut), key),
    };
    let Some(table) = table else { return };
    let is_none = value.as_str() == Some("") && setting.default_value().is_none();
    match is_none {
        true => table.remove(key),
        false => table.insert(key.to_owned(), value),
    };
}

fn typed(values: Table) -> Result<Config, toml::de::Error> {
    Value::Table(values).try_into()
}

/// Whether a value is within the bounds of its setting, and of its type.
fn is_good(setting: &Setting, value: &Value) -> bool {
    let in_bounds = match (setting.kind, value) {
        (Kind::Text(..), Value::String(text)) => !text.is_empty(),
        (Kind::Number(_, min, max), Value::Integer(number)) => (min..=max).contains(number),
        (Kind::Numbers(_, min, max), Value::Array(list)) => {
            let numbers: Option<Vec<i64>> = list.iter().map(Value::as_integer).collect();
            numbers.is_some_and(|numbers| {
                !numbers.is_empty()
                    && numbers.windows(2).all(|pair| pair[0] < pair[1])
                    && numbers.iter().all(|number| (min..=max).contains(number))
            })
        }
        (Kind::Optional(..), Value::String(_))
        | (Kind::Switch(_), Value::Boolean(_))
        | (Kind::List(..), Value::Array(_)) => true,
        _ => false,
    };
    let mut values = default_values();
    put(&mut values, setting, value.clone());
    in_bounds && typed(values).is_ok()
}

/// A value of a TOML file; `None` when no setting can have it.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Boolean(switch) => Value::Boolean(*switch),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| plain(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

/// The value that the text of a variable gives; `None` when it is none. Lists are separated by commas.
fn of_variable(setting: &Setting, text: &str) -> Option<Value> {
    let items = || text.split(',').map(str::trim);
    Some(match setting.kind {
        Kind::Text(..) | Kind::Optional(..) => Value::String(text.to_owned()),
        Kind::Number(..) => Value::Integer(text.trim().parse().ok()?),
        Kind::Switch(_) => Value::Boolean(text.trim().parse().ok()?),
        Kind::List(..) => Value::Array(items().filter(|item| !item.is_empty()).map(Value::from).collect()),
        Kind::Numbers(..) => {
            Value::Array(items().map(|item| item.parse().ok().map(Value::Integer)).collect::<Option<_>>()?)
        }
    })
}

fn unknown_key(name: &str) -> String {
    match nearest(name) {
        Some(near) => format!("unknown key `{name}`: did you mean `{near}`?"),
        None => format!("unknown key `{name}`; all keys are in shoal.example.toml"),
    }
}

fn unknown_section(name: &str) -> String {
    match nearest_section(name) {
        Some(near) => format!("unknown section `{name}`: did you mean `{near}`?"),
        None => format!("unknown section `{name}`; all sections are in shoal.example.toml"),
    }
}

/// What is wrong with a variable that is no setting's; `None` when it is somebody else's.
fn unknown_variable(variable: &str) -> Option<String> {
    if OTHER_VARIABLES.contains(&variable) {
        return None;
    }
    let name = variable.strip_prefix(VARIABLE_PREFIX)?;
    let (steps, near) = nearest_variable(variable)?;
    let is_near = steps <= name.len() / 4 + 1;
    let of_section = sections().any(|section| {
        let rest = name.to_ascii_lowercase();
        rest.strip_prefix(section).is_some_and(|rest| rest.starts_with('_'))
    });
    match (is_near, of_section) {
        (true, _) => Some(format!(
            "unknown variable `{variable}`: did you mean `{}` (`{}`)?",
            near.variable(),
            near.name
        )),
        (false, true) => Some(format!("unknown variable `{variable}`; all keys are in shoal.example.toml")),
        (false, false) => None,
    }
}

/// Line and column of the start of a span.
fn place(path: &str, text: &str, span: Range<usize>) -> Place {
    let before = text.get(..span.start.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
