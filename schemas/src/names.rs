//! The closed sets of the domain: region, kind, programme, protocol, identifier kind; and the country code.

use serde::{Deserialize, Serialize};

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every member, in a fixed order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name used in data files, URLs, SQL and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// Position in [`Self::ALL`], for arrays with one slot a member.
            pub const fn index(self) -> usize { self as usize }

            /// The member with this name; letter case is ignored.
            pub fn parse(text: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|m| m.as_str().eq_ignore_ascii_case(text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

closed_set! {
    /// A storage region: its own store, keys and tables. Only released aggregates cross its border.
    Region {
        /// United States.
        Us = "US",
        /// Germany: EU, EEA, United Kingdom and Switzerland.
        De = "DE",
        /// Singapore.
        Sg = "SG",
        /// Malaysia.
        My = "MY",
    }
}

closed_set! {
    /// A kind of event; each kind has one table in each region.
    Kind {
        /// What people do in the app.
        Usage = "usage",
        /// Crashes and hangs.
        Crash = "crash",
        /// Durations, request results, dropped frames.
        Performance = "performance",
        /// Attributes and faults of devices.
        Device = "device",
    }
}

closed_set! {
    /// A programme that a person opts into.
    Programme {
        /// Behaviour, performance and crashes of the app.
        UserExperience = "user-experience",
        /// Attributes of devices.
        DeviceExperience = "device-experience",
    }
}

closed_set! {
    /// A wire protocol of an endpoint.
    Protocol {
        /// `POST /v1/events`.
        Native = "native",
        /// `POST /v1/batch`, what Segment SDKs send.
        Segment = "segment",
        /// `POST /api/{project}/envelope/`, what Sentry SDKs send.
        Sentry = "sentry",
    }
}

closed_set! {
    /// What sort of identifier a pseudonym was made from. Part of the hash input, so that equal values of two kinds stay apart.
    IdentifierKind {
        /// An account.
        User = "user",
        /// An installation of the app (a UUID made by the app, "anonymous id").
        Install = "install",
        /// A phone's device id.
        Device = "device",
        /// A device's serial number.
        Serial = "serial",
        /// A session. It is never a subject.
        Session = "session",
    }
}

/// An ISO 3166-1 alpha-2 code in upper case. Whether it exists is for the registry to say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Country([u8; 2]);

impl Country {
    /// Two ASCII letters, in either case. `UK` and `EL`, which ISO 3166 keeps free for them, are `GB` and `GR`.
    pub fn parse(text: &str) -> Option<Country> {
        let [a, b] = text.as_bytes() else { return None };
        match [a.to_ascii_uppercase(), b.to_ascii_uppercase()] {
            [b'U', b'K'] => Some(Country(*b"GB")),
            [b'E', b'L'] => Some(Country(*b"GR")),
            letters => letters.iter().all(u8::is_ascii_uppercase).then_some(Country(letters)),
        }
    }

    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}
