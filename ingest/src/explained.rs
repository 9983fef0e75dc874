//! Why an event is not kept or a request is refused, and what to do about it: for each code its cause and its remedy.
//!
//! `shoal explain CODE` prints them, and `docs/troubleshooting.md` lists all of them.
//!
//! Invariants: every code stands in its list once, which the compiler sees to: each list is an exhaustive `match`. Texts are
//! constants: nothing of a request is in them.
//! Not here: the codes (`answer.rs`, `refusal.rs`, `shoal-privacy`), what was wrong this time (the reasons beside them).

use shoal_privacy::consent::Withheld;

use crate::answer::{Code, NOT_AN_EVENT, SUBJECT_DAY_LIMIT};
use crate::refusal::RefusalCode;

/// A code with its cause and its remedy, each of them whole sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The stable code.
    pub code: &'static str,
    /// Why it comes.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Declares the list of all codes of an enum, each with cause and remedy.
macro_rules! explained {
    ($all:ident, $of:ident, $code:ident: $($name:ident => $cause:literal, $remedy:literal;)+) => {
        const $all: &[Explained] = {
            const fn explained(of: $of) -> Explained {
                let (cause, remedy) = match of {
                    $($of::$name => ($cause, $remedy),)+
                };
                Explained { code: of.$code(), cause, remedy }
            }
            &[$(explained($of::$name)),+]
        };
    };
}

/// Why a whole request is refused.
pub fn refusals() -> &'static [Explained] {
    REFUSALS
}

/// Why an event is rejected.
pub fn rejections() -> &'static [Explained] {
    REJECTIONS
}

/// Why an event is withheld.
pub fn withheld() -> impl Iterator<Item = Explained> {
    WITHHELD.iter().copied().chain([
        Explained {
            code: NOT_AN_EVENT,
            cause: "The message is none of what Shoal keeps: `identify`, `group` and `alias` of Segment, and messages of Sentry that are \
                neither errors nor measured operations.",
            remedy: "Nothing. What it says of consent is recorded all the same.",
        },
        Explained {
            code: SUBJECT_DAY_LIMIT,
            cause: "The subject has as many events of that day in that table as one may have (`ingest.subject_day_events_max`).",
            remedy: "Look for an app that sends in a loop, for an account that many people share, or for an app whose events name nobody \
                behind a proxy that is not trusted.",
        },
    ])
}

explained! { REFUSALS, RefusalCode, as_str:
    EmptyBody =>
        "The body is empty, or its list of events is.",
        "Send at least one event in a request.";
    NotUtf8 =>
        "The body is not UTF-8 from the byte on that the detail names, and could not be repaired.",
        "Encode the body as UTF-8, and do not cut texts inside of a character.";
    BadJson =>
        "The body is not JSON of the expected form at the line and column that the detail names, and could not be repaired.",
        "Correct the body at that place. Let a JSON library write it.";
    BadBatch =>
        "The body came to a path of Segment's protocol and has no list `batch`.",
        "Send it as a Segment SDK does, or send Shoal's own form to `POST /v1/events`.";
    BadEnvelope =>
        "The first line of the body is not the header of a Sentry envelope.",
        "Send what the SDK makes as it is; look for a proxy that changes bodies, and compare the DSN.";
    BadEncoding =>
        "The body cannot be decompressed: it is damaged, or its window is larger than allowed (`ingest.zstd_window_log_max`).",
        "Compress with the usual settings of gzip, deflate, brotli or zstd, and send it again.";
    UnsupportedEncoding =>
        "The header `Content-Encoding` names an encoding that is not known.",
        "Use gzip, deflate, br or zstd, or none.";
    TooLarge =>
        "The body, or the statement in it, is larger than allowed, as sent or decompressed (`ingest.body_bytes_max`, \
            `ingest.inflated_bytes_max`, `query.sql_bytes_max`).",
        "Send the events in several requests; write a shorter statement.";
    CompressionRatio =>
        "The body grows more than allowed when it is decompressed (`ingest.ratio_max`).",
        "Send fewer events that are all alike in one request, or send it without compression.";
    TooManyEvents =>
        "The body has more events than allowed (`ingest.events_max`).",
        "Send them in several requests.";
    TooManyValues =>
        "The body has more JSON values than allowed (`ingest.values_max`).",
        "Send fewer events in a request, and leave out properties that are not declared.";
    TooManyChanges =>
        "The request has more changes of consent than one may have.",
        "Send lists with a grant by the thousand (with a shipped key by `ingest.grants_per_min`), and lists of withdrawals alone by ten \
            thousand.";
    WrongType =>
        "What stands in the place of the events is no list.",
        "Send `{\"events\": [..]}`, or one event a line.";
    BadIdentifier =>
        "An identifier of a consent is longer than 256 bytes or neither a text nor a whole number, a grant names two of one kind, or a change names \
            more than 16.",
        "Send the identifiers that the events have, as texts, one of each kind.";
    NoIdentifier =>
        "A consent names nobody, or only a placeholder such as `undefined`.",
        "Name `user_id`, `install_id`, `device_id` or `serial_number`, and send it once the app knows it.";
    BadTime =>
        "`granted_at` of a consent cannot be read.",
        "Send RFC 3339, or milliseconds since 1970; or leave it out, and the time of the receipt counts.";
    UnknownProgramme =>
        "No definition declares the programme.",
        "Send `user-experience` or `device-experience`.";
    ProgrammeNotAllowed =>
        "The key is for another programme.",
        "Use a key of this programme, or one that is made without `--programme`.";
    PolicyVersion =>
        "The programme does not accept this version of the policy.",
        "Ask the person for consent to a version that `schemas/defs/programmes` lists, or let an overlay list this one.";
    Minor =>
        "The age that the consent states is below the programme's.",
        "Nothing: the person cannot take part.";
    BadConsent =>
        "The consent cannot be read, or a grant says that it is none.",
        "Send `\"action\": \"grant\"` or `\"withdraw\"`, and an age as a number of years.";
    UnknownAction =>
        "The action of a consent is no word for a grant or a withdrawal.",
        "Send `grant` or `withdraw`.";
    UnknownCountry =>
        "The country belongs to no region.",
        "Send the two letters of ISO 3166-1; an overlay of `schemas/defs/countries.toml` adds countries.";
    UnknownRegion =>
        "There is no such region.",
        "Send `US`, `DE`, `SG` or `MY`.";
    NoRegion =>
        "A grant names neither country nor region, and the key has several regions.",
        "Send `country`, or use a key of one region.";
    RegionNotAllowed =>
        "The key may not write to the region.",
        "Make a key that has the region (`--regions`), or send the right country.";
    TooManyGrants =>
        "One address has sent more grants with a shipped key than it may in a minute (`ingest.grants_per_min`).",
        "Send it again after `retry_after_s`. Behind a proxy set `http.trust_forwarded_for`; import many grants with a server key.";
    Overloaded =>
        "More requests wait for their turn, or more bytes for the disk, than can be taken soon.",
        "Send it again after `retry_after_s`, as SDKs do. If it goes on, see *Overload* in operations.md.";
    DiskFull =>
        "Less than `ingest.free_bytes_min` is free on the disk of the data.",
        "Free some space, or let retention run. The service goes on by itself, and clients send again.";
    Stopping =>
        "The service is being stopped.",
        "Send it again after `retry_after_s`.";
    Unavailable =>
        "A file could not be read or written, so nobody knows what may be kept.",
        "Send it again after `retry_after_s`. The operator looks at `shoal status` and the log, and then at the disk.";
}

explained! { REJECTIONS, Code, as_str:
    BadEvent =>
        "The event is no JSON object, or was cut; in Segment's protocol its type is none.",
        "Send each event as an object. What came before a cut is kept: send only the rest again.";
    MissingEvent =>
        "The event has no name.",
        "Set `event` to the name of a declared event.";
    UnknownEvent =>
        "No definition declares the name, and no vendor mapping leads to one.",
        "Compare the name with those in `schemas/defs/events`, or declare the event in an overlay (`schemas_dir`).";
    MissingProperty =>
        "A property that the definition requires is absent.",
        "Send the property that `field` names.";
    WrongType =>
        "A value has another type than its definition says.",
        "Send the type that the reason names: a number as a number, a text as a text.";
    OutOfBounds =>
        "A number is below the `min` or above the `max` of its definition.",
        "Compare the unit with the definition's: milliseconds where seconds are meant, say.";
    TooLong =>
        "A text is longer than its definition or `ingest.string_bytes_max` allows, or a value is nested too deeply.",
        "Shorten the value that `field` names.";
    NotListed =>
        "The value is none of those that the definition lists.",
        "Send a listed value, or let the definition list this one.";
    TooManyProperties =>
        "The event has more properties than one may have (`ingest.properties_max`).",
        "Leave out what no definition declares: it is not kept anyway.";
    BadId =>
        "The event's `id` is empty, too long, or neither a text nor a whole number.",
        "Send a random UUID as a text, the same one when the event is sent again.";
    BadIdentifier =>
        "An identifier is longer than 256 bytes, neither a text nor a number, or a number whose digits are not known.",
        "Send identifiers as texts.";
    BadTime =>
        "The time of the event cannot be read.",
        "Send RFC 3339 with a zone, or milliseconds since 1970.";
    TooOld =>
        "The event is older than events of its kind are kept.",
        "Compare the device's clock and the unit of the time. What waited on a device for longer than the retention is lost.";
    InFuture =>
        "The event is later than now by more than the tolerance.",
        "Send `sent_at` with each batch: it corrects a wrong clock. Compare the unit of the time.";
    UnknownCountry =>
        "The country of the event belongs to no region.",
        "Send the two letters of ISO 3166-1; an overlay of `schemas/defs/countries.toml` adds countries.";
    NoIdentifier =>
        "The event names nobody, and its key does not assert consent.",
        "Send `user_id`, `install_id`, `device_id` or `serial_number`. Placeholders such as `undefined` are none.";
    NoRegion =>
        "The event has no country, the key has several regions, and the address tells no country.",
        "Send `country`, use a key of one region, or set `country_mmdb`.";
    RegionNotAllowed =>
        "The country of the event is in a region that the key may not write to.",
        "Make a key that has the region (`--regions`).";
    ProgrammeNotAllowed =>
        "The event belongs to another programme than the key.",
        "Use a key of that programme, or one that is made without `--programme`.";
    BadConsent =>
        "The consent that the event or its batch carries cannot be read.",
        "Send `\"consent\": {\"policy_version\": \"..\"}`, `granted_at` as RFC 3339, and an age as a number of years.";
}

explained! { WITHHELD, Withheld, code:
    NoConsent =>
        "There is no consent for the programme at the time of the event: none is carried, recorded or asserted, it was given later, or it \
            was refused.",
        "Carry the consent in the batch, record it before with `POST /v1/consents`, or use a key that asserts it, in an app that starts \
            its SDK after the person has opted in.";
    Withdrawn =>
        "The subject had withdrawn consent when the event happened, or nothing was recorded since.",
        "Nothing, if that is so. After a new decision of the person record a grant with `POST /v1/consents`.";
    PolicyVersion =>
        "The consent is for a version of the policy that the programme does not accept any more, or never did.",
        "Ask for consent to an accepted version. `schemas/defs/programmes` and overlays list them.";
    Restricted =>
        "Processing of the subject's events is restricted, as the subject has asked: what came before is in no answer.",
        "Nothing, until an officer lifts the restriction.";
    Erased =>
        "The subject is being erased, or may not take part.",
        "Send events that happen after the subject has taken part anew: a grant counts once the erasure is done.";
    Minor =>
        "The age that the consent states is below the programme's.",
        "Nothing: the person cannot take part.";
    SampledOut =>
        "The event was left out by sampling.",
        "Nothing. This version samples nothing.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once_in_whole_sentences() {
        let codes: Vec<&str> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(REFUSALS.iter().map(|row| row.code).eq(codes), "in the order of the enum");
        let all: Vec<Explained> = REFUSALS.iter().chain(REJECTIONS).copied().chain(withheld()).collect();
        assert!(all.len() > 55);
        for row in all {
            for text in [row.cause, row.remedy] {
                let begins = text.starts_with(|c: char| c.is_uppercase() || c == '`');
                assert!(begins && text.ends_with('.') && !text.contains('|'), "{}: {text}", row.code);
            }
        }
    }
}
