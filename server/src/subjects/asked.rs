//! A request on behalf of persons, as it is sent, and checked.
//!
//! ```json
//! {"idempotency_key": "case-17", "subjects": [{"user_id": "u-1", "install_id": ["i-1", "i-2"]}], "programmes": ["user-experience"],
//!  "regions": ["DE"], "ground": "accuracy", "review_on": "2027-01-31"}
//! ```
//! Invariant: what is wrong with a request is told without anything of it. Not here: what is done (`subjects.rs`).

use serde::{Deserialize, Serialize};
use shoal_audit::Act;
use shoal_ingest::Person;
use shoal_language::calendar::parse_day;
use shoal_schemas::calendar::day_of;
use shoal_schemas::{IdentifierKind, Programme, Region};
use shoal_storage::{ActKind, Ground, Restriction};
use uuid::Uuid;

use crate::problem::{Problem, ProblemType};

/// Most persons of one request.
const PERSONS_MAX: usize = 10_000;
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// A review is so far off at the most, days.
const REVIEW_DAYS_MAX: i32 = 366;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActWord {
    Erase,
    Exclude,
    Restrict,
    Object,
}

impl ActWord {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            ActWord::Erase => "erase",
            ActWord::Exclude => "exclude",
            ActWord::Restrict => "restrict",
            ActWord::Object => "object",
        }
    }

    /// Its name in the audit.
    pub(crate) const fn audited(self) -> Act {
        match self {
            ActWord::Erase => Act::SubjectErase,
            ActWord::Exclude => Act::SubjectExclude,
            ActWord::Restrict => Act::SubjectRestrict,
            ActWord::Object => Act::SubjectObject,
        }
    }

    /// Whether what was granted ends with it. A restriction leaves it as it is, for the time after.
    pub(crate) const fn withdraws(self) -> bool {
        !matches!(self, ActWord::Restrict)
    }
}

/// One value of an identifier, or several.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Some(Vec<String>),
}

/// A person, by identifiers. No `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) install_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial_number: Option<Values>,
}

/// What becomes of the rows of somebody who objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rows {
    Erase,
    Restrict,
}

/// Who asks for something, or is meant by it, and where.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectsAsked {
    /// Chosen by whoever asks: the same persons sent again with the same one are the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<String>,
    pub(crate) subjects: Vec<Named>,
    /// All, when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) programmes: Option<Vec<Programme>>,
    /// All that the asker may act in, when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) regions: Option<Vec<Region>>,
    /// Of a restriction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ground: Option<String>,
    /// Of a restriction, and of an objection that restricts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) review_on: Option<String>,
    /// Of an objection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<Rows>,
}

impl std::fmt::Debug for SubjectsAsked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectsAsked").finish_non_exhaustive()
    }
}

/// How a restriction or an exclusion is lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiftAsked {
    /// Whether the person was informed that it is lifted (GDPR, Article 18 (3)).
    #[serde(default)]
    pub(crate) informed: bool,
}

/// A request that can be recorded. No `Debug`.
pub(crate) struct Wanted {
    pub(super) word: ActWord,
    pub(super) kind: ActKind,
    pub(super) idempotency_key: String,
    pub(crate) persons: Vec<Person>,
    pub(crate) programmes: Vec<Programme>,
    pub(crate) regions: Vec<Region>,
}

fn bad(reason: &str) -> Problem {
    Problem::new(ProblemType::BadRequest, reason)
}

impl SubjectsAsked {
    /// Checked, for whoever may act in these regions, at a time (milliseconds since 1970).
    ///
    /// # Errors
    /// What is wrong with it, without anything of it.
    pub(crate) fn checked(self, word: ActWord, own: &[Region], now_ms: i64) -> Result<Wanted, Problem> {
        if self.subjects.is_empty() || self.subjects.len() > PERSONS_MAX {
            return Err(bad("`subjects` must have 1 to 10000 persons"));
        }
        let kind = self.kind(word, day_of(now_ms))?;
        let regions = self.regions.unwrap_or_else(|| own.to_vec());
        let programmes = self.programmes.unwrap_or_else(|| Programme::ALL.to_vec());
        if regions.is_empty() || programmes.is_empty() {
            return Err(bad("`regions` and `programmes` must have one at least, or be left out"));
        }
        if self.idempotency_key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(bad("`idempotency_key` must have 256 bytes at the most"));
        }
        if regions.iter().any(|region| !own.contains(region)) {
            return Err(Problem::new(ProblemType::NotAllowed, "the key does not reach one of these regions"));
        }
        let person = |(at, named): (usize, Named)| {
            Person::new(named.listed()).map_err(|reason| bad(&format!("person {at} of `subjects`: {reason}")))
        };
        let persons = self.subjects.into_iter().enumerate().map(person).collect::<Result<_, _>>()?;
        let idempotency_key = self.idempotency_key.unwrap_or_else(|| Uuid::new_v4().to_string());
        Ok(Wanted { word, kind, idempotency_key, persons, programmes, regions })
    }

    fn kind(&self, word: ActWord, today: i32) -> Result<ActKind, Problem> {
        let is_objection = word == ActWord::Object;
        let restricts = word == ActWord::Restrict || (is_objection && self.rows == Some(Rows::Restrict));
        if self.rows.is_some() && !is_objection {
            return Err(bad("`rows` says what becomes of the rows of an objection, and of nothing else"));
        }
        if self.ground.is_some() && word != ActWord::Restrict {
            return Err(bad("`ground` is why processing is restricted: only a restriction has one"));
        }
        if self.review_on.is_some() && !restricts {
            return Err(bad("`review_on` is when a restriction is looked at again: nothing else has it"));
        }
        match word {
            ActWord::Exclude => return Ok(ActKind::Exclude),
            _ if !restricts => return Ok(ActKind::Erase),
            _ => {}
        }
        let ground = match is_objection {
            true => Some(Ground::Objection),
            false => self.ground.as_deref().and_then(Ground::parse),
        };
        let words = "`ground` must be accuracy, unlawful, legal-claim or objection";
        let review_day = self.review_on.as_deref().and_then(parse_day);
        let review_day =
            review_day.filter(|day| (today..=today.saturating_add(REVIEW_DAYS_MAX)).contains(day));
        let day = "`review_on` must be a day as 2027-01-31, today or within a year from today";
        let restriction = Restriction {
            ground: ground.ok_or_else(|| bad(words))?,
            review_day: review_day.ok_or_else(|| bad(day))?,
        };
        Ok(ActKind::Restrict(restriction))
    }
}

impl Named {
    pub(crate) fn listed(self) -> Vec<(IdentifierKind, String)> {
        let of = |kind, values: Option<Values>| {
            let values = match values {
                None => Vec::new(),
                Some(Values::One(value)) => vec![value],
                Some(Values::Some(values)) => values,
            };
            values.into_iter().map(move |value| (kind, value))
        };
        of(IdentifierKind::User, self.user_id)
            .chain(of(IdentifierKind::Install, self.install_id))
            .chain(of(IdentifierKind::Device, self.device_id))
            .chain(of(IdentifierKind::Serial, self.serial_number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::calendar::DAY_MS;

    use super::*;

    fn asked(body: &str) -> SubjectsAsked {
        let whole = format!("{{\"subjects\": [{{\"user_id\": \"u-1\"}}]{body}}}");
        serde_json::from_str(&whole).unwrap()
    }

    fn kind(word: ActWord, body: &str) -> Result<ActKind, String> {
        let wanted = asked(body).checked(word, Region::ALL, 20_000 * DAY_MS);
        wanted.map(|wanted| wanted.kind).map_err(|problem| problem.detail)
    }

    #[test]
    fn each_word_has_what_belongs_to_it_and_nothing_else() {
        use ActWord::{Erase, Exclude, Object, Restrict};
        // The day 20,000 is 2024-10-04.
        let restrict = |ground| ActKind::Restrict(Restriction { ground, review_day: 20_010 });
        let day = r#", "review_on": "2024-10-14""#;
        for (word, body, expected) in [
            (Erase, "", ActKind::Erase),
            (Exclude, "", ActKind::Exclude),
            (Object, "", ActKind::Erase),
            (Object, r#", "rows": "erase""#, ActKind::Erase),
            (Object, &format!(r#", "rows": "restrict"{day}"#), restrict(Ground::Objection)),
            (Restrict, &format!(r#", "ground": "legal-claim"{day}"#), restrict(Ground::LegalClaim)),
            (Restrict, &format!(r#", "ground": "objection"{day}"#), restrict(Ground::Objection)),
        ] {
            assert_eq!(kind(word, body), Ok(expected), "{word:?} {body}");
        }
        for (word, body, named) in [
            (Erase, r#", "rows": "erase""#, "rows"),
            (Exclude, r#", "ground": "accuracy""#, "ground"),
            (Erase, day, "review_on"),
            (Object, day, "review_on"),
            (Object, r#", "rows": "restrict""#, "review_on"),
            (Restrict, day, "ground"),
            (Restrict, &format!(r#", "ground": "u-1"{day}"#), "ground"),
            (Restrict, r#", "ground": "accuracy""#, "review_on"),
            (Restrict, r#", "ground": "accuracy", "review_on": "2024-10-03""#, "review_on"),
            (Restrict, r#", "ground": "accuracy", "review_on": "2025-10-06""#, "review_on"),
            (Restrict, r#", "ground": "accuracy", "review_on": "u-1""#, "review_on"),
        ] {
            let refused = kind(word, body).unwrap_err();
            assert!(refused.contains(&format!("`{named}`")) && !refused.contains("u-1"), "{refused}");
        }
    }
}
