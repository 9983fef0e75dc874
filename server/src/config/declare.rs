//! How a setting is declared: one entry gives its name, its type, its default, its bounds and the sentences that explain it.
//!
//! The macro [`settings!`] makes two things of a list of entries: a struct with a typed field for each, which serde reads, and
//! the table [`Setting`] from which unknown names, bounds, defaults and `shoal.example.toml` are checked.
//! Not here: the entries (`settings.rs`), how values are read (`read.rs`).

/// A setting, without its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Dotted name, as `http.listen`.
    pub(super) name: &'static str,
    /// The lines of its explanation, as they stand in `shoal.example.toml`.
    #[cfg(test)]
    pub(super) about: &'static [&'static str],
    /// Kind of value, default and bounds.
    pub(super) kind: Kind,
}

/// Kind of value, default and bounds of a setting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text that is not empty: its default, and the words that complete "must be".
    Text(&'static str, &'static str),
    /// Text that may be absent or empty: its default or an example, and the words that complete "must be".
    Optional(Suggested, &'static str),
    /// A whole number: its default, the least and the most.
    Number(i64, i64, i64),
    /// `true` or `false`: the default.
    Switch(bool),
    /// A list of texts: its default, and the words that complete "must be".
    List(&'static [&'static str], &'static str),
    /// Ascending whole numbers, at least one: their defaults, the least and the most.
    Numbers(&'static [i64], i64, i64),
}

/// What the example file shows for a text that may be absent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Suggested {
    /// This text, which is the default.
    Default(&'static str),
    /// This text, in a comment: by default there is none.
    Example(&'static str),
}

impl Setting {
    /// The environment variable that overrides it.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// Its default, when it has one.
    pub(super) fn default_value(&self) -> Option<toml::Value> {
        let texts = |list: &[&str]| list.iter().map(|text| toml::Value::from(*text)).collect();
        Some(match self.kind {
            Kind::Text(text, _) | Kind::Optional(Suggested::Default(text), _) => text.into(),
            Kind::Optional(Suggested::Example(_), _) => return None,
            Kind::Number(number, ..) => number.into(),
            Kind::Switch(switch) => switch.into(),
            Kind::List(list, _) => toml::Value::Array(texts(list)),
            Kind::Numbers(list, ..) => toml::Value::Array(list.iter().copied().map(Into::into).collect()),
        })
    }

    /// The words that complete "must be".
    pub(super) fn must_be(&self) -> String {
        match self.kind {
            Kind::Optional(Suggested::Example(text), words) => format!("{words}, as `{text}`"),
            Kind::Text(_, words) | Kind::Optional(_, words) | Kind::List(_, words) => words.to_owned(),
            Kind::Number(_, min, max) => format!("a whole number from {min} to {max}"),
            Kind::Switch(_) => "true or false".to_owned(),
            Kind::Numbers(_, min, max) => {
                format!(
                    "a list of whole numbers from {min} to {max}, at least one, each larger than the one before it"
                )
            }
        }
    }
}

/// With what the variables of settings begin.
pub(super) const VARIABLE_PREFIX: &str = "SHOAL_";

/// Declares one section: a struct that serde reads, and its table of settings. The block `with` holds fields that are no
/// settings themselves.
macro_rules! settings {
    (
        $(#[doc = $section_about:literal])+
        $section:ident named $prefix:literal {
            $(
                $(#[doc = $about:literal])+
                $(#[serde $serde:tt])?
                $key:ident: $type:ty = $kind:expr;
            )+
        }
        $(with { $($others:tt)+ })?
    ) => {
        $(#[doc = $section_about])+
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $section {
            $(
                $(#[doc = $about])+
                $(#[serde $serde])?
                pub $key: $type,
            )+
            $($($others)+)?
        }

        impl $section {
            pub(super) const SETTINGS: &'static [Setting] = &[
                $(
                    Setting {
                        name: concat!($prefix, stringify!($key)),
                        #[cfg(test)]
                        about: &[$($about),+],
                        kind: $kind,
                    },
                )+
            ];
        }
    };
}

pub(super) use settings;
