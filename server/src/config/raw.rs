//! Values of the declared keys before they are checked against each other: defaults, overlaid by a file and by variables.

use std::collections::BTreeMap;

use super::ConfigError;
use super::declared::{DECLARED, DeclaredKey, DefaultValue, nearest};

/// A value of the type its key declares.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
    Numbers(Vec<i64>),
}

/// Values by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    values: BTreeMap<&'static str, Value>,
}

impl Raw {
    /// All defaults.
    pub fn defaults() -> Raw {
        let value = |k: &DeclaredKey| match k.default {
            DefaultValue::Text(text) => Some(Value::Text(text.to_owned())),
            DefaultValue::Unset => None,
            DefaultValue::Number(number, _, _) => Some(Value::Number(number)),
            DefaultValue::Switch(switch) => Some(Value::Switch(switch)),
            DefaultValue::Numbers(list, _, _) => Some(Value::Numbers(list.to_vec())),
            DefaultValue::List(list) => Some(Value::List(list.iter().map(|t| (*t).to_owned()).collect())),
        };
        Raw { values: DECLARED.iter().filter_map(|k| Some((k.name, value(k)?))).collect() }
    }

    /// The defaults overlaid by a TOML text.
    ///
    /// # Errors
    /// Bad TOML with its place, unknown keys with the nearest one, values of the wrong type.
    pub fn parse(text: &str) -> Result<Raw, ConfigError> {
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| ConfigError(vec![e.to_string().trim().to_owned()]))?;
        let mut raw = Raw::defaults();
        let mut wrong = Vec::new();
        raw.take_table("", table, &mut wrong);
        if wrong.is_empty() { Ok(raw) } else { Err(ConfigError(wrong)) }
    }

    fn take_table(&mut self, prefix: &str, table: toml::Table, wrong: &mut Vec<String>) {
        for (name, value) in table {
            let full = format!("{prefix}{name}");
            match (value, DECLARED.iter().find(|k| k.name == full)) {
                (value, Some(key)) => {
                    if let Err(reason) = from_toml(key, value).map(|v| self.values.insert(key.name, v)) {
                        wrong.push(reason);
                    }
                }
                (toml::Value::Table(inner), None) if prefix.is_empty() && is_section(&full) => {
                    self.take_table(&format!("{full}."), inner, wrong);
                }
                (_, None) => wrong.push(unknown("key", &full, &full)),
            }
        }
    }

    /// Overlays variables `SHOAL_<KEY>`. Variables of no section (`SHOAL_KEY`, `SHOAL_URL`) are none of the configuration's.
    ///
    /// # Errors
    /// Unknown variables of a section, and values of the wrong type.
    pub fn overlay(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        for (variable, text) in environment.filter(|(v, _)| v.starts_with("SHOAL_")) {
            match DECLARED.iter().find(|k| k.variable() == variable) {
                Some(key) => {
                    if let Err(reason) = from_text(key, &text).map(|v| self.values.insert(key.name, v)) {
                        wrong.push(format!("{variable}: {reason}"));
                    }
                }
                None => {
                    let name = variable["SHOAL_".len()..].to_ascii_lowercase();
                    if let Some((section, rest)) = name.split_once('_').filter(|(s, _)| is_section(s)) {
                        wrong.push(unknown("variable", &variable, &format!("{section}.{rest}")));
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError(wrong)) }
    }

    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A number; its bounds were checked when it was read.
    pub(super) fn number<N: TryFrom<i64> + std::default::Default>(&self, name: &'static str) -> N {
        match self.values.get(name) {
            Some(Value::Number(number)) => N::try_from(*number).unwrap_or_default(),
            _ => N::default(),
        }
    }

    pub(super) fn switch(&self, name: &'static str) -> bool {
        matches!(self.values.get(name), Some(Value::Switch(true)))
    }

    /// Ascending numbers; their bounds were checked when they were read.
    pub(super) fn numbers<N: TryFrom<i64>>(&self, name: &'static str) -> Vec<N> {
        match self.values.get(name) {
            Some(Value::Numbers(list)) => list.iter().filter_map(|n| N::try_from(*n).ok()).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::List(list)) => list.clone(),
            _ => Vec::new(),
        }
    }
}

fn is_section(name: &str) -> bool {
    DECLARED.iter().any(|k| k.name.split_once('.').is_some_and(|(section, _)| section == name))
}

fn unknown(what: &str, shown: &str, name: &str) -> String {
    match nearest(name) {
        Some(near) => format!("unknown {what} `{shown}`: did you mean `{near}`?"),
        None => format!("unknown {what} `{shown}`; all keys are in shoal.example.toml"),
    }
}

fn from_toml(key: &DeclaredKey, value: toml::Value) -> Result<Value, String> {
    let value = match (key.default, value) {
        (DefaultValue::Text(_) | DefaultValue::Unset, toml::Value::String(text)) => Value::Text(text),
        (DefaultValue::Number(..), toml::Value::Integer(number)) => Value::Number(number),
        (DefaultValue::Switch(_), toml::Value::Boolean(switch)) => Value::Switch(switch),
        (DefaultValue::List(_), toml::Value::Array(items)) => {
            let texts = items.iter().map(|i| i.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            Value::List(texts.ok_or_else(|| format!("`{}` must be a list of texts", key.name))?)
        }
        (DefaultValue::Numbers(..), toml::Value::Array(items)) => {
            let numbers = items.iter().map(toml::Value::as_integer).collect::<Option<Vec<_>>>();
            Value::Numbers(
                numbers.ok_or_else(|| format!("`{}` must be {}", key.name, type_name(key.default)))?,
            )
        }
        _ => return Err(format!("`{}` must be {}", key.name, type_name(key.default))),
    };
    in_bounds(key, value)
}

fn from_text(key: &DeclaredKey, text: &str) -> Result<Value, String> {
    let wrong = || format!("`{}` must be {}", key.name, type_name(key.default));
    let value = match key.default {
        DefaultValue::Text(_) | DefaultValue::Unset => Value::Text(text.to_owned()),
        DefaultValue::Number(..) => Value::Number(text.trim().parse().map_err(|_| wrong())?),
        DefaultValue::Switch(_) => Value::Switch(text.trim().parse().map_err(|_| wrong())?),
        DefaultValue::List(_) => {
            let items = text.split(',').map(str::trim).filter(|t| !t.is_empty());
            Value::List(items.map(str::to_owned).collect())
        }
        DefaultValue::Numbers(..) => {
            let items = text.split(',').map(|item| item.trim().parse().map_err(|_| wrong()));
            Value::Numbers(items.collect::<Result<_, _>>()?)
        }
    };
    in_bounds(key, value)
}

fn in_bounds(key: &DeclaredKey, value: Value) -> Result<Value, String> {
    if let (DefaultValue::Number(_, min, max), Value::Number(number)) = (key.default, &value)
        && !(min..=max).contains(number)
    {
        return Err(format!("`{}` must be from {min} to {max}", key.name));
    }
    if let (DefaultValue::Numbers(_, min, max), Value::Numbers(list)) = (key.default, &value) {
        if list.is_empty() || list.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "`{}` must be at least one number, each larger than the one before it",
                key.name
            ));
        }
        if list.iter().any(|number| !(min..=max).contains(number)) {
            return Err(format!("the numbers of `{}` must be from {min} to {max}", key.name));
        }
    }
    Ok(value)
}

const fn type_name(default: DefaultValue) -> &'static str {
    match default {
        DefaultValue::Text(_) | DefaultValue::Unset => "a text",
        DefaultValue::Number(..) => "a whole number",
        DefaultValue::Switch(_) => "true or false",
        DefaultValue::List(_) => "a list of texts",
        DefaultValue::Numbers(..) => "a list of whole numbers",
    }
}
