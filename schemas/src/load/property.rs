//! What a property may say: which keys go with which type and class, and their ranges.
//!
//! Not here: whether two events agree about a property (`table_columns`), and evolution (`overlay`).

use std::ops::Range;

use toml::Spanned;

use super::fault::{Faults, unknown};
use super::raw;
use super::source::Source;
use crate::{Class, Domain, IdentifierKind, Measure, PropertyDef, ValueType};

/// Longest text a property may hold, in bytes. A stack trace of a hundred frames fits.
const TEXT_BYTES_MAX: i64 = 65_536;
/// Longest value of a dimension, in bytes: a name, not a sentence.
const DIMENSION_BYTES_MAX: i64 = 256;
/// Decimal places of a measure.
const SCALE_MAX: i64 = 6;
/// Largest magnitude of a bound, in units of 10^-scale: the sum over a million subjects stays far inside an i64.
const BOUND_MAX: i64 = 1_000_000_000_000;
/// Most values of a listed domain: an answer shows every one of them.
const VALUES_MAX: usize = 512;
/// Most keys of one subject's day.
const KEYS_MAX: i64 = 1_000;
/// What a type, a class and a domain are called.
const TYPES: &[&str] = &["text", "number", "boolean", "frames"];
const CLASSES: &[&str] = &["identifier", "dimension", "measure", "text", "location", "drop"];
const DOMAINS: &[&str] = &["listed", "private"];

/// Whether a word is one of those that there are; a fault that names them when it is none.
fn is_one_of(
    source: &Source,
    word: &Spanned<String>,
    what: &str,
    known: &[&str],
    faults: &mut Faults,
) -> bool {
    let found = word.get_ref().as_str();
    let is_known = known.contains(&found);
    if !is_known {
        faults.at(source, word.span(), unknown(what, found, known));
    }
    is_known
}

/// A name of an event, a property or a column: `[a-z][a-z0-9_]{0,63}`.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && text.len() <= 64
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A number within a range, or a fault. The smallest value on a fault, so that checking goes on.
pub(super) fn within(
    source: &Source,
    value: &Spanned<i64>,
    range: std::ops::RangeInclusive<i64>,
    what: &str,
    faults: &mut Faults,
) -> i64 {
    let (found, min, max) = (*value.get_ref(), *range.start(), *range.end());
    if range.contains(&found) {
        return found;
    }
    let reason = format!("{what} is {found}; it must be from {min} to {max}");
    faults.at(source, value.span(), reason);
    min
}

/// A sentence: present, one line.
pub(super) fn sentence(source: &Source, text: &Spanned<String>, faults: &mut Faults) -> String {
    let trimmed = text.get_ref().trim();
    if trimmed.is_empty() || trimmed.len() > 1_000 || trimmed.contains(char::is_control) {
        faults.at(source, text.span(), "must be a sentence on one line");
    }
    trimmed.to_owned()
}

/// The values of a listed domain: some, each once, each printable.
pub(super) fn values(
    source: &Source,
    list: &Spanned<Vec<Spanned<String>>>,
    faults: &mut Faults,
) -> Vec<String> {
    let items = list.get_ref();
    if items.is_empty() || items.len() > VALUES_MAX {
        let reason = format!("a listed domain has from 1 to {VALUES_MAX} values");
        faults.at(source, list.span(), reason);
    }
    let mut out: Vec<String> = Vec::new();
    for item in items.iter().take(VALUES_MAX) {
        let text = item.get_ref();
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        if text.trim() != text || text.is_empty() || text.contains(char::is_control) {
            faults.at(source, item.span(), "a value is printable text without spaces around it");
        } else if length > DIMENSION_BYTES_MAX {
            let reason = format!("a value is at most {DIMENSION_BYTES_MAX} bytes long");
            faults.at(source, item.span(), reason);
        } else if out.contains(text) {
            faults.at(source, item.span(), format!("value `{text}` is listed twice"));
        }
        out.push(text.clone());
    }
    out
}

/// Checks one property. `None` when nothing can be made of it.
pub(super) fn property(
    source: &Source,
    name: &Spanned<String>,
    raw: &Spanned<raw::Property>,
    faults: &mut Faults,
) -> Option<PropertyDef> {
    let check = Check { source, raw: raw.get_ref(), place: name.span() };
    if !is_name(name.get_ref()) {
        let reason =
            format!("property name `{}` must match [a-z][a-z0-9_]{{0,63}}", name.get_ref().escape_debug());
        faults.at(source, name.span(), reason);
    }
    let doc = sentence(source, &check.raw.doc, faults);
    let is_type = is_one_of(source, &check.raw.ty, "type", TYPES, faults);
    if !is_one_of(source, &check.raw.class, "class", CLASSES, faults) || !is_type {
        return None;
    }
    check.keys(faults);
    let (class, bounds) = check.class(faults)?;
    let ty = check.ty(&class, faults)?;
    if check.raw.required && matches!(class, Class::Drop) {
        faults.at(source, name.span(), "a property that is dropped cannot be required");
    }
    Some(PropertyDef {
        name: name.get_ref().clone(),
        doc,
        ty,
        class,
        bounds,
        required: check.raw.required,
        column: None,
    })
}

/// One property under check.
struct Check<'a> {
    source: &'a Source,
    raw: &'a raw::Property,
    place: Range<usize>,
}

impl Check<'_> {
    /// Refuses keys that mean nothing for this type and class: they would look as if they had an effect.
    fn keys(&self, faults: &mut Faults) {
        let raw = self.raw;
        let (ty, class) = (raw.ty.get_ref().as_str(), raw.class.get_ref().as_str());
        let number = ty == "number";
        let grouped = class == "dimension";
        let spans = [
            ("bytes_max", ty == "text" && raw.values.is_none(), raw.bytes_max.as_ref().map(Spanned::span)),
            ("scale", number && !grouped, raw.scale.as_ref().map(Spanned::span)),
            ("min", number, raw.min.as_ref().map(Spanned::span)),
            ("max", number, raw.max.as_ref().map(Spanned::span)),
            ("unit", class == "measure", raw.unit.as_ref().map(Spanned::span)),
            ("day_sum_max", class == "measure", raw.day_sum_max.as_ref().map(Spanned::span)),
            ("domain", grouped && ty == "text", raw.domain.as_ref().map(Spanned::span)),
            ("values", grouped && ty == "text", raw.values.as_ref().map(Spanned::span)),
            ("keys_max", grouped || ty == "frames", raw.keys_max.as_ref().map(Spanned::span)),
            ("identifier", class == "identifier", raw.identifier.as_ref().map(Spanned::span)),
        ];
        for (key, allowed, span) in spans {
            if let (false, Some(span)) = (allowed, span) {
                let reason = format!("`{key}` has no meaning for type `{ty}` with class `{class}`");
                faults.at(self.source, span, reason);
            }
        }
    }

    /// A key that this class cannot do without.
    fn need<'a, T>(
        &self,
        value: Option<&'a Spanned<T>>,
        key: &str,
        faults: &mut Faults,
    ) -> Option<&'a Spanned<T>> {
        if value.is_none() {
            let (ty, class) = (self.raw.ty.get_ref(), self.raw.class.get_ref());
            let reason = format!("`{key}` is missing: type `{ty}` with class `{class}` needs it");
            faults.at(self.source, self.place.clone(), reason);
        }
        value
    }

    /// The class, and the bounds of a number in units of 10^-scale.
    fn class(&self, faults: &mut Faults) -> Option<(Class, Option<(i64, i64)>)> {
        let ty = self.raw.ty.get_ref().as_str();
        let class = self.raw.class.get_ref().as_str();
        match (class, ty) {
            ("identifier", "text") => Some((self.identifier(faults)?, None)),
            ("dimension", "text" | "boolean") => Some((self.dimension(faults)?, None)),
            ("dimension", "number") => {
                let bounds = self.bounds(faults)?;
                Some((self.dimension(faults)?, Some(bounds)))
            }
            ("measure", "number") => self.measure(faults).map(|(m, b)| (Class::Measure(m), Some(b))),
            ("location", "number") => Some((Class::Location, Some(self.bounds(faults)?))),
            ("text", "text" | "frames") => Some((Class::Text, None)),
            ("location", "text") => Some((Class::Location, None)),
            ("drop", "text" | "number" | "boolean") => Some((Class::Drop, None)),
            _ => {
                let reason = format!("class `{class}` does not go with type `{ty}`");
                faults.at(self.source, self.raw.class.span(), reason);
                None
            }
        }
    }

    fn identifier(&self, faults: &mut Faults) -> Option<Class> {
        let text = self.need(self.raw.identifier.as_ref(), "identifier", faults)?;
        let names: Vec<_> = IdentifierKind::ALL.iter().map(|k| k.as_str()).collect();
        is_one_of(self.source, text, "kind of identifier", &names, faults);
        IdentifierKind::parse(text.get_ref()).map(Class::Identifier)
    }

    fn dimension(&self, faults: &mut Faults) -> Option<Class> {
        let keys = self.need(self.raw.keys_max.as_ref(), "keys_max", faults)?;
        let keys_max = within(self.source, keys, 1..=KEYS_MAX, "keys_max", faults);
        let domain = match self.raw.ty.get_ref().as_str() {
            "boolean" => Domain::Listed(vec!["false".to_owned(), "true".to_owned()]),
            "number" => Domain::Private,
            _ => {
                let domain = self.need(self.raw.domain.as_ref(), "domain", faults)?;
                domain_of(self.source, domain, self.raw.values.as_ref(), faults)?
            }
        };
        let keys_max = cap_keys(self.source, keys, keys_max, &domain, faults);
        Some(Class::Dimension { domain, keys_max })
    }

    fn measure(&self, faults: &mut Faults) -> Option<(Measure, (i64, i64))> {
        let unit = self.need(self.raw.unit.as_ref(), "unit", faults)?;
        let (min, max) = self.bounds(faults)?;
        let day = self.need(self.raw.day_sum_max.as_ref(), "day_sum_max", faults)?;
        let (scale, factor) = self.scale(faults);
        let day_sum_max = within(self.source, day, 1..=BOUND_MAX / factor, "day_sum_max", faults);
        if unit.get_ref().is_empty() || unit.get_ref().len() > 16 || !unit.get_ref().is_ascii() {
            faults.at(self.source, unit.span(), "a unit is 1 to 16 ASCII characters, `1` for a count");
        }
        let measure =
            Measure { unit: unit.get_ref().clone(), scale, min, max, day_sum_max: day_sum_max * factor };
        Some((measure, (min, max)))
    }

    /// `min` and `max`, written in whole units, in units of 10^-scale.
    fn bounds(&self, faults: &mut Faults) -> Option<(i64, i64)> {
        let min = self.need(self.raw.min.as_ref(), "min", faults);
        let max = self.need(self.raw.max.as_ref(), "max", faults);
        let (min, max) = (min?, max?);
        let (_, factor) = self.scale(faults);
        let limit = BOUND_MAX / factor;
        let low = within(self.source, min, -limit..=limit, "min", faults);
        let high = within(self.source, max, -limit..=limit, "max", faults);
        if min.get_ref() >= max.get_ref() {
            let reason = format!("bounds are reversed: min {low} is not below max {high}");
            faults.at(self.source, min.span(), reason);
        }
        Some((low * factor, high * factor))
    }

    /// The scale and 10^scale.
    fn scale(&self, faults: &mut Faults) -> (u8, i64) {
        let scale = self
            .raw
            .scale
            .as_ref()
            .map_or(0, |scale| within(self.source, scale, 0..=SCALE_MAX, "scale", faults));
        let scale = u8::try_from(scale).unwrap_or(0);
        (scale, 10_i64.pow(u32::from(scale)))
    }

    fn ty(&self, class: &Class, faults: &mut Faults) -> Option<ValueType> {
        match self.raw.ty.get_ref().as_str() {
            "text" => Some(ValueType::Text { bytes_max: self.bytes_max(class, faults)? }),
            "number" => Some(ValueType::Number { scale: self.scale(faults).0 }),
            "boolean" => Some(ValueType::Boolean),
            _ => Some(ValueType::Frames),
        }
    }

    /// The longest value: of a listed domain, its longest; of a dropped property, anything.
    fn bytes_max(&self, class: &Class, faults: &mut Faults) -> Option<u32> {
        let limit = match class {
            Class::Dimension { domain: Domain::Listed(values), .. } => {
                let longest = values.iter().map(String::len).max().unwrap_or(1);
                return u32::try_from(longest).ok();
            }
            Class::Drop => return u32::try_from(TEXT_BYTES_MAX).ok(),
            Class::Dimension { .. } | Class::Identifier(_) => DIMENSION_BYTES_MAX,
            _ => TEXT_BYTES_MAX,
        };
        let bytes = self.need(self.raw.bytes_max.as_ref(), "bytes_max", faults)?;
        u32::try_from(within(self.source, bytes, 1..=limit, "bytes_max", faults)).ok()
    }
}

/// `private`, or `listed` with its values.
pub(super) fn domain_of(
    source: &Source,
    domain: &Spanned<String>,
    list: Option<&Spanned<Vec<Spanned<String>>>>,
    faults: &mut Faults,
) -> Option<Domain> {
    match (domain.get_ref().as_str(), list) {
        ("listed", Some(list)) => Some(Domain::Listed(values(source, list, faults))),
        ("private", None) => Some(Domain::Private),
        ("listed", None) => {
            faults.at(source, domain.span(), "a listed domain needs `values`");
            None
        }
        ("private", Some(list)) => {
            faults.at(source, list.span(), "a private domain has no `values`");
            None
        }
        _ => {
            is_one_of(source, domain, "domain", DOMAINS, faults);
            None
        }
    }
}

/// A subject cannot have more keys than there are.
pub(super) fn cap_keys(
    source: &Source,
    place: &Spanned<i64>,
    keys_max: i64,
    domain: &Domain,
    faults: &mut Faults,
) -> u32 {
    if let Domain::Listed(values) = domain {
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        if keys_max > count {
            let reason = format!("keys_max is {keys_max}, but only {count} values are listed");
            faults.at(source, place.span(), reason);
        }
    }
    u32::try_from(keys_max).unwrap_or(1)
}
