//! What Sentry's SDKs send to `POST /api/{project}/envelope/`.
//!
//! | item | becomes | rule name |
//! |---|---|---|
//! | `event` with an exception, level error or fatal | a crash | `event` |
//! | `transaction`, and each of its spans that has a rule | performance | `transaction:<op>`, `span:<op>` |
//! | `span`, one or a container (`item_count`) | performance | `span:<op>` |
//! | `session` | usage, `result` = status; one event a status of a session, and one more when it counts errors | `session` |
//! | `client_report` | no event: what the SDK has lost, by reason | |
//! | anything else, unreadable items | skipped and counted | |
//!
//! Other `event`s (messages) and operations without a rule are withheld as `not_an_event`. Never read: code context,
//! variables, `argv`, `modules`, `server_name`, breadcrumbs, `extra`, requests. Consent may be carried in
//! `contexts.consent`; a refusal, an age and a denial of a consent manager count beside it, too, also in an item that is no event.
//! Country is in `user.geo.country_code`. Aggregated `sessions` name no subject: skipped.
//! Not here: whose an item is (`person.rs`), what is kept of an exception (`exception.rs`), framing (`envelope.rs`), names and properties (`defs/vendors/sentry.toml`).

use std::borrow::Cow;

use shoal_privacy::route;
use shoal_schemas::{Protocol, Registry};

use super::{
    client_report, envelope,
    exception::{exception, frames, thread},
    person::Person,
};

use crate::{
    answer::{NOT_AN_EVENT, Outcome},
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::{Common, DecodedEvent, Sink, are_unreadable, country, identifier, short},
        json::{self, Json},
        preferences::denials,
        said::{of_vendor, speaks_of_consent},
        time::Time,
        vendor::{self, Sources},
    },
};

pub(super) fn read<'a>(body: &'a [u8], sink: &mut Sink<'_, 'a>) -> Result<(), Refusal> {
    let Some((header, mut items)) = envelope::open(body) else {
        return Err(Refusal::new(RefusalCode::BadEnvelope, "the first line is not an envelope header"));
    };
    sink.head.sent_at = header.get("sent_at").map_or(Time::Missing, Time::millis);
    sink.head.request_id = header.get("event_id").and_then(Json::text).and_then(|id| event_id(id));
    let of_all = Common { others: Person::of_trace(&header), ..Common::default() };
    sink.head.defaults = consent(&header, of_all);
    let mut reader = Reader { registry: sink.registry, sink };
    for (count, item) in items.by_ref().enumerate() {
        if count >= reader.sink.limits.events_max {
            reader.sink.bounds.broken.set(Some(json::Broken::Events));
        }
        if reader.sink.is_over() {
            return Ok(());
        }
        if !reader.item(&item) {
            reader.sink.head.skipped_items += 1;
        }
    }
    reader.sink.head.skipped_items += items.broken;
    reader.sink.head.unreadable += items.broken;
    Ok(())
}

/// 32 hexadecimal digits, without the hyphens that some SDKs put in.
fn event_id(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').take(33).collect();
    (digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| digits.to_ascii_lowercase())
}

struct Reader<'x, 's, 'a> {
    registry: &'a Registry,
    sink: &'x mut Sink<'s, 'a>,
}

impl<'a> Reader<'_, '_, 'a> {
    /// Reads an item; false when it is none that Shoal reads.
    fn item(&mut self, item: &envelope::Item<'a>) -> bool {
        if !envelope::READ.contains(&&*item.kind) {
            return false;
        }
        let Some(value) =
            std::str::from_utf8(item.payload).ok().and_then(|t| json::parse(t, self.sink.bounds).ok())
        else {
            self.sink.head.unreadable += 1;
            return false;
        };
        match &*item.kind {
            "event" => {
                self.note_id(&value);
                self.crash(&value);
            }
            "transaction" => {
                self.note_id(&value);
                self.transaction(&value);
            }
            "session" => self.session(&value),
            "client_report" => client_report::read(&value, &mut self.sink.head.client_losses),
            _ => match value.get("items") {
                Some(list) => self.spans(list, None),
                None => self.span(&value, None),
            },
        }
        true
    }

    fn note_id(&mut self, value: &Json<'a>) {
        let request_id = &mut self.sink.head.request_id;
        if request_id.is_none() {
            *request_id = value.get("event_id").and_then(Json::text).and_then(|id| event_id(id));
        }
    }

    fn push(&mut self, event: DecodedEvent<'a>) {
        // When the batch is full the limit is noted, and the whole envelope refused.
        let _ = self.sink.push(event);
    }

    /// An item of which no event comes; it may say what its person has decided all the same.
    fn not_an_event(&mut self, common: Common<'a>) {
        self.push(DecodedEvent { common, ..DecodedEvent::decided(Outcome::Withheld(NOT_AN_EVENT)) });
    }

    fn crash(&mut self, event: &Json<'a>) {
        let severe = match event.get("level").and_then(Json::text) {
            Some(level) => matches!(&**level, "error" | "fatal"),
            None => true,
        };
        let common = self.common(event);
        let (Some(exception), true) = (exception(event), severe) else { return self.not_an_event(common) };
        let Some(mapped) = vendor::find(self.registry, Protocol::Sentry, "event") else {
            return self.not_an_event(common);
        };
        let mut computed = vec![
            ("exception_type", exception.get("type").cloned().unwrap_or(Json::Null)),
            ("message", exception.get("value").cloned().unwrap_or(Json::Null)),
            ("frames", frames(exception)),
            ("thread", thread(event, exception)),
            ("foreground", event.path("contexts.app.in_foreground").cloned().unwrap_or(Json::Null)),
            ("handled", exception.path("mechanism.handled").cloned().unwrap_or(Json::Null)),
        ];
        let start = self.sink.properties.len();
        let tags = event.get("tags").unwrap_or(&Json::Null);
        let names = [tags.get("transaction"), event.get("transaction")];
        computed.push(("screen", names.into_iter().flatten().map(screen).next().unwrap_or(Json::Null)));
        mapped.properties(Sources { roots: &[tags, event], computed }, &mut self.sink.properties);
        let event = DecodedEvent {
            name: Some((&*mapped.def.name).into()),
            id: identifier(event.get("event_id")),
            time: event.get("timestamp").map(Time::seconds),
            common,
            properties: start..self.sink.properties.len(),
            ..DecodedEvent::default()
        };
        self.push(event);
    }

    fn transaction(&mut self, event: &Json<'a>) {
        let trace = event.path("contexts.trace").unwrap_or(&Json::Null);
        let op = trace.get("op").and_then(Json::text).map_or("", |op| &**op);
        let data = trace.get("data").unwrap_or(&Json::Null);
        let name = event.get("transaction").unwrap_or(&Json::Null);
        let status = event.path("contexts.response.status_code").or_else(|| status_code(data));
        let timed = Timed { vendor_name: format!("transaction:{op}"), name, data, status, of: event };
        let id = identifier(event.get("event_id"));
        let common = self.common(event);
        self.timed(timed, id, common.clone(), true);
        if let Some(list) = event.get("spans") {
            self.spans(list, Some(&common));
        }
    }

    /// The spans of a list. What their transaction says of all of them was read once: it may have as many members as there are spans.
    fn spans(&mut self, list: &Json<'a>, of_transaction: Option<&Common<'a>>) {
        for span in list.items() {
            if self.sink.is_over() {
                return;
            }
            self.span(span, of_transaction);
        }
    }

    /// A span by itself, or as a part of a transaction, which says this of it. A part without a rule is not an event of its own.
    fn span(&mut self, span: &Json<'a>, of_transaction: Option<&Common<'a>>) {
        let values = attributes(span);
        let data = values.as_ref().or_else(|| span.get("data")).unwrap_or(&Json::Null);
        let op = span.get("op").or_else(|| data.get("sentry.op")).and_then(Json::text).map_or("", |op| &**op);
        let name = span.get("name").or_else(|| span.get("description")).unwrap_or(&Json::Null);
        let timed =
            Timed { vendor_name: format!("span:{op}"), name, data, status: status_code(data), of: span };
        let id = match (identifier(span.get("trace_id")), identifier(span.get("span_id"))) {
            (trace, Some(span)) => Some(Cow::Owned(format!("{}/{span}", trace.unwrap_or_default()))),
            (_, None) => None,
        };
        let common = of_transaction.cloned().unwrap_or_else(|| self.span_common(span, data));
        self.timed(timed, id, common, of_transaction.is_none());
    }

    fn timed(&mut self, timed: Timed<'_, 'a>, id: Option<Cow<'a, str>>, common: Common<'a>, is_item: bool) {
        let Some(mapped) = vendor::find(self.registry, Protocol::Sentry, &timed.vendor_name) else {
            if is_item {
                self.not_an_event(common);
            }
            return;
        };
        let started = timed.of.get("start_timestamp").map_or(Time::Missing, Time::seconds);
        let ended = ["timestamp", "end_timestamp"].into_iter().find_map(|key| timed.of.get(key));
        let ended = ended.map_or(Time::Missing, Time::seconds);
        let duration = match (started.at(), ended.at()) {
            (Some(start), Some(end)) => Json::Integer(end - start),
            _ => Json::Null,
        };
        let operation = timed.vendor_name.split_once(':').map_or("", |(_, operation)| operation);
        let is_request = operation.starts_with("http");
        let computed = vec![
            ("duration_ms", duration),
            ("status_code", timed.status.cloned().unwrap_or(Json::Null)),
            // A request has an endpoint and is shown on no screen.
            ("screen", if is_request { Json::Null } else { screen(timed.name) }),
            (
                "endpoint",
                timed.name.text().map_or(Json::Null, |name| Json::Text(route::endpoint(name).into())),
            ),
        ];
        let start = self.sink.properties.len();
        // The data of a span is a bag of everything: only what a rule names is taken from it.
        let none = Json::Null;
        mapped.properties(
            Sources { roots: &[&none, timed.data, timed.of], computed },
            &mut self.sink.properties,
        );
        let event = DecodedEvent {
            name: Some((&*mapped.def.name).into()),
            id,
            time: Some(if started == Time::Missing { ended } else { started }),
            common,
            properties: start..self.sink.properties.len(),
            ..DecodedEvent::default()
        };
        self.push(event);
    }

    /// An event for the status. SDKs count errors on a session that goes on as `ok` or has `exited`: an event with the status
    /// `errored` keeps them, once a session.
    fn session(&mut self, session: &Json<'a>) {
        let status = session.get("status").cloned().unwrap_or(Json::Text(Cow::Borrowed("ok")));
        let seconds = session.get("duration").and_then(Json::number);
        let duration = seconds.map_or(Json::Null, |s| Json::Float((s * 1000.0).round()));
        let is_well = matches!(&status, Json::Text(status) if matches!(&**status, "ok" | "exited"));
        self.session_event(session, status, duration);
        if is_well && session.get("errors").and_then(Json::number).is_some_and(|errors| errors > 0.0) {
            self.session_event(session, Json::Text(Cow::Borrowed("errored")), Json::Null);
        }
    }

    fn session_event(&mut self, session: &Json<'a>, status: Json<'a>, duration: Json<'a>) {
        let common = session_common(session);
        let Some(mapped) = vendor::find(self.registry, Protocol::Sentry, "session") else {
            return self.not_an_event(common);
        };
        let id = common.session.as_ref().map(|sid| {
            let status = status.text().map_or("", |s| &**s);
            Cow::Owned(format!("{sid}/{}", status.get(..16).unwrap_or(status)))
        });
        let computed = vec![("result", status), ("duration_ms", duration)];
        let start = self.sink.properties.len();
        let none = Json::Null;
        mapped.properties(Sources { roots: &[&none, session], computed }, &mut self.sink.properties);
        let time = session.get("timestamp").or_else(|| session.get("started"));
        let event = DecodedEvent {
            name: Some((&*mapped.def.name).into()),
            id,
            time: time.map(Time::seconds),
            common,
            properties: start..self.sink.properties.len(),
            ..DecodedEvent::default()
        };
        self.push(event);
    }

    fn common(&self, event: &Json<'a>) -> Common<'a> {
        let device = Common {
            device: identifier(event.path("contexts.device.id")),
            country: country(event.path("user.geo.country_code"), self.registry),
            address: short(event.path("user.ip_address")),
            app_version: short(event.path("contexts.app.app_version"))
                .or_else(|| version(event.get("release"))),
            os: short(event.path("contexts.os.name")),
            os_version: short(event.path("contexts.os.version")),
            device_model: short(event.path("contexts.device.model")),
            has_unreadable_identifier: are_unreadable(event, &["contexts.device.id"]),
            ..Common::default()
        };
        let user = event.get("user").unwrap_or(&Json::Null);
        let mut person = Person::of_user(user);
        if let Some(data) = event.path("contexts.trace.data") {
            person.also(data);
        }
        consent(event, person.into_common(device))
    }

    fn span_common(&self, span: &Json<'a>, data: &Json<'a>) -> Common<'a> {
        let device = Common {
            country: country(data.get("user.geo.country_code"), self.registry),
            address: short(data.get("user.ip_address")),
            app_version: version(data.get("sentry.release")),
            os: short(data.get("os.name")),
            os_version: short(data.get("os.version")),
            device_model: short(data.get("device.model")),
            ..Common::default()
        };
        let common = Person::of_span(data).into_common(device);
        consent(span, consent(data, common))
    }
}

/// What a session says of all of its events.
fn session_common<'a>(session: &Json<'a>) -> Common<'a> {
    let device = Common {
        session: identifier(session.get("sid")),
        address: short(session.path("attrs.ip_address")),
        app_version: version(session.path("attrs.release")),
        ..Common::default()
    };
    let common = Person::of_session(session).into_common(device);
    let attributes = session.get("attrs").unwrap_or(&Json::Null);
    consent(session, consent(attributes, common))
}

/// What an item, or its data, says of consent: the claim where it is documented, and what refuses anywhere.
fn consent<'a>(of: &Json<'a>, common: Common<'a>) -> Common<'a> {
    if !speaks_of_consent(of) {
        return common;
    }
    let said = of_vendor(of.path("contexts.consent"), of);
    let mut preferences = denials(of);
    preferences.extend(common.preferences);
    let consent = match (said, common.consent) {
        (Some(said), Some(before)) => Some(said.map(|said| said.with_refusals_of(&before))),
        (said, before) => said.or(before),
    };
    Common { consent, preferences, ..common }
}

/// A transaction or span, with what both have.
struct Timed<'x, 'a> {
    vendor_name: String,
    name: &'x Json<'a>,
    data: &'x Json<'a>,
    status: Option<&'x Json<'a>>,
    of: &'x Json<'a>,
}

/// What a name says as a screen: nothing when it is a request.
fn screen<'a>(name: &Json<'a>) -> Json<'a> {
    match name.text() {
        Some(text) if !route::is_request(text) => name.clone(),
        _ => Json::Null,
    }
}

fn status_code<'x, 'a>(data: &'x Json<'a>) -> Option<&'x Json<'a>> {
    ["http.response.status_code", "http.status_code"].into_iter().find_map(|key| data.get(key))
}

/// The plain values of a version 2 span's attributes, `{"key": {"value": .., "type": ..}}`.
fn attributes<'a>(span: &Json<'a>) -> Option<Json<'a>> {
    let members = span.get("attributes")?.members();
    let plain = members.iter().map(|(key, a)| (key.clone(), a.get("value").unwrap_or(a).clone()));
    Some(Json::Map(plain.collect()))
}

/// The version in `package@version+build`.
fn version<'a>(release: Option<&Json<'a>>) -> Option<Cow<'a, str>> {
    let release = short(release)?;
    let version = release.rsplit('@').next().unwrap_or_default();
    let version = version.split('+').next().unwrap_or_default().trim();
    (!version.is_empty()).then(|| Cow::Owned(version.to_owned()))
}
