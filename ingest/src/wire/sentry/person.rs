//! Whose an item of Sentry's is.
//!
//! | where | the user is the first of | beside it |
//! |---|---|---|
//! | `user` of an event or a transaction | `id`, `email`, `username` | `name` |
//! | data or attributes of a span, and of the trace of an event | `user.id`, `user.email`, `user.username`, `user.name` | `user.full_name` |
//! | a session | `did`, then the same of its attributes | |
//! | `trace` of the header of an envelope | | `user_id`, `user.id` |
//!
//! SDKs make the `did` of a session in the same order, so one person is one subject however an item tells. Invariants: every
//! name that identifies the person counts for consent, whichever of them the subject is: what is recorded under one of them
//! holds. All that is stated is kept out of texts. Not here: which texts name nobody (`shoal-privacy`, `identifier.rs`).

use std::borrow::Cow;

use shoal_privacy::identifier::is_placeholder;
use shoal_schemas::IdentifierKind;

use crate::wire::{
    batch::{Common, OtherIdentifier, are_unreadable, identifier},
    json::Json,
};

/// Where data and attributes have the names of a person.
const OF_DATA: [&str; 4] = ["user.id", "user.email", "user.username", "user.name"];

/// The names of the person of an item.
#[derive(Default)]
pub(super) struct Person<'a> {
    user: Option<Cow<'a, str>>,
    others: Vec<OtherIdentifier<'a>>,
    is_unreadable: bool,
}

impl<'a> Person<'a> {
    /// Of the `user` of an event.
    pub(super) fn of_user(user: &Json<'a>) -> Person<'a> {
        let mut person = Person::default();
        person.names(user, &["id", "email", "username"]);
        person.full_name(user.get("name"));
        person
    }

    /// Of the data of a span.
    pub(super) fn of_span(data: &Json<'a>) -> Person<'a> {
        let mut person = Person::default();
        person.also(data);
        person
    }

    /// The same person, as the data of a span tell.
    pub(super) fn also(&mut self, data: &Json<'a>) {
        self.names(data, &OF_DATA);
        self.full_name(data.path("user.full_name"));
    }

    /// Of a session.
    pub(super) fn of_session(session: &Json<'a>) -> Person<'a> {
        let mut person = Person::default();
        person.names(session, &["did"]);
        if let Some(attributes) = session.get("attrs") {
            person.also(attributes);
        }
        person
    }

    /// What the header of an envelope states for all items.
    pub(super) fn of_trace(header: &Json<'a>) -> Vec<OtherIdentifier<'a>> {
        let mut person = Person::default();
        if let Some(trace) = header.get("trace") {
            person.names(trace, &["user_id", "user.id"]);
        }
        let user = person.user.filter(|user| !is_placeholder(user));
        let first = user.map(|value| OtherIdentifier { kind: Some(IdentifierKind::User), value });
        first.into_iter().chain(person.others).collect()
    }

    /// Takes the names at these paths; the first one is the user.
    fn names(&mut self, of: &Json<'a>, paths: &[&str]) {
        for path in paths {
            let Some(value) = of.path(path) else { continue };
            // What comes after the user need not be readable.
            self.is_unreadable |= self.user.is_none() && are_unreadable(of, &[path]);
            let Some(name) = identifier(Some(value)) else { continue };
            match &self.user {
                None => self.user = Some(name),
                // The first that names somebody, so that whoever has no id is not everybody without one.
                Some(user) if is_placeholder(user) => self.user = Some(name),
                Some(user) if *user == name || is_placeholder(&name) => {}
                Some(_) => self.add(Some(IdentifierKind::User), name),
            }
        }
    }

    /// A name by which nobody is identified alone.
    fn full_name(&mut self, name: Option<&Json<'a>>) {
        if let Some(name) = identifier(name) {
            self.add(None, name);
        }
    }

    fn add(&mut self, kind: Option<IdentifierKind>, value: Cow<'a, str>) {
        let other = OtherIdentifier { kind, value };
        if !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    /// What an item says, with the names of its person.
    pub(super) fn into_common(self, common: Common<'a>) -> Common<'a> {
        let has_unreadable_identifier = common.has_unreadable_identifier || self.is_unreadable;
        Common { user: self.user, others: self.others, has_unreadable_identifier, ..common }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use crate::wire::json::{Bounds, parse};

    fn of(text: &str, read: impl Fn(&Json<'_>) -> (Option<String>, Vec<(bool, String)>, bool)) -> String {
        let bounds = Bounds {
            depth_max: 9,
            string_bytes_max: 999,
            strict: false,
            broken: Cell::new(None),
            values_left: Cell::new(99),
            held: Cell::new(0),
        };
        let (user, others, is_unreadable) = read(&parse(text, &bounds).unwrap());
        let others =
            others.into_iter().map(|(counts, value)| format!("{}{value}", if counts { "+" } else { "~" }));
        let unreadable = is_unreadable.then(|| "!".to_owned());
        user.into_iter().chain(others).chain(unreadable).collect::<Vec<_>>().join(" ")
    }

    fn told(person: &Person<'_>) -> (Option<String>, Vec<(bool, String)>, bool) {
        let others = person.others.iter().map(|other| (other.kind.is_some(), other.value.to_string()));
        (person.user.as_deref().map(str::to_owned), others.collect(), person.is_unreadable)
    }

    #[test]
    fn the_user_is_the_id_or_else_the_email_or_else_the_username() {
        for (user, wanted) in [
            (r#"{"id":"7"}"#, "7"),
            (r#"{"id":7,"email":"a@b.c","username":"anna","name":"Anna Berg"}"#, "7 +a@b.c +anna ~Anna Berg"),
            (r#"{"username":"anna","email":"a@b.c"}"#, "a@b.c +anna"),
            (r#"{"username":"anna"}"#, "anna"),
            (r#"{"id":null,"email":"","username":"anna"}"#, "anna"),
            (r#"{"id":"undefined","email":"a@b.c"}"#, "a@b.c"),
            (r#"{"id":"a@b.c","email":"a@b.c"}"#, "a@b.c"),
            (r#"{"id":"7","email":"none"}"#, "7"),
            (r#"{"name":"Anna Berg"}"#, "~Anna Berg"),
            (r#"{"id":1.5,"email":"a@b.c"}"#, "a@b.c !"),
            (r#"{"id":"7","email":1.5}"#, "7"),
            ("{}", ""),
            ("null", ""),
        ] {
            assert_eq!(of(user, |user| told(&Person::of_user(user))), wanted, "{user}");
        }
        for (data, wanted) in [
            (
                r#"{"user.email":"a@b.c","user.name":"anna","user.full_name":"Anna Berg"}"#,
                "a@b.c +anna ~Anna Berg",
            ),
            (r#"{"user.username":"anna","user":{"id":"7"}}"#, "7 +anna"),
        ] {
            assert_eq!(of(data, |data| told(&Person::of_span(data))), wanted, "{data}");
        }
        for (session, wanted) in [
            (r#"{"did":"a@b.c"}"#, "a@b.c"),
            (r#"{"did":"7","attrs":{"user":{"email":"a@b.c"}}}"#, "7 +a@b.c"),
            (r#"{"attrs":{"user.username":"anna"}}"#, "anna"),
            (r#"{"did":0.5}"#, "!"),
        ] {
            assert_eq!(of(session, |session| told(&Person::of_session(session))), wanted, "{session}");
        }
    }
}
