//! The refusal of a whole request, as data: a code of a closed list, and one sentence.
//!
//! Invariants: a refusal never holds content of the body; nothing of the request was kept, except that a batch over several
//! regions, or a list of consents, may be kept in part, so that sending all of it again is safe.
//! Not here: which HTTP status a code has (`shoal-server`, `problem.rs`), the form that a vendor's SDK expects (`wire`).

/// Declares the codes, their texts and the list of all of them in one place.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)+) => {
        /// Why a whole request is refused. Stable: clients and dashboards depend on the codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)+
        }

        impl RefusalCode {
            /// All codes.
            pub const ALL: &'static [RefusalCode] = &[$(RefusalCode::$name),+];

            /// The code in answers and metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(RefusalCode::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// The body has no event.
    EmptyBody => "empty_body",
    /// The body is not UTF-8.
    NotUtf8 => "not_utf8",
    /// The body is not JSON of the expected form.
    BadJson => "bad_json",
    /// The batch has no list of messages.
    BadBatch => "bad_batch",
    /// The first line of a Sentry envelope is not its header.
    BadEnvelope => "bad_envelope",
    /// The body cannot be decompressed within the limits.
    BadEncoding => "bad_encoding",
    /// The `content-encoding` is none that is known.
    UnsupportedEncoding => "unsupported_encoding",
    /// The body is larger than allowed, as sent or decompressed.
    TooLarge => "too_large",
    /// The body grows more than allowed when it is decompressed.
    CompressionRatio => "compression_ratio",
    /// The body has more events than allowed.
    TooManyEvents => "too_many_events",
    /// The body has more JSON values than allowed.
    TooManyValues => "too_many_values",
    /// A request has more changes of consent than allowed.
    TooManyChanges => "too_many_changes",
    /// What stands in the place of a batch's events is no list.
    WrongType => "wrong_type",
    /// An identifier that is too long or neither a text nor a whole number, two of one kind in a grant, or too many.
    BadIdentifier => "bad_identifier",
    /// A consent names no identifier.
    NoIdentifier => "no_identifier",
    /// A time that cannot be read.
    BadTime => "bad_time",
    /// A programme that does not exist.
    UnknownProgramme => "unknown_programme",
    /// A programme that the key is not for.
    ProgrammeNotAllowed => "programme_not_allowed",
    /// A policy version that the programme does not accept.
    PolicyVersion => "policy_version",
    /// The person is younger than the programme allows.
    Minor => "minor",
    /// A consent that cannot be read, or contradicts itself.
    BadConsent => "bad_consent",
    /// A consent is neither granted nor withdrawn.
    UnknownAction => "unknown_action",
    /// A country that no region has.
    UnknownCountry => "unknown_country",
    /// A region that does not exist.
    UnknownRegion => "unknown_region",
    /// Neither country nor region, and the key has several regions.
    NoRegion => "no_region",
    /// A region that the key may not write to.
    RegionNotAllowed => "region_not_allowed",
    /// More grants of consent in a minute than one address may send with a shipped key.
    TooManyGrants => "too_many_grants",
    /// Too much is under way: requests that wait for their turn, or bytes that wait for the disk.
    Overloaded => "overloaded",
    /// The disk is nearly full.
    DiskFull => "disk_full",
    /// The service is stopping.
    Stopping => "stopping",
    /// A consent could not be made durable, or the recorded ones or what is kept of a day cannot be read.
    Unavailable => "unavailable",
}

impl RefusalCode {
    /// Whether the body has another form than its protocol's, so that it can be read when it is repaired.
    pub(crate) fn is_of_form(self) -> bool {
        matches!(self, RefusalCode::BadJson | RefusalCode::NotUtf8 | RefusalCode::BadEnvelope)
    }

    /// Whether it follows from the request alone, so that the same request is refused again.
    pub(crate) fn is_of_request(self) -> bool {
        use RefusalCode as C;
        !matches!(self, C::TooManyGrants | C::Overloaded | C::DiskFull | C::Stopping | C::Unavailable)
    }
}

/// The whole request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// One sentence; never content of the body.
    pub reason: String,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A refusal that trying again does not change.
    pub(crate) fn new(code: RefusalCode, reason: impl Into<String>) -> Refusal {
        Refusal { code, reason: reason.into(), retry_after_s: None }
    }

    /// The same, which says how many withdrawals were recorded all the same.
    pub(crate) fn beside(self, recorded: u64) -> Refusal {
        let reason = format!("{}; withdrawals that are recorded all the same: {recorded}", self.reason);
        Refusal { reason, ..self }
    }
}
