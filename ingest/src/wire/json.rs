//! One JSON value, borrowed from the body, read within limits.
//!
//! Invariants: a value never nests deeper than the limit and never holds a longer string: what does becomes [`Json::Null`]
//! in lenient mode (vendors' SDKs) and [`Json::Beyond`] in strict mode (native) and in a consent, where its property or field is at
//! fault and not the body; so does a list or map of more than [`MEMBERS_MAX`] values, with all that is in them, but nothing of a vendor's consent. In the
//! place of an identifier it is [`Json::Beyond`] in both: whoever is meant is not nobody. Of a key that stands twice in an object the last value that is not null counts. An error keeps no content:
//! serde's own messages quote the input and are never shown.
//! Not here: what the fields mean (`native`, `segment`, `sentry`), what is no JSON (`repair.rs`), values after each other (`stream.rs`).

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{places::is_whose, repair::REPLACEMENT};
use crate::refusal::{Refusal, RefusalCode};

/// Values in one list or map, those in its values included. No event needs so many; one that has more loses them, and not the
/// events beside it.
pub(crate) const MEMBERS_MAX: usize = 10_000;
/// A body is a map with a list of events, each of which is a map: what these have together is a question of the body.
const DOCUMENT_DEPTH: usize = 3;
/// In a consent nothing is given up for being too much, however deep it is.
const CONSENT_DEPTH: usize = usize::MAX;

/// A JSON value. No `Debug`: it is what somebody sent.
#[derive(Clone)]
pub(crate) enum Json<'a> {
    Null,
    /// Longer or deeper than a value may be; read strictly, or in a consent.
    Beyond,
    Boolean(bool),
    Integer(i64),
    /// A whole number of 2^63 and above.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Map(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The member of a map that is not null; the last of those with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Map(members) => {
                members.iter().rev().find(|(k, v)| k == key && !matches!(v, Json::Null)).map(|(_, v)| v)
            }
            _ => None,
        }
    }

    /// The member at a dotted path; a member whose own name has the dots comes first.
    pub(crate) fn path(&self, path: &str) -> Option<&Json<'a>> {
        self.get(path).or_else(|| {
            let (head, rest) = path.split_once('.')?;
            self.get(head)?.path(rest)
        })
    }

    /// Text that is not empty.
    pub(crate) fn text(&self) -> Option<&Cow<'a, str>> {
        match self {
            Json::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Text, or a whole number in decimal: what clients use as an identifier. Of a number with a fraction, or one whose digits
    /// are lost, nobody knows which identifier was meant.
    pub(crate) fn identifier(&self) -> Option<Cow<'a, str>> {
        match self {
            Json::Integer(number) => Some(Cow::Owned(number.to_string())),
            Json::Unsigned(number) => Some(Cow::Owned(number.to_string())),
            Json::Float(number) => whole(*number).map(|whole| Cow::Owned(whole.to_string())),
            other => other.text().filter(|t| !t.trim().is_empty() && !is_damaged(t)).cloned(),
        }
    }

    /// A number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Json::Integer(number) => Some(*number as f64),
            Json::Unsigned(number) => Some(*number as f64),
            Json::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The items of a list; nothing of anything else.
    pub(crate) fn items(&self) -> &[Json<'a>] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    /// The members of a map; nothing of anything else.
    pub(crate) fn members(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        match self {
            Json::Map(members) => members,
            _ => &[],
        }
    }
}

/// The whole number of a float, where all whole numbers of its size have a float of their own.
fn whole(number: f64) -> Option<i64> {
    let is_exact = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    is_exact.then_some(number as i64)
}

/// Whether a part of a text was lost before it came here. Two damaged identifiers may look the same, so none is one.
pub(crate) fn is_damaged(text: &str) -> bool {
    // Most identifiers are ASCII, and that is told faster.
    !text.is_ascii() && text.contains(REPLACEMENT)
}

/// What a value may be, at the most, and which limit was broken first.
pub(crate) struct Bounds {
    pub(crate) depth_max: usize,
    pub(crate) string_bytes_max: usize,
    /// Beyond a limit: a fault (native), or read as null (vendors).
    pub(crate) strict: bool,
    pub(crate) broken: Cell<Option<Broken>>,
    /// Values that may still be made; bounds the work and the memory of one body.
    pub(crate) values_left: Cell<usize>,
    /// Values that were made and are not given up.
    pub(crate) held: Cell<usize>,
}

/// A broken limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Values,
    Events,
}

impl Bounds {
    /// Notes the limit and makes the error that stops serde.
    pub(crate) fn stop<E: serde::de::Error>(&self, broken: Broken) -> E {
        self.broken.set(Some(broken));
        E::custom("limit")
    }

    /// A seed for a value.
    pub(crate) fn value(&self) -> Seed<'_> {
        Seed { bounds: self, depth: 0, document_depth: 0, is_whose: false }
    }

    /// A seed for a body, or an item of one, that holds several events or what belongs to one.
    pub(crate) fn document(&self) -> Seed<'_> {
        Seed { bounds: self, depth: 0, document_depth: DOCUMENT_DEPTH, is_whose: false }
    }

    /// Takes room for this many values; false when there is not enough left.
    pub(crate) fn spend(&self, values: usize) -> bool {
        let left = self.values_left.get().checked_sub(values);
        self.values_left.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
pub(crate) struct Seed<'s> {
    bounds: &'s Bounds,
    depth: usize,
    /// What is less deep belongs to several events.
    document_depth: usize,
    /// Whether it is an identifier, or may be an object with some.
    is_whose: bool,
}

impl Seed<'_> {
    fn deeper(self) -> Option<Self> {
        (self.depth < self.bounds.depth_max).then_some(Seed { depth: self.depth + 1, ..self })
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        self.bounds.held.set(self.bounds.held.get() + 1);
        if self.bounds.spend(1) { Ok(()) } else { Err(self.bounds.stop(Broken::Values)) }
    }

    /// Whether a list or map is too much that has so many members, before which so many values were held. An event as a whole is
    /// only so for what it has itself: what is too much in it goes before.
    fn is_too_much(self, members: usize, held_before: usize) -> bool {
        let held = self.bounds.held.get() - held_before;
        match self.depth {
            depth if depth >= self.document_depth => held > MEMBERS_MAX,
            depth => depth + 1 == self.document_depth && members > MEMBERS_MAX,
        }
    }

    /// A value of which nothing is given up, and which is not counted for what it stands in.
    fn whole<'de, A: MapAccess<'de>>(self, deeper: Self, map: &mut A) -> Result<Json<'de>, A::Error> {
        let held_before = self.bounds.held.get();
        let value = map.next_value_seed(Seed { document_depth: CONSENT_DEPTH, ..deeper })?;
        self.bounds.held.set(held_before);
        Ok(value)
    }

    /// What stands in the place of a list or map that is too much.
    fn given_up<'a>(self, held_before: usize) -> Json<'a> {
        self.bounds.held.set(held_before);
        self.beyond()
    }

    fn text<'a>(self, text: Cow<'a, str>) -> Json<'a> {
        if text.len() <= self.bounds.string_bytes_max { Json::Text(text) } else { self.beyond() }
    }

    /// What is too long or too deep. In a consent, and in the place of an identifier, it is never taken for absent.
    fn beyond<'a>(self) -> Json<'a> {
        let is_of_consent = self.document_depth == CONSENT_DEPTH;
        if self.bounds.strict || is_of_consent || self.is_whose { Json::Beyond } else { Json::Null }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Unsigned(value), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(self.text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(self.text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let Some(deeper) = self.deeper() else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(self.beyond());
        };
        let (mut items, held_before) = (Vec::new(), self.bounds.held.get());
        while let Some(item) = seq.next_element_seed(deeper)? {
            self.count()?;
            items.push(item);
            if self.is_too_much(items.len(), held_before) {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(self.given_up(held_before));
            }
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let Some(deeper) = self.deeper() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(self.beyond());
        };
        let (mut members, held_before) = (Vec::new(), self.bounds.held.get());
        while let Some(key) = map.next_key_seed(Key)? {
            self.count()?;
            let value = match is_about_consent(&key) {
                true => self.whole(deeper, &mut map)?,
                false => {
                    let is_whose = self.is_whose || (!self.bounds.strict && is_whose(&key));
                    map.next_value_seed(Seed { is_whose, ..deeper })?
                }
            };
            members.push((key, value));
            if self.is_too_much(members.len(), held_before) {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(self.given_up(held_before));
            }
        }
        Ok(Json::Map(members))
    }
}

/// Whether a member says what somebody has agreed to or not, in whichever spelling. However much that is, it is not lost.
fn is_about_consent(key: &str) -> bool {
    const WORD: &[u8] = b"consent";
    key.len() >= WORD.len() && key.as_bytes().windows(WORD.len()).any(|part| part.eq_ignore_ascii_case(WORD))
}

/// Reads a key of a map, borrowed when it has no escapes.
pub(crate) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Reads a whole text as one value.
///
/// # Errors
/// Where it stops being JSON. The limit that was broken, if it was one, is in `bounds`.
pub(crate) fn parse<'a>(text: &'a str, bounds: &Bounds) -> Result<Json<'a>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = bounds.document().deserialize(&mut deserializer)?;
    deserializer.end().map_err(|e| serde_json::Error::custom(e.line()))?;
    Ok(value)
}

/// The body of a protocol that is text.
///
/// # Errors
/// Where it stops being UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|e| {
        Refusal::new(RefusalCode::NotUtf8, format!("the body is not UTF-8 from byte {} on", e.valid_up_to()))
    })
}

/// The refusal of a body that is not JSON, or has another form than the protocol says: the place, without serde's words.
pub(crate) fn bad_json(error: &serde_json::Error) -> Refusal {
    bad_json_at(error.line(), error.column())
}

/// The same, at this place.
pub(crate) fn bad_json_at(line: usize, column: usize) -> Refusal {
    let place = format!("not JSON of the expected form at line {line} column {column}");
    Refusal::new(RefusalCode::BadJson, place)
}

/// Values as a test writes them.
#[cfg(test)]
pub(in crate::wire) mod built {
    use super::*;

    pub(in crate::wire) fn object<'a>(members: &[(&'a str, Json<'a>)]) -> Json<'a> {
        Json::Map(members.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect())
    }

    pub(in crate::wire) fn text(text: &str) -> Json<'_> {
        Json::Text(Cow::Borrowed(text))
    }
}
