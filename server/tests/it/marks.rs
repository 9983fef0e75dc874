//! Made-up identifiers of one person, and bodies of all three protocols that carry them wherever an SDK could put them.
//!
//! Not here: sending them and looking for them (`canary.rs`).

use serde_json::{Value, json};

use crate::stage::POLICY;

pub(crate) const USER: &str = "usr-canary-7f3k9q2m";
pub(crate) const INSTALL: &str = "3f0e8a52-7c1d-4f6e-9b59-2f0fca0a8e10";
pub(crate) const DEVICE: &str = "canarydeviceb7a1c3d9";
pub(crate) const SERIAL: &str = "SNCANARY00417C";
pub(crate) const SESSION: &str = "session-canary-55aa77";
pub(crate) const EMAIL: &str = "anna.canary@example.org";
pub(crate) const PHONE: &str = "+49 1512 3456789";
pub(crate) const MAC: &str = "9c:8e:cd:0a:1b:2c";
pub(crate) const IP4: &str = "203.0.113.77";
pub(crate) const IP6: &str = "2001:db8:85a3::8a2e:370:7334";
pub(crate) const IMEI: &str = "490154203237518";
pub(crate) const LATITUDE: &str = "52.520008";
pub(crate) const LONGITUDE: &str = "13.404954";
pub(crate) const NAME: &str = "annacanary";
pub(crate) const DEVICE_NAME: &str = "Annas iPhone";
pub(crate) const TOKEN: &str = "tokCANARY9f8e7d6c5b4a";
pub(crate) const SSN: &str = "219-09-9999";
pub(crate) const STEUER_ID: &str = "65929970489";
pub(crate) const NRIC: &str = "S1234567D";
pub(crate) const MYKAD: &str = "900101-14-5678";

/// When the envelope was sent, by its client's clock; the times in it are shortly before, whatever the server's clock says.
const SENT_AT: &str = "2026-11-22T03:19:12Z";

/// All of them.
pub(crate) const ALL: [&str; 20] = [
    USER,
    INSTALL,
    DEVICE,
    SERIAL,
    SESSION,
    EMAIL,
    PHONE,
    MAC,
    IP4,
    IP6,
    IMEI,
    LATITUDE,
    LONGITUDE,
    NAME,
    DEVICE_NAME,
    TOKEN,
    SSN,
    STEUER_ID,
    NRIC,
    MYKAD,
];

/// A sentence with everything that can be told by its form or its label.
pub(crate) fn sentence() -> String {
    format!(
        "user_id={USER} ({EMAIL}, {PHONE}) sn={SERIAL} mac {MAC} from {IP4} and [{IP6}] imei {IMEI} at {LATITUDE}, \
         {LONGITUDE} on {DEVICE_NAME}: no file /Users/{NAME}/Library/x nor C:\\Users\\{NAME}\\x, see \
         https://api.example.com/cb?token={TOKEN}&mail={EMAIL}; ssn {SSN}, IdNr. {STEUER_ID}, nric {NRIC}, IC {MYKAD}, \
         device_id={DEVICE}, uuid {INSTALL}, \"session_token\": \"{TOKEN}\", Authorization: Bearer {TOKEN}"
    )
}

/// Everything by names that no definition has: what an app throws in without thinking.
pub(crate) fn bag() -> Value {
    json!({
        "user": {"id": USER, "email": EMAIL, "phone": PHONE, "ssn": SSN, "taxId": STEUER_ID, "nric": NRIC, "ic": MYKAD},
        "ip": IP4, "ipv6": IP6, "mac": MAC, "imei": IMEI, "sn": SERIAL, "udid": DEVICE, "installation": INSTALL,
        "location": {"latitude": 52.520008, "longitude": 13.404954, "text": format!("{LATITUDE},{LONGITUDE}")},
        "path": format!("/home/{NAME}/.config"), "url": format!("https://a.example/?access_token={TOKEN}#{EMAIL}"),
        "name": DEVICE_NAME, "note": sentence(), "session": SESSION,
        USER: 1, EMAIL: {"nested": [{PHONE: [SERIAL, {MAC: IP4}]}]}, IMEI: NRIC, MYKAD: SSN,
    })
}

/// A batch of native events.
pub(crate) fn native() -> Value {
    let ids = json!({
        "user_id": USER, "install_id": INSTALL, "device_id": DEVICE, "serial_number": SERIAL, "session_id": SESSION,
        "country": "DE", "email": EMAIL,
        "context": {"ip": IP4, "latitude": 52.520008, "longitude": 13.404954, "device_name": DEVICE_NAME, "mac": MAC,
            "app_version": "4.2.0", "os": "ios", "os_version": IP4, "device_model": EMAIL, "bag": bag()},
    });
    let event = |id: &str, name: &str, properties: Value| {
        let mut event = ids.clone();
        event["id"] = json!(format!("{id}-{EMAIL}-{SERIAL}"));
        event["event"] = json!(name);
        event["properties"] = properties;
        event["consent"] = json!({"policy_version": POLICY, "age": 40});
        event
    };
    let frames = json!([
        {"module": format!("com.example.{EMAIL}"), "function": format!("load {PHONE}"), "line": 3,
            "file": format!("/Users/{NAME}/src/x.kt"), "vars": bag(), "context_line": sentence()},
        format!("open sn={SERIAL} {IP6}"),
    ]);
    let element =
        |at: usize, value: &str| event(&format!("dimension-{at}"), "click", json!({"element": value}));
    let mut events = vec![
        event(
            "crash",
            "app_crash",
            json!({"exception_type": "IOException", "message": sentence(), "thread": format!("worker of {EMAIL}"),
            "screen": EMAIL, "frames": frames, "bag": bag()}),
        ),
        event("click", "click", json!({"element": "add", "screen": PHONE, "bag": bag(), EMAIL: 1})),
        event(
            "profile",
            "device_profile",
            json!({"serial_number": SERIAL, "device_name": DEVICE_NAME, "mac": MAC,
            "ip": IP4, "ssid": format!("{NAME} at home"), "firmware": "V5.3.8", "bag": bag()}),
        ),
        event(
            "fault",
            "device_fault",
            json!({"serial_number": SERIAL, "fault_code": "SD_WRITE", "bag": bag()}),
        ),
    ];
    let told = [EMAIL, PHONE, MAC, IP4, IP6, IMEI, SSN, STEUER_ID, NRIC, MYKAD, DEVICE_NAME, INSTALL];
    events.extend(told.iter().enumerate().map(|(at, value)| element(at, value)));
    // A member that a consent does not have: this event is rejected, and the others are not.
    let mut unknown = element(told.len(), "add");
    unknown["consent"]["who"] = json!(USER);
    events.push(unknown);
    json!({"sent_at": null, "user_id": USER, "context": bag(), "events": events, "batch_note": sentence(), EMAIL: bag()})
}

/// A batch as a Segment SDK sends it.
pub(crate) fn segment() -> Value {
    let context = json!({
        "app": {"name": "camera", "version": "4.2.0"}, "ip": IP4, "locale": "de-DE", "timezone": "Europe/Berlin",
        "device": {"id": DEVICE, "model": "iPhone16,2", "name": DEVICE_NAME, "advertisingId": INSTALL, "token": TOKEN},
        "os": {"name": "iOS", "version": "18.1"}, "sessionId": SESSION,
        "location": {"country": "DE", "city": NAME, "latitude": 52.520008, "longitude": 13.404954},
        "page": {"url": format!("https://x.example/?token={TOKEN}"), "referrer": format!("https://x.example/{EMAIL}")},
        "traits": {"email": EMAIL, "phone": PHONE}, "userAgent": sentence(), "network": {"bssid": MAC, "wifi": true},
        "consent": {"policy_version": POLICY}, "bag": bag(),
    });
    let message = |id: &str, kind: &str, more: Value| {
        let mut message = json!({"type": kind, "messageId": format!("{id}-{EMAIL}"), "userId": USER,
            "anonymousId": INSTALL, "context": context.clone(), "integrations": bag(), "_metadata": bag()});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    json!({"sentAt": null, "context": context.clone(), "batch": [
        message("identify", "identify", json!({"traits": bag()})),
        message("track", "track", json!({"event": "click", "properties": {"element": "add", "screen": EMAIL, "bag": bag()}})),
        message("named", "track", json!({"event": format!("{EMAIL} opened {SERIAL}"), "properties": bag()})),
        message("crash", "track", json!({"event": "app_crash", "properties":
            {"exception_type": "IOException", "message": sentence(), "thread": PHONE, "bag": bag()}})),
        message("order", "track", json!({"event": "Order Completed", "properties":
            {"revenue": 19.99, "currency": "EUR", "email": EMAIL, "shipping": bag()}})),
        message("screen", "screen", json!({"name": EMAIL, "properties": bag()})),
        message("page", "page", json!({"name": "Home", "category": EMAIL, "properties": {"url": TOKEN, "title": sentence(),
            "path": format!("/reset/{EMAIL}"), "search": format!("?token={TOKEN}")}})),
        message("group", "group", json!({"groupId": SERIAL, "traits": bag()})),
        message("alias", "alias", json!({"previousId": EMAIL})),
    ]})
}

/// Envelopes as Sentry SDKs send them.
pub(crate) fn sentry() -> Vec<u8> {
    let item = |header: Value, payload: &Value| format!("{header}\n{payload}\n");
    let mut body = format!(
        "{}\n",
        json!({"event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "sent_at": SENT_AT, "trace": bag(), "dsn": TOKEN})
    );
    body += &item(json!({"type": "event", "filename": EMAIL}), &crash());
    body += &item(json!({"type": "transaction"}), &transaction());
    body += &item(
        json!({"type": "session"}),
        &json!({"sid": SESSION, "init": true, "started": "2026-11-22T03:19:00Z",
        "status": "exited", "errors": 1, "did": USER, "attrs": {"release": "camera@4.2.0", "ip_address": IP4, "user_agent": sentence()}}),
    );
    for kind in ["user_report", "feedback", "client_report", "check_in", "log", "profile", EMAIL] {
        body += &item(json!({"type": kind, "name": EMAIL}), &bag());
    }
    body += &item(json!({"type": "attachment", "filename": format!("{NAME}.log")}), &json!(sentence()));
    body.into_bytes()
}

fn crash() -> Value {
    let frame = json!({"filename": format!("/home/{NAME}/app/main.py"), "abs_path": format!("/home/{NAME}/app/main.py"),
        "module": format!("app.{EMAIL}"), "function": format!("load_{IMEI}"), "lineno": 7, "vars": bag(), "in_app": true,
        "context_line": sentence(), "pre_context": [sentence()], "post_context": [sentence()]});
    json!({
        "event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "level": "error", "platform": "python",
        "release": "camera@4.2.0", "server_name": format!("host-of-{EMAIL}"), "dist": EMAIL, "environment": EMAIL,
        "user": {"id": USER, "email": EMAIL, "username": NAME, "ip_address": IP4, "name": NAME, "data": bag(),
            "geo": {"country_code": "DE", "city": NAME}},
        "request": {"url": format!("https://x.example/?token={TOKEN}"), "query_string": format!("mail={EMAIL}"),
            "cookies": format!("session={TOKEN}"), "headers": {"X-Forwarded-For": IP4, "Authorization": TOKEN}, "data": bag(),
            "env": {"REMOTE_ADDR": IP6}},
        "breadcrumbs": {"values": [{"message": sentence(), "category": EMAIL, "data": bag()}]},
        "exception": {"values": [{"type": "ValueError", "value": sentence(), "module": EMAIL, "thread_id": 1,
            "mechanism": {"type": "generic", "handled": true, "data": bag()}, "stacktrace": {"frames": [frame.clone(), frame]}}]},
        "threads": {"values": [{"id": 1, "name": format!("worker {EMAIL}"), "crashed": true}]},
        "contexts": {"device": {"name": DEVICE_NAME, "model": "iPhone16,2", "id": DEVICE}, "os": {"name": "iOS", "version": "18.1"},
            "app": {"app_version": "4.2.0", "in_foreground": true}, "bag": bag(), "state": {"value": sentence()}},
        "tags": {"screen": EMAIL, "user": USER, "sn": SERIAL}, "extra": bag(), "modules": {EMAIL: "1"},
        "transaction": format!("/users/{EMAIL}"), "logentry": {"message": sentence(), "params": [EMAIL]},
        "fingerprint": [EMAIL], "sdk": {"name": "sentry.python", "integrations": [NAME]},
    })
}

fn transaction() -> Value {
    let url = format!("GET https://api.example.com/v1/x?token={TOKEN}&mail={EMAIL}");
    let span = json!({"span_id": "a17198e1c487a3b4", "trace_id": "748027cf75c24a9bb7568952c55fe955", "op": "http.client",
        "description": url, "start_timestamp": 1_795_317_550.1, "timestamp": 1_795_317_550.2,
        "data": {"http.response.status_code": 503, "url": url, "http.query": sentence(), "error.type": EMAIL, "bag": bag()}});
    json!({
        "event_id": "ab6d8c0c43fc4630ad850ee518f1b9d1", "type": "transaction", "transaction": format!("/x?token={TOKEN}"),
        "start_timestamp": 1_795_317_550.0, "timestamp": 1_795_317_550.5, "release": "camera@4.2.0",
        "user": {"id": USER, "email": EMAIL, "ip_address": IP4, "geo": {"country_code": "DE"}},
        "contexts": {"trace": {"op": "ui.load", "trace_id": "748027cf75c24a9bb7568952c55fe955", "data": bag()}},
        "spans": [span], "tags": {"mail": EMAIL}, "extra": bag(),
    })
}
