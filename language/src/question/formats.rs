//! Formats of `to_char`: as the planner has them, and which bucket of time a text in one of them stands for.
//!
//! Invariants: a format has a grain when it names everything down to that grain, so that its texts and the buckets are one to
//! one. Not here: where `to_char` may stand (`spellings`).

use crate::calendar::{day_text, parse_day};

/// PostgreSQL's words, longest first, and the planner's.
const WORDS: [(&str, &str); 22] = [
    ("FMMonth", "%B"),
    ("Month", "%B"),
    ("IYYY", "%G"),
    ("YYYY", "%Y"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("FMDay", "%A"),
    ("Day", "%A"),
    ("DDD", "%j"),
    ("Mon", "%b"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("Dy", "%a"),
    ("ID", "%u"),
    ("IW", "%V"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("MS", "%3f"),
];

/// The bucket that a text in a format of the planner tells; `None` when texts repeat in other years, months or days.
pub(super) fn grain_of(pattern: &str) -> Option<&'static str> {
    let text = pattern.replace("%%", "");
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let has_month = has(&["%m", "%b", "%B"]);
    let has_day = has(&["%j"]) || has_month && has(&["%d"]);
    if has(&["%G"]) {
        return (has(&["%V"]) && !has(&["%d", "%H", "%I", "%u"])).then_some("week");
    }
    if !has(&["%Y"]) {
        return None;
    }
    match (has_month, has_day, has(&["%H"]) || has(&["%I"]) && has(&["%p"])) {
        (_, true, true) => Some("hour"),
        (_, true, false) if !has(&["%I", "%M", "%S"]) => Some("day"),
        (true, false, false) => Some("month"),
        _ => None,
    }
}

/// A format.
pub(super) struct Format {
    parts: Vec<Part>,
}

enum Part {
    Word(&'static str),
    Other(char),
}

impl Format {
    /// A format of these words; `None` when it has others.
    pub(super) fn of(text: &str) -> Option<Format> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let word = WORDS.iter().find(|(word, _)| {
                rest.get(..word.len()).is_some_and(|start| {
                    start == *word || start.eq_ignore_ascii_case(word) && word.to_uppercase() == **word
                })
            });
            if let Some((word, pattern)) = word {
                parts.push(Part::Word(pattern));
                rest = rest.get(word.len()..)?;
                continue;
            }
            if let Some(quoted) = rest.strip_prefix('"') {
                let (inside, after) = quoted.split_once('"')?;
                parts.extend(inside.chars().map(Part::Other));
                rest = after;
                continue;
            }
            if c.is_ascii_alphanumeric() || matches!(c, '\'' | '\\') {
                // `T` between a date and a time is usual.
                if c != 'T' {
                    return None;
                }
            }
            parts.push(Part::Other(c));
            rest = rest.get(c.len_utf8()..)?;
        }
        (parts.iter().any(|part| matches!(part, Part::Word(_))) && parts.len() <= 64)
            .then_some(Format { parts })
    }

    /// The planner's form.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::new();
        for part in &self.parts {
            match part {
                Part::Word(word) => pattern.push_str(word),
                Part::Other('%') => pattern.push_str("%%"),
                Part::Other(c) => pattern.push(*c),
            }
        }
        pattern
    }

    /// The bucket of a text in this format, by its grain and its first moment; `None` for formats whose texts are not in the order of
    /// time, and for texts that are not whole.
    pub(super) fn first_moment(&self, text: &str) -> Option<(&'static str, String)> {
        let moment = |day: &str| parse_day(day).map(day_text);
        match self.pattern().as_str() {
            "%Y-%m-%d" => Some(("day", moment(text)?)),
            "%Y%m%d" => {
                let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..)?);
                Some(("day", moment(&format!("{year}-{month}-{day}"))?))
            }
            "%Y-%m" => Some(("month", moment(&format!("{text}-01"))?)),
            "%Y%m" => Some(("month", moment(&format!("{}-{}-01", text.get(..4)?, text.get(4..)?))?)),
            "%Y-%m-%d %H" | "%Y-%m-%dT%H" => {
                let (day, hour) = text.split_once([' ', 'T'])?;
                let hour: u32 = hour.parse().ok().filter(|hour| *hour < 24)?;
                Some(("hour", format!("{} {hour:02}:00", moment(day)?)))
            }
            "%Y-%m-%d %H:%M" | "%Y-%m-%d %H:%M:%S" | "%Y-%m-%dT%H:%M" | "%Y-%m-%dT%H:%M:%S" => {
                let (day, time) = text.split_once([' ', 'T'])?;
                let day = moment(day)?;
                let numbers: Option<Vec<u32>> = time.split(':').map(|part| part.parse().ok()).collect();
                match numbers?.as_slice() {
                    // Times of events are hours, so that what is later in the hour is the next one's start.
                    [hour @ 0..24, minute @ 0..60] => Some(("hour", format!("{day} {hour:02}:{minute:02}"))),
                    [hour @ 0..24, minute @ 0..60, second @ 0..60] => {
                        Some(("hour", format!("{day} {hour:02}:{minute:02}:{second:02}")))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn formats_become_the_planners_and_tell_their_bucket() {
        for (format, pattern, grain) in [
            ("YYYY-MM-DD", "%Y-%m-%d", Some("day")),
            ("yyyy-mm", "%Y-%m", Some("month")),
            ("Mon YYYY", "%b %Y", Some("month")),
            ("IYYY-IW", "%G-%V", Some("week")),
            ("YYYY-MM-DD HH24:MI", "%Y-%m-%d %H:%M", Some("hour")),
            ("YYYY-MM-DD\"T\"HH24", "%Y-%m-%dT%H", Some("hour")),
            ("HH24", "%H", None),
            ("Day", "%A", None),
            ("YYYY", "%Y", None),
            ("MM-DD", "%m-%d", None),
        ] {
            let known = Format::of(format).unwrap();
            assert_eq!((known.pattern().as_str(), grain_of(&known.pattern())), (pattern, grain), "{format}");
        }
        for format in ["999,999.00", "", "Q", "it's", "--"] {
            assert!(Format::of(format).is_none(), "{format}");
        }
    }

    #[test]
    fn texts_in_the_order_of_time_have_a_first_moment() {
        let first = |format: &str, text: &str| Format::of(format).unwrap().first_moment(text);
        assert_eq!(first("YYYY-MM", "2026-11"), Some(("month", "2026-11-01".to_owned())));
        assert_eq!(first("YYYYMMDD", "20261122"), Some(("day", "2026-11-22".to_owned())));
        assert_eq!(
            first("YYYY-MM-DD HH24:MI", "2026-11-22 10:30"),
            Some(("hour", "2026-11-22 10:30".to_owned()))
        );
        assert_eq!(first("DD.MM.YYYY", "22.11.2026"), None);
        assert_eq!(first("YYYY-MM-DD", "2026-11"), None);
    }
}
