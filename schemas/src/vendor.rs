//! How a vendor's event names and property names become Shoal's. One file for each protocol, in `defs/vendors/`.

/// The mapping of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VendorMap {
    /// Rules by the vendor's event name (compared without regard to letter case).
    pub events: Vec<EventRule>,
}

/// One vendor event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRule {
    /// The vendor's name of the event: Segment's track name, `page`, `screen`; Sentry's `event`, `transaction:<op>`, `span:<op>`, `session`.
    /// `*` at the end matches any rest.
    pub from: String,
    /// Shoal's event.
    pub to: String,
    /// (vendor's property, dotted for nested, Shoal's property).
    pub properties: Vec<(String, String)>,
    /// Properties with a fixed value.
    pub constants: Vec<(String, String)>,
}

impl VendorMap {
    /// The first rule that matches a vendor's event name.
    pub fn rule(&self, name: &str) -> Option<&EventRule> {
        self.events.iter().find(|r| matches(&r.from, name))
    }
}

/// Whether a rule's `from` takes a vendor's name.
pub(crate) fn matches(from: &str, name: &str) -> bool {
    match from.strip_suffix('*') {
        Some(prefix) => name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix)),
        None => from.eq_ignore_ascii_case(name),
    }
}
