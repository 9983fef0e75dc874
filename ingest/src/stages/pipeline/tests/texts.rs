//! What texts may hold: paths as templates, none of the event's identifiers, and no more work than there is.

use super::*;
use crate::config::Limits;

const CONSENT: &str = r#""consent":{"policy_version":"2026-1","granted_at":"2026-01-01T00:00:00Z"}"#;

fn rows_of(protocol: Protocol, body: &str) -> Vec<(String, Vec<(String, String)>)> {
    let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
    let piped = world().run(&request(protocol, body.as_bytes()), &grant, now()).unwrap();
    world().rows(&piped)
}

fn crash(identifiers: &str, message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        r#"{{"event":"app_crash","country":"DE",{identifiers},{CONSENT},"properties":{{"exception_type":"E","message":{message},"frames":[{{"function":"open","file":"/tmp/7j0a-123p-az00-001"}}]}}}}"#
    )
}

#[test]
fn a_path_is_a_template_whoever_sends_it() {
    let native = |event: &str, properties: &str| {
        format!(
            r#"{{"event":"{event}","time":"2026-11-20T08:00:00Z","user_id":"u","country":"DE",{CONSENT},"properties":{{{properties}}}}}"#
        )
    };
    for (properties, name, wanted) in [
        (r#""endpoint":"https://h/v1/users/4711?x=1","duration_ms":1"#, "endpoint", "/v1/users/{}"),
        (
            r#""endpoint":"GET /v1/cameras/7J0A123PAZ00001/live","duration_ms":1"#,
            "endpoint",
            "GET /v1/cameras/{}/live",
        ),
        (r#""endpoint":"/v1/cameras/{id}","duration_ms":1"#, "endpoint", "/v1/cameras/{id}"),
        (r#""endpoint":"/v1/x","duration_ms":1,"screen":"account/4711""#, "screen", "account/{}"),
        (r#""endpoint":"/v1/x","duration_ms":1,"error_code":"/orders/4711""#, "error_code", "/orders/{}"),
        (r#""endpoint":"/v1/x","duration_ms":1,"error_code":"net/E_4""#, "error_code", "net/E_4"),
    ] {
        let rows = rows_of(Protocol::Native, &native("api_request", properties));
        assert_eq!(column(&rows[0], name), Some(wanted), "{properties}");
    }
    let page = |message: &str| {
        format!(r#"{{"batch":[{{"type":"page","messageId":"1","anonymousId":"a-1",{message}}}]}}"#)
    };
    for (message, wanted) in [
        (r#""properties":{"path":"/account/4711"}"#, "/account/{}"),
        (r#""properties":{"path":"/","url":"https://x.test/"}"#, "/"),
        (r#""name":"https://x.test/u/annaschmidt?tab=2""#, "/u/{}"),
        (r#""name":"Settings""#, "Settings"),
    ] {
        assert_eq!(
            column(&rows_of(Protocol::Segment, &page(message))[0], "screen"),
            Some(wanted),
            "{message}"
        );
    }
}

#[test]
fn a_path_in_what_every_table_has_is_a_template_too() {
    for (said, wanted) in [
        ("/foo/anna.schmidt", "/foo/{}"),
        ("file:///home/anna-s/app/4711", "/home/{}/app/{}"),
        ("https://anna:pw@x.test/build/4711?of=anna", "/build/{}"),
        ("4.2.0 (17)", "4.2.0 (17)"),
        ("4.2.0+build/17", "4.2.0+build/17"),
        ("SM-G991B/DS", "SM-G991B/DS"),
        ("iPad13,4", "iPad13,4"),
    ] {
        let native = format!(
            r#"{{"context":{{"app_version":"{said}","os_version":"{said}","device_model":"{said}"}},"user_id":"u","country":"DE",{CONSENT},"events":[{{"event":"app_open","time":"2026-11-20T08:00:00Z"}}]}}"#
        );
        let segment = format!(
            r#"{{"batch":[{{"type":"screen","messageId":"1","anonymousId":"a-1","name":"Home","context":{{"app":{{"version":"{said}"}},"os":{{"version":"{said}"}},"device":{{"model":"{said}"}}}}}}]}}"#
        );
        for (protocol, body) in [(Protocol::Native, native), (Protocol::Segment, segment)] {
            let rows = rows_of(protocol, &body);
            for name in ["app_version", "os_version", "device_model"] {
                assert_eq!(column(&rows[0], name), Some(wanted), "{name} of {said}");
            }
        }
    }
}

#[test]
fn a_request_of_sentry_has_an_endpoint_and_is_on_no_screen() {
    let of = |kind: &str, event: &str| {
        let item = format!(r#"{{"type":"{kind}"}}"#);
        rows_of(Protocol::Sentry, &format!("{{}}\n{item}\n{event}\n"))
    };
    let times = r#""start_timestamp":1795161600,"timestamp":1795161600.2"#;
    let span = format!(
        r#"{{"type":"transaction","event_id":"ab6d8c0c43fc4630ad850ee518f1b9d1","user":{{"id":"u-1"}},{times},"transaction":"/account/4711","contexts":{{"trace":{{"op":"navigation"}}}},
        "spans":[{{"span_id":"b1","trace_id":"c1","op":"http.client","description":"GET https://h/v1/users/4711",{times}}}]}}"#
    )
    .replace('\n', "");
    let rows = of("transaction", &span);
    assert_eq!((rows[0].0.as_str(), column(&rows[0], "screen")), ("page_load", Some("/account/{}")));
    assert_eq!((rows[1].0.as_str(), column(&rows[1], "screen")), ("api_request", None));
    assert_eq!(column(&rows[1], "endpoint"), Some("/v1/users/{}"));
    let crash = |transaction: &str| {
        format!(
            r#"{{"event_id":"ab6d8c0c43fc4630ad850ee518f1b9d2","level":"error","user":{{"id":"u-1"}},"timestamp":1795161600,"transaction":"{transaction}","exception":{{"values":[{{"type":"E","value":"v"}}]}}}}"#
        )
    };
    for (transaction, screen) in [
        ("GET /v1/users/4711", None),
        ("https://h/account/4711", None),
        ("/account/4711", Some("/account/{}")),
        ("LiveViewController", Some("LiveViewController")),
    ] {
        assert_eq!(column(&of("event", &crash(transaction))[0], "screen"), screen, "{transaction}");
    }
}

#[test]
fn an_event_s_identifiers_are_found_however_they_are_written() {
    let serial = r#""device_id":"7J0A123PAZ00001""#;
    for message in [
        "lost 7j0a123paz00001 now",
        "lost 7J0A-123P-AZ00-001 now",
        "lost 7J0A 123P AZ00 001 now",
        "lost N0owQTEyM1BBWjAwMDAx now",
        "lost 374a304131323350415a3030303031 now",
        "lost %37J0A123PAZ00001 now",
        "lost ７Ｊ０Ａ123PAZ00001 now",
    ] {
        let rows = world().rows(&world().native(&crash(serial, message)).unwrap());
        let kept = column(&rows[0], "message").unwrap();
        assert!(
            kept.contains("<identifier>") && kept.starts_with("lost ") && kept.ends_with(" now"),
            "{message}: {kept}"
        );
        assert_eq!(column(&rows[0], "stack"), Some("open (/tmp/<identifier>)\n"));
    }
    // What every event may have says nothing.
    let rows = world().rows(
        &world()
            .native(&crash(
                r#""install_id":"in-1","user_id":"guest","session_id":"00000000""#,
                "guest at 00000000",
            ))
            .unwrap(),
    );
    assert_eq!(column(&rows[0], "message"), Some("guest at 00000000"));
}

#[test]
fn texts_beyond_the_work_of_a_request_are_withheld_as_a_whole() {
    let limits = Limits { scrub_steps_max: 100_000, ..Limits::DEFAULT };
    let world = World { config: PipelineConfig { limits, ..PipelineConfig::DEFAULT }, ..World::new() };
    let cheap = crash(r#""install_id":"in-1""#, "all is well");
    let begins_alike = |at: usize| format!("{}{at}", "ab".repeat(100));
    let ids = format!(r#""install_id":"{}","user_id":"{}""#, begins_alike(1), begins_alike(2));
    for (costly, kept) in [
        // For the patterns: what comes after it is withheld.
        (crash(r#""install_id":"in-1""#, &"0030 11 ".repeat(1023)), ["all is well", "<text>", "<text>"]),
        // For the search for its own identifiers, which looks at all events before the patterns do.
        (crash(&ids, &"ababababab%61b=6".repeat(500)), ["<text>"; 3]),
    ] {
        let piped = world.native(&format!("[{cheap},{costly},{cheap}]")).unwrap();
        let rows = world.rows(&piped);
        let messages: Vec<_> = rows.iter().map(|row| column(row, "message").unwrap()).collect();
        assert_eq!(messages, kept);
        assert!(piped.work.is_spent() && piped.work.unscanned() >= 2);
        let again = world.native(&format!("[{cheap},{costly},{cheap}]")).unwrap();
        assert_eq!(world.rows(&again), rows, "the same request has the same result");
    }
}
