//! One value against the definition of its property.
//!
//! Invariants: a number comes out as an integer of units of 10^-scale within its bounds; a listed value is the
//! registry's own text; every text says what the scrub stage owes it. Native events are strict; in vendors' events what can
//! be read in only one way is read so (numbers as text, letter case of listed values, long free text is cut).
//! A value that is a path or an address, of any protocol, becomes its template here.
//! Not here: how a template is made (`shoal_privacy::route`), which properties an event has (`validate.rs`).

use std::borrow::Cow;

use shoal_privacy::route;
use shoal_schemas::{Class, Domain, PropertyDef, ValueType};

use crate::{
    answer::{Code, Rejection},
    stages::frames::cut,
    wire::json::Json,
};

/// A device's name is given by its owner and often is a person's, which no pattern can tell. Kept only when it is the
/// model's own name; dropped and counted otherwise.
const OWN_NAME: &str = "device_name";

/// Properties whose values are paths or addresses whenever they have a slash or a query. Of others only a value that begins
/// like one is taken for one: `java/lang/Error` is none.
const PATHS: &[&str] =
    &["endpoint", "href", "link", "location", "page", "path", "referrer", "route", "screen", "uri", "url"];

/// Marks a value that is dropped: no table has so many columns.
pub(crate) const DROPPED: u16 = u16::MAX;

/// What the scrub stage owes a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing: one of the listed values.
    Listed,
    /// Dropped when it holds anything that a pattern matches.
    Dimension,
    /// What a pattern matches is replaced.
    Text,
    /// Kept only when it equals the model's name.
    OwnName,
}

/// A value that its definition allows. No `Debug`: it is not scrubbed.
pub(crate) enum Checked<'a> {
    Text(Cow<'a, str>, Care),
    Integer(i64),
    Boolean(bool),
}

/// Checks a value that is not null, of a property with a column.
pub(crate) fn check<'a>(
    def: &'a PropertyDef,
    value: Json<'a>,
    strict: bool,
) -> Result<Checked<'a>, Rejection> {
    if matches!(value, Json::Beyond) {
        return Err(Rejection::property(Code::TooLong, &def.name, "longer or deeper than any value may be"));
    }
    match def.ty {
        ValueType::Text { bytes_max } => text(def, value, bytes_max as usize, strict),
        ValueType::Number { scale } => number(def, &value, scale, strict).map(Checked::Integer),
        ValueType::Boolean => match value {
            Json::Boolean(flag) => Ok(Checked::Boolean(flag)),
            _ => Err(wrong_type(def, "must be true or false")),
        },
        ValueType::Frames => Err(wrong_type(def, "must be a list of frames")),
    }
}

fn wrong_type(def: &PropertyDef, reason: &'static str) -> Rejection {
    Rejection::property(Code::WrongType, &def.name, reason)
}

fn text<'a>(
    def: &'a PropertyDef,
    value: Json<'a>,
    bytes_max: usize,
    strict: bool,
) -> Result<Checked<'a>, Rejection> {
    let text = match value {
        Json::Text(text) => text,
        Json::Integer(number) if !strict => Cow::Owned(number.to_string()),
        Json::Unsigned(number) if !strict => Cow::Owned(number.to_string()),
        _ => return Err(wrong_type(def, "must be a string")),
    };
    let care = match &def.class {
        Class::Dimension { domain: Domain::Listed(values), .. } => {
            let exact = values.iter().find(|v| **v == *text);
            let found =
                exact.or_else(|| values.iter().find(|v| !strict && v.eq_ignore_ascii_case(text.trim())));
            return match found {
                Some(listed) => Ok(Checked::Text(Cow::Borrowed(listed), Care::Listed)),
                None => Err(Rejection::property(Code::NotListed, &def.name, "not one of the listed values")),
            };
        }
        Class::Dimension { .. } => Care::Dimension,
        _ if def.name == OWN_NAME => Care::OwnName,
        _ => Care::Text,
    };
    let text = match care {
        Care::Dimension => template(&def.name, text),
        _ => text,
    };
    if text.len() <= bytes_max {
        return Ok(Checked::Text(text, care));
    }
    if !strict && care == Care::Text {
        return Ok(Checked::Text(cut(text, bytes_max), care));
    }
    Err(Rejection::property(Code::TooLong, &def.name, format!("longer than {bytes_max} bytes")))
}

/// The value of a dimension, without what a path in it names.
pub(crate) fn template<'a>(name: &str, text: Cow<'a, str>) -> Cow<'a, str> {
    if !PATHS.contains(&name) && !route::is_path(&text) {
        return text;
    }
    match route::template(&text) {
        Cow::Owned(template) => Cow::Owned(template),
        Cow::Borrowed(_) => text,
    }
}

fn number(def: &PropertyDef, value: &Json<'_>, scale: u8, strict: bool) -> Result<i64, Rejection> {
    let unit = 10_i64.checked_pow(u32::from(scale)).unwrap_or(i64::MAX);
    let scaled = match value {
        Json::Integer(number) => number.checked_mul(unit),
        Json::Unsigned(number) => fixed(def, *number as f64, unit)?,
        Json::Float(number) => fixed(def, *number, unit)?,
        Json::Text(text) if !strict => match text.trim().parse::<f64>() {
            Ok(number) => fixed(def, number, unit)?,
            Err(_) => return Err(wrong_type(def, "must be a number")),
        },
        _ => return Err(wrong_type(def, "must be a number")),
    };
    let (min, max) = def.bounds.unwrap_or((i64::MIN, i64::MAX));
    match scaled {
        Some(number) if (min..=max).contains(&number) => Ok(number),
        _ => {
            let reason = format!("outside {} to {}", decimal(min, scale), decimal(max, scale));
            Err(Rejection::property(Code::OutOfBounds, &def.name, reason))
        }
    }
}

/// Rounds to whole units; none when out of range. A dimension counts or codes something: it has no fraction to lose.
fn fixed(def: &PropertyDef, number: f64, unit: i64) -> Result<Option<i64>, Rejection> {
    let scaled = number * unit as f64;
    let rounded = scaled.round();
    if rounded != scaled && unit == 1 && matches!(def.class, Class::Dimension { .. }) {
        return Err(wrong_type(def, "must be a whole number"));
    }
    // 2^63 and above, infinities and NaN are no i64.
    Ok((rounded.abs() < 9.2e18).then_some(rounded as i64))
}

/// An integer of units of 10^-scale as a decimal number, for a reason.
fn decimal(number: i64, scale: u8) -> String {
    let unit = 10_f64.powi(i32::from(scale));
    format!("{}", number as f64 / unit)
}
